"""Terms of the aggregate posterior: against closed forms of Gaussians, and what they change in a training."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import assert_config_round_trip

import tfvae
from tfvae import regularisers
from tfvae.regularisers import covariance_distance, normal_mmd, total_correlation
from training.checkpoint import Checkpoints


def correlated(count, correlation, noise=0.3, seed=0):
    """Posteriors whose aggregate is normal with unit variances and this correlation, and a draw from each."""
    rng = np.random.default_rng(seed)
    covariance = np.array([[1.0, correlation], [correlation, 1.0]]) - noise**2 * np.eye(2)
    mean = rng.multivariate_normal(np.zeros(2), covariance, count)
    return mean, np.full_like(mean, 2 * math.log(noise)), mean + noise * rng.standard_normal(mean.shape)


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.85])
def test_the_total_correlation_is_that_of_the_gaussian(correlation):
    values = np.array(total_correlation(*correlated(4000, correlation)))
    exact = -0.5 * math.log(1 - correlation**2)
    assert values.shape == (4000,)
    assert values.mean() == pytest.approx(exact, abs=0.04)


def test_the_total_correlation_of_few_posteriors_is_the_direct_computation():
    mean, log_var, z = correlated(5, 0.5)
    density = np.exp(-0.5 * ((z[:, None] - mean) ** 2 / np.exp(log_var) + log_var + math.log(2 * math.pi)))
    expected = np.log(density.prod(axis=2).mean(axis=1)) - np.log(density.mean(axis=1)).sum(axis=1)
    np.testing.assert_allclose(total_correlation(mean, log_var, z), expected, rtol=1e-4, atol=1e-5)


def test_the_covariance_is_that_of_the_means_or_of_the_aggregate():
    mean, log_var, _ = correlated(4000, 0.6, noise=0.5)
    off, on = covariance_distance(mean)
    assert float(off) == pytest.approx(2 * 0.6**2, abs=0.05) and float(on) == pytest.approx(2 * 0.25**2, abs=0.03)
    off, on = covariance_distance(mean, log_var)
    assert float(off) == pytest.approx(2 * 0.6**2, abs=0.05) and float(on) == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(("shift", "variance"), [(0.0, 1.0), (0.8, 1.0), (0.0, 0.3), (-0.5, 2.0)])
def test_the_discrepancy_is_the_closed_form_of_two_gaussians(shift, variance, units=3, width=2.0):
    z = shift + math.sqrt(variance) * np.random.default_rng(0).standard_normal((3000, units))

    def kernel(added, square=0.0):
        return (width / (width + added)) ** (units / 2) * math.exp(-square / (2 * (width + added)))

    exact = kernel(2 * variance) - 2 * kernel(1 + variance, units * shift**2) + kernel(2.0)
    assert float(normal_mmd(z, width)) == pytest.approx(exact, abs=0.004)


def fitted(**options):
    """Means of a trained VAE, of pictures of two correlated factors."""
    rng = np.random.default_rng(0)
    level = rng.random((256, 1, 1, 1))
    x = np.clip(np.concatenate([np.tile(level, (1, 8, 4, 1)), np.tile(level**2, (1, 8, 4, 1))], axis=2), 0, 1)
    vae = tfvae.VAE.from_shape(
        (8, 8, 1), 4, network="mlp", widths=(32,), likelihood=tfvae.likelihoods.Gaussian(0.1), seed=0, **options
    )
    vae.compile(tfvae.optimizers.AveragedAdam(3e-3))
    vae.fit(x.astype("float32"), epochs=25, batch_size=64, verbose=0)
    outputs = vae(x.astype("float32"))
    return vae, *(np.array(outputs[name]) for name in ("mean", "log_var", "z"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("covariance", lambda mean, log_var, z: float(sum(covariance_distance(mean, log_var)))),
        pytest.param("mmd", lambda mean, log_var, z: float(normal_mmd(z, 8.0)), marks=pytest.mark.slow),
    ],
)
def test_what_is_asked_for_is_nearer_after_a_training(name, value):
    _, *plain = fitted(beta=0.05)
    vae, *ours = fitted(beta=0.05, regulariser=name)
    assert value(*ours) < 0.6 * value(*plain)
    assert_config_round_trip(vae)


def test_the_term_is_added_to_the_loss():
    parts = {"network": "mlp", "widths": (8,), "seed": 0}
    vae = tfvae.VAE.from_shape((8, 8, 1), 3, **parts, regulariser=regularisers.TotalCorrelation(4.0))
    x = np.random.default_rng(0).random((16, 8, 8, 1), "float32")
    outputs = vae(x)
    extra = float(vae.auxiliary_loss(outputs, x))
    expected = 4.0 * np.mean(total_correlation(*(outputs[name] for name in ("mean", "log_var", "z"))))
    assert extra == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"regulariser": "tc"}, "`regulariser` must be one of"),
        ({"regulariser": "mmd", "prior": "gmm"}, "standard normal prior"),
        ({"regulariser": "mmd", "image_shape": (None, None, 1), "network": "conv"}, "spatial latent"),
    ],
)
def test_what_does_not_suit_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        tfvae.VAE.from_shape(**{"image_shape": (8, 8, 1), "latent_dim": 2, "network": "mlp", "widths": (8,)} | options)


def test_weights_are_not_negative():
    with pytest.raises(ValueError, match="`weight`"):
        regularisers.TotalCorrelation(-1.0)
    with pytest.raises(ValueError, match="`diagonal`"):
        regularisers.Covariance(1.0, -1.0)


def test_permuted_codes_have_every_unit_from_another_picture_and_each_once():
    z = np.arange(12.0)[:, None] + np.array([0.0, 100.0, 200.0, 300.0])
    mixed = np.array(regularisers.permuted(z.astype("float32")))
    np.testing.assert_array_equal(np.sort(mixed, axis=0), z)
    assert all(len(set(row)) == 4 for row in mixed % 100)
    # Of three draws of each of four pictures no two units are of one picture, either.
    assert all(len(set(row)) == 4 for row in mixed % 100 // 3)


@pytest.mark.parametrize("correlation", [0.0, 0.85])
def test_the_density_ratio_learns_the_total_correlation_of_a_gaussian(correlation):
    term = regularisers.DensityRatio(2.0, (32, 32))
    term.build((None, 2))
    adam = keras.optimizers.Adam(5e-3)
    adam.build(term.trainable_variables)
    *_, z = correlated(20_000, correlation)

    @tf.function
    def step(codes):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(term(codes, codes, codes))
        adam.apply(tape.gradient(loss, term.trainable_variables), term.trainable_variables)

    for codes in np.split(np.tile(z, (4, 1)).astype("float32"), 320):
        step(codes)
    *_, fresh = correlated(8000, correlation, seed=1)
    values = np.array(term(fresh, fresh, fresh)) / 2.0
    assert values.mean() == pytest.approx(-0.5 * math.log(1 - correlation**2), abs=0.06)


def test_the_model_learns_from_the_ratio_and_the_network_from_telling_codes_apart():
    term = regularisers.DensityRatio(3.0, (8,))
    term.build((None, 2))
    z = tf.constant(np.random.default_rng(0).standard_normal((6, 2)), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        loss = tf.reduce_sum(term(z, z, z))
        ratio = 3.0 * tf.reduce_sum(term.network(z))
        apart = tf.reduce_sum(tf.math.softplus(-term.network(tf.stop_gradient(z))))
        apart += tf.reduce_sum(tf.math.softplus(term.network(regularisers.permuted(tf.stop_gradient(z)))))
    assert float(loss) == pytest.approx(float(ratio), abs=1e-4)
    np.testing.assert_allclose(tape.gradient(loss, z), tape.gradient(ratio, z), rtol=1e-4, atol=1e-6)
    for ours, theirs in zip(*(tape.gradient(one, term.trainable_variables) for one in (loss, apart)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_model_with_a_network_of_its_regulariser_goes_on_as_if_it_had_not_been_saved(tmp_path):
    x = np.random.default_rng(0).random((32, 8, 8, 1), "float32")
    options = {"regulariser": regularisers.DensityRatio(5.0, (16,)), "seed": 0}
    vae = tfvae.VAE.from_shape((8, 8, 1), 3, network="mlp", widths=(8,), **options)
    vae.compile(tfvae.optimizers.AveragedAdam(1e-3))
    before = np.array(vae.regulariser.trainable_variables[0])
    vae.fit(x, epochs=2, batch_size=16, verbose=0, shuffle=False)
    assert np.abs(np.array(vae.regulariser.trainable_variables[0]) - before).max() > 1e-4
    with Checkpoints(tmp_path / "checkpoints", vae) as checkpoints:
        checkpoints.save({"step": 4})
    vae.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_config_round_trip(vae)
    vae.fit(x, epochs=1, batch_size=16, verbose=0, shuffle=False)
    expected = [np.array(weight) for weight in vae.trainable_variables]
    assert any("regulariser" in weight.path or "density_ratio" in weight.path for weight in vae.trainable_variables)
    Checkpoints(tmp_path / "checkpoints", vae).restore()
    for model in (loaded, vae):
        model.fit(x, epochs=1, batch_size=16, verbose=0, shuffle=False)
        for weight, value in zip(model.trainable_variables, expected, strict=True):
            np.testing.assert_array_equal(weight.value, value)
