"""PSNR, SSIM and the figures of the bound."""

import math

import keras
import numpy as np
import pytest
from tiny_runs import autoencoder, spatial_vae, vector_vae

from tfvae.data import DataConfig, Images, evaluation_batches
from tfvae.evaluation import (
    MEASURES,
    PSNR_CAP,
    EvaluationContext,
    UnmeasurableError,
    assess,
    evaluate,
    psnr,
    ssim,
    ssim_window,
)
from tfvae.evaluation.bound import DENSITY, GREY, LEVELS

CONFIG = DataConfig(source="digits")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def grey_images(count, height=8, width=8, channels=1):
    rng = np.random.default_rng(3)
    return Images.from_array(rng.integers(0, 256, (count, height, width, channels), dtype=np.uint8))


def unequal_images():
    rng = np.random.default_rng(4)
    shapes = np.array([(9, 12, 1), (9, 12, 1), (16, 13, 1)])
    sizes = shapes.prod(axis=1)
    pixels = rng.integers(0, 256, sizes.sum(), dtype=np.uint8)
    return Images(pixels, np.cumsum(sizes) - sizes, shapes, ["a", "b", "c"])


def test_psnr_of_a_constant_error_is_its_closed_form():
    x = np.full((3, 4, 5, 2), 0.5, np.float32)
    errors = np.array([0.5, 0.1, 1 / 255], np.float32)
    np.testing.assert_allclose(psnr(x, x + errors[:, None, None, None]), -20 * np.log10(errors), rtol=1e-4)


def test_psnr_is_symmetric_per_image_and_capped_for_identical_ones(rng):
    x, y = rng.random((2, 3, 6, 6, 1), np.float32)
    np.testing.assert_array_equal(psnr(x, y), psnr(y, x))
    np.testing.assert_allclose(psnr(x, y)[1], psnr(x[1:2], y[1:2])[0], rtol=1e-6)
    np.testing.assert_allclose(psnr(x, x), PSNR_CAP, rtol=1e-6)


@pytest.mark.parametrize("shape", [(11, 11, 1), (28, 20, 1), (33, 47, 3)])
def test_ssim_equals_that_of_scikit_image(shape, rng):
    metrics = pytest.importorskip("skimage.metrics")
    x = rng.random((2, *shape)).astype(np.float32)
    y = np.clip(x + 0.1 * rng.standard_normal(x.shape), 0, 1).astype(np.float32)
    expected = [
        metrics.structural_similarity(
            a, b, data_range=1.0, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for a, b in zip(x.astype(np.float64), y.astype(np.float64), strict=True)
    ]
    np.testing.assert_allclose(ssim(x, y), expected, atol=2e-5)


def test_ssim_of_identical_images_is_one_at_every_size(rng):
    for height, width in ((1, 1), (2, 9), (8, 8), (10, 30), (11, 11)):
        x = rng.random((2, height, width, 1), np.float32)
        np.testing.assert_allclose(ssim(x, x), 1.0, rtol=1e-5)


def test_the_ssim_window_is_the_largest_odd_one_that_fits():
    assert [ssim_window(side, 40) for side in (1, 2, 3, 8, 9, 10, 11, 12, 500)] == [1, 1, 3, 7, 9, 9, 11, 11, 11]
    assert ssim_window(40, 8) == 7


def test_the_elbo_of_evaluate_is_the_mean_of_the_elbo_terms_under_its_seed():
    model, images = vector_vae(), grey_images(10)
    figures = evaluate(model, images, data_config=CONFIG, batch_size=4, seed=5)

    model.sampler.seed_generator.state.assign(np.array([5, 0], np.uint32))
    terms = [model.elbo_terms(x) for x in evaluation_batches(images, 4, config=CONFIG, seed=5)]
    distortion = np.concatenate([keras.ops.convert_to_numpy(term[0]) for term in terms])
    rate = np.concatenate([keras.ops.convert_to_numpy(term[1]) for term in terms])

    assert figures["distortion"] == pytest.approx(distortion.mean(), rel=1e-5)
    assert figures["rate"] == pytest.approx(rate.mean(), rel=1e-5)
    assert figures["elbo"] == pytest.approx(-(distortion + rate).mean(), rel=1e-5)


def test_reconstruction_figures_are_means_over_images_of_what_the_model_rebuilds():
    model, images = vector_vae(), grey_images(7)
    x = images.array.astype(np.float32) / 255
    rebuilt = keras.ops.convert_to_numpy(model.reconstruct(x)["image"])
    figures = evaluate(model, images, data_config=CONFIG, batch_size=3)
    assert figures["psnr"] == pytest.approx(np.mean(psnr(x, rebuilt)), rel=1e-5)
    assert figures["ssim"] == pytest.approx(np.mean(ssim(x, rebuilt)), rel=1e-4)
    assert figures["protocol"]["ssim_window"] == 7


def test_evaluating_is_repeatable_and_leaves_the_noise_of_the_model_as_it_was():
    model, images = vector_vae(), grey_images(6)
    before = model.sampler.seed_generator.state.numpy()
    first = evaluate(model, images, data_config=CONFIG, seed=1)
    assert evaluate(model, images, data_config=CONFIG, seed=1) == first
    assert evaluate(model, images, data_config=CONFIG, seed=2)["elbo"] != first["elbo"]
    np.testing.assert_array_equal(model.sampler.seed_generator.state.numpy(), before)


def test_bits_per_dim_are_the_nats_of_the_bound_over_dims_log_two():
    figures = evaluate(vector_vae("logistic"), grey_images(9), data_config=CONFIG)
    assert figures["bits_per_dim"] == pytest.approx(-figures["elbo"] / (64 * math.log(2)), rel=1e-6)


def test_a_bernoulli_has_bits_per_dim_on_binarised_pixels_only():
    images = grey_images(5)
    binarised = DataConfig(source="digits", binarize=True)
    black_and_white = Images.from_array((images.array > 127).astype(np.uint8) * 255)
    assert "bits_per_dim" not in evaluate(vector_vae(), images, data_config=CONFIG)
    assert "bits_per_dim" in evaluate(vector_vae(), images, data_config=binarised)
    assert "bits_per_dim" in evaluate(vector_vae(), black_and_white, data_config=CONFIG)


def test_a_density_has_no_bits_per_dim():
    assert "bits_per_dim" not in evaluate(vector_vae("gaussian"), grey_images(5), data_config=CONFIG)


def test_an_autoencoder_has_no_bound():
    figures = evaluate(autoencoder(), grey_images(5), data_config=CONFIG)
    assert set(figures) == {"distortion", "psnr", "ssim", "intervals", "protocol"}
    assert figures["protocol"]["samples_per_image"] == 0


def test_images_of_unequal_size_count_alike_each_by_its_own_dimensions():
    model, images = spatial_vae(), unequal_images()
    whole = evaluate(model, images, data_config=CONFIG)
    dims = images.shapes.prod(axis=1)
    model.sampler.seed_generator.state.assign(np.array([0, 0], np.uint32))
    total = []
    for x in evaluation_batches(images, 64, config=CONFIG):
        total.extend(np.sum(model.elbo_terms(x), axis=0))
    assert whole["bits_per_dim"] == pytest.approx(np.mean(total / dims) / math.log(2), rel=1e-5)
    assert whole["elbo"] == pytest.approx(-np.mean(total), rel=1e-5)
    assert whole["protocol"]["ssim_window"] == [9, 11]
    assert whole["protocol"]["images"] == 3


def test_no_images_are_refused():
    with pytest.raises(ValueError, match="at least one image"):
        evaluate(vector_vae(), grey_images(1).take([]), data_config=CONFIG)


def test_measures_fill_one_report_and_leave_out_what_means_nothing():
    found = assess(
        EvaluationContext(vector_vae(), grey_images(9), CONFIG, k=3), ["elbo", "units", "gap", "nll"], must=False
    )
    figures = evaluate(vector_vae(), grey_images(9), data_config=CONFIG)
    assert found.figures["elbo"].value == figures["elbo"]
    assert found.figures["elbo"].interval == figures["intervals"]["elbo"]
    assert 0 <= found.figures["active_units"].value <= 3
    assert set(found.left_out) == {"gap"} and "held-out" in found.left_out["gap"]
    assert found.protocol["sha256"] == grey_images(9).digest()
    with pytest.raises(UnmeasurableError, match="gap"):
        assess(EvaluationContext(vector_vae(), grey_images(9), CONFIG), ["gap"])
    with pytest.raises(ValueError, match="Did you mean 'elbo'"):
        assess(EvaluationContext(vector_vae(), grey_images(9), CONFIG), ["elbow"])
    assert {"elbo", "units", "gap", "nll"} <= set(MEASURES)


def test_a_distortion_says_what_it_measures_so_that_unlike_ones_are_not_compared():
    def kind(model):
        return evaluate(model, grey_images(3), data_config=CONFIG)["protocol"]["distortion"]

    assert kind(vector_vae()) == GREY
    assert kind(vector_vae("gaussian")) == DENSITY
    assert kind(vector_vae("logistic")) == LEVELS
    assert kind(autoencoder()) == "mse"


def test_a_model_that_learnt_its_few_images_by_heart_has_a_gap():
    images, others = grey_images(40).take(range(20)), grey_images(40).take(range(20, 40))
    model = vector_vae("optimal_gaussian")
    context = EvaluationContext(model, others, CONFIG, training=images)
    untrained = assess(context, ["gap"]).figures["elbo_gap"]
    assert untrained.interval[0] < 0 < untrained.interval[1] and "no memorisation" in untrained.note

    model.compile(keras.optimizers.Adam(0.01))
    # 400 passes as one epoch: Keras takes longer over an epoch's end than over these steps.
    model.fit(np.tile(images.array.astype(np.float32) / 255, (400, 1, 1, 1)), batch_size=20, shuffle=False, verbose=0)

    context = EvaluationContext(model, others, CONFIG, training=images)
    gap = assess(context, ["elbo", "gap"]).figures["elbo_gap"]
    assert gap.interval[0] > 0 and "remembers" in gap.note
    each = [evaluate(model, part, data_config=CONFIG)["elbo"] for part in (images, others)]
    assert gap.value == pytest.approx(each[0] - each[1], rel=1e-6)


def test_the_gap_is_taken_over_as_many_training_images_as_there_are_others():
    figures = assess(EvaluationContext(vector_vae(), grey_images(6), CONFIG, training=grey_images(30)), ["gap"]).figures
    assert figures["elbo_gap"].protocol["training_images"] == 6
