"""The generated shapes: drawn as their factors say, and the factors stay with their images."""

import numpy as np
import pytest

from tfvae.data import DataConfig, Images, load, load_images
from tfvae.data.shapes import COLOUR, GREY, LARGEST, SHAPES, SMALLEST, all_factors, draw


def sample(grid, count=400):
    factors = all_factors(grid)
    return factors[np.random.default_rng(0).choice(len(factors), count, replace=False)]


def test_every_combination_is_drawn_once_and_no_two_look_alike():
    factors = all_factors(GREY)
    assert len(factors) == np.prod(list(GREY.values())) == len(np.unique(factors, axis=0))
    images = draw(factors, GREY).reshape(len(factors), -1)
    assert len(np.unique(images, axis=0)) == len(factors)


def test_an_image_is_a_function_of_its_own_factors_alone():
    factors = sample(GREY, 300)
    order = np.random.default_rng(1).permutation(300)
    np.testing.assert_array_equal(draw(factors[order], GREY), draw(factors, GREY)[order])
    np.testing.assert_array_equal(draw(factors[:1], GREY)[0], draw(factors, GREY)[0])


def test_the_area_is_that_of_the_shape_wherever_and_however_it_lies():
    """A square in the unit circle has area 2, the ellipse π/2; the picture's edge cuts nothing off."""
    factors = all_factors(GREY)[::7]
    areas = draw(factors, GREY, side=64).sum(axis=(1, 2, 3)) / 255 / 64**2
    radius = SMALLEST + (LARGEST - SMALLEST) * factors[:, 1] / (GREY["scale"] - 1)
    relative = areas / radius**2
    for kind, area in enumerate((2.0, np.pi / 2)):
        np.testing.assert_allclose(relative[factors[:, 0] == kind], area, rtol=0.03)
    heart = relative[factors[:, 0] == SHAPES.index("heart")]
    np.testing.assert_allclose(heart, heart.mean(), rtol=0.03)


def test_the_centre_of_mass_moves_with_the_position_alone():
    """Square and ellipse are symmetric about their place, so its pixels' mean is the place itself."""
    factors = sample(GREY)
    factors = factors[factors[:, 0] < 2]
    images = draw(factors, GREY, side=64)[..., 0] / 255
    coordinates = (np.arange(64) + 0.5) / 64
    for axis, column in ((1, 3), (2, 4)):  # summed over rows: x; over columns: y
        profile = images.sum(axis=axis)
        centre = profile @ coordinates / profile.sum(axis=1)
        expected = LARGEST + (1 - 2 * LARGEST) * factors[:, column] / 9
        np.testing.assert_allclose(centre, expected, atol=0.1 / 64)


def test_a_larger_drawing_is_the_same_picture_seen_closer():
    factors = sample(GREY, 50)
    large = draw(factors, GREY, side=128).astype(float)
    small = draw(factors, GREY, side=32).astype(float)
    reduced = large.reshape(50, 32, 4, 32, 4, 1).mean(axis=(2, 4))
    assert np.abs(reduced - small).max() < 255 * 4 / 16  # both sample the edge: a few of 16 points a pixel
    assert np.abs(reduced - small).mean() < 1


def test_the_hue_changes_the_colour_and_not_the_outline():
    factors = sample(COLOUR, 60)
    images = draw(factors, COLOUR)
    other = factors.copy()
    other[:, -1] = 0
    red = draw(other, COLOUR)
    assert (red[..., 1:] == 0).all()
    np.testing.assert_array_equal(images.max(axis=-1), red[..., 0])
    assert len(np.unique(draw(all_factors(COLOUR)[:6], COLOUR).max(axis=(1, 2)), axis=0)) == COLOUR["hue"]


def test_factors_out_of_range_are_refused():
    for row in ([3, 0, 0, 0, 0], [0, 0, 0, 0, -1], [0, 0, 0, 0]):
        with pytest.raises(ValueError, match=r"`factors`.*Received"):
            draw(np.array([row]), GREY)


@pytest.mark.parametrize(("word", "grid"), [("shapes", GREY), ("shapes:colour", COLOUR)])
def test_the_factors_follow_their_images_through_splits_and_subsets(word, grid):
    splits = load(DataConfig(word, limit=500), seed=3)
    assert splits.train.factor_names == list(grid) and splits.train.label_names == list(SHAPES)
    for part in (splits.train, splits.validation, splits.test, splits.test.take([5, 0, 5])):
        np.testing.assert_array_equal(part.array, draw(part.factors, grid))
        np.testing.assert_array_equal(part.labels, part.factors[:, 0])


def test_the_shapes_are_drawn_at_the_size_and_with_the_channels_asked_for():
    config = DataConfig("shapes", height=16, width=16, channels=3)
    images, _ = load_images("shapes", config)
    assert len(images) == 9600 and images.array.shape[1:] == (16, 16, 3)
    rows = np.arange(0, 9600, 97)
    np.testing.assert_array_equal(images.array[rows], np.repeat(draw(images.factors[rows], GREY, side=16), 3, axis=-1))


def test_the_first_few_images_show_every_kind_of_shape():
    for limit in (0, 200):
        part = load(DataConfig("shapes", limit=limit), seed=1).test
        assert set(part.labels[:16]) == {0, 1, 2} and len(np.unique(part.factors[:16], axis=0)) == 16


def test_other_images_have_no_factors():
    images = Images.from_array(np.zeros((2, 4, 4, 1), np.uint8))
    assert images.factors is None and images.take([1]).factors is None and images.factor_names == []
