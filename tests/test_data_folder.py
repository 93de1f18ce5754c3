"""A folder as people have it, read by workers that may be killed."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tfvae.data import DataConfig, load, load_images, look, reader_process
from tfvae.data.reading import Preparation
from tfvae.data.workers import read_pictures
from tfvae.errors import UserError

OBEDIENT = f"""
import os, sys, time
sys.path.insert(0, os.path.dirname({reader_process.__file__!r}))
import reader_process
reading = reader_process.load_reader()
from tfvae.decoding import UnreadableError
real = reading.read_picture
def read_picture(path, how, noted):
    if "slow" in path: time.sleep(60)
    if "deadly" in path: os.kill(os.getpid(), 11)
    if "huge" in path: bytearray(2**40)
    return real(path, how, noted)
def guarded(path, how, noted):
    try: return read_picture(path, how, noted)
    except MemoryError: raise UnreadableError("takes too much memory to decode")
reading.read_picture = guarded
reader_process.main(reading)
"""


def picture(path, grey=0, size=(8, 8), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, grey).save(path)
    return path


def test_a_worker_that_hangs_or_dies_costs_its_file_alone(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(OBEDIENT)
    names = ["a.png", "b_slow.png", "c.png", "d_deadly.png", "e_huge.png", "f.png"]
    paths = [picture(tmp_path / name, grey) for grey, name in enumerate(names)]
    results = dict(read_pictures(paths, Preparation(), time_limit=1.5, script=str(script)))
    assert [path.name for path in results] == names
    assert results[paths[1]] == "took longer than 1.5 s to decode"
    assert "crashed" in results[paths[3]]
    assert results[paths[4]] == "takes too much memory to decode"
    for index in (0, 2, 5):
        assert (results[paths[index]] == index).all()


def test_the_worker_imports_no_tensorflow_and_of_tfvae_the_reader_only():
    code = (
        f"import runpy, sys; runpy.run_path({reader_process.__file__!r})['load_reader'](); "
        "assert 'tfvae.data.reading' in sys.modules and not {'tensorflow', 'keras', 'tfvae.errors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


def test_every_file_that_is_not_read_is_named_with_its_reason(tmp_path):
    picture(tmp_path / "good.png", 5)
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_text("no picture")
    picture(tmp_path / "large.png", size=(100, 100))
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "nowhere.jpg")
    images, refused = load_images(tmp_path, DataConfig("x", max_pixels=9_999))
    reasons = {refusal.name: refusal.reason for refusal in refused}
    assert images.names == ["good.png"]
    assert sorted(reasons) == ["broken.jpg", "large.png", "notes.txt", "text.png"]
    assert "suffix '.txt'" in reasons["notes.txt"]
    assert "larger than 9,999 pixels" in reasons["large.png"]
    assert "not a picture" in reasons["text.png"]
    assert "leads nowhere" in reasons["broken.jpg"]


def test_sub_folders_are_labels_and_order_is_by_name(tmp_path):
    for name in ("dog/2.png", "cat/b/1.png", "cat/a.PNG", "dog/10.png", "loose.png"):
        picture(tmp_path / name)
    images, _ = load_images(tmp_path)
    assert images.names == ["cat/a.PNG", "cat/b/1.png", "dog/10.png", "dog/2.png", "loose.png"]
    assert images.label_names == ["cat", "dog"]
    assert images.labels.tolist() == [0, 0, 1, 1, -1]


def test_a_link_back_to_the_folder_ends(tmp_path):
    picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "again").symlink_to(tmp_path)
    assert load_images(tmp_path)[0].names == ["in/a.png"]


@pytest.mark.skipif(os.name != "posix" or sys.platform == "darwin", reason="file names are bytes on Linux")
def test_any_file_name_is_read(tmp_path):
    for name in (b"new\nline.png", b"latin-\xe9.png", "日本.png".encode()):
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            Image.new("L", (4, 4), 9).save(file, "png")
    images, refused = load_images(tmp_path)
    assert len(images) == 3 and not refused
    for name in images.names:
        name.encode("utf-8")


def test_grey_pictures_among_coloured_ones_become_coloured(tmp_path):
    picture(tmp_path / "grey.png", 40, (8, 6))
    picture(tmp_path / "red.png", (200, 0, 0), (5, 9), "RGB")
    images, _ = load_images(tmp_path)
    assert images.channels == 3 and not images.uniform and images.common_size is None
    assert (images[0] == 40).all() and images[0].shape == (6, 8, 3)
    assert (images[1] == [200, 0, 0]).all()
    assert (load_images(tmp_path, DataConfig("x", channels=1))[0][1] == 60).all()  # 0.299 * 200


def test_a_look_shows_sizes_without_reading(tmp_path):
    picture(tmp_path / "a.png", size=(8, 6))
    picture(tmp_path / "b.png", size=(8, 6))
    assert look(DataConfig(str(tmp_path))).common_size == (6, 8)
    picture(tmp_path / "c.png", size=(9, 60))
    survey = look(DataConfig(str(tmp_path)))
    assert survey.common_size is None and survey.median_size == (6, 8) and survey.count == 3


def test_a_mapped_store_holds_the_same_pixels(tmp_path, monkeypatch):
    from tfvae.data import images as store

    for index in range(6):
        picture(tmp_path / f"{index}.png", index * 10, (5 + index, 7))
    in_ram, _ = load_images(tmp_path)
    monkeypatch.setattr(store.ImagesWriter.__init__, "__defaults__", (None, 100))
    mapped, _ = load_images(tmp_path, cache_dir=tmp_path / "cache")
    assert mapped.mapped and not in_ram.mapped
    for one, other in zip(in_ram, mapped, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(mapped.tensor(), in_ram.tensor())


def one_line(source, **options):
    with pytest.raises(UserError) as caught:
        load(DataConfig(str(source), **options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_folders_without_pictures_are_refused_in_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.png").write_text("no picture")
    assert "is empty" in one_line(tmp_path / "empty")
    assert "no picture could be read" in one_line(tmp_path / "texts")
    assert f"Did you mean '{tmp_path / 'texts'}'?" in one_line(tmp_path / "textz")
    assert f"Did you mean '{tmp_path / 'texts' / 'deep'}'?" in one_line(tmp_path / "txts" / "deep")


def test_words_that_are_no_source_are_refused_in_one_line():
    assert "Did you mean 'digits'?" in one_line("digit")
    assert "Did you mean 'tfds:mnist'?" in one_line("mnist")
    assert "Accepted: digits, shapes, tfds:NAME" in one_line("qqqqqqqqq")


def test_limit_is_a_reproducible_subset(tmp_path):
    for index in range(12):
        picture(tmp_path / f"{index:02d}.png")
    config = DataConfig(str(tmp_path), limit=6)
    first, again, other = load(config, seed=1), load(config, seed=1), load(config, seed=2)
    names = [sorted(splits.train.names + splits.validation.names + splits.test.names) for splits in (first, other)]
    assert len(names[0]) == 6 and names[0] != names[1]
    assert first.train.names == again.train.names


@pytest.mark.parametrize(
    "name", ["@eaDir", "#recycle", "$RECYCLE.BIN", "__MACOSX", "lost+found", "System Volume Information"]
)
def test_what_systems_keep_in_folders_is_not_learnt_and_is_told(tmp_path, name):
    for place in ("cat/1.png", "dog/2.png", f"{name}/3.png", f"cat/{name}/1.png/thumb.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 90).save(tmp_path / place)
    images, refused = load_images(str(tmp_path))
    assert images.label_names == ["cat", "dog"] and sorted(images.names) == ["cat/1.png", "dog/2.png"]
    assert {refusal.name for refusal in refused} == {name, f"cat/{name}"}


def test_one_sub_folder_is_no_label(tmp_path):
    for name in ("pictures/1.png", "pictures/2.png", "3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    images = load(DataConfig(source=str(tmp_path), validation=0, test=0)).train
    assert len(images) == 3 and images.labels is None and images.label_names == []
