"""Priors: densities that integrate, draws that have them, and a prior of one's own in a VAE."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats
from tiny_runs import vector_vae

import tfvae
from tfvae.objectives import gaussian_kl
from tfvae.priors import Prior, StandardNormal
from tfvae.priors.base import gaussian_log_prob

RNG = np.random.default_rng(0)
MEAN, LOG_VAR = (RNG.standard_normal((4, 3)).astype("float32") for _ in range(2))


@keras.saving.register_keras_serializable(package="tests")
class Shifted(Prior):
    """`N(shift, 1)` of every unit, without a closed form for the KL divergence."""

    def __init__(self, shift=1.0, **kwargs):
        super().__init__(**kwargs)
        self.shift = shift

    def log_prob(self, z):
        return StandardNormal().log_prob(z - self.shift)

    def sample(self, noise, temperature=1.0):
        return self.shift + temperature * ops.cast(noise, "float32")

    def get_config(self):
        return {**super().get_config(), "shift": self.shift}


def shifted_vae(shift=1.0, **options):
    plain = vector_vae()
    return tfvae.VAE(plain.encoder, plain.decoder, seed=0, prior=Shifted(shift), **options)


def test_the_density_of_the_standard_normal_is_that_of_scipy():
    z = RNG.standard_normal((5, 2, 3, 4)).astype("float32")
    expected = stats.norm.logpdf(z).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(StandardNormal().log_prob(z), expected, rtol=1e-5)


def test_the_density_of_a_posterior_is_that_of_scipy():
    z = RNG.standard_normal(MEAN.shape).astype("float32")
    expected = stats.norm.logpdf(z, MEAN, np.exp(0.5 * LOG_VAR)).sum(axis=1)
    np.testing.assert_allclose(gaussian_log_prob(z, MEAN, LOG_VAR), expected, rtol=1e-5, atol=1e-5)


def test_the_monte_carlo_rate_agrees_with_the_closed_form():
    draws = 50_000
    for mean, log_var in zip(MEAN, LOG_VAR, strict=True):
        mean, log_var = (np.tile(value, (draws, 1)) for value in (mean, log_var))
        z = mean + np.exp(0.5 * log_var) * RNG.standard_normal(mean.shape)
        rates = np.asarray(Prior.rate(StandardNormal(), mean, log_var, z))
        exact = float(gaussian_kl(mean[:1], log_var[:1])[0])
        assert abs(rates.mean() - exact) <= 5 * rates.std() / np.sqrt(draws)


def test_the_rate_of_the_standard_normal_is_the_sum_over_its_units():
    prior = StandardNormal()
    kl = np.asarray(prior.kl(MEAN, LOG_VAR))
    np.testing.assert_allclose(prior.rate(MEAN, LOG_VAR, z=None), kl.sum(axis=1), rtol=1e-6)


def test_without_a_prior_a_vae_has_the_standard_normal():
    model = vector_vae()
    assert type(model.prior) is StandardNormal
    noise = RNG.standard_normal((2, 3)).astype("float32")
    np.testing.assert_array_equal(model.generate(noise)["image"], model.decode(noise)["image"])
    assert tfvae.Autoencoder.prior is None


def test_a_prior_of_one_s_own_is_drawn_from_weighed_and_saved(tmp_path):
    model, noise = shifted_vae(), RNG.standard_normal((2, 3)).astype("float32")
    np.testing.assert_allclose(model.generate(noise)["image"], model.decode(noise + 1.0)["image"], atol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.prior.shift == 1.0
    np.testing.assert_array_equal(model.generate(noise)["image"], loaded.generate(noise)["image"])
    # log w = log p(x|z) + log p(z) - log q(z|x): priors that differ change the weights by their ratio alone.
    x = RNG.random((2, 8, 8, 1)).astype("float32")
    plain = tfvae.VAE(model.encoder, model.decoder, seed=0)
    encoded = model.encode(x)
    z = encoded["mean"] + np.exp(0.5 * np.asarray(encoded["log_var"])) * noise
    ratio = model.prior.log_prob(z) - plain.prior.log_prob(z)
    difference = model.log_weights(x, encoded, noise) - plain.log_weights(x, encoded, noise)
    np.testing.assert_allclose(difference, ratio, atol=1e-4)


def test_a_vae_learns_under_a_prior_without_a_closed_form():
    model, x = shifted_vae(3.0), (RNG.random((64, 8, 8, 1)) < 0.5).astype("float32")
    model.compile(keras.optimizers.Adam(0.02))
    model.fit(x, epochs=60, batch_size=64, verbose=0)
    # Noise has nothing to say: the posterior goes to the prior, whose mean is 3.
    np.testing.assert_allclose(np.asarray(model.encode(x)["mean"]).mean(), 3.0, atol=0.5)


def test_free_bits_need_a_kl_of_each_unit():
    with pytest.raises(ValueError, match=r"`free_bits` must be 0 for Shifted.*Received: free_bits=0.5"):
        shifted_vae(free_bits=0.5)
