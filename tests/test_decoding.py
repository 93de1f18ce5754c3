"""The table of rules by which picture files and arrays become levels of grey, and what is said about it."""

import io
import math

import numpy as np
import pytest
from picture_writer import on_white, png, tiff
from PIL import Image

from tfvae.data import DataConfig, load, load_images
from tfvae.data.reading import Preparation, read_picture
from tfvae.decoding import UnreadableError, decoded
from tfvae.errors import UserError
from tfvae.pictures.files import open_picture

RAMP = np.linspace(0, 1, 16)[None].repeat(4, 0)


def read(content, **how):
    return read_picture(content, Preparation(**how))[..., 0].astype(int)


def refusal(content, **how):
    with pytest.raises(UnreadableError) as caught:
        read_picture(content, Preparation(**how))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "i1", "i2", "i4", "f4"])
@pytest.mark.parametrize("photometric", [0, 1])
def test_range_sign_and_bits_come_from_the_type_and_zero_is_white_where_the_tag_says_so(order, kind, photometric):
    if kind == "f4":
        values = RAMP.astype(kind)
    else:
        limits = np.iinfo(kind)
        values = np.rint(limits.min + RAMP * (limits.max - limits.min)).astype(kind)
    expected = 255 * (RAMP if photometric else 1 - RAMP)
    assert np.abs(read(tiff(values, photometric, order=order)) - expected).max() <= 0.51


def test_all_slices_of_a_scan_have_one_scale(tmp_path):
    """Signed, unsigned and float: the same number is the same level, however bright its slice."""
    for kind, numbers in (("i2", [-3000, 1000, 20000]), ("u2", [500, 3000, 60000]), ("f4", [0.1, 0.5, 1.0])):
        folder = tmp_path / kind
        folder.mkdir()
        for index, most in enumerate(numbers):
            slice = np.array([[numbers[0], most]], kind)
            (folder / f"{index}.tif").write_bytes(tiff(slice))
        images, refused = load_images(folder)
        assert not refused
        levels = images.array[:, 0, :, 0]
        assert len(set(levels[:, 0].tolist())) == 1
        assert sorted(levels[:, 1].tolist()) == levels[:, 1].tolist() and levels[0, 1] < levels[2, 1]


def test_a_small_overshoot_of_floats_is_clipped(tmp_path):
    values = np.array([[-0.004, 0.0, 0.5, 1.0, 1.00002, 1.009]], np.float32)
    assert read(tiff(values)).tolist() == [[0, 0, 128, 255, 255, 255]]
    np.save(tmp_path / "x.npy", np.stack([values, values]))
    assert load_images(tmp_path / "x.npy")[0].array[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255, 255]


@pytest.mark.parametrize("values", [[0, 0.5, 1.3], [-1, 0, 1], [0, 20, 100], [0, 1000, 65535], [-0.02, 0, 1]])
def test_floats_that_may_mean_anything_are_refused_with_their_range_and_the_remedy(tmp_path, values):
    array = np.array([[values]], np.float32)
    low, high = f"{array.min():g}", f"{array.max():g}"
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(UserError) as caught:
        load_images(tmp_path / "x.npy")
    for said in (str(caught.value), refusal(tiff(array[0]))):
        assert f"from {low} to {high}" in said and "data.white=" in said and "\n" not in said
        assert ("data.black=" in said) == (array.min() < 0)
    scale = {"black": min(0.0, values[0]), "white": max(values)}
    span = scale["white"] - scale["black"]
    expected = (np.array(values) - scale["black"]) * 255 / span
    assert np.abs(read(tiff(array[0]), **scale) - expected).max() <= 0.51
    set_so = load_images(tmp_path / "x.npy", DataConfig("x", **scale))[0].array[0, 0, :, 0]
    assert np.abs(set_so - expected).max() <= 0.51


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_picture(tmp_path, value):
    values = np.array([[0.5, value]], np.float32)
    assert "NaN or infinite" in refusal(tiff(values)) and "NaN or infinite" in refusal(tiff(values), white=1.0)
    np.save(tmp_path / "x.npy", values[None])
    with pytest.raises(UserError, match="NaN or infinite"):
        load_images(tmp_path / "x.npy")


@pytest.mark.parametrize("kind", ["u4", "i4"])
def test_long_integers_that_use_little_of_their_range_are_refused_until_white_is_set(kind):
    content = tiff(np.array([[0, 400_000, 1_000_000]], kind))
    assert "from 0 to 1,000,000" in refusal(content) and "data.white=1000000 " in refusal(content)
    assert read(content, white=1_000_000).tolist() == [[0, 102, 255]]


def files_of(folder, kind, values):
    """The same numbers as an array file, or as picture files in a folder."""
    folder.mkdir()
    if kind == "npy":
        np.save(folder / "x.npy", values)
        return folder / "x.npy"
    for index, picture in enumerate(values):
        content = png(picture, "grey", 16) if kind == "png" else tiff(picture)
        (folder / f"{index:02d}.{kind}").write_bytes(content)
    return folder


@pytest.mark.parametrize("kind", ["npy", "png", "tif"])
def test_what_was_taken_for_white_is_said_and_can_be_set(tmp_path, kind):
    values = np.random.default_rng(0).integers(0, 4096, (12, 6, 8)).astype("u2")
    values[0, 0, :2] = 0, 4095
    source = str(files_of(tmp_path / "in", kind, values))
    dark = load(DataConfig(source))
    assert "65,535 for white" in dark.description and "0 to 4,095" in dark.description
    assert "data.white=4095" in dark.description
    splits = load(DataConfig(source, white=4095, test=0, validation=0))
    assert np.abs(splits.train.array[..., 0] - values * (255 / 4095)).max() <= 0.51
    assert "4,095 for white" in splits.description and "data.white" not in splits.description


def test_integers_of_a_longer_type_than_they_need(tmp_path):
    for numbers, white in (([0, 100, 255], 255), ([0, 1, 1], 1)):
        for kind in ("i8", "u2", "i4"):
            np.save(tmp_path / "x.npy", np.array([[numbers]], kind))
            splits = load(DataConfig(str(tmp_path / "x.npy")))
            assert splits.train.array[0, 0, :, 0].tolist() == [round(255 * number / white) for number in numbers]
            assert f"{white} for white" in splits.description
    np.save(tmp_path / "x.npy", np.array([[[0, 100, 4095]]], "i8"))
    with pytest.raises(UserError, match=r"from 0 to 4,095.*data.white=4095"):
        load_images(tmp_path / "x.npy")


def test_arrays_of_different_types_have_each_their_own_white(tmp_path):
    np.savez(
        tmp_path / "x.npz", x_train=np.full((4, 2, 2), 255, "u1"), x_test=np.array([[[0.0, 1.0], [1.0, 0.5]]], "f4")
    )
    splits = load(DataConfig(str(tmp_path / "x.npz"), validation=0))
    assert (splits.train.array == 255).all() and splits.test.array[..., 0].tolist() == [[[0, 255], [255, 128]]]


@pytest.mark.parametrize(("shape", "channels"), [((24, 32, 3), 3), ((24, 32, 4), 3), ((24, 32, 1), 1), ((5, 40, 3), 3)])
def test_an_array_that_is_one_picture_is_one_picture(tmp_path, shape, channels):
    picture = np.random.default_rng(0).integers(0, 256, shape).astype("u1")
    picture[..., 3:] = 255
    np.save(tmp_path / "x.npy", picture)
    images, _ = load_images(tmp_path / "x.npy")
    np.testing.assert_array_equal(images.array, picture[None, :, :, :channels])


def test_grey_pictures_of_few_columns_stay_so(tmp_path):
    for shape in ((30, 4, 4), (30, 3, 3), (1, 8, 3)):
        np.save(tmp_path / "x.npy", np.zeros(shape, "u1"))
        assert load_images(tmp_path / "x.npy")[0].array.shape == (*shape, 1)
    np.savez(tmp_path / "x.npz", x=np.zeros((30, 8, 3), "u1"), y=np.arange(30))
    assert load_images(tmp_path / "x.npz")[0].array.shape == (30, 8, 3, 1)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_transparent_value_of_any_depth_is_white(bits):
    most = 2**bits - 1
    values = np.array([[0, most, most // 2]])
    for key in {0, most // 2}:
        content = png(values, "grey", bits, transparency=key.to_bytes(2, "big"))
        expected = [255 if value == key else round(255 * value / most) for value in values[0]]
        assert read(content).tolist() == [expected]


def test_one_of_sixteen_bit_colours_that_share_their_high_bytes_is_transparent():
    values = np.array([[[256, 512, 768], [257, 512, 768]]])
    content = png(values, "rgb", 16, transparency=values[0, 0].astype(">u2").tobytes())
    assert read_picture(content, Preparation()).tolist() == [[[255, 255, 255], [1, 2, 3]]]


def test_restore_reads_a_negative_as_training_does(tmp_path):
    for kind in ("u1", "u2", "f4", "i2"):
        limits = (0, 1) if kind == "f4" else (np.iinfo(kind).min, np.iinfo(kind).max)
        path = tmp_path / f"{kind}.tif"
        path.write_bytes(tiff((limits[0] + RAMP * (limits[1] - limits[0])).astype(kind), 0))
        seen = open_picture(path).pixels[:, :, 0]
        assert np.abs(seen / (257 if seen.dtype == np.uint16 else 1) - read(str(path))).max() <= 0.51
        assert seen[0, 0] > seen[0, -1]


def test_several_pages_are_counted_and_the_first_is_used(tmp_path):
    pages = [Image.new("L", (8, 8), 40 * index) for index in range(5)]
    more = {"save_all": True, "append_images": pages[1:]}
    for suffix in ("tif", "gif", "png", "webp"):
        pages[0].save(tmp_path / f"stack.{suffix}", **more, **({"lossless": True} if suffix == "webp" else {}))
    pages[3].save(tmp_path / "single.tif")
    splits = load(DataConfig(str(tmp_path), test=0, validation=0))
    assert "4 files hold several pages or frames, of which the first is used" in splits.description
    assert sorted(splits.train.array.max(axis=(1, 2, 3)).tolist()) == [0, 0, 0, 0, 120]
    (tmp_path / "stack.gif").rename(tmp_path.parent / "alone.gif")
    assert "1 file holds several" in load(DataConfig(str(tmp_path.parent / "alone.gif"))).description


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"), (b"\0\0\0\x1cftypavif\0\0\0\0", "AVIF"),
        (b"\0\0\0\x20ftypisom\0\0\0\0", "film"), (b"%PDF-1.7\n", "PDF"), (b"8BPS\0\1", "PSD"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"), (bytes(128) + b"DICM", "DICOM"),
    ],
)  # fmt: skip
def test_a_file_of_another_kind_that_is_named_jpg_says_what_it_is(tmp_path, content, kind):
    (tmp_path / "IMG_0001.jpg").write_bytes(content)
    Image.new("L", (4, 4)).save(tmp_path / "good.jpg")
    _, refused = load_images(tmp_path)
    assert [refusal.name for refusal in refused] == ["IMG_0001.jpg"]
    assert f"a {kind} file, whatever its name says" in refused[0].reason


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("channels", "planar"), [(2, False), (2, True), (4, False), (4, True)])
def test_premultiplied_alpha_is_divided_out_whichever_way_it_is_stored(channels, planar, bits, order):
    most = 2**bits - 1
    values = np.random.default_rng(0).integers(0, most, (6, 5, channels), endpoint=True)
    values[0, 0, -1] = 0
    values[:, :, :-1] = np.minimum(values[:, :, :-1], values[:, :, -1:])
    content = tiff(values.astype(f"u{bits // 8}"), 1 if channels == 2 else 2, extra=1, planar=planar, order=order)
    colour, alpha = values[:, :, :-1] / np.maximum(values[:, :, -1:], 1), values[:, :, -1] / most
    assert np.abs(read_picture(content, Preparation()) - on_white(colour, alpha)).max() <= 0.5 + 0.005


def test_compressed_planes_are_read_by_their_high_bytes_or_refused():
    """libtiff gives no more of them, and puts the second one into green whatever it is."""
    values = np.random.default_rng(0).integers(0, 65536, (6, 5, 3)).astype("u2")
    found = read_picture(tiff(values, 2, planar=True, deflated=True), Preparation())
    np.testing.assert_array_equal(found, values >> 8)
    for kind in ("u1", "u2"):
        assert "compressed planes with alpha" in refusal(
            tiff(values[:, :, :2].astype(kind), 1, extra=2, planar=True, deflated=True)
        )


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "P", "RGB", "RGBA", "I;16", "F"])
def test_a_picture_that_no_file_holds_is_decoded_too(mode):
    """As call.py of a bundle does with one that was converted."""
    found = decoded(Image.new("L", (3, 2)).convert(mode) if mode != "La" else Image.new("LA", (3, 2)).convert(mode))
    assert found.pixels.shape[:2] == (2, 3) and not found.pixels.any()


def test_a_profile_of_inks_is_used_by_every_reader(tmp_path):
    """CMYK with a damaged profile is converted without it."""
    file = io.BytesIO()
    Image.new("CMYK", (4, 4), (255, 0, 0, 0)).save(file, "TIFF", icc_profile=b"no profile")
    assert read_picture(file.getvalue(), Preparation(channels=3))[0, 0].tolist() == [0, 255, 255]


@pytest.mark.parametrize("values", [{"white": -1.0}, {"white": math.inf}, {"black": 5.0, "white": 5.0}, {"black": 1.0}])
def test_a_white_that_means_nothing_is_refused(values):
    with pytest.raises(UserError, match=r"data\.(white|black) must be"):
        DataConfig("digits", **values)
