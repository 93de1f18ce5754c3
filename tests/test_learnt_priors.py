"""Priors that learn: densities that integrate, draws that have them, fits that raise the bound of a trained model."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from contract import assert_config_round_trip
from keras import ops
from scipy import stats

import tfvae
from tfvae import applications, priors
from tfvae.cli import main as tfvae_main
from tfvae.priors import (
    AutoregressiveMixture,
    CausalTransformer,
    GaussianMixture,
    NormalizingFlow,
    VampPrior,
)
from tfvae.priors.choice import choose, normal_cdf, normal_quantile

DRAWS = 20_000


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def shaken(prior, shape, amount=0.5, seed=0):
    """The prior with weights that are no longer those it starts from, built for codes of `shape`."""
    if not prior.built:
        prior.build((None, *shape))
    for place, weight in enumerate(prior.trainable_weights):
        weight.assign_add(amount * noise(*weight.shape, seed=seed + place))
    return prior


def vamp(units=2, components=5):
    """A VampPrior over an encoder of its own."""
    encoder = tfvae.Encoder((4, 4, 1), units, network="mlp", widths=(8,), stochastic=True, seed=0)
    prior = VampPrior(components, seed=0)
    prior.connect(encoder, (units,))
    return shaken(prior, (units,))


VECTOR = {
    "gmm": lambda units=2: shaken(GaussianMixture(3, seed=0), (units,)),
    "diagonal gmm": lambda units=2: shaken(GaussianMixture(3, "diagonal", seed=0), (units,)),
    "flow": lambda units=2: shaken(NormalizingFlow(4, 16, seed=0), (units,), 0.2),
    "vamp": vamp,
}


def grid(units, reach=12.0, steps=241):
    """Points of a square lattice, and the volume of a cell."""
    axis = np.linspace(-reach, reach, steps, dtype="float32")
    points = np.stack(np.meshgrid(*[axis] * units), axis=-1).reshape(-1, units)
    return points, float(axis[1] - axis[0]) ** units


@pytest.mark.parametrize("name", VECTOR)
def test_the_density_integrates_to_one(name):
    points, cell = grid(2)
    assert np.exp(VECTOR[name]().log_prob(points).numpy()).sum() * cell == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("name", VECTOR)
def test_draws_have_the_density(name):
    # E[h(z)] under the draws and by quadrature under the density agree, for moments and for the probability of a box.
    prior = VECTOR[name]()
    points, cell = grid(2)
    weights = np.exp(prior.log_prob(points).numpy()) * cell
    drawn = np.asarray(prior.sample(noise(DRAWS, 2)))
    for h in (lambda z: z[:, 0], lambda z: z[:, 0] * z[:, 1], lambda z: z[:, 1] ** 2, lambda z: (z > 0.3).all(axis=1)):
        values = h(drawn).astype(float)
        assert values.mean() == pytest.approx((h(points) * weights).sum(), abs=5 * values.std() / DRAWS**0.5 + 2e-3)


@pytest.mark.parametrize("name", VECTOR)
def test_temperature_zero_draws_one_code_of_each_component(name):
    drawn = np.asarray(VECTOR[name]().sample(noise(200, 2), 0.0))
    assert len(np.unique(drawn.round(5), axis=0)) <= 5


def test_a_mixture_is_that_of_scipy():
    prior, z = VECTOR["gmm"](3), noise(6, 3, seed=1)
    factors, weights = np.asarray(prior.factors()), np.exp(np.asarray(ops.log_softmax(prior.logits.value)))
    parts = zip(weights, prior.means.numpy(), factors, strict=True)
    density = sum(w * stats.multivariate_normal(m, factor @ factor.T).pdf(z) for w, m, factor in parts)
    np.testing.assert_allclose(prior.log_prob(z), np.log(density), rtol=1e-4, atol=1e-4)


def test_a_vamp_prior_is_the_mixture_of_its_posteriors_by_enumeration():
    prior, z = vamp(3), noise(6, 3, seed=1)
    means, log_vars = (np.asarray(value) for value in prior.components_of_posterior())
    densities = [stats.norm.pdf(z, m, np.exp(0.5 * v)).prod(axis=1) for m, v in zip(means, log_vars, strict=True)]
    np.testing.assert_allclose(prior.log_prob(z), np.log(np.mean(densities, axis=0)), rtol=1e-4, atol=1e-4)
    fixed = prior.served()
    np.testing.assert_allclose(prior.log_prob(z), fixed.log_prob(z), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(prior.sample(z), fixed.sample(z), rtol=1e-4, atol=1e-4)


def test_pseudo_inputs_start_from_pictures():
    prior = vamp(components=3)
    images = np.random.default_rng(0).random((2, 4, 4, 1)).astype("float32")
    prior.adapt(images)
    started = np.asarray(ops.sigmoid(prior.pictures.value))
    assert all(min(np.abs(start - image).max() for image in images) < 2e-3 for start in started)


def test_the_log_determinant_of_a_flow_is_that_of_its_jacobian():
    prior, z = VECTOR["flow"](4), tf.constant(noise(3, 4, seed=1))
    with tf.GradientTape() as tape:
        tape.watch(z)
        x, log_determinant = prior.normalised(z)
    _, exact = np.linalg.slogdet(tape.batch_jacobian(x, z).numpy())
    np.testing.assert_allclose(log_determinant, exact, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(prior.sample(x), z, atol=1e-4)


def test_a_flow_begins_as_the_identity():
    prior, z = NormalizingFlow(seed=0), noise(3, 4)
    prior.build((None, 4))
    np.testing.assert_array_equal(prior.sample(z), z)
    np.testing.assert_allclose(prior.log_prob(z), priors.StandardNormal().log_prob(z), rtol=1e-6)


# -- maps --


def map_prior(channels=2, size=(2, 3)):
    return shaken(AutoregressiveMixture(size, 3, width=16, depth=2, heads=2, seed=0), (*size, channels), 0.3)


def test_an_autoregressive_prior_is_causal_by_its_jacobian():
    prior, z = map_prior(), tf.constant(noise(1, 6, 2))
    with tf.GradientTape() as tape:
        tape.watch(z)
        means = prior.raster_parameters(z, (2, 3))[1][0]
    jacobian = np.abs(tape.jacobian(means, z).numpy()[..., 0, :, :]).sum(axis=(1, 2, 4))
    assert np.all(jacobian[np.triu_indices(6)] == 0)  # nor of itself
    assert np.all(jacobian[np.tril_indices(6, -1)] > 0)


def test_the_density_of_maps_integrates_to_one():
    prior = map_prior(channels=1, size=(1, 2))
    points, cell = grid(2)
    density = np.exp(prior.log_prob(points.reshape(-1, 1, 2, 1)).numpy())
    assert density.sum() * cell == pytest.approx(1.0, abs=5e-3)


def test_drawn_maps_have_the_density():
    prior = map_prior(channels=1, size=(1, 2))
    points, cell = grid(2)
    weights = np.exp(prior.log_prob(points.reshape(-1, 1, 2, 1)).numpy()) * cell
    drawn = np.asarray(prior.sample(noise(DRAWS, 1, 2, 1))).reshape(-1, 2)
    for h in (lambda z: z[:, 1], lambda z: z[:, 0] * z[:, 1], lambda z: z[:, 1] > 0.5):
        values = h(drawn).astype(float)
        assert values.mean() == pytest.approx((h(points) * weights).sum(), abs=5 * values.std() / DRAWS**0.5 + 5e-3)


def test_a_map_drawn_place_by_place_is_what_its_own_parameters_say():
    # At temperature 0 each place is the mean of its likeliest component given the places before it, as one pass over
    # the whole map has them.
    prior = map_prior()
    drawn = prior.sample(noise(4, 2, 3, 2), 0.0)
    logits, means, _ = prior.raster_parameters(ops.reshape(drawn, (4, 6, 2)), (2, 3))
    likeliest = np.argmax(logits, axis=-1)[:, :, None, None]
    expected = np.take_along_axis(np.asarray(means), likeliest, axis=2)[:, :, 0]
    np.testing.assert_allclose(np.reshape(drawn, (4, 6, 2)), expected, atol=1e-4)


def test_indices_are_drawn_as_their_logits_say():
    prior = shaken(CausalTransformer(3, (1, 2), width=8, depth=1, heads=2, seed=0), (None, None), 0.5)
    uniform = np.random.default_rng(0).random((DRAWS, 1, 2)).astype("float32")
    drawn = np.asarray(prior.sample(uniform)).reshape(-1, 2)
    for pair in itertools.product(range(3), repeat=2):
        expected = float(np.exp(prior.log_prob(np.array([[pair]], "int32"))[0]))
        assert np.all(drawn == pair, axis=1).mean() == pytest.approx(expected, abs=5 * (expected / DRAWS) ** 0.5 + 1e-4)


def test_a_map_is_at_most_as_large_as_the_prior():
    with pytest.raises(ValueError, match=r"`z` must be at most \(2, 3\) places. Received: \(3, 3\)"):
        map_prior().log_prob(noise(1, 3, 3, 2))


# -- choices --


def test_the_distribution_function_and_its_inverse_are_scipy_s():
    x = np.linspace(-4, 4, 801).astype("float32")
    np.testing.assert_allclose(normal_cdf(x), stats.norm.cdf(x), atol=3e-7)
    np.testing.assert_allclose(normal_quantile(stats.norm.cdf(x)), x, atol=2e-3)
    assert np.all(np.isfinite(normal_quantile(np.array([0.0, 1.0], "float32"))))


def test_a_choice_has_its_weights_and_what_is_left_is_normal():
    index, rest = (np.asarray(value) for value in choose(noise(DRAWS), np.log(np.array([0.1, 0.2, 0.7], "float32"))))
    np.testing.assert_allclose(np.bincount(index) / DRAWS, [0.1, 0.2, 0.7], atol=0.015)
    assert all(stats.kstest(rest[index == k], "norm").pvalue > 1e-3 for k in range(3))


@pytest.mark.parametrize("temperature", [0.0, 0.5, 0.8, 1.5])
def test_at_a_temperature_a_mixture_is_tempered_in_its_weights_as_in_its_variances(temperature):
    # Components of one variance that do not overlap: p(z) ** (1 / T**2) has weights w ** (1 / T**2), deviations T s.
    weights, means, std = np.array([0.2, 0.3, 0.5]), np.array([[-100.0], [0.0], [100.0]]), 2.0
    prior = GaussianMixture(3, "diagonal", seed=0)
    prior.build((None, 1))
    prior.set_components(weights, means, np.full((3, 1), std))
    drawn = np.asarray(prior.sample(noise(DRAWS, 1), temperature))[:, 0]
    index = np.abs(drawn[:, None] - means[:, 0]).argmin(axis=1)
    tempered = np.where(weights == weights.max(), 1.0, 0.0) if temperature == 0 else weights ** (1 / temperature**2)
    np.testing.assert_allclose(np.bincount(index, minlength=3) / DRAWS, tempered / tempered.sum(), atol=0.015)
    assert (drawn - means[index, 0]).std() == pytest.approx(temperature * std, rel=0.03)


# -- in a model --


def blobs(count=256, seed=0):
    """Pictures 4×4 of two kinds that the codes of a trained model keep apart: N(0, I) does not meet them."""
    rng = np.random.default_rng(seed)
    left = rng.random(count) < 0.5
    pictures = np.where((np.arange(4) < 2)[None, None, :] == left[:, None, None], 0.9, 0.1)
    pictures = pictures * np.ones((count, 4, 4)) + 0.02 * rng.standard_normal((count, 4, 4))
    return np.clip(pictures[..., None], 0, 1).astype("float32")


@pytest.fixture(scope="module")
def trained_file(tmp_path_factory):
    model = tfvae.VAE.from_shape((4, 4, 1), 2, network="mlp", widths=(32,), likelihood="optimal_gaussian", seed=0)
    model.compile(keras.optimizers.Adam(3e-3))
    model.fit(blobs(), epochs=40, batch_size=32, verbose=0)
    path = tmp_path_factory.mktemp("prior") / "vae.keras"
    model.save(path)
    return path


@pytest.mark.parametrize(
    ("prior", "options"),
    [
        (GaussianMixture(4, seed=0), {"steps": 50}),
        (NormalizingFlow(4, 32, dropout=0.1, seed=0), {"steps": 160, "learning_rate": 5e-3}),
        (VampPrior(8, seed=0), {"steps": 160, "learning_rate": 2e-2}),
    ],
    ids=["gmm", "flow", "vamp"],
)
def test_a_fitted_prior_raises_the_bound_and_stays(trained_file, tmp_path, prior, options):
    model = keras.saving.load_model(trained_file)
    fresh, weights = blobs(seed=1), [weight.numpy() for weight in model.trainable_weights]
    before = model.evaluate(fresh, verbose=0, return_dict=True)
    course = model.fit_prior(blobs(), prior, validation_data=blobs(64, seed=2), batch_size=32, **options)
    after = model.evaluate(fresh, verbose=0, return_dict=True)
    assert np.all(np.isfinite(course)) and after["elbo"] > before["elbo"] + 0.1
    assert after["distortion"] == pytest.approx(before["distortion"], rel=0.05)
    for weight, value in zip(model.trainable_weights, weights, strict=True):  # encoder and decoder alone
        np.testing.assert_array_equal(weight, value)
    model.save(tmp_path / "fitted.keras")
    loaded = keras.saving.load_model(tmp_path / "fitted.keras")
    z = noise(5, 2)
    np.testing.assert_array_equal(model.generate(z)["image"], loaded.generate(z)["image"])
    assert not loaded.prior.trainable_weights
    loaded.fit(blobs(32), epochs=1, verbose=0)  # the optimiser's state is that of the weights that learn
    assert_config_round_trip(model.prior)


def test_a_fit_ends_once_it_only_learns_by_heart():
    rng = np.random.default_rng(0)
    mean, held_out = (rng.standard_normal((count, 2)).astype(np.float32) for count in (6, 64))
    narrow = np.full((64, 2), -12.0, np.float32)  # held-out codes are as good as points: their draws do not change
    flow = NormalizingFlow(4, 32, seed=0)
    flow.build((None, 2))
    course = flow.fit(mean, narrow[:6], (held_out, narrow), steps=400, learning_rate=1e-2)
    assert len(course) - 1 - int(np.argmax(course)) == 101 < 400 - 1  # a quarter of 400 epochs, and the one that tells
    kept = float(np.mean(flow.log_prob(held_out)))
    assert kept == pytest.approx(max(course), abs=0.05) and course[-1] < max(course) - 0.5


@pytest.mark.parametrize("name", ["gmm", "flow", "vamp"])
def test_a_prior_that_is_fitted_again_is_the_one_that_is_saved(tmp_path, name):
    options = {"components": 4} if name != "flow" else {"couplings": 2, "hidden": 8}
    model = tfvae.VAE.from_shape((4, 4, 1), 2, network="mlp", widths=(8,), seed=0)
    for seed in (0, 1):
        model.fit_prior(blobs(64), priors.get(name, seed=seed, **options), steps=20, batch_size=32, learning_rate=1e-2)
        model.save(tmp_path / "fitted.keras")
        loaded = keras.saving.load_model(tmp_path / "fitted.keras")
        np.testing.assert_array_equal(loaded.generate(noise(5, 2))["image"], model.generate(noise(5, 2))["image"])
        assert len(loaded.weights) == len(model.weights)
        model = loaded


@pytest.mark.parametrize("name", ["gmm", "flow", "vamp"])
def test_a_prior_learns_with_the_model(name):
    prior = priors.get(name, **({"components": 8} if name != "flow" else {"couplings": 2, "hidden": 16}))
    model = tfvae.VAE.from_shape((4, 4, 1), 2, network="mlp", widths=(16,), prior=prior, seed=0)
    model.compile(keras.optimizers.Adam(3e-3))
    before = [weight.numpy() for weight in prior.trainable_weights]
    history = model.fit(blobs(), epochs=6, batch_size=32, verbose=0).history
    assert history["elbo"][-1] > history["elbo"][0]
    assert any(np.any(weight.numpy() != value) for weight, value in zip(prior.trainable_weights, before, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gmm", "flow", "vamp"])
def test_draws_leave_python_as_they_are(trained_file, tmp_path, name):
    model = keras.saving.load_model(trained_file)
    options = {"components": 4} if name != "flow" else {"couplings": 2, "hidden": 16}
    model.fit_prior(blobs(64), priors.get(name, seed=0, **options), steps=2)
    z = noise(3, 2)
    model.export(tmp_path / "vae.tflite", format="litert", batch=3)
    runner = Interpreter(str(tmp_path / "vae.tflite")).get_signature_runner("generate")
    np.testing.assert_allclose(runner(noise=z)["image"], model.generate(z)["image"], atol=1e-5)


@pytest.mark.slow
def test_a_prior_of_maps_is_fitted_saved_and_exported(tmp_path):
    model = tfvae.VAE.from_shape((None, None, 1), 2, widths=(8,), likelihood="optimal_gaussian", seed=0)
    model.compile(keras.optimizers.Adam(3e-3))
    model.fit(blobs(), epochs=5, verbose=0)
    before = model.evaluate(blobs(seed=1), verbose=0, return_dict=True)
    prior = AutoregressiveMixture((2, 2), 3, width=16, depth=1, heads=2, seed=0)
    model.fit_prior(blobs(), prior, validation_data=blobs(64, seed=2), steps=160, batch_size=32, learning_rate=5e-3)
    assert model.evaluate(blobs(seed=1), verbose=0, return_dict=True)["elbo"] > before["elbo"]
    model.save(tmp_path / "vae.keras")
    z = noise(2, 2, 2, 2)
    drawn = model.generate(z)["image"]
    np.testing.assert_array_equal(drawn, keras.saving.load_model(tmp_path / "vae.keras").generate(z)["image"])
    model.export(tmp_path / "vae.tflite", format="litert", batch=2, size=(4, 4))
    runner = Interpreter(str(tmp_path / "vae.tflite")).get_signature_runner("generate")
    np.testing.assert_allclose(runner(noise=z)["image"], drawn, atol=1e-5)
    assert_config_round_trip(model.prior)


def test_what_cannot_be_is_refused_in_a_line(trained_file):
    with pytest.raises(ValueError, match=r"`prior` must be one of standard_normal, gmm, vamp.*Did you mean 'flow'"):
        tfvae.VAE.from_shape((4, 4, 1), 2, prior="flw")
    for name in ("gmm", "flow", "vamp"):
        with pytest.raises(ValueError, match="of one shape, not of a spatial latent"):
            tfvae.VAE.from_shape((None, None, 1), 2, widths=(8,), prior=name)
    with pytest.raises(ValueError, match="AutoregressiveMixture is a density of maps"):
        tfvae.VAE.from_shape((4, 4, 1), 2, prior="autoregressive")
    with pytest.raises(ValueError, match="`covariance` must be 'full' or 'diagonal'"):
        GaussianMixture(covariance="tied")
    with pytest.raises(ValueError, match="couples units, and a code has one"):
        tfvae.VAE.from_shape((4, 4, 1), 1, prior="flow")
    model = keras.saving.load_model(trained_file)
    with pytest.raises(ValueError, match=r"`prior` must have weights to learn. Received: StandardNormal"):
        model.fit_prior(blobs(8), "standard_normal")


def test_what_a_spatial_model_draws_is_as_large_as_its_prior_knows(capsys, tmp_path):
    settings = {"widths": (4,), "likelihood": "optimal_gaussian", "seed": 0}
    plain = tfvae.VAE.from_shape((None, None, 1), 2, **settings)
    whole = tfvae.VAE.from_shape((None, None, 1), 2, prior=map_prior(size=(3, 4)), **settings)
    assert applications.generate(plain, 1, 0).shape == (1, 128, 128, 1)
    assert applications.generate(whole, 1, 0).shape == (1, 6, 8, 1) == whole.generate(1, seed=0)["image"].shape
    assert applications.generate(whole, 1, 0, size=(5, 6)).shape == (1, 5, 6, 1)
    with pytest.raises(ValueError, match=r"`size` must be at most \(6, 8\), which is what the prior knows"):
        applications.generate(whole, 1, 0, size=(6, 9))
    for name, model in (("plain", plain), ("whole", whole)):
        model.save(tmp_path / f"{name}.keras")
        assert tfvae_main(["generate", str(tmp_path / f"{name}.keras"), "-n", "2", "-o", str(tmp_path / "a.png")]) == 0
        said = (
            "these are textures, not pictures. One that knows places: python -m training prior"
            in capsys.readouterr().err
        )
        assert said == (name == "plain")
    assert tfvae_main(["generate", str(tmp_path / "whole.keras"), "--size", "64x64"]) == 2
    assert "`size` must be at most (6, 8)" in capsys.readouterr().err
