"""The likelihood of noisy pictures: a probability at any signal, and a VAE that learns from noise to denoise."""

import math
import tomllib

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import tfvae
from tfvae.applications.restoration.posterior import denoise
from tfvae.errors import UserError
from tfvae.likelihoods import NoiseModel
from tfvae.likelihoods.noise_model import clipped_normal_log_prob, log_normal_cdf
from training.build import build_model, check_model
from training.config import read_config

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("std", [0.01, 0.1, 2.0])
@pytest.mark.parametrize("signal", [-0.3, 0.0, 0.02, 0.5, 1.0, 1.2])
def test_density_between_and_mass_at_the_ends_sum_to_one(std, signal):
    edges = np.linspace(0, 1, 20_001)
    inside = np.exp(clipped_normal_log_prob(0.5 * (edges[1:] + edges[:-1]), signal, math.log(std))).mean()
    ends = np.exp(clipped_normal_log_prob([0.0, 1.0], signal, math.log(std))).sum()
    np.testing.assert_allclose(inside + ends, 1.0, atol=1e-4)


def test_the_logarithm_of_the_normal_s_distribution_and_its_gradient_are_exact_in_both_tails():
    u = np.concatenate([np.linspace(-60, 6, 400), [-5.0]])
    x = tf.constant(u, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = log_normal_cdf(x)
    np.testing.assert_allclose(value, stats.norm.logcdf(u), rtol=2e-4, atol=1e-6)
    hazard = np.exp(stats.norm.logpdf(u) - stats.norm.logcdf(u))
    np.testing.assert_allclose(tape.gradient(value, x), hazard, rtol=1e-3, atol=1e-6)


def test_the_noise_has_the_variance_of_its_formula():
    likelihood = NoiseModel(std=0.02, gain=0.004)
    signal = np.array([0.2, 0.5, 0.8])
    parameters = np.broadcast_to((signal - 0.5).astype("float32")[:, None], (40_000, 1, 3, 1))
    variance = 0.02**2 + 0.004 * signal
    np.testing.assert_allclose(np.ravel(likelihood.std(parameters[:1])) ** 2, variance, rtol=1e-5)
    noisy = np.asarray(likelihood.sample(parameters, seed=1)).reshape(-1, 3)
    assert np.all(np.abs(noisy.mean(0) - signal) <= 5 * np.sqrt(variance / len(noisy)))
    assert np.all(np.abs(noisy.var(0) / variance - 1) <= 5 * math.sqrt(2 / len(noisy)))


def test_the_signal_that_explains_clipped_noise_best_is_the_true_one():
    """Near black the mean of clipped noise is too bright by up to 0.4 deviations, and so is a plain normal's fit."""
    std, truth = 0.1, 0.03
    noisy = np.clip(truth + std * RNG.standard_normal(100_000), 0, 1).reshape(-1, 1, 1, 1)
    signals = np.linspace(-0.05, 0.15, 201)
    best = {}
    for clipped in (True, False):
        likelihood = NoiseModel(std, clipped=clipped)
        fit = [float(tf.reduce_sum(likelihood.log_prob(noisy, np.full(1, s - 0.5, "float32")))) for s in signals]
        best[clipped] = signals[np.argmax(fit)]
    error = 5 * std / math.sqrt(len(noisy)) * math.sqrt(2) + 0.001  # fewer than half are cut off; the grid
    assert abs(best[True] - truth) <= error
    u = truth / std
    exact = truth * stats.norm.cdf(u) + std * stats.norm.pdf(u)  # E[max(truth + noise, 0)]
    assert abs(best[False] - exact) <= error and best[False] > truth + 0.02


def test_without_ends_the_clipped_density_is_the_normal_one():
    x, parameters = 0.1 + 0.8 * RNG.random((2, 4, 4, 1)), RNG.standard_normal((2, 4, 4, 1)).astype("float32")
    both = [NoiseModel(0.1, 0.01, clipped=clipped).log_prob(x, parameters) for clipped in (True, False)]
    np.testing.assert_allclose(*both, rtol=1e-6)


@pytest.mark.parametrize(("std", "gain"), [(-0.1, 0.0), (0.1, -1.0), (0.0, 0.0)])
def test_noise_that_is_none_is_refused(std, gain):
    with pytest.raises(ValueError, match=f"`std` and `gain` must be non-negative.*std={std}, gain={gain}"):
        NoiseModel(std, gain)


@pytest.mark.slow
def test_a_vae_that_saw_only_noisy_pictures_takes_noise_off_new_ones():
    """Clean pictures are slopes, of two dimensions in 64: the best there is leaves 2/64 of the noise's variance."""
    std, (across, down) = 0.1, np.mgrid[-1:1:8j, -1:1:8j][..., None]
    slopes = RNG.uniform(-0.15, 0.15, (2, 3100, 1, 1, 1))
    clean = 0.5 + slopes[0] * across + slopes[1] * down
    noisy = (clean + std * RNG.standard_normal(clean.shape)).astype("float32")
    shape = {"image_shape": (8, 8, 1), "latent_dim": 3, "network": "mlp", "widths": (64,)}
    decoder = tfvae.Decoder(**shape, likelihood=NoiseModel(std))
    model = tfvae.VAE(tfvae.Encoder(**shape), decoder, seed=0)
    model.compile("adam")
    model.optimizer.learning_rate = 3e-3
    model.fit(noisy[100:], batch_size=64, epochs=8, verbose=0)
    denoised = np.stack([denoise(model, image).image for image in noisy[:100]])
    left = ((denoised - clean[:100]) ** 2).mean(axis=(1, 2, 3)) / std**2
    assert left.mean() + 5 * left.std() / math.sqrt(len(left)) < 0.25


def recipe(**model):
    return read_config({"data": {"source": "digits"}, "model": {"network": "mlp", "widths": [8], **model}}, "test")


def test_options_of_a_likelihood_reach_the_model_and_come_back_from_the_file():
    config = recipe(likelihood="noise_model", likelihood_options={"std": 0.25, "gain": 0, "clipped": False})
    likelihood = build_model(config, (8, 8, 1)).likelihood
    assert (likelihood.noise_std, likelihood.gain, likelihood.clipped) == (0.25, 0, False)
    for one in (config, recipe()):
        assert read_config(tomllib.loads(one.toml()), "again") == one
    assert build_model(recipe(likelihood="logistic_mixture", likelihood_options={"components": 2}), (8, 8, 1))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"likelihood_options": {"std": 0.1}}, ["unknown key 'std'", "'bernoulli': none"]),
        ({"likelihood": "noise_model", "likelihood_options": {"sdt": 0.1}}, ["'sdt'", "Did you mean 'std'?"]),
        ({"likelihood": "noise_model", "likelihood_options": {"std": "much"}}, ["like its default, 0.1", "'much'"]),
        ({"likelihood": "noise_model", "likelihood_options": {"std": True}}, ["like its default, 0.1", "True"]),
        ({"likelihood": "noise_model", "likelihood_options": {"std": {}}}, ["like its default, 0.1", "{}"]),
        ({"likelihood": "noise_model", "likelihood_options": {"clipped": 1}}, ["like its default, True", "1"]),
        ({"likelihood": "noise_model", "likelihood_options": 3}, ["'likelihood_options' must be a table"]),
    ],
)
def test_options_that_a_likelihood_has_not_are_refused_in_one_line(model, expected):
    with pytest.raises(UserError) as caught:
        check_model(recipe(**model).model, {})
    assert "\n" not in str(caught.value)
    for part in expected:
        assert part in str(caught.value)


def test_a_value_that_a_likelihood_refuses_is_one_line_of_the_model_s_section():
    with pytest.raises(UserError, match=r"^\[model\]: `std` and `gain` must be non-negative.*std=-1"):
        build_model(recipe(likelihood="noise_model", likelihood_options={"std": -1}), (8, 8, 1))
