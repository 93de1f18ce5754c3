"""Restoration by a VAE's own posterior: closed forms of linear models, exact chains, and known pixels left alone."""

import math

import numpy as np
import pytest
import tensorflow as tf
from test_marginal import assign, linear_vae
from tiny_runs import autoencoder

import tfvae
from tfvae.applications.restoration.langevin import ACCEPTANCE, langevin
from tfvae.applications.restoration.observation import Observation, fill
from tfvae.applications.restoration.posterior import METHODS, ascend, denoise, restore_with_prior
from tfvae.likelihoods import LIKELIHOODS

STD = 0.08  # of the likelihood: draws of mid-grey pixels are hardly ever cut off at 0 or 1
CHAINS = 4000
KNOWN = np.array([[1, 1, 0], [0, 1, 1], [0, 1, 0]], bool)
Y = np.array([[0.62, 0.41, 0.0], [0.0, 0.55, 0.38], [0.0, 0.47, 0.0]], np.float32)[..., None]


@pytest.fixture(scope="module")
def linear():
    return linear_vae(STD)


def spatial_vae(likelihood, channels=1):
    shape = {"image_shape": (None, None, channels), "latent_dim": 2, "network": "conv", "widths": (4, 4)}
    return tfvae.VAE(tfvae.Encoder(**shape), tfvae.Decoder(**shape, likelihood=likelihood), seed=0)


def closed_form(weights, residual, noise_std):
    """Mean and covariance of p(z|y) for `residual = W'z + noise`, W of shape (latent, values)."""
    covariance = np.linalg.inv(np.eye(len(weights)) + weights @ weights.T / noise_std**2)
    return covariance @ weights @ residual / noise_std**2, covariance


def picture(z, weights, bias):
    return (0.5 + bias + z @ weights).reshape(3, 3, 1)


def restored_in_closed_form(weights, bias):
    """The mean picture and its standard deviation, given `Y` where `KNOWN`."""
    known = KNOWN.ravel()
    mean, covariance = closed_form(weights[:, known], (Y.ravel() - 0.5 - bias)[known], STD)
    image, std = picture(mean, weights, bias), np.sqrt(np.diag(weights.T @ covariance @ weights)).reshape(3, 3, 1)
    return np.where(KNOWN[..., None], Y, image), np.where(KNOWN[..., None], 0.0, std)


def assert_is_the_posterior(restored, weights, bias):
    """Mean and deviation of `CHAINS` independent draws, within five standard errors."""
    image, std = restored_in_closed_form(weights, bias)
    assert len(restored.samples) == CHAINS
    assert np.all(np.abs(restored.image - image) <= 5 * std / math.sqrt(CHAINS) + 1e-5)
    assert np.all(np.abs(restored.std - std) <= 5 * std / math.sqrt(2 * CHAINS) + 1e-6)


def test_the_map_of_a_linear_model_is_the_mean_of_its_gaussian_posterior(linear):
    model, weights, bias = linear
    restored = restore_with_prior(model, np.where(KNOWN[..., None], Y, np.nan), KNOWN)
    np.testing.assert_allclose(restored.image, restored_in_closed_form(weights, bias)[0], atol=1e-4)
    assert restored.std is None and len(restored.samples) == 0


def test_the_map_beneath_an_operator_and_noise_is_the_closed_form_s(linear):
    """y is the mean of each row of the picture, with noise of its own."""
    model, weights, bias = linear
    operator, noise_std = np.kron(np.eye(3), np.full((1, 3), 1 / 3)), 0.05
    y = np.array([0.6, 0.45, 0.52])
    mean, _ = closed_form(weights @ operator.T, y - 0.5 - operator @ bias, noise_std)
    restored = restore_with_prior(
        model,
        y.reshape(3, 1, 1).astype("float32"),
        noise_std=noise_std,
        operator=lambda x: tf.reduce_mean(x, axis=2, keepdims=True),
    )
    np.testing.assert_allclose(restored.image, picture(mean, weights, bias), atol=1e-4)


def test_noise_that_is_larger_than_the_model_s_draws_the_picture_to_the_prior_s_mean(linear):
    model, weights, bias = linear
    for noise_std in (0.1, 1.0, 100.0):
        mean, _ = closed_form(weights, Y.ravel() - 0.5 - bias, noise_std)
        restored = restore_with_prior(model, Y, noise_std=noise_std)
        np.testing.assert_allclose(restored.image, picture(mean, weights, bias), atol=1e-4)
    np.testing.assert_allclose(restored.image, picture(np.zeros(2), weights, bias), atol=1e-3)


@pytest.mark.parametrize("method", ["langevin", "gibbs", "metropolis_gibbs"])
def test_chains_have_the_mean_and_the_deviation_of_the_closed_form(linear, method):
    model, weights, bias = linear  # whose encoder is exact on whole pictures, so that Gibbs is, too
    restored = restore_with_prior(model, Y, KNOWN, method=method, steps=100, samples=CHAINS)
    assert_is_the_posterior(restored, weights, bias)


def test_the_correction_makes_gibbs_exact_with_an_encoder_that_is_wrong(linear):
    _, weights, bias = linear
    model, _, _ = linear_vae(STD)
    *first, shift = (variable.numpy() for variable in model.encoder.trainable_variables)
    assign(model.encoder, [*first, shift + np.array([0.1, -0.1, 0.8, 0.8])])  # of two means and two log-variances
    _, std = restored_in_closed_form(weights, bias)
    options = {"steps": 200, "samples": CHAINS}
    assert_is_the_posterior(restore_with_prior(model, Y, KNOWN, method="metropolis_gibbs", **options), weights, bias)
    wrong = restore_with_prior(model, Y, KNOWN, method="gibbs", **options)
    assert np.abs(wrong.std - std).max() > 10 * std.max() / math.sqrt(2 * CHAINS)


def test_with_no_pixel_known_the_posterior_is_the_prior(linear):
    model, weights, bias = linear
    observed = Observation(model, Y, np.zeros((3, 3), bool))
    z, _ = langevin(observed.log_joint, np.full((CHAINS, 2), 3.0), steps=100, draws=CHAINS)
    assert np.all(np.abs(z.mean(0)) <= 5 / math.sqrt(CHAINS))
    assert np.all(np.abs(z.var(0) - 1) <= 5 * math.sqrt(2 / CHAINS))
    restored = restore_with_prior(model, Y, np.zeros((3, 3)))
    np.testing.assert_allclose(restored.image, picture(np.zeros(2), weights, bias), atol=1e-4)


def test_langevin_is_exact_where_the_density_is_no_gaussian_and_tunes_its_step():
    """`p(x) ~ exp(-x**4)` in each of six coordinates: `E[x**2] = gamma(3/4) / gamma(1/4)`."""
    draws = langevin(
        lambda x: -tf.reduce_sum(x**4, axis=1), np.zeros((500, 6)), scale=0.6, steps=200, draws=5000, thin=20
    )
    squares = (draws.states.astype("float64") ** 2).mean(1)
    # Draws of one chain are not independent: as if each chain had given one only.
    error = 5 * squares.std() / math.sqrt(500)
    assert abs(squares.mean() - math.gamma(0.75) / math.gamma(0.25)) <= error
    assert abs(draws.acceptance - ACCEPTANCE) < 0.05


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(3, 3), (13, 10)])
def test_known_pixels_come_back_bit_for_bit(linear, method, size):
    model = linear[0] if size == (3, 3) else spatial_vae("optimal_gaussian")
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (*size, model.image_shape[2]), dtype=np.uint8)
    known = rng.random((*size, 1)) < 0.6
    options = {"method": method, "steps": 8, "samples": 3, "thin": 2}
    restored = restore_with_prior(model, image, known, **options)
    again = restore_with_prior(model, np.where(known, image, 255 - image).astype("uint8"), known, **options)
    y = image.astype("float32") / np.float32(255)
    for one in (restored.image, *restored.samples):
        assert one.shape == y.shape and one.dtype == np.float32
        np.testing.assert_array_equal(one[known[..., 0]], y[known[..., 0]])
    # What stood in the holes is of no account, and equal seeds draw equal pictures.
    np.testing.assert_array_equal(again.image, restored.image)
    assert np.all((restored.image >= 0) & (restored.image <= 1))
    if method != "map":
        assert np.all(restored.std[known[..., 0]] == 0) and restored.std.max() > 0


@pytest.mark.parametrize("name", list(LIKELIHOODS))
def test_the_log_probability_of_the_known_adds_up_to_that_of_the_whole(name):
    model = spatial_vae(name)
    rng = np.random.default_rng(2)
    image = np.round(rng.random((9, 14, model.image_shape[2]))).astype("float32")
    z = rng.standard_normal((3, *model.encoder(image[None])[0].shape[1:])).astype("float32")
    known = rng.random((9, 14, 1)) < 0.5
    whole, one, rest = (Observation(model, image, mask).log_prob(z).numpy() for mask in (None, known, ~known))
    np.testing.assert_allclose(one + rest, whole, rtol=1e-5)
    own = model.likelihood.log_prob(np.repeat(image[None], 3, 0), model.decoder(z)[:, :9, :14])
    np.testing.assert_allclose(whole, own, rtol=1e-5)


def test_of_two_tops_the_higher_one_wins_if_a_start_leads_to_it():
    def log_joint(z):
        """`0.3 N(-4, 1) + 0.7 N(4, 1)`, whose tops are at the two means to a millionth."""
        return tf.reduce_logsumexp(tf.math.log([0.3, 0.7]) - 0.5 * (z - [-4.0, 4.0]) ** 2, axis=1)

    for starts, top in (([-3.0], -4), ([3.0], 4), ([-3.0, 3.0], 4), ([3.0, -3.0], 4)):
        found = ascend(log_joint, np.reshape(starts, (-1, 1)), steps=300)
        np.testing.assert_allclose(found, [[top]], atol=1e-3)


def test_holes_are_filled_from_around_them():
    rng = np.random.default_rng(4)
    known = rng.random((11, 7, 1)) < 0.3
    flat = np.full((11, 7, 2), 0.37, np.float32)
    np.testing.assert_allclose(fill(np.where(known, flat, 0.0), known), flat, rtol=1e-6)
    image = rng.random((11, 7, 2)).astype("float32")
    filled = fill(np.where(known, image, 0.0), known)
    np.testing.assert_array_equal(np.where(known, filled, 0), np.where(known, image, 0))
    assert filled.min() >= image[known[..., 0]].min() and filled.max() <= image[known[..., 0]].max()
    np.testing.assert_array_equal(fill(flat, np.zeros((11, 7, 1), bool)), 0.5)


def test_denoise_is_the_mean_signal_of_the_posterior_whatever_the_portions(linear, monkeypatch):
    model, weights, bias = linear
    mean, covariance = closed_form(weights, Y.ravel() - 0.5 - bias, STD)
    std = np.sqrt(np.diag(weights.T @ covariance @ weights)).reshape(3, 3, 1)
    denoised = denoise(model, Y, samples=CHAINS, keep=5)
    assert np.all(np.abs(denoised.image - picture(mean, weights, bias)) <= 5 * std / math.sqrt(CHAINS) + 1e-5)
    assert np.all(np.abs(denoised.std - std) <= 5 * std / math.sqrt(2 * CHAINS))
    assert len(denoised.samples) == 5
    monkeypatch.setattr("tfvae.data.array_batches.MOST_PIXELS", 9 * 700)
    portions = denoise(model, Y, samples=CHAINS, keep=5)
    np.testing.assert_allclose(portions.image, denoised.image, atol=1e-6)
    np.testing.assert_allclose(portions.std, denoised.std, atol=1e-6)
    np.testing.assert_allclose(portions.samples, denoised.samples, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"image": np.zeros((4, 3, 1))}, r"`image` must be \(3, 3, 1\).*Received: \(4, 3, 1\)"),
        ({"image": np.zeros((3, 3, 3))}, r"`image` must be \(3, 3, 1\).*Received: \(3, 3, 3\)"),
        ({"image": np.zeros((3, 3))}, r"`image` must be \(height, width, channels\).*shape \(3, 3\)"),
        ({"known": np.ones((3, 2))}, r"`known` must have the size.*Received: \(3, 2\)"),
        ({"method": "mpa"}, "`method` must be one of map, langevin.*Received: method='mpa'"),
        ({"method": "gibbs", "noise_std": 0.1}, "`method` must be map or langevin.*Received: 'gibbs'"),
        ({"noise_std": 0.0}, "`noise_std` must be positive. Received: noise_std=0.0"),
        ({"operator": tf.identity}, "`noise_std` must be given with an `operator`"),
        ({"operator": lambda x: x[:, :2], "noise_std": 0.1}, r"`operator` must make \(3, 3, 1\).*\(2, 3, 1\)"),
        ({"operator": tf.identity, "noise_std": 0.1, "size": (5, 5)}, r"`size` must be \(3, 3\).*size=\(5, 5\)"),
        ({"size": (3, 3)}, "`size` is for an `operator`"),
        ({"steps": 0}, "`steps` must be positive. Received: steps=0"),
        ({"samples": 0}, "`samples` must be positive. Received: samples=0"),
        ({"restarts": 0}, "`restarts` must be positive. Received: restarts=0"),
    ],
)
def test_what_cannot_be_is_refused(linear, change, expected):
    with pytest.raises(ValueError, match=expected):
        restore_with_prior(**{"model": linear[0], "image": Y, **change})


def test_a_model_without_a_posterior_is_refused():
    for function in (restore_with_prior, denoise):
        with pytest.raises(ValueError, match=r"`model` must be a tfvae\.VAE\. Received: Autoencoder"):
            function(autoencoder(), np.zeros((8, 8, 1)))


def test_a_grey_picture_of_half_the_size_is_explained_by_a_whole_one_in_colour():
    """Grey, and half the size: what is restored is a colour picture that looks like it."""
    model = spatial_vae("gaussian", channels=3)

    def operator(x):
        return tf.nn.avg_pool2d(tf.reduce_mean(x, axis=3, keepdims=True), 2, 2, "VALID")

    z = np.random.default_rng(5).standard_normal((1, 4, 3, 2)).astype("float32")
    y, size = operator(model.decode(z)["image"]), (4 * model.factor, 3 * model.factor)
    restored = restore_with_prior(model, y[0].numpy(), noise_std=0.01, operator=operator, size=size)
    assert restored.image.shape == (*size, 3)
    # The top is no lower than the truth, whose residual is zero: `|y - A(x)|**2 / noise_std**2 <= |z|**2`.
    assert ((operator(restored.image[None]) - y).numpy() ** 2).sum() <= 0.01**2 * (z**2).sum()
