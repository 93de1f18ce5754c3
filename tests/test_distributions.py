import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from scipy import special, stats

from tfvae.distributions import (
    bernoulli_log_prob,
    discretized_logistic_log_prob,
    mixture_log_prob,
    normal_log_prob,
)


def numpy(x):
    return ops.convert_to_numpy(x)


def test_bernoulli_is_the_log_of_the_probability():
    logits = np.linspace(-6, 6, 25).astype("float32")
    np.testing.assert_allclose(
        numpy(bernoulli_log_prob(1.0, logits)), np.log(special.expit(logits)), rtol=1e-5, atol=1e-7
    )
    np.testing.assert_allclose(
        numpy(bernoulli_log_prob(0.0, logits)), np.log(special.expit(-logits)), rtol=1e-5, atol=1e-7
    )


def test_bernoulli_and_its_gradient_stay_finite_at_extreme_logits():
    logits = tf.constant([-1e4, -90.0, 0.0, 90.0, 1e4])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = bernoulli_log_prob(1.0, logits)
    np.testing.assert_allclose(value, [-1e4, -90.0, np.log(0.5), 0.0, 0.0], atol=1e-5)
    np.testing.assert_allclose(tape.gradient(value, logits)[::4], [1.0, 0.0], atol=1e-6)


def test_the_gradient_of_a_bernoulli_is_how_far_the_pixel_is_from_its_probability():
    """Also where one picture is compared with many: then each row of logits has its own, and the picture their sum."""
    x, logits = tf.constant([[0.0, 1.0, 0.3]]), tf.constant([[-2.0, 0.5, 4.0], [3.0, 0.0, -40.0]])
    with tf.GradientTape() as tape:
        tape.watch([x, logits])
        value = bernoulli_log_prob(x, logits)
    by_x, by_logits = tape.gradient(value, [x, logits])
    np.testing.assert_allclose(by_logits, x.numpy() - special.expit(logits.numpy()), atol=1e-6)
    np.testing.assert_allclose(by_x, logits.numpy().sum(0, keepdims=True), rtol=1e-6)


def test_normal_agrees_with_scipy():
    rng = np.random.default_rng(0)
    x, mean, log_std = rng.standard_normal((3, 50)).astype("float32")
    expected = stats.norm(mean, np.exp(log_std)).logpdf(x)
    np.testing.assert_allclose(numpy(normal_log_prob(x, mean, log_std)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("mean", "log_scale"), [(0.5, -3.0), (0.0, -5.0), (1.3, -2.0), (-0.7, -7.0), (0.501, 1.0)])
def test_discretized_logistic_masses_sum_to_one(mean, log_scale):
    levels = np.arange(256) / 255
    mass = np.exp(numpy(discretized_logistic_log_prob(levels, mean, log_scale)).astype("float64"))
    np.testing.assert_allclose(mass.sum(), 1.0, rtol=2e-4)


def test_discretized_logistic_agrees_with_the_difference_of_two_sigmoids_in_float64():
    x = np.array([0, 3, 100, 128, 254, 255]) / 255
    mean, scale = 0.4, 0.05
    cdf = stats.logistic(mean, scale).cdf
    upper = np.where(x > 0.999, 1.0, cdf(x + 0.5 / 255))
    lower = np.where(x < 0.001, 0.0, cdf(x - 0.5 / 255))
    ours = numpy(discretized_logistic_log_prob(x, mean, np.log(scale)))
    np.testing.assert_allclose(ours, np.log(upper - lower), rtol=1e-4)


def test_discretized_logistic_and_its_gradient_stay_finite_far_from_the_mean():
    location = tf.constant([0.0, 1.0, 0.5])
    with tf.GradientTape() as tape:
        tape.watch(location)
        value = discretized_logistic_log_prob(tf.constant([1.0, 0.0, 0.2]), location, -7.0)
    assert np.all(np.isfinite(value)) and np.all(np.isfinite(tape.gradient(value, location)))
    assert value[0] < -500  # a straight line into the tail, not a constant floor


def test_a_mixture_of_equal_components_is_the_component():
    rng = np.random.default_rng(1)
    component = np.repeat(rng.standard_normal((6, 1)), 4, axis=1).astype("float32")
    logits = rng.standard_normal((6, 4)).astype("float32")
    np.testing.assert_allclose(numpy(mixture_log_prob(component, logits)), component[:, 0], rtol=1e-5, atol=1e-6)


def test_a_mixture_adds_probabilities():
    weights, parts = np.array([0.2, 0.5, 0.3]), np.array([0.1, 0.6, 0.01])
    expected = np.log(weights @ parts)
    np.testing.assert_allclose(numpy(mixture_log_prob(np.log(parts), np.log(weights) + 3.0)), expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_inputs_give_float32_results(dtype):
    x = tf.cast([0.0, 1.0], dtype)
    for value in (bernoulli_log_prob(x, x), normal_log_prob(x, x, x), discretized_logistic_log_prob(x, x, x)):
        assert value.dtype == "float32"
