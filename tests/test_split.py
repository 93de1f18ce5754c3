"""Which images are held out: by a hash of the name, so that one that is added moves no other."""

import unicodedata

import numpy as np
import pytest
from PIL import Image

from tfvae.data import DataConfig, Images, load
from tfvae.data.loading import split
from tfvae.errors import UserError

NAMES = [f"p{index:04d}.png" for index in range(2000)]


def parts(names, seed=0, **settings):
    """The names of each part."""
    drawn = split(np.zeros(len(names), int), DataConfig("x", **settings), seed, names=names)
    assert sorted(np.concatenate(drawn)) == list(range(len(names)))
    assert all(np.array_equal(part, np.sort(part)) for part in drawn)
    return [{names[index] for index in part} for part in drawn]


@pytest.mark.parametrize("settings", [{}, {"test": 0.3, "validation": 0.25}, {"test": 0, "validation": 0.5}])
def test_a_fraction_is_met_on_average(settings):
    _, validated, tested = parts(NAMES, **settings)
    for part, share in ((tested, settings.get("test", 0.1)), (validated, settings.get("validation", 0.1))):
        deviation = np.sqrt(share * (1 - share) * len(NAMES))
        assert abs(len(part) - share * len(NAMES)) <= 4 * deviation


@pytest.mark.parametrize("count", [10, 40, 400])
def test_one_image_that_is_added_moves_no_other(count):
    before = parts(NAMES[:count])
    moved = 0
    for name in NAMES[1000:1100]:
        after = [part - {name} for part in parts(sorted([*NAMES[:count], name]))]
        assert not before[0] & (after[1] | after[2])  # what was trained on is never held out
        moved += after != before
    # Of ten images a part may have been empty by the hash, and was given one until there is another.
    assert moved == 0 or count == 10


@pytest.mark.parametrize("settings", [{"test": 5, "validation": 7}, {"test": 5, "validation": 0.2}])
def test_counts_are_kept_and_what_was_trained_on_is_never_held_out(settings):
    before = parts(NAMES[:60], **settings)
    assert len(before[2]) == 5
    for name in NAMES[1000:1050]:
        after = parts([*NAMES[:60], name], **settings)
        assert len(after[2]) == 5 and not before[0] & (after[1] | after[2])


def test_order_neighbours_and_the_encoding_of_accents_do_not_count():
    names = [f"bär{index}.png" for index in range(200)]
    mac = [unicodedata.normalize("NFD", name) for name in names]
    back = [{unicodedata.normalize("NFC", name) for name in part} for part in parts(mac)]
    assert parts(names) == parts(names[::-1]) == back


def test_seeds_and_parts_are_drawn_apart():
    one, other = parts(NAMES, 1), parts(NAMES, 2)
    shared = len(one[2] & other[2]) / len(one[2])
    assert shared < 0.25  # a tenth on average


@pytest.mark.parametrize("count", range(3, 12))
def test_small_sets_keep_an_image_of_each_part(count):
    for seed in range(20):
        assert all(parts(NAMES[:count], seed, test=0.3, validation=0.3))
    with pytest.raises(UserError, match="leave none to train on"):
        parts(NAMES[:count], test=0.6, validation=0.6)


def test_older_runs_and_sources_of_our_own_are_split_by_position():
    old = load(DataConfig("digits", limit=120, split="position"))
    assert old.train.names == load(DataConfig("digits", limit=120)).train.names
    assert [len(part) for part in (old.train, old.validation, old.test)] == [96, 12, 12]
    drawn = np.random.default_rng((0, 3)).permutation(50)
    before = split(np.zeros(50, int), DataConfig("x"), 0)
    np.testing.assert_array_equal(before[2], np.sort(drawn[45:]))


def test_an_array_file_that_is_moved_and_a_folder_that_grows_keep_their_split(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 4, 4), dtype=np.uint8)
    np.save(tmp_path / "a.npy", pixels[:40])
    np.save(tmp_path / "b.npy", pixels)
    first, second = (load(DataConfig(str(tmp_path / name))) for name in ("a.npy", "b.npy"))
    for part in ("train", "validation", "test"):
        kept = [index for index, name in enumerate(getattr(second, part).names) if int(name[-6:]) < 40]
        assert np.array_equal(getattr(first, part).array, getattr(second, part).array[kept])
    folder = tmp_path / "folder"
    folder.mkdir()
    for index, image in enumerate(pixels[:40]):
        Image.fromarray(image).save(folder / f"{index:02d}.png")
    before = load(DataConfig(str(folder)))
    Image.fromarray(pixels[45]).save(folder / "00 a new one.png")
    after = load(DataConfig(str(folder)))
    assert set(before.train.names) <= set(after.train.names) and set(before.test.names) <= set(after.test.names)


def test_two_subsets_are_joined_whether_or_not_they_share_their_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (6, 2, 3, 1), dtype=np.uint8)
    whole = Images.from_array(pixels, NAMES[:6], labels=np.arange(6), label_names=list("abcdef"))
    first, second = whole.take([4, 1]), whole.take([0, 5])
    for other in (second, Images.from_array(pixels[[0, 5]], [NAMES[0], NAMES[5]], labels=np.array([0, 5]))):
        joined = first.joined(other)
        np.testing.assert_array_equal(joined.array, pixels[[4, 1, 0, 5]])
        assert joined.names == [NAMES[index] for index in (4, 1, 0, 5)]
        np.testing.assert_array_equal(joined.labels, [4, 1, 0, 5])
