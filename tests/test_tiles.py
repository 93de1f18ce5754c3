"""Windows over a picture: they cover it, they see enough, and tiled equals whole."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvae.applications.tiles import assemble, smallest_side, tiles


@pytest.mark.parametrize(("side", "margin", "factor"), [(24, 8, 8), (33, 5, 4), (32, 0, 1), (17, 8, 1), (40, 6, 2)])
def test_inner_parts_make_up_the_picture_and_lie_a_margin_within_every_cut(side, margin, factor):
    for height, width in itertools.product((1, 7, 32, 41, 95, 130), (16, 33, 99)):
        times = np.zeros((height, width), int)
        for tile in tiles(height, width, side, margin, factor):
            times[tile.inner] += 1
            for window, inner, crop, length in zip(tile.window, tile.inner, tile.crop, (height, width), strict=True):
                assert window.stop - window.start <= side
                assert window.start % factor == 0
                assert window.stop % factor == 0 or window.stop == length
                assert window.start == 0 or inner.start - window.start >= margin
                assert window.stop == length or window.stop - inner.stop >= margin
                assert (crop.start, crop.stop) == (inner.start - window.start, inner.stop - window.start)
        assert (times == 1).all()


def test_windows_are_of_one_size_where_the_picture_is_a_multiple_of_the_factor():
    shapes = {tuple(s.stop - s.start for s in tile.window) for tile in tiles(320, 232, 64, 16, 8)}
    assert shapes == {(64, 64)}


def test_a_side_without_room_between_its_margins_is_refused_with_the_least_that_is_accepted():
    assert smallest_side(13, 8) == 40
    with pytest.raises(ValueError, match=r"`side` must be 40 or more.*Received: side=39"):
        tiles(41, 41, 39, 13, 8)
    assert len(tiles(41, 41, 40, 13, 8)) == 4
    assert len(tiles(39, 39, 39, 13, 8)) == 1  # a picture that fits needs no margin


@pytest.mark.parametrize("bad", [{"height": 0}, {"width": -1}, {"factor": 0}, {"margin": -1}])
def test_sizes_that_mean_nothing_are_refused(bad):
    with pytest.raises(ValueError, match=f"`{next(iter(bad))}`"):
        tiles(**({"height": 9, "width": 9, "side": 8, "margin": 1, "factor": 1} | bad))


def network(factor=4):
    """Convolutions down and up again: `factor` pixels a place, a receptive field of at most 12 pixels' radius."""
    keras.utils.set_random_seed(3)
    down = keras.Sequential([keras.layers.Conv2D(6, 3, strides=factor, padding="same", activation="tanh")])
    middle = keras.layers.Conv2D(6, 3, padding="same", activation="tanh")
    up = keras.layers.UpSampling2D(factor)
    last = keras.layers.Conv2D(2, 3, padding="same")

    def apply(image):
        height, width, _ = image.shape
        padded = tf.pad(image[None], [[0, 0], [0, -height % factor], [0, -width % factor], [0, 0]])
        return last(up(middle(down(padded)))).numpy()[0, :height, :width]

    return apply


def tiled(apply, image, side, margin, factor):
    whole = np.empty((*image.shape[:2], 2), np.float32)
    plan = tiles(*image.shape[:2], side, margin, factor)
    assert len(plan) > 4
    assemble(lambda tile: {"out": apply(image[tile.window])}, plan, {"out": whole})
    return whole


@pytest.mark.parametrize("size", [(61, 83), (64, 96), (45, 130)])
def test_tiled_equals_whole_for_any_size(size):
    apply, image = network(), np.random.default_rng(0).random((*size, 3), np.float32)
    np.testing.assert_allclose(tiled(apply, image, 44, 12, 4), apply(image), atol=1e-5)


def test_a_margin_below_the_receptive_field_shows():
    apply, image = network(), np.random.default_rng(0).random((61, 83, 3), np.float32)
    assert np.abs(tiled(apply, image, 24, 0, 4) - apply(image)).max() > 1e-3


def test_assembling_converts_to_the_type_of_the_whole_and_counts_the_tiles():
    seen = []
    whole = np.empty((10, 7, 1), np.uint8)
    plan = tiles(10, 7, 4, 1)
    rows = np.arange(10)[:, None, None] * np.ones((1, 7, 1))
    assemble(lambda tile: {"out": rows[tile.window], "more": 0}, plan, {"out": whole}, lambda *at: seen.append(at))
    np.testing.assert_array_equal(whole, rows)
    assert seen == [(done, len(plan)) for done in range(1, len(plan) + 1)]
