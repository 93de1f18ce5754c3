"""Generate, reconstruct, interpolate, embed: identities of the latent space."""

import keras
import numpy as np
import pytest
from tiny_runs import autoencoder, spatial_vae, vector_vae

from tfvae.applications import embed, generate, interpolate, lerp, reconstruct, slerp
from tfvae.data.array_batches import batches


@pytest.fixture(scope="module")
def model():
    return vector_vae()


@pytest.fixture(scope="module")
def spatial():
    return spatial_vae()


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), dtype=np.uint8)


def angle(u, v):
    return np.arccos(np.clip(np.dot(u, v) / np.linalg.norm(u) / np.linalg.norm(v), -1, 1))


def test_slerp_turns_at_a_constant_rate_and_its_length_changes_linearly():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal(20), 3 * rng.standard_normal(20)
    for t in np.linspace(0, 1, 7):
        point = slerp(a, b, t)
        assert np.linalg.norm(point) == pytest.approx(
            np.linalg.norm(lerp(*np.array([[1, 0], [0, 1]]), t) @ [np.linalg.norm(a), np.linalg.norm(b)]), rel=1e-5
        )
        assert angle(a, point) == pytest.approx(t * angle(a, b), abs=1e-3)
        assert angle(point, b) == pytest.approx((1 - t) * angle(a, b), abs=1e-3)


def test_slerp_stays_on_the_sphere_where_lerp_cuts_through_it():
    a, b = np.array([3.0, 0.0]), np.array([0.0, 3.0])
    np.testing.assert_allclose(slerp(a, b, 0.5), 3 * np.sqrt(0.5) * np.ones(2), rtol=1e-6)
    np.testing.assert_allclose(lerp(a, b, 0.5), 1.5 * np.ones(2), rtol=1e-6)


def test_slerp_is_symmetric_and_independent_of_the_shape_of_the_vector():
    a, b = np.random.default_rng(2).standard_normal((2, 2, 3, 4))
    np.testing.assert_allclose(slerp(a, b, 0.3), slerp(b, a, 0.7), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(slerp(a, b, 0.3).ravel(), slerp(a.ravel(), b.ravel(), 0.3), rtol=1e-6)


@pytest.mark.parametrize("factor", [2.0, 1.0, 0.0, -1.0])
def test_slerp_of_vectors_without_a_plane_is_lerp(factor):
    a = np.array([1.0, 2.0, -1.0])
    for t in (0.0, 0.25, 0.5, 1.0):
        np.testing.assert_allclose(slerp(a, factor * a, t), lerp(a, factor * a, t), atol=1e-6)


def test_slerp_of_nearly_parallel_vectors_is_close_to_lerp():
    a = np.array([1.0, 0.0])
    b = np.array([1.0, 1e-4])
    np.testing.assert_allclose(slerp(a, b, 0.5), lerp(a, b, 0.5), atol=1e-7)


@pytest.mark.parametrize("method", ["linear", "slerp"])
def test_an_interpolation_ends_in_the_two_reconstructions(model, images, method):
    path = interpolate(model, images[0], images[1], steps=5, method=method)
    ends = reconstruct(model, images[:2])
    assert path.shape == (5, 8, 8, 1)
    np.testing.assert_allclose(path[[0, -1]], ends, atol=1e-6)


def test_the_middle_of_a_linear_interpolation_is_the_decoded_mean_code(model, images):
    path = interpolate(model, images[0], images[1], steps=3)
    code = embed(model, images[:2]).mean(axis=0, keepdims=True)
    np.testing.assert_allclose(path[1:2], keras.ops.convert_to_numpy(model.decode(code)["image"]), atol=1e-6)


def test_a_spatial_interpolation_keeps_odd_sizes(spatial):
    a, b = np.random.default_rng(0).random((2, 9, 14, 1), np.float32)
    path = interpolate(spatial, a, b, steps=4, method="slerp")
    np.testing.assert_allclose(path[[0, -1]], reconstruct(spatial, np.stack([a, b])), atol=1e-6)


def test_interpolation_refuses_what_has_no_path(model, images):
    with pytest.raises(ValueError, match="same shape"):
        interpolate(model, images[0], images[0][:4])
    with pytest.raises(ValueError, match="at least 2"):
        interpolate(model, images[0], images[1], steps=1)
    with pytest.raises(ValueError, match="linear, slerp"):
        interpolate(model, images[0], images[1], method="cubic")


def test_draws_depend_on_the_seed_alone(model):
    few = generate(model, 3, seed=7)
    np.testing.assert_allclose(generate(model, 8, seed=7, batch_size=2)[:3], few, atol=1e-6)
    assert not np.allclose(generate(model, 3, seed=8), few)


def test_temperature_scales_the_noise_and_zero_draws_the_image_of_the_origin(model):
    still = generate(model, 3, seed=0, temperature=0.0)
    origin = keras.ops.convert_to_numpy(model.decode(np.zeros((1, 3), np.float32))["image"])
    np.testing.assert_allclose(still, np.repeat(origin, 3, axis=0), atol=1e-6)
    noise = np.random.default_rng(0).standard_normal((3, 3), dtype=np.float32)
    half = keras.ops.convert_to_numpy(model.generate(0.5 * noise)["image"])
    np.testing.assert_allclose(generate(model, 3, seed=0, temperature=0.5), half, atol=1e-6)


def test_a_spatial_model_draws_any_size(spatial, model):
    assert generate(spatial, 2, seed=0, size=(30, 17)).shape == (2, 30, 17, 1)
    assert generate(spatial, 1, seed=0).shape == (1, 128, 128, 1)
    assert generate(model, 2, seed=0, size=(8, 8)).shape == (2, 8, 8, 1)
    with pytest.raises(ValueError, match="only size"):
        generate(model, 2, seed=0, size=(9, 8))


def test_an_autoencoder_has_nothing_to_draw_from():
    with pytest.raises(ValueError, match="prior"):
        generate(autoencoder(), 1, seed=0)


def test_bytes_and_floats_rebuild_alike_whatever_the_batch(model, images):
    whole = reconstruct(model, images)
    np.testing.assert_allclose(reconstruct(model, images / np.float32(255), batch_size=2), whole, atol=1e-6)
    assert whole.dtype == np.float32
    assert whole.min() >= 0
    assert whole.max() <= 1


def test_images_of_unequal_size_are_rebuilt_one_by_one_at_their_sizes(spatial):
    rng = np.random.default_rng(0)
    images = [rng.random(shape, np.float32) for shape in ((9, 12, 1), (9, 12, 1), (16, 13, 1))]
    rebuilt = reconstruct(spatial, images)
    assert [image.shape for image in rebuilt] == [image.shape for image in images]
    for image, again in zip(images, rebuilt, strict=True):
        np.testing.assert_allclose(again, reconstruct(spatial, image[None])[0], atol=1e-5)


def test_codes_are_posterior_means_and_spatial_ones_their_average(model, spatial, images):
    x = images.astype(np.float32) / 255
    mean = keras.ops.convert_to_numpy(model.encode(x)["mean"])
    np.testing.assert_allclose(embed(model, images, batch_size=2), mean, atol=1e-6)
    mean = keras.ops.convert_to_numpy(spatial.encode(x)["mean"])
    assert mean.shape == (5, 2, 2, 2)
    np.testing.assert_allclose(embed(spatial, images), mean.mean(axis=(1, 2)), atol=1e-6)


def test_batches_end_with_the_shape_and_hold_no_more_pixels_than_memory_allows(monkeypatch):
    images = [np.zeros(shape, np.uint8) for shape in [(4, 4, 1)] * 5 + [(4, 8, 1)] * 3 + [(40, 40, 1)] * 2]
    assert [len(batch) for batch in batches(images, 4)] == [4, 1, 3, 2]
    monkeypatch.setattr("tfvae.data.array_batches.MOST_PIXELS", 64)
    assert [len(batch) for batch in batches(images, 4)] == [4, 1, 2, 1, 1, 1]
    with pytest.raises(ValueError, match="batch_size=0"):
        list(batches(images, 0))
