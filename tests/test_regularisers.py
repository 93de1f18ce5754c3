"""Terms of the aggregate posterior: against closed forms of Gaussians, and what they change in a training."""

import math

import numpy as np
import pytest
from contract import assert_config_round_trip

import tfvae
from tfvae import regularisers
from tfvae.regularisers import covariance_distance, normal_mmd, total_correlation


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
        ("mmd", lambda mean, log_var, z: float(normal_mmd(z, 8.0))),
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
