"""The lighting that is taken out of photographs of textures."""

import numpy as np
import pytest

from tfvae.applications.textures.lighting import FLOOR, MOST, evenly_lit
from tfvae.applications.textures.photographs import quilted


@pytest.fixture
def texture():
    lab = np.zeros((48, 64, 3), np.float32)
    lab[..., 0] = 0.5 + 0.1 * np.random.default_rng(0).standard_normal((48, 64))
    lab[..., 1:] = [0.05, -0.08]
    return lab


def light(height, width):
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    return np.exp(0.25 * x - 0.1 * y - 0.15 * (x * x + y * y))[..., None].astype(np.float32)


def test_light_that_falls_from_one_side_and_vignetting_are_taken_out(texture):
    lit = texture * light(48, 64)
    found, expected = evenly_lit(lit)[..., 0], evenly_lit(texture)[..., 0]
    # Up to one exposure: the mean of the logarithm is that of what came.
    ratio = (found + FLOOR) / (expected + FLOOR)
    assert np.std(ratio) < 0.01 < np.std(lit[..., 0] / texture[..., 0])
    assert np.mean(np.log(found + FLOOR)) == pytest.approx(np.mean(np.log(lit[..., 0] + FLOOR)), abs=0.01)


def test_colours_keep_their_hue_and_a_texture_without_a_trend_stays(texture):
    found = evenly_lit(texture * light(48, 64))
    np.testing.assert_allclose(found[..., 1] / found[..., 2], -0.05 / 0.08, rtol=1e-4)
    assert np.abs(evenly_lit(texture) - texture).max() < 0.03  # what a fit of five terms to noise is


def test_black_stays_black_and_no_place_changes_by_more_than_the_limit():
    lab = np.zeros((16, 16, 3), np.float32)
    np.testing.assert_array_equal(evenly_lit(lab), 0.0)
    lab[:, 8:, 0] = 1.0
    change = np.log(evenly_lit(lab)[:, 8:, 0])
    assert np.abs(change).max() <= MOST + 1e-5


def test_a_quilt_of_a_photograph_lit_from_one_side_has_no_steps_of_brightness(texture):
    picture = np.clip(0.2 + 0.5 * texture[..., :1] * light(48, 64), 0, 1)
    picture = np.tile(picture, (2, 1, 1))
    drawn = quilted([picture], (96, 96), seed=0, patch=16).astype(np.float64) / 255
    tone = drawn.reshape(12, 8, 12, 8).mean(axis=(1, 3))
    before = picture.reshape(12, 8, 8, 8).mean(axis=(1, 3))
    assert tone.std() < 0.5 * before.std()
