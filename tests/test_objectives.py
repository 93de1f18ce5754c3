import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tfvae.objectives import bits_per_dim, elbo, free_bits_rate, gaussian_kl, gaussian_kl_per_unit
from tfvae.schedules import CyclicalBeta, LinearBeta, cyclical, from_table, linear

RNG = np.random.default_rng(3)
MEAN = RNG.standard_normal((4, 3)).astype("float32")
LOG_VAR = (0.7 * RNG.standard_normal((4, 3))).astype("float32")


def test_gaussian_kl_is_zero_at_the_prior():
    np.testing.assert_array_equal(ops.convert_to_numpy(gaussian_kl(np.zeros((2, 5)), np.zeros((2, 5)))), [0.0, 0.0])


def test_gaussian_kl_agrees_with_monte_carlo():
    rng = np.random.default_rng(0)
    std = np.exp(0.5 * LOG_VAR)
    z = MEAN + std * rng.standard_normal((200_000, *MEAN.shape))
    log_ratio = 0.5 * (z**2 - ((z - MEAN) / std) ** 2 - LOG_VAR).sum(-1)
    standard_error = log_ratio.std(0) / np.sqrt(len(log_ratio))

    exact = ops.convert_to_numpy(gaussian_kl(MEAN, LOG_VAR))

    assert np.all(np.abs(exact - log_ratio.mean(0)) <= 5 * standard_error + 1e-5)


def test_gaussian_kl_gradients_are_the_analytic_ones():
    mean, log_var = tf.constant(MEAN), tf.constant(LOG_VAR)
    with tf.GradientTape() as tape:
        tape.watch([mean, log_var])
        kl = gaussian_kl(mean, log_var)
    d_mean, d_log_var = tape.gradient(kl, [mean, log_var])
    np.testing.assert_allclose(d_mean, MEAN, rtol=1e-6)
    np.testing.assert_allclose(d_log_var, 0.5 * np.expm1(LOG_VAR), rtol=1e-5, atol=1e-7)


def test_gaussian_kl_keeps_its_digits_near_the_prior():
    tiny = np.full((1, 1), 1e-4, "float32")
    exact = 0.5 * (np.expm1(1e-4) - 1e-4)  # 2.5e-9
    np.testing.assert_allclose(ops.convert_to_numpy(gaussian_kl(0 * tiny, tiny)), exact, rtol=0.2)


def test_gaussian_kl_of_half_precision_does_not_overflow():
    log_var = tf.constant([[12.0]], tf.float16)  # exp(12) is infinite in float16
    assert np.isfinite(gaussian_kl(tf.zeros_like(log_var), log_var)[0])


def test_gaussian_kl_sums_over_every_axis_of_a_spatial_latent():
    mean, log_var = RNG.standard_normal((2, 2, 5, 4, 3)).astype("float32")
    whole = ops.convert_to_numpy(gaussian_kl(mean, log_var))
    per_unit = ops.convert_to_numpy(gaussian_kl_per_unit(mean, log_var))
    np.testing.assert_allclose(whole, per_unit.reshape(2, -1).sum(-1), rtol=1e-5)


def test_elbo_meets_the_evidence_when_the_posterior_is_exact():
    rng = np.random.default_rng(7)
    weights, _ = np.linalg.qr(rng.standard_normal((5, 2)))  # orthonormal: diagonal posterior
    x, noise_var = rng.standard_normal(5), 0.25
    cov = weights @ weights.T + noise_var * np.eye(5)
    log_evidence = -0.5 * (x @ np.linalg.solve(cov, x) + np.linalg.slogdet(2 * np.pi * cov)[1])

    var = np.full(2, noise_var / (1 + noise_var))
    mean = var * (weights.T @ x) / noise_var
    residual = np.sum((x - weights @ mean) ** 2) + var.sum()
    distortion = 0.5 * (5 * np.log(2 * np.pi * noise_var) + residual / noise_var)
    rate = float(gaussian_kl(mean[None], np.log(var)[None])[0])

    np.testing.assert_allclose(float(elbo(distortion, rate)), log_evidence, rtol=1e-5)


def test_free_bits_of_zero_is_the_mean_rate():
    kl = gaussian_kl_per_unit(MEAN, LOG_VAR)
    plain = np.mean(ops.convert_to_numpy(gaussian_kl(MEAN, LOG_VAR)))
    np.testing.assert_allclose(float(free_bits_rate(kl, 0.0)), plain, rtol=1e-5)


def test_a_channel_under_the_floor_costs_the_floor_and_has_no_gradient():
    kl = tf.constant([[0.1, 2.0], [0.3, 4.0]])
    with tf.GradientTape() as tape:
        tape.watch(kl)
        rate = free_bits_rate(kl, 1.0)
    np.testing.assert_allclose(rate, 1.0 + 3.0)
    np.testing.assert_allclose(tape.gradient(rate, kl), [[0.0, 0.5], [0.0, 0.5]])


def test_free_bits_refuses_a_negative_floor():
    with pytest.raises(ValueError, match="`free_bits` must be non-negative"):
        free_bits_rate(np.zeros((1, 1), "float32"), -1.0)


def test_a_uniform_code_over_256_levels_takes_eight_bits_per_dim():
    np.testing.assert_allclose(float(bits_per_dim(12 * np.log(256.0), 0.0, 12)), 8.0, rtol=1e-6)


def test_linear_beta_rises_then_stays():
    np.testing.assert_allclose(
        [float(linear(s, 10, 0.2, 1.0)) for s in (0, 5, 10, 99)], [0.2, 0.6, 1.0, 1.0], rtol=1e-6
    )


def test_cyclical_beta_repeats_with_its_period():
    values = [float(cyclical(s, 8, ratio=0.5, end=2.0)) for s in range(24)]
    np.testing.assert_allclose(values[:8], values[8:16], atol=1e-6)
    np.testing.assert_allclose(values[:8], [0, 0.5, 1.0, 1.5, 2, 2, 2, 2], atol=1e-6)


@pytest.mark.parametrize("schedule", [LinearBeta(7, end=3.0), CyclicalBeta(9, ratio=0.3)])
def test_schedules_come_back_from_their_config(schedule):
    clone = type(schedule).from_config(schedule.get_config())
    assert [float(clone(s)) for s in range(20)] == [float(schedule(s)) for s in range(20)]


@pytest.mark.parametrize(
    "table",
    [
        {"schedule": "linaer", "steps": 3},
        {"schedule": "linear"},
        {"schedule": "linear", "steps": 0},
        {"steps": 3},
        {"schedule": "linear", "steps": 3, "stop": 4},
    ],
)
def test_a_senseless_schedule_is_refused(table):
    with pytest.raises(ValueError, match="`"):
        from_table(table)
