"""Digits, array files, films and tensorflow-datasets; splits; the configuration's limits."""

import os
import pathlib

import numpy as np
import pytest

from tfvae.data import DataConfig, Images, load, load_images
from tfvae.data import tfds as tfds_source
from tfvae.errors import UserError

DATA = pathlib.Path(
    os.environ.get("TFVAE_TEST_DATA") or pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"
)


def real(*parts):
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no real data at {path}: set TFVAE_TEST_DATA")
    return path


def error(call):
    with pytest.raises(UserError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_digits_fill_the_range_of_bytes_and_keep_their_labels():
    from sklearn.datasets import load_digits

    images, refused = load_images("digits")
    assert images.array.shape == (1797, 8, 8, 1) and not refused
    np.testing.assert_array_equal(images.array[..., 0], np.rint(load_digits().images * 255 / 16))
    np.testing.assert_array_equal(images.labels, load_digits().target)


def test_a_split_parts_the_images_and_depends_on_the_seed_alone():
    config = DataConfig("digits", validation=100, test=0.2)
    one, again, other = load(config, seed=1), load(config, seed=1), load(config, seed=2)
    assert [len(part) for part in (one.train, one.validation, one.test)] == [1797 - 100 - 359, 100, 359]
    names = one.train.names + one.validation.names + one.test.names
    assert len(set(names)) == 1797
    assert one.test.names == again.test.names != other.test.names
    assert "1,338 to train" in one.description


def test_shares_that_leave_nothing_are_refused():
    assert "leave none to train on" in error(lambda: load(DataConfig("digits", validation=1000, test=1000)))
    assert len(load(DataConfig("digits", validation=0, test=0)).test) == 0


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 100, 255], np.uint8), [0, 100, 255]),
        (np.array([False, True, True]), [0, 255, 255]),
        (np.array([0.0, 0.5, 1.0], np.float32), [0, 128, 255]),
        (np.array([0.0, 100.0, 255.0]), [0, 100, 255]),
        (np.array([0, 40_000, 65_535], np.uint16), [0, 156, 255]),
        (np.array([0, 100, 255], np.int64), [0, 100, 255]),
    ],
)
@pytest.mark.parametrize("axes", [(), (1,)])
def test_array_values_become_bytes(tmp_path, values, expected, axes):
    np.save(tmp_path / "x.npy", values.reshape(1, 1, 3, *axes))
    images, _ = load_images(tmp_path / "x.npy")
    np.testing.assert_array_equal(images.array, np.reshape(expected, (1, 1, 3, 1)))


def test_alpha_in_an_array_is_laid_on_white(tmp_path):
    np.save(tmp_path / "x.npy", np.array([[[[200, 0, 0, 0], [200, 0, 0, 255], [200, 0, 0, 51]]]], np.uint8))
    np.testing.assert_array_equal(
        load_images(tmp_path / "x.npy")[0].array[0, 0], [[255, 255, 255], [200, 0, 0], [244, 204, 204]]
    )


def test_official_splits_and_labels_of_an_archive_are_kept(tmp_path):
    x = np.arange(30, dtype=np.uint8)[:, None, None] * np.ones((4, 4), np.uint8)
    labels = np.array(["cat", "dog"] * 10)
    np.savez(tmp_path / "a.npz", x_train=x[:20], y_train=labels, x_test=x[20:], y_test=labels[:10])
    splits = load(DataConfig(str(tmp_path / "a.npz"), validation=4, test=0.5))
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [16, 4, 10]
    np.testing.assert_array_equal(splits.test.array[:, 0, 0, 0], np.arange(20, 30))
    assert splits.test.label_names == ["cat", "dog"] and splits.test.labels.tolist() == [0, 1] * 5


def test_arrays_are_fitted_like_pictures(tmp_path):
    x = np.zeros((3, 10, 30), np.uint8)
    x[:, :, 10:20] = 255
    np.savez(tmp_path / "a.npz", images=x)
    images, _ = load_images(tmp_path / "a.npz", DataConfig("y", height=10, width=10, channels=3))
    assert images.array.shape == (3, 10, 10, 3) and (images.array == 255).all()


def test_array_files_that_make_no_sense_are_refused_in_one_line(tmp_path):
    def message(**arrays):
        np.savez(tmp_path / "a.npz", **arrays)
        return error(lambda: load_images(tmp_path / "a.npz"))

    assert "must hold images of shape" in message(x=np.zeros((3, 4)))
    assert "NaN" in message(x=np.full((1, 2, 2), np.nan))
    assert "must hold numbers" in message(x=np.full((1, 2, 2), "a"))
    assert "Did you mean 'images'?" in message(imagess=np.zeros((1, 2, 2)), other=np.zeros(3))
    assert "2 labels in 'y' for 1 images" in message(x=np.zeros((1, 2, 2)), y=np.zeros(2))
    (tmp_path / "a.npz").write_text("no archive")
    assert "no readable array file" in error(lambda: load_images(tmp_path / "a.npz"))


def film(path, frames):
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.bit_rate = 4_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_a_film_is_its_frames_in_order_and_holds_its_end_out(tmp_path):
    greys = np.arange(20, dtype=np.uint8) * 10
    frames = np.ascontiguousarray(np.broadcast_to(greys[:, None, None, None], (20, 32, 48, 3)))
    path = film(tmp_path / "film.mp4", frames)
    images, _ = load_images(path, DataConfig("x", channels=1))
    np.testing.assert_allclose(images.array.mean(axis=(1, 2, 3)), greys, atol=4)
    splits = load(DataConfig(str(path), validation=3, test=2))
    assert splits.test.names == ["film.mp4#000018", "film.mp4#000019"]
    assert splits.validation.names == [f"film.mp4#{index:06d}" for index in (15, 16, 17)]


def test_a_broken_film_gives_the_frames_before_the_damage(tmp_path):
    path = film(tmp_path / "film.avi", np.random.default_rng(0).integers(0, 256, (30, 64, 64, 3), np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    images, _ = load_images(path)
    assert 5 < len(images) < 30
    (tmp_path / "text.mp4").write_text("no film")
    assert "no frame of film" in error(lambda: load_images(tmp_path / "text.mp4"))


def test_a_data_set_that_is_neither_there_nor_to_be_had_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(tfds_source, "_reachable", lambda: False)
    assert "--set data.manual_dir=DIR" in error(lambda: load(DataConfig("tfds:mnist")))
    assert "Did you mean 'mnist'?" in error(lambda: load(DataConfig("tfds:mnits")))
    raw = tmp_path / "raw"
    assert "no such folder" in error(lambda: load(DataConfig("tfds:mnist", manual_dir=str(raw))))
    raw.mkdir()
    assert "is empty" in error(lambda: load(DataConfig("tfds:mnist", manual_dir=str(raw))))
    (raw / "other.gz").write_text("")
    assert "lacks t10k-images-idx3-ubyte.gz" in error(lambda: load(DataConfig("tfds:mnist", manual_dir=str(raw))))
    for part in ("t10k", "train"):
        for kind in ("images-idx3", "labels-idx1"):
            (raw / f"{part}-{kind}-ubyte.gz").write_bytes(b"of another data set")
    assert "is not the file of that name" in error(lambda: load(DataConfig("tfds:mnist", manual_dir=str(raw))))


def test_a_prepared_data_set_is_read_in_order_with_its_official_test_split(tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(tfds_source, "_reachable", lambda: False)
    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=(4, 4, 1)), "label": tfds.features.ClassLabel(names=["a", "b"])}
    )
    rows = {
        split: [(row, {"image": np.full((4, 4, 1), start + row, np.uint8), "label": row % 2}) for row in range(count)]
        for split, start, count in (("train", 0, 9), ("test", 100, 4))
    }
    tfds.dataset_builders.store_as_tfds_dataset(
        name="tiny", version="1.0.0", features=features, split_datasets=rows, data_dir=tmp_path, disable_shuffling=True
    )
    splits = load(DataConfig("tfds:tiny", validation=0))
    assert splits.train.array[:, 0, 0, 0].tolist() == list(range(9))
    assert splits.test.array[:, 0, 0, 0].tolist() == [100, 101, 102, 103]
    assert splits.test.labels.tolist() == [0, 1, 0, 1] and splits.test.label_names == ["a", "b"]
    assert len(load(DataConfig("tfds:tiny", validation=0, limit=5)).train) == 5


@pytest.mark.slow
def test_raw_files_of_the_same_names_do_not_meet(tmp_path, monkeypatch):
    """MNIST and Fashion-MNIST side by side in one TFDS_DATA_DIR, without network: each keeps its own pictures."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(tfds_source, "_reachable", lambda: False)
    for name, mean in (("mnist", 0.1307), ("fashion_mnist", 0.2860)):  # the means that everyone subtracts
        splits = load(DataConfig(f"tfds:{name}", manual_dir=str(real(name))))
        assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [54_000, 6_000, 10_000]
        assert abs(splits.train.array.mean() / 255 - mean) < 0.001


def test_real_faces_keep_their_people():
    images, refused = load_images(real("faces_orl"), DataConfig("x", height=28, width=23))
    assert len(images) == 400 and images.channels == 1
    assert (np.bincount(images.labels) == 10).all() and len(images.label_names) == 40
    assert [refusal.name for refusal in refused] == ["README"]


def test_frey_faces_are_not_square():
    splits = load(DataConfig(str(real("faces_frey", "freyfaces_1965x28x20.npz"))))
    assert splits.train.common_size == (28, 20)


def test_every_damaged_file_is_read_or_named():
    folder = real("damaged_formats")
    images, refused = load_images(folder, DataConfig("x", height=16, width=16, channels=3))
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    assert len(images) + len(refused) == len(files) and len(images) > 200
    assert all(refusal.reason and "\n" not in refusal.reason for refusal in refused)


def test_subsets_of_images_are_the_same_pixels():
    images = Images.from_array(np.arange(5 * 6, dtype=np.uint8).reshape(5, 2, 3, 1), labels=np.arange(5))
    some = images.take([4, 0, 4])
    assert some.names == ["000004", "000000", "000004"] and some.labels.tolist() == [4, 0, 4]
    np.testing.assert_array_equal(some[1], images[0])
    np.testing.assert_array_equal(some.array, images.array[[4, 0, 4]])
    assert np.shares_memory(images.array, images.pixels)
    assert len(images.take([])) == 0 and images.take([]).channels == 1


@pytest.mark.parametrize(
    "values",
    [
        {"height": -1}, {"height": 8}, {"channels": 2}, {"fit": "stretch"}, {"max_side": 0}, {"max_pixels": 0},
        {"crop": -1}, {"height": 8, "width": 8, "crop": 9}, {"denoise": 2}, {"denoise": -3}, {"contrast": 50.0},
        {"contrast": -1.0}, {"validation": -0.1}, {"test": 1.5}, {"test": float("nan")}, {"limit": -1}, {"source": ""},
    ],
)  # fmt: skip
def test_settings_that_mean_nothing_are_refused_in_one_line(values):
    name = next(reversed(values))
    message = error(lambda: DataConfig(**{"source": "digits", **values}))
    assert name in message


def test_an_unknown_augmentation_gets_a_suggestion():
    assert "Did you mean 'rotate'?" in error(lambda: DataConfig("digits", augment=("rotatee",)))
