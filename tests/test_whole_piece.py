"""Gaussians of whole pieces beside scikit-learn and direct computation, and what each of them sees."""

import numpy as np
import pytest
from contract import assert_config_round_trip
from sklearn.covariance import ledoit_wolf
from sklearn.decomposition import PCA

from tfvae.layers.whole_piece import DARKEST, LEAST_STD, PARTS, SIDE, WholePiece


def thumbnails(count=40, channels=1, seed=0):
    """Pieces lit from a side, each a little otherwise, with noise."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(-0.1, 0.1, SIDE)[:, None, None] * rng.normal(size=(count, 1, 1, channels))
    return np.clip(0.5 + slope + 0.02 * rng.normal(size=(count, SIDE, SIDE, channels)), 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def layer():
    found = WholePiece(1)
    found.build()
    found.fit(thumbnails())
    return found


def test_config_comes_back_and_it_computes_in_float32():
    assert_config_round_trip(WholePiece(3))
    layer = WholePiece(1, dtype="float32")
    layer.build()
    assert not layer.trainable_variables and not layer.fitted
    assert layer(np.ones((1, 8, 8, 1), "float16")).dtype == "float32"


@pytest.mark.parametrize("size", [(64, 96), (50, 33), (20, 32)])
def test_a_thumbnail_is_the_mean_light_of_equal_places(size):
    image = np.random.default_rng(1).random((2, *size, 3), dtype=np.float32)
    # Each pixel as SIDE × SIDE equal ones: then whole pixels make up every place.
    fine = image.astype(np.float64).repeat(SIDE, 1).repeat(SIDE, 2).reshape(2, SIDE, size[0], SIDE, size[1], 3)
    layer = WholePiece(3)
    layer.build()
    np.testing.assert_allclose(layer.thumbnail(image), fine.mean((2, 4)), atol=2e-6)


def test_distances_are_those_of_shrunk_covariances_after_principal_components(layer):
    good, new = thumbnails(), thumbnails(3, seed=5)
    found = np.asarray(layer(new))
    light, fresh = np.log(good + DARKEST), np.log(new + DARKEST)
    flat, count = light.reshape(len(good), -1), len(good) // 4
    pca = PCA(count, svd_solver="full").fit(flat)

    def left(x):
        x = x.reshape(len(x), -1)
        return (x - pca.inverse_transform(pca.transform(x))).reshape(-1, SIDE, SIDE)

    step, place = SIDE // PARTS, (5, 2)
    window = (slice(None), *(slice(k * step, (k + 1) * step) for k in place))
    part, at = left(flat)[window].reshape(len(good), -1), left(fresh)[window].reshape(3, -1)
    covariance = ledoit_wolf(part, assume_centered=True)[0] + LEAST_STD**2 * np.eye(step**2)
    distance = np.sqrt(np.einsum("ni,ij,nj->n", at, np.linalg.inv(covariance), at))
    inside = (5 * step + 1, 2 * step + 1)
    np.testing.assert_allclose(found[:, *inside, 1], np.log(distance), atol=2e-3)  # float32: 1e-3 of the least spread

    def tone(x):
        return np.log(x.reshape(len(x), 4, 8, 4, 8).mean((2, 4)).reshape(len(x), -1) + DARKEST)

    centred = tone(new) - tone(good).mean(0)
    covariance = ledoit_wolf(tone(good))[0] + LEAST_STD**2 * np.eye(16)
    distance = np.sqrt(np.einsum("ni,ij,nj->n", centred, np.linalg.inv(covariance), centred))
    np.testing.assert_allclose(found[:, 0, 0, 0], np.log(distance), atol=1e-3)
    assert np.all(found[:, :, :, 0] == found[:, :1, :1, 0])


def test_a_spot_is_seen_where_it_is_and_half_the_light_in_the_tone(layer):
    usual = thumbnails(8, seed=6)
    spot, dim = usual.copy(), usual / 2
    spot[:, 9:11, 21:23] *= 0.5
    plain, marked, dark = (np.asarray(layer(x)) for x in (usual, spot, dim))
    parts = marked[..., 1].reshape(8, PARTS, 4, PARTS, 4).max((2, 4)).reshape(8, -1)
    assert np.all(parts.argmax(axis=1) == 2 * PARTS + 5)
    assert marked[..., 1].max() > plain[..., 1].max() + 0.5
    assert dark[:, 0, 0, 0].min() > plain[:, 0, 0, 0].max() + 1


def test_each_part_lies_over_its_own_pixels_at_any_size(layer):
    spot = thumbnails(1, seed=7)
    spot[:, 9:11, 21:23] *= 0.5
    large = spot.repeat(3, 1).repeat(2, 2)
    np.testing.assert_allclose(layer(large), np.asarray(layer(spot)).repeat(3, 1).repeat(2, 2), atol=1e-3)
    uneven = np.asarray(layer(spot[:, :30, :27]))[0, ..., 1]
    assert uneven.shape == (30, 27)
    # A pixel over a border has both parts in proportion: 27 pixels, the first border is after 3.375 of them.
    np.testing.assert_allclose(uneven[:, 3], 0.375 * uneven[:, 2] + 0.625 * uneven[:, 4], atol=1e-4)


def test_pieces_that_are_all_alike_have_a_distance_too():
    layer = WholePiece(3)
    layer.build()
    layer.fit(np.full((5, SIDE, SIDE, 3), 0.5))
    found = np.asarray(layer(np.stack([np.full((16, 16, 3), value, np.float32) for value in (0.5, 0.51)])))
    assert np.all(np.isfinite(found)) and found[1].min() > found[0].max() + 3
