"""Clips are consecutive frames of one film, held-out frames are in none that is trained on, and batches repeat."""

import itertools

import numpy as np
import pytest

from tfvae.data import DataConfig, Images, evaluation_batches, load, load_images, training_batches
from tfvae.data.clips import clips_of
from tfvae.data.moving import DIGIT_SIDE, LENGTH, draw
from tfvae.errors import UserError
from tfvae.layers.strips import frames_of, strip_of


def film(lengths, side=4, channels=1):
    """Frames whose value is their number among all, of films so long."""
    total = sum(lengths)
    names = [f"film{film}#{frame}" for film, length in enumerate(lengths) for frame in range(length)]
    levels = np.arange(total, dtype=np.uint8)[:, None, None, None]
    return Images.from_array(np.tile(levels, (1, side, side + 1, channels)), names)


def numbers(clip, frames):
    return [int(frame[0, 0, 0]) for frame in np.split(clip, frames)]


def test_clips_are_all_windows_of_consecutive_frames_and_never_cross_from_film_to_film():
    clips = clips_of(film([5, 2, 3]), 3)
    assert [numbers(clip, 3) for clip in clips] == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [7, 8, 9]]
    assert clips.names == ["film0#0", "film0#1", "film0#2", "film2#0"]


def test_a_gap_in_the_numbers_ends_a_clip_and_a_subset_keeps_its_pixels():
    images = film([8])
    clips = clips_of(images.take([0, 1, 2, 4, 5, 6, 7]), 3)
    assert [numbers(clip, 3) for clip in clips] == [[0, 1, 2], [4, 5, 6], [5, 6, 7]]
    assert np.shares_memory(clips.pixels, images.pixels)


def test_pictures_that_are_no_frames_are_refused_in_one_line():
    with pytest.raises(UserError, match=r"data\.frames needs frames in order.*Accepted: a film.*'a.png'"):
        clips_of(Images.from_array(np.zeros((2, 3, 3, 1), np.uint8), ["a.png", "b.png"]), 2)
    with pytest.raises(UserError, match="'shift' is not for clips"):
        DataConfig("film.mp4", frames=3, augment=("shift",))


def test_a_strip_is_its_clip():
    clips = np.random.default_rng(0).random((2, 3, 4, 5, 1)).astype("float32")
    np.testing.assert_array_equal(frames_of(strip_of(clips), 3), clips)
    np.testing.assert_array_equal(np.split(strip_of(clips)[1].numpy(), 3), clips[1])
    with pytest.raises(ValueError, match=r"`strips`.*Received: 7"):
        frames_of(np.zeros((1, 7, 2, 1)), 3)


@pytest.fixture(scope="module")
def moving():
    return DataConfig("moving_digits", height=16, width=16, limit=200, frames=6)


@pytest.fixture(scope="module")
def splits(moving):
    return load(moving, seed=1)


def test_no_digit_clip_or_frame_is_in_two_parts(splits, moving):
    parts = [splits.train, splits.validation, splits.test]
    films = [{name.partition("#")[0] for name in part.names} for part in parts]
    assert all(films) and not any(a & b for a, b in itertools.combinations(films, 2))
    for part, films_of_part in zip(parts, films, strict=True):
        assert len(part) == len(films_of_part) * (LENGTH - moving.frames + 1)
        assert part.common_size == (6 * 16, 16)


def test_the_last_frames_of_a_film_are_held_out_and_no_clip_has_some_of_both(tmp_path):
    pytest.importorskip("av")
    from tfvae.video import FilmWriter

    with FilmWriter(tmp_path / "film.mp4", 10, (16, 16)) as writer:
        for _ in range(20):
            writer.write(np.zeros((16, 16, 3), np.uint8))
    split = load(DataConfig(str(tmp_path / "film.mp4"), frames=4, validation=0, test=6))
    first = [int(name.rpartition("#")[2]) for name in (split.train.names[0], split.train.names[-1], *split.test.names)]
    assert first == [0, 10, 14, 15, 16]  # the last training clip has frames 10 to 13
    with pytest.raises(UserError, match="no film has 15 consecutive frames"):
        load(DataConfig(str(tmp_path / "film.mp4"), frames=15, validation=0, test=6))


def test_generated_clips_depend_on_the_seed_alone(moving, splits):
    np.testing.assert_array_equal(load(moving, seed=1).train[3], splits.train[3])
    assert (load(moving, seed=2).train[3] != splits.train[3]).any()
    assert load_images("moving_digits", moving)[0].common_size == (6 * 16, 16)


def test_digits_move_evenly_and_bounce_off_the_walls():
    size, side = round(DIGIT_SIDE * 64), 64
    sprite = np.full((1, size, size), 200, np.uint8)
    frames = draw(sprite, np.array([[0.5, 0.0]]), np.array([[0.1, 0.25]]), 20, side)
    assert (frames.astype(int).sum(axis=(1, 2, 3)) == 200 * size**2).all()  # never beyond the edge
    top = frames.max(axis=(2, 3)).argmax(axis=1) / (side - size)
    left = frames.max(axis=(1, 3)).argmax(axis=1) / (side - size)
    cycle = np.array([0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25])
    pixel = 1 / (side - size)
    np.testing.assert_allclose(left, np.tile(cycle, 3)[:20], atol=pixel)
    np.testing.assert_allclose(top[:6], np.linspace(0.5, 1.0, 6), atol=pixel)


def test_digits_lie_over_each_other_by_the_maximum():
    sprites = np.stack([np.full((3, 3), 90, np.uint8), np.full((3, 3), 200, np.uint8)])
    still = np.zeros((2, 2))
    frames = draw(sprites, np.zeros((2, 2)), still, 2, 8)
    np.testing.assert_array_equal(frames, draw(sprites[1:], still[:1], still[:1], 2, 8))


CROP = DataConfig("x", frames=3, crop=3, crops=2, augment=("flip",))


def test_a_crop_is_the_same_window_of_every_frame():
    """Pixels say where they lie, frames differ by a constant."""
    place = np.arange(7 * 9, dtype=np.uint8).reshape(7, 9, 1)
    images = Images.from_array(np.stack([place + 60 * frame for frame in range(4)]), [f"f#{n}" for n in range(4)])
    clips = clips_of(images, 3)
    for batch in itertools.islice(training_batches(clips, 4, seed=0, config=CROP), 3):
        assert batch.shape == (4, 9, 3, 1)
        frames = np.rint(frames_of(batch, 3).numpy() * 255)
        np.testing.assert_array_equal(np.diff(frames, axis=1) % 256, 60)
    centre = next(iter(evaluation_batches(clips, 2, config=CROP, crop=3))).numpy()
    np.testing.assert_array_equal(np.rint(centre[0, :3] * 255), place[2:5, 3:6])


def test_the_batch_of_a_step_depends_on_seed_and_step_alone(splits):
    config = DataConfig("x", frames=6, crop=8, augment=("flip", "colour"))
    whole = list(itertools.islice(training_batches(splits.train, 5, seed=4, config=config), 30))
    later = next(iter(training_batches(splits.train, 5, seed=4, config=config, start_step=29)))
    np.testing.assert_array_equal(later, whole[29])
    assert (whole[29].numpy() != whole[28].numpy()).any()


def test_whole_clips_come_as_they_are(splits, moving):
    batches = list(evaluation_batches(splits.test, 4, config=moving))
    np.testing.assert_array_equal(np.rint(np.concatenate(batches) * 255), np.stack(list(splits.test)))
