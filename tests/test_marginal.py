"""Importance-sampled likelihood: exact evidence where it is known, whatever the portions and batches."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_runs import autoencoder, spatial_vae, vector_vae

import tfvae
from tfvae.data import DataConfig, Images, evaluation_batches
from tfvae.evaluation import marginal, marginal_likelihood
from tfvae.objectives import (
    WeightSums,
    bound_from_sums,
    effective_samples,
    importance_bound,
    merged_sums,
    weight_sums,
)

CONFIG = DataConfig(source="digits")
BINARY = DataConfig(source="digits", binarize=True)


def grey_images(count, side=8):
    rng = np.random.default_rng(3)
    return Images.from_array(rng.integers(0, 256, (count, side, side, 1), dtype=np.uint8))


def linear_vae(std=0.3):
    """x = 0.5 + W z + b + std * noise, whose evidence and posterior are Gaussian; the encoder is exact.

    Returns the model and (W, b) as NumPy arrays of shapes (latent, pixels) and (pixels,).
    """
    rng = np.random.default_rng(0)
    weights, bias = 0.2 * rng.standard_normal((2, 9)), 0.1 * rng.standard_normal(9)
    # Orthogonal loadings make the exact posterior diagonal, so that a diagonal encoder can have it.
    weights[1] -= weights[0] * (weights[0] @ weights[1]) / (weights[0] @ weights[0])
    shape = {"image_shape": (3, 3, 1), "latent_dim": 2, "network": "mlp", "widths": (18,)}
    likelihood = tfvae.likelihoods.Gaussian(initial_std=std)
    model = tfvae.VAE(tfvae.Encoder(**shape), tfvae.Decoder(**shape, likelihood=likelihood), seed=0)
    precision = 1 + (weights**2).sum(1) / std**2
    # relu(u) - relu(-u) = u: a hidden layer of both signs makes the networks linear.
    both = np.concatenate([np.eye(9), -np.eye(9)], axis=1)
    to_mean = (weights / std**2 / precision[:, None]).T
    head = np.concatenate([np.concatenate([to_mean, -to_mean]), np.zeros((18, 2))], axis=1)
    # The encoder centres pixels at 0.5 itself.
    assign(model.encoder, [both, np.zeros(18), head, np.concatenate([-bias @ to_mean, -np.log(precision)])])
    hidden = np.concatenate([weights, -weights], axis=1)
    assign(model.decoder, [hidden, np.zeros(18), np.concatenate([np.eye(9), -np.eye(9)]), bias])
    return model, weights, bias


def assign(side, values):
    variables = [variable for variable in side.trainable_variables if variable.name != "log_std"]
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def evidence(x, weights, bias, std):
    """log N(x; 0.5 + b, W'W + std**2 I), nats, by the textbook's formula."""
    covariance = weights.T @ weights + std**2 * np.eye(weights.shape[1])
    residual = x.reshape(len(x), -1) - 0.5 - bias
    _, log_det = np.linalg.slogdet(2 * np.pi * covariance)
    return -0.5 * (log_det + np.einsum("np,pq,nq->n", residual, np.linalg.inv(covariance), residual))


def test_the_sums_of_a_stream_are_those_of_all_draws_at_once():
    log_weights = np.random.default_rng(0).normal(-300, 20, (4, 60)).astype("float32")
    whole = weight_sums(log_weights)
    stream = weight_sums(log_weights[:, :1])
    for start, stop in ((1, 20), (20, 21), (21, 60)):
        stream = merged_sums(stream, weight_sums(log_weights[:, start:stop]))
    for one, other in zip(whole, stream, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    exact = np.logaddexp.reduce(log_weights.astype("float64"), axis=1) - np.log(60)
    np.testing.assert_allclose(importance_bound(log_weights), exact, rtol=1e-6)
    np.testing.assert_allclose(bound_from_sums(stream, 60), exact, rtol=1e-6)
    np.testing.assert_allclose(importance_bound(log_weights.T, axis=0), exact, rtol=1e-6)


def test_effective_samples_are_k_for_equal_weights_one_for_a_single_one_and_kish_s_between():
    equal, single = np.full(50, -900.0), np.array([0.0] + [-1000.0] * 49)
    np.testing.assert_allclose(effective_samples(weight_sums(equal)), 50, rtol=1e-6)
    np.testing.assert_allclose(effective_samples(weight_sums(single)), 1, rtol=1e-6)
    w = np.random.default_rng(0).random(50)
    np.testing.assert_allclose(effective_samples(weight_sums(np.log(w))), w.sum() ** 2 / (w**2).sum(), rtol=1e-5)


def test_draws_of_weight_zero_count_and_do_not_spoil_the_stream():
    nothing, some = weight_sums(np.full(3, -np.inf)), weight_sums(np.array([-5.0]))
    for sums in (merged_sums(nothing, some), merged_sums(some, nothing)):
        np.testing.assert_allclose(bound_from_sums(sums, 4), -5 - np.log(4), rtol=1e-6)
    assert float(bound_from_sums(merged_sums(nothing, nothing), 6)) == -np.inf
    assert isinstance(nothing, WeightSums)


def test_with_the_exact_posterior_every_single_draw_gives_the_evidence():
    model, weights, bias = linear_vae()
    images = grey_images(20, side=3)
    exact = evidence(images.array / 255.0, weights, bias, 0.3)
    for k in (1, 7):
        result = marginal_likelihood(model, images, data_config=CONFIG, k=k)
        # All weights are p(x): no Monte Carlo error, only that of float32 on terms of some ten nats.
        np.testing.assert_allclose(result.nll, -exact, atol=2e-4)
        np.testing.assert_allclose(result.effective_samples, k, rtol=1e-3)


@pytest.mark.slow
def test_with_a_wrong_posterior_the_bound_nears_the_evidence_from_the_elbo_as_k_grows():
    model, weights, bias = linear_vae()
    shift, widening = 0.3, 1.0  # of the posterior's means and log-variances
    head_bias = model.encoder.trainable_variables[-1]
    head_bias.assign(head_bias + np.array([shift, -shift, widening, widening]))
    images = grey_images(300, side=3)
    exact = evidence(images.array / 255.0, weights, bias, 0.3)
    gaps, errors = [], []
    for k in (1, 2, 5, 1000):
        gap = -marginal_likelihood(model, images, data_config=CONFIG, k=k).nll - exact
        gaps.append(gap.mean())
        errors.append(gap.std() / np.sqrt(len(gap)))
    # Independent noise for each k: differences of means, within five of their standard errors.
    for place in range(3):
        assert gaps[place] < gaps[place + 1] + 5 * np.hypot(errors[place], errors[place + 1])
    # With one draw the gap is the ELBO's, KL(q || p(z|x)) between Gaussians.
    precision = 1 + (weights**2).sum(1) / 0.3**2
    divergence = 0.5 * np.sum(np.exp(widening) + shift**2 * precision - 1 - widening)
    assert gaps[0] == pytest.approx(-divergence, abs=5 * errors[0])
    assert gaps[0] < gaps[-1] - 5 * errors[0], "the posterior is not wrong enough for the test to say anything"
    assert abs(gaps[-1]) < 5 * errors[-1] + 0.01


@pytest.mark.parametrize(("model", "config"), [(vector_vae, BINARY), (lambda: vector_vae("logistic_mixture"), CONFIG)])
def test_the_value_is_that_of_a_plain_loop_over_the_same_noise(model, config):
    model, images, k = model(), grey_images(3), 12
    result = marginal_likelihood(model, images, data_config=config, k=k, seed=4)
    x = np.concatenate([np.asarray(batch) for batch in evaluation_batches(images, 64, seed=4, config=config)])
    for index in range(3):
        encoded = {name: np.asarray(value)[0] for name, value in model.encode(x[index : index + 1]).items()}
        seed = marginal.noise_key(4, index, 0)
        weights = []
        for noise in tf.random.stateless_normal((k, 3), seed, alg="philox").numpy().astype("float64"):
            std = np.exp(0.5 * encoded["log_var"].astype("float64"))
            z = encoded["mean"] + std * noise
            log_q = np.sum(-0.5 * np.square((z - encoded["mean"]) / std) - np.log(std) - 0.5 * np.log(2 * np.pi))
            log_p = np.sum(-0.5 * np.square(z) - 0.5 * np.log(2 * np.pi))
            likelihood = model.likelihood.log_prob(x[index : index + 1], model.decoder(z[None].astype("float32")))
            weights.append(float(likelihood[0]) + log_p - log_q)
        assert result.nll[index] == pytest.approx(np.log(k) - np.logaddexp.reduce(weights), abs=1e-3)


def test_the_batch_of_an_image_does_not_change_its_value():
    model, images = vector_vae(), grey_images(11)
    whole = marginal_likelihood(model, images, data_config=BINARY, k=20, seed=1)
    for batch_size in (1, 4):
        again = marginal_likelihood(model, images, data_config=BINARY, k=20, seed=1, batch_size=batch_size)
        np.testing.assert_allclose(again.nll, whole.nll, rtol=1e-6)
    other = marginal_likelihood(model, images, data_config=CONFIG, k=20, seed=2)
    assert (other.nll != whole.nll).all()


def test_portions_make_one_estimate_of_all_draws(monkeypatch):
    model, images = vector_vae(), grey_images(6)
    whole = marginal_likelihood(model, images, data_config=CONFIG, k=480)
    monkeypatch.setattr(marginal, "MOST_SAMPLES", 46)  # ten portions and a rest
    portions = marginal_likelihood(model, images, data_config=CONFIG, k=480)
    assert (portions.nll != whole.nll).all(), "the portions were not cut"
    # Other noise, so within the Monte Carlo error: var(log mean w) is about (k / ESS - 1) / k for each side.
    error = np.sqrt(2 * (480 / np.minimum(whole.effective_samples, portions.effective_samples) - 1) / 480)
    assert (np.abs(portions.nll - whole.nll) < 5 * error + 1e-4).all()


def test_images_of_unequal_sizes_have_the_values_they_have_alone():
    shapes = np.array([(9, 12, 1), (9, 12, 1), (16, 13, 1)])
    sizes = shapes.prod(axis=1)
    pixels = np.random.default_rng(4).integers(0, 256, sizes.sum(), dtype=np.uint8)
    images = Images(pixels, np.cumsum(sizes) - sizes, shapes, ["a", "b", "c"])
    model = spatial_vae()
    result = marginal_likelihood(model, images, data_config=CONFIG, k=5)
    alone = marginal_likelihood(model, images.take([0]), data_config=CONFIG, k=5)
    np.testing.assert_allclose(result.nll[0], alone.nll[0], rtol=1e-6)
    np.testing.assert_array_equal(result.dims, sizes)
    assert result.kind == "mass of 256 levels"


def test_the_model_s_own_noise_is_left_as_it_was():
    model = vector_vae()
    before = keras.ops.convert_to_numpy(model.sampler.seed_generator.state)
    marginal_likelihood(model, grey_images(2), data_config=CONFIG, k=3)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model.sampler.seed_generator.state), before)


def test_a_model_without_a_posterior_and_k_below_one_are_refused():
    with pytest.raises(ValueError, match="Received: Autoencoder"):
        marginal_likelihood(autoencoder(), grey_images(1), data_config=CONFIG)
    with pytest.raises(ValueError, match="Received: k=0"):
        marginal_likelihood(vector_vae(), grey_images(1), data_config=CONFIG, k=0)
