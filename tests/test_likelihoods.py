import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import assert_config_round_trip
from keras import ops

from tfvae import likelihoods
from tfvae.likelihoods import LIKELIHOODS, Bernoulli, DiscretizedLogisticMixture, Gaussian, OptimalGaussian

RNG = np.random.default_rng(5)
NAMES = list(LIKELIHOODS)


def parameters_of(likelihood, shape=(3, 4, 5, 2), scale=0.3):
    channels = shape[-1] * likelihood.parameters_per_channel
    return (scale * RNG.standard_normal((*shape[:-1], channels))).astype("float32")


@pytest.mark.parametrize("name", NAMES)
def test_config_comes_back(name):
    assert_config_round_trip(likelihoods.get(name))


@pytest.mark.parametrize("name", NAMES)
def test_mean_is_the_mean_of_the_samples(name):
    likelihood = likelihoods.get(name)
    # Narrow enough that the clipping of samples to [0, 1] does not shift their mean.
    narrow = {"gaussian": Gaussian(0.05), "optimal_gaussian": OptimalGaussian()}
    likelihood = narrow.get(name, likelihood)
    one = parameters_of(likelihood, (1, 2, 2, 1), scale=0.02)
    if likelihood.parameters_per_channel > 1:
        one = one - np.float32(0.8) * (np.arange(one.shape[-1]) >= one.shape[-1] * 2 // 3)  # sharper scales
    many = np.repeat(one, 20_000, axis=0)
    samples = ops.convert_to_numpy(likelihood.sample(many, seed=1)).astype("float64")
    error = 5 * samples.std(0) / np.sqrt(len(samples)) + 2e-3  # half a level of rounding for the discrete ones
    assert np.all(np.abs(samples.mean(0) - ops.convert_to_numpy(likelihood.mean(one))[0]) <= error)


@pytest.mark.parametrize("name", NAMES)
def test_log_prob_adds_over_pixels_and_sees_each_image_alone(name):
    likelihood = likelihoods.get(name)
    parameters = parameters_of(likelihood)
    x = np.round(RNG.random((3, 4, 5, 2)) * 255).astype("float32") / 255
    whole = ops.convert_to_numpy(likelihood.log_prob(x, parameters))
    left = ops.convert_to_numpy(likelihood.log_prob(x[:, :, :2], parameters[:, :, :2]))
    right = ops.convert_to_numpy(likelihood.log_prob(x[:, :, 2:], parameters[:, :, 2:]))
    alone = ops.convert_to_numpy(likelihood.log_prob(x[1:2], parameters[1:2]))
    assert whole.shape == (3,) and whole.dtype == np.float32
    np.testing.assert_allclose(whole, left + right, rtol=1e-4)
    np.testing.assert_allclose(whole[1:2], alone, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in NAMES if LIKELIHOODS[name].discrete and name != "bernoulli"])
def test_discrete_likelihoods_sum_to_one_over_the_levels(name):
    likelihood = likelihoods.get(name)
    parameters = np.repeat(parameters_of(likelihood, (1, 1, 1, 1)), 256, axis=0)
    levels = (np.arange(256, dtype="float32") / 255).reshape(256, 1, 1, 1)
    log_prob = ops.convert_to_numpy(likelihood.log_prob(levels, parameters)).astype("float64")
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1.0, rtol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_samples_repeat_with_their_seed_and_stay_in_range(name):
    likelihood = likelihoods.get(name)
    parameters = parameters_of(likelihood, scale=2.0)
    first, again, other = (ops.convert_to_numpy(likelihood.sample(parameters, seed=s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)
    assert first.min() >= 0 and first.max() <= 1 and first.shape == (3, 4, 5, 2)
    mean = ops.convert_to_numpy(likelihood.mean(parameters))
    assert mean.min() >= 0 and mean.max() <= 1 and mean.shape == first.shape


def test_the_optimal_variance_is_the_best_one():
    likelihood = OptimalGaussian()
    parameters, x = parameters_of(likelihood), RNG.random((3, 4, 5, 2)).astype("float32")
    best = float(ops.mean(likelihood.log_prob(x, parameters, training=True)))
    for std in (0.2, 0.3, 0.4, 0.5, 0.7):
        assert best >= float(ops.mean(Gaussian(std).log_prob(x, parameters)))


def test_the_optimal_variance_needs_no_gradient_through_itself():
    """Along the optimum the derivative in the variance is zero: the gradient is that of dims/2 * log(mse)."""
    x = tf.constant(RNG.random((3, 4, 5, 2)).astype("float32"))
    parameters = tf.constant(parameters_of(OptimalGaussian()))
    likelihood = OptimalGaussian()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(parameters)
        ours = tf.reduce_mean(likelihood.log_prob(x, parameters, training=True))
        closed_form = -0.5 * 40 * tf.math.log(tf.reduce_mean((x - 0.5 - parameters) ** 2))
    np.testing.assert_allclose(
        tape.gradient(ours, parameters), tape.gradient(closed_form, parameters), rtol=1e-3, atol=1e-6
    )


def test_evaluation_uses_the_debiased_average_of_the_variances_seen_in_training():
    likelihood = OptimalGaussian(momentum=0.9)
    parameters = np.zeros((1, 2, 2, 1), "float32")
    for _ in range(3):
        likelihood.log_prob(np.full((1, 2, 2, 1), 0.7, "float32"), parameters, training=True)
    _, log_std = likelihood.location_and_log_std(parameters)
    np.testing.assert_allclose(np.exp(float(log_std)), 0.2, rtol=1e-4)


def test_a_mixture_of_one_component_is_the_logistic():
    one, plain = DiscretizedLogisticMixture(1), likelihoods.get("logistic")
    parameters = parameters_of(plain)
    x = np.round(RNG.random((3, 4, 5, 2)) * 255).astype("float32") / 255
    location, log_scale = np.split(parameters, 2, axis=-1)
    stacked = np.stack([0 * location, location, log_scale], axis=-1).reshape(3, 4, 5, 6)
    np.testing.assert_allclose(one.log_prob(x, stacked), plain.log_prob(x, parameters), rtol=1e-4)


def test_likelihoods_are_float32_under_a_half_precision_policy():
    keras.config.set_dtype_policy("mixed_float16")
    x = np.full((2, 2, 2, 1), 0.3, "float32")
    assert Bernoulli().log_prob(x, tf.zeros((2, 2, 2, 1), tf.float16)).dtype == "float32"
    assert Gaussian().log_std.dtype == "float32"


def test_unknown_names_and_senseless_settings_are_refused():
    with pytest.raises(ValueError, match="Did you mean 'bernoulli'"):
        likelihoods.get("bernouli")
    with pytest.raises(ValueError, match="initial_std=0"):
        Gaussian(0)
    with pytest.raises(ValueError, match="components=0"):
        DiscretizedLogisticMixture(0)
    with pytest.raises(ValueError, match="momentum=1"):
        OptimalGaussian(1.0)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "bernoulli"])
def test_the_standard_deviation_is_that_of_the_samples(name):
    likelihood = {"gaussian": Gaussian(0.05)}.get(name, likelihoods.get(name))
    one = parameters_of(likelihood, (1, 2, 2, 1), scale=0.02)
    if likelihood.parameters_per_channel > 1:
        # Narrow enough that clipping to [0, 1] does not show, wide enough that rounding does not either.
        one = one - np.float32(0.8) * (np.arange(one.shape[-1]) >= one.shape[-1] * 2 // 3)
    many = np.repeat(one, 20_000, axis=0)
    samples = ops.convert_to_numpy(likelihood.sample(many, seed=1)).astype("float64")
    expected = np.broadcast_to(ops.convert_to_numpy(likelihood.std(one)), (1, 2, 2, 1))[0]
    # The tails of a logistic are heavier than a normal's: its sample variance has a relative error of sqrt(3.2 / n).
    np.testing.assert_allclose(samples.std(0), expected, rtol=5 * np.sqrt(3.2 / 20_000) + 0.02)


def test_the_mean_of_a_bernoulli_fixes_its_deviation():
    assert Bernoulli().std(np.zeros((1, 2, 2, 1), "float32")) is None
