"""Synthetic defects: what they leave alone, where a patch comes from, and that damage is what can be seen."""

import numpy as np
import pytest
import tensorflow as tf

from tfvae.corruptions import corrupt, from_tables
from tfvae.corruptions.defects import _distance_to_pieces
from tfvae.corruptions.marks import NOTICEABLE

SEED = tf.constant([27, 18])
KINDS = ("pasted_patches", "warped_patches", "cracks", "uneven_tone")


def corrupted(images, *tables, seed=SEED):
    outcome = corrupt(tf.constant(images, tf.float32), from_tables(tables), seed)
    return np.asarray(outcome.image), np.asarray(outcome.damage)


def noise(batch=6, height=48, width=64, channels=1, seed=0):
    return np.random.default_rng(seed).uniform(0.2, 0.8, (batch, height, width, channels)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_damage_is_exactly_what_can_be_seen(kind, channels):
    images = noise(channels=channels)
    image, damage = corrupted(images, {"kind": kind, "count": 2})
    seen = np.abs(image - images).max(-1) > NOTICEABLE
    np.testing.assert_array_equal(damage[..., 0] == 1, seen)
    assert 0 < seen.mean() < 1 and image.min() >= 0 and image.max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_none_of_them_changes_nothing(kind):
    image, damage = corrupted(noise(), {"kind": kind, "count": 0})
    np.testing.assert_array_equal(image, noise())
    assert not damage.any()


def test_a_patch_holds_pixels_of_the_batch_and_of_nothing_else():
    """Each picture has levels of its own, so a pasted pixel says where it is from."""
    levels = np.arange(6 * 48 * 64, dtype=np.float32).reshape(6, 48, 64, 1) / (6 * 48 * 64)
    table = {"kind": "pasted_patches", "alpha": 1.0, "softness": 0.1, "tone": 0.0, "size": 0.5, "count": 1}
    image, _ = corrupted(levels, table)
    moved = image != levels
    assert moved.any((1, 2, 3)).all()
    sharp = np.isin(image, levels)
    assert (sharp | ~moved).mean() > 0.98  # the rest lies on an edge a tenth of a pixel wide
    origin = np.round(image * levels.size).astype(int) // (48 * 64)
    others = np.array([[i] for i in range(6)])
    assert (origin[moved & sharp] != np.broadcast_to(others[:, None, None], image.shape)[moved & sharp]).any()


def test_a_flat_picture_cannot_be_bent_and_its_own_patch_cannot_be_seen():
    flat = np.full((4, 32, 32, 1), 0.4, np.float32)
    for table in ({"kind": "warped_patches"}, {"kind": "pasted_patches", "tone": 0.0}):
        image, damage = corrupted(flat, table)
        np.testing.assert_allclose(image, flat, atol=1e-6)
        assert not damage.any()


def test_a_bend_reaches_no_further_than_its_shift():
    """On a ramp of 1/64 a pixel, bent by at most 3 pixels, no level moves by more than 3/64."""
    ramp = np.broadcast_to(np.arange(64, dtype=np.float32)[None, None, :, None] / 64, (8, 64, 64, 1))
    image, _ = corrupted(ramp, {"kind": "warped_patches", "shift": 3.0, "size": 0.8, "count": 1})
    assert 1 / 64 < np.abs(image - ramp).max() <= 3 / 64 + 1e-6


def test_uneven_tone_takes_or_adds_up_to_its_strength_in_one_place():
    grey = np.full((64, 40, 40, 1), 0.5, np.float32)
    image, _ = corrupted(grey, {"kind": "uneven_tone", "strength": 0.4, "size": 0.5, "count": 1})
    change = image - grey
    assert np.abs(change).max() <= 0.2 + 1e-6 and np.abs(change).max(axis=(1, 2, 3)).max() > 0.19
    brighter = (change.max((1, 2, 3)) > 0).mean()
    assert abs(brighter - 0.5) < 5 * 0.5 / np.sqrt(64)
    assert not ((change > 1e-6).any((1, 2, 3)) & (change < -1e-6).any((1, 2, 3))).any()


def test_cracks_are_thin_and_no_longer_than_they_say():
    grey = np.full((16, 96, 96, 1), 0.5, np.float32)
    image, damage = corrupted(grey, {"kind": "cracks", "size": 0.5, "width": 2.0, "strength": 1.0, "count": 1})
    areas = damage.sum((1, 2, 3))
    assert areas.max() <= 48 * 3 + 16 and areas.max() > 48  # at most three pixels of a line two pixels wide
    assert set(np.unique(np.sign(image - 0.5))) == {-1, 0, 1}


def test_distance_to_a_chain_is_the_nearest_of_its_points():
    rng = np.random.default_rng(3)
    step = rng.normal(0, 4, (1, 5, 2)).astype(np.float32)
    start = np.cumsum(np.concatenate([rng.uniform(5, 15, (1, 1, 2)), step[:, :-1]], 1), 1).astype(np.float32)
    distance, along = _distance_to_pieces(tf.zeros((1, 20, 24, 1)), tf.constant(start), tf.constant(step))
    points = (start[0, :, None] + step[0, :, None] * np.linspace(0, 1, 2001)[:, None]).reshape(-1, 2)
    places = (np.arange(5)[:, None] + np.linspace(0, 1, 2001)).reshape(-1) / 5
    pixels = np.stack(np.meshgrid(np.arange(20), np.arange(24), indexing="ij"), -1)
    apart = np.linalg.norm(pixels[:, :, None] - points, axis=-1)
    np.testing.assert_allclose(distance[0], apart.min(-1), atol=2e-3)
    own = np.take_along_axis(apart, np.abs(places - np.asarray(along)[0][..., None]).argmin(-1)[..., None], -1)[..., 0]
    np.testing.assert_allclose(own, apart.min(-1), atol=0.05)


def test_they_run_inside_a_pipeline():
    corruptions = from_tables([{"kind": "one_of", "of": [{"kind": kind} for kind in KINDS]}])
    data = tf.data.Dataset.from_tensors(noise()).repeat(3).enumerate()
    data = data.map(lambda i, x: corrupt(x, corruptions, tf.stack([tf.cast(i, tf.int32), 0])))
    images = [np.asarray(outcome.image) for outcome in data]
    assert not np.array_equal(images[0], images[1])
