"""The hierarchical VAE: its bound against closed forms and Monte Carlo, its levels, and its way out of Python."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import assert_config_round_trip, assert_saves_and_loads
from keras import ops
from tiny_runs import vector_vae, write_run

import tfvae
from tfvae import applications
from tfvae.applications.latent.animate import animate_draws
from tfvae.cli import main as tfvae_command
from tfvae.objectives import importance_bound, sum_per_example
from tfvae.priors.base import gaussian_log_prob

RNG = np.random.default_rng(5)
SHAPE = (9, 7, 1)  # odd: levels of 5 × 4 and 3 × 2 places, and the vector
UNITS = [4, 2 * 6 * 2, 20 * 2]  # two groups of 2 units, two of 3 × 2 × 2, one of 5 × 4 × 2


def ladder(network="resnet", likelihood="bernoulli", moved=True, shape=SHAPE, **options):
    """A tiny model, every weight moved: what starts near zero must not hide what it does once it is trained."""
    keras.utils.set_random_seed(1)
    settings = {"widths": (6, 8), "hidden": 10, "groups": (1, 2, 2) if network == "resnet" else (1, 2), **options}
    model = tfvae.HierarchicalVAE.from_shape(shape, 2, network=network, likelihood=likelihood, seed=0, **settings)
    rng = np.random.default_rng(2)
    for weight in model.trainable_variables if moved else ():
        weight.assign_add(0.1 * rng.standard_normal(weight.shape).astype("float32"))
    return model


def small(network="mlp", likelihood="bernoulli", **options):
    """Of fewer groups: what is traced to train it takes seconds."""
    return ladder(network, likelihood, groups=(1, 1) if network == "mlp" else (0, 1, 1), **options)


def pictures(count=4, shape=SHAPE):
    return RNG.random((count, *shape)).astype("float32")


@pytest.fixture(scope="module")
def model():
    return ladder()


def test_it_learns_and_keeps_the_contract(tmp_path):
    model = small("resnet", moved=False, beta=tfvae.schedules.LinearBeta(10))
    x = np.zeros((64, *SHAPE), "float32")
    for index, image in enumerate(x):
        image[4 * (index % 2) :][:4, 3 * (index // 2 % 2) :][:, :3] = 1.0
    model.compile(keras.optimizers.Adam(5e-3))
    history = model.fit(x, epochs=25, batch_size=16, verbose=0).history
    assert history["elbo"][-1] > history["elbo"][0] + 15 and int(model.skipped_steps) == 0
    assert_config_round_trip(model)
    assert_config_round_trip(model.encoder)
    assert_config_round_trip(model.decoder)
    loaded = assert_saves_and_loads(model, tmp_path, x[:6])
    assert int(loaded.optimizer.iterations) == 100
    np.testing.assert_array_equal(model.elbo_terms(x), loaded.elbo_terms(x))  # the noise goes on where it stopped


def test_the_contract_of_a_dense_ladder(tmp_path):
    model = ladder("mlp", "logistic_mixture", shape=(9, 7, 3))
    assert_config_round_trip(model)
    assert_saves_and_loads(model, tmp_path, pictures(6, (9, 7, 3)))


@pytest.mark.parametrize("likelihood", tfvae.likelihoods.LIKELIHOODS)
def test_every_trainable_variable_has_a_finite_gradient(likelihood):
    assert_gradients_are_finite(small(likelihood=likelihood))


def test_so_it_has_on_a_ladder_of_maps(model):
    assert_gradients_are_finite(model)


def assert_gradients_are_finite(model):
    with tf.GradientTape() as tape:
        loss, _, _ = model.loss_terms(pictures(), training=True)
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None and np.all(np.isfinite(gradient)) and np.any(gradient), variable.path


def test_a_model_that_was_never_trained_has_the_standard_normal_as_prior_of_every_group():
    for latents in ladder(moved=False).latents(pictures()):
        np.testing.assert_array_equal(latents.prior_mean, np.zeros_like(latents.prior_mean))
        np.testing.assert_array_equal(latents.prior_log_var, np.zeros_like(latents.prior_log_var))


def test_the_rate_is_the_sum_of_the_divergences_of_all_groups_in_their_own_units(model):
    """KL(N(m, s²) || N(mu, sigma²)) = log(sigma / s) + (s² + (m - mu)²) / (2 sigma²) - 1/2, group by group."""
    x = pictures()
    noise = RNG.standard_normal((4, sum(UNITS))).astype("float32")
    outputs = model._outputs(x, noise)
    total = 0.0
    for mean, log_var, prior_mean, prior_log_var, z in model.latents(x, noise):
        kl = 0.5 * (prior_log_var - log_var) - 0.5
        kl += 0.5 * (ops.exp(log_var) + ops.square(mean - prior_mean)) * ops.exp(-prior_log_var)
        total += sum_per_example(kl)
        assert mean.shape == z.shape and np.abs(prior_mean).max() > 1e-3  # a prior that the groups above decide
    np.testing.assert_allclose(model.prior.rate(outputs["mean"], outputs["log_var"], outputs["z"]), total, rtol=1e-4)


def test_the_bound_and_the_weights_are_of_the_same_draw(model):
    """log w = log p(x|z) - the Monte Carlo rate; in the units of the ladder as in those of the code."""
    x, noise = pictures(), RNG.standard_normal((4, sum(UNITS))).astype("float32")
    outputs = model._outputs(x, noise)
    expected = model.likelihood.log_prob(x, outputs["parameters"])
    for mean, log_var, prior_mean, prior_log_var, z in model.latents(x, noise):
        expected += gaussian_log_prob(z, prior_mean, prior_log_var) - gaussian_log_prob(z, mean, log_var)
    np.testing.assert_allclose(model.log_weights(x, model.encode(x), noise), expected, rtol=1e-4)


def test_the_mean_log_weight_is_the_bound_and_many_draws_are_nearer_to_the_evidence(model):
    x, draws = pictures(1), 4000
    noise = RNG.standard_normal((draws, sum(UNITS))).astype("float32")
    weights = np.asarray(model.log_weights(x, model.encode(x), noise))
    distortion, rate = (np.asarray(term) for term in model.elbo_terms(np.repeat(x, draws, axis=0)))
    error = np.hypot(weights.std(), (distortion + rate).std()) / np.sqrt(draws)
    assert abs(weights.mean() + (distortion + rate).mean()) <= 5 * error
    assert importance_bound(weights) > weights.mean()
    # One image with many noises is that image as often.
    again = model.log_weights(np.repeat(x, 5, axis=0), model.encode(x), noise[:5])
    np.testing.assert_allclose(again, weights[:5], rtol=1e-5)


def test_the_evidence_of_a_linear_gaussian_ladder_is_the_exact_one():
    """x = c + A z_1 + B z_2 + noise with z_1 ~ N(0, I) and z_2 ~ N(d, s² I): log p(x) is that of one normal."""
    settings = {"network": "mlp", "widths": (4, 4), "hidden": 1, "groups": (1,)}
    model = ladder(likelihood="gaussian", shape=(2, 2, 1), moved=False, **settings)
    a, b = RNG.standard_normal((2, 2, 4)).astype("float32")
    top, bottom = model.decoder.rungs
    log_std, d = -0.5, np.float32([0.3, -0.2])
    for group, kernel in ((top, a), (bottom, b)):
        group.merge.kernel.assign(kernel)
        for block in group.after.blocks:
            block.widen.kernel.assign(ops.zeros_like(block.widen.kernel))
    bottom.prior.widen.bias.assign(np.concatenate([d, [log_std] * 2, np.zeros(4)]))
    for step in (*model.decoder.fall, model.decoder.exit):
        step.convolution.kernel.assign(np.eye(4))
    model.likelihood.log_std.assign(np.log(0.7))
    x = pictures(3, (2, 2, 1))
    cov = a.T @ a + np.exp(2 * log_std) * b.T @ b + 0.49 * np.eye(4)
    difference = x.reshape(3, 4) - (0.5 + d @ b)
    squares = np.sum(difference * np.linalg.solve(cov, difference.T).T, axis=1)
    exact = -0.5 * (squares + np.linalg.slogdet(2 * np.pi * cov)[1])
    draws = 40_000
    noise = RNG.standard_normal((draws, 4)).astype("float32")
    for image, value in zip(x, exact, strict=True):
        weights = np.exp(np.asarray(model.log_weights(image[None], model.encode(image[None]), noise), "float64"))
        assert abs(weights.mean() - np.exp(value)) <= 5 * weights.std() / np.sqrt(draws)
        assert weights.std() < 20 * np.exp(value)  # or the error would say nothing


def test_codes_decode_to_reconstructions_and_noise_to_draws(model):
    x = pictures()
    codes = model.codes(x)
    assert codes.shape == (4, sum(UNITS)) and codes.dtype == "float32" and model.latent_shape == (sum(UNITS),)
    rebuilt = np.asarray(model.reconstruct(x)["image"])
    np.testing.assert_allclose(model.decode(codes)["image"], rebuilt, atol=1e-6)
    # The way down with the picture and the way down with its code are one.
    outputs = model._outputs(x, RNG.standard_normal((4, sum(UNITS))).astype("float32"))
    np.testing.assert_allclose(model.decoder(outputs["z"]), outputs["parameters"], atol=1e-5)
    noise = RNG.standard_normal((3, sum(UNITS))).astype("float32")
    np.testing.assert_allclose(model.generate(noise, 0.5)["image"], model.decode(0.5 * noise)["image"], atol=1e-6)
    cold = np.asarray(model.generate(noise, 0.0)["image"])
    np.testing.assert_allclose(cold, np.repeat(cold[:1], 3, axis=0), atol=1e-6)
    assert np.abs(np.asarray(model.generate(noise)["image"]) - cold).max() > 1e-3


def test_a_temperature_for_each_level_scales_its_noise_and_no_other(model):
    noise = np.random.default_rng(3).standard_normal((3, sum(UNITS)), np.float32)
    factors = np.repeat(np.float32([1, 0.5, 0]), UNITS)
    expected = model.decode(factors * noise)["image"]
    np.testing.assert_allclose(model.generate(noise, [1.0, 0.5, 0.0])["image"], expected, atol=1e-6)
    np.testing.assert_allclose(model.generate(noise, 0.5)["image"], model.decode(0.5 * noise)["image"], atol=1e-6)
    np.testing.assert_allclose(applications.generate(model, 3, 3, (1, 0.5, 0)), expected, atol=1e-6)
    film = list(animate_draws(model, 2, 3, frames=1, temperature=(1, 0.5, 0)))
    np.testing.assert_allclose(film, expected[:2], atol=1e-6)
    for refused in ([1.0, 0.5], (1.0, -0.5, 1.0)):
        with pytest.raises(ValueError, match="temperature"):
            applications.generate(model, 2, 0, refused)
    with pytest.raises(ValueError, match="each of the 3 levels"):
        model.generate(noise, [1.0, 0.5])


def test_draws_of_the_posterior_have_its_moments(model):
    x = np.repeat(pictures(1), 4000, axis=0)
    encoded = model.encode(x[:1])
    drawn = np.asarray(model.draw(x, RNG.standard_normal((4000, sum(UNITS))).astype("float32")))[:, : UNITS[0] // 2]
    mean, std = (np.asarray(v)[0, : UNITS[0] // 2] for v in (encoded["mean"], ops.exp(0.5 * encoded["log_var"])))
    assert np.all(np.abs(drawn.mean(0) - mean) <= 5 * std / np.sqrt(4000))  # the first group: nothing is above it
    np.testing.assert_allclose(drawn.std(0), std, rtol=0.1)


def test_levels_rebuild_a_picture_from_the_top(model):
    x = pictures()
    assert model.levels == 3 and model.decoder.level_units == UNITS
    nothing, whole = (np.asarray(model.reconstruct(x, levels=levels)["image"]) for levels in (0, 3))
    np.testing.assert_allclose(whole, model.reconstruct(x)["image"], atol=1e-6)
    np.testing.assert_allclose(nothing, np.repeat(model.generate(np.zeros((1, sum(UNITS))))["image"], 4, 0), atol=1e-6)
    top = np.array(model.codes(x))
    top[:, UNITS[0] :] = 0.0  # zeros are the means of the priors, given what the top says
    np.testing.assert_allclose(model.reconstruct(x, levels=1)["image"], model.decode(top)["image"], atol=1e-6)
    rows = applications.by_levels(model, x)
    assert rows.shape == (4, 4, *SHAPE)
    for levels in range(4):
        np.testing.assert_allclose(rows[:, levels], model.reconstruct(x, levels=levels)["image"], atol=1e-6)
    with pytest.raises(ValueError, match="`model` must have levels"):
        applications.by_levels(vector_vae(), x)


def test_embeddings_are_of_the_levels_that_are_asked_for(model):
    x = pictures()
    codes = np.asarray(model.codes(x))
    np.testing.assert_array_equal(model.embed(x), codes[:, : UNITS[0]])
    np.testing.assert_array_equal(model.embed(x, levels=3), codes)
    np.testing.assert_array_equal(model.embed(x, levels=[1]), codes[:, UNITS[0] : UNITS[0] + UNITS[1]])
    np.testing.assert_array_equal(model.codes(x, levels=2), codes[:, : sum(UNITS[:2])])
    assert ladder(embed_levels=2).embed(x).shape == (4, sum(UNITS[:2]))


def test_interpolation_by_level_moves_these_and_no_others(model):
    a, b = pictures(2)
    way = model.interpolate(a, b, steps=3)
    np.testing.assert_allclose(way[[0, -1]], model.reconstruct(np.stack([a, b]))["image"], atol=1e-5)
    np.testing.assert_allclose(model.interpolate(a, b, steps=3, levels=3), way, atol=1e-6)
    code, other = np.asarray(model.codes(np.stack([a, b])))
    mixed = np.concatenate([other[: UNITS[0]], code[UNITS[0] :]])
    end = model.interpolate(a, b, steps=2, levels=[0])[-1]
    np.testing.assert_allclose(end, model.decode(mixed[None])["image"][0], atol=1e-5)
    np.testing.assert_array_equal(model.mixed(code[None], other[None], levels=1)[0], mixed)
    with pytest.raises(ValueError, match="`levels` must be None for a VAE"):
        applications.interpolate(vector_vae(), pictures(1, (8, 8, 1))[0], pictures(1, (8, 8, 1))[0], levels=1)


def test_free_bits_are_for_a_whole_group():
    model, x = ladder(free_bits=1000.0), pictures()
    loss, distortion, rate = model.loss_terms(x)
    np.testing.assert_allclose(loss, np.mean(distortion) + 5 * 1000.0, rtol=1e-5)
    assert np.all(np.asarray(rate) < 1000.0)
    np.testing.assert_allclose(tfvae.health.measure(model, x).rate_weight, 1.0, rtol=1e-3)
    model = ladder()
    loss, distortion, rate = model.loss_terms(x)
    np.testing.assert_allclose(loss, np.mean(distortion + rate), rtol=1e-5)


def test_idle_units_at_the_border_of_maps_are_no_collapse(model):
    vitals = dataclasses.replace(tfvae.health.measure(model, pictures(16)), response=1.0, kl_per_unit=(0.1,) * 1000)
    for active, found in ((30, False), (20, True)):
        mostly_idle = dataclasses.replace(vitals, unit_variance=(1.0,) * active + (0.0,) * (1000 - active))
        assert found == any(finding.name == "posterior collapse" for finding in tfvae.health.findings(mostly_idle))


def test_restoration_with_a_prior_draws_group_by_group():
    model, image = small(), pictures(1)[0]
    known = np.ones(SHAPE[:2], bool)
    known[3:6, 2:5] = False
    for method in ("map", "gibbs"):
        restored = applications.restore_with_prior(model, image, known, method=method, steps=2, samples=2, thin=1)
        np.testing.assert_array_equal(restored.image[known], image[known])
    with pytest.raises(ValueError, match="`method` must be map, langevin or gibbs for a HierarchicalVAE"):
        applications.restore_with_prior(model, image, known, method="metropolis_gibbs")
    mean = applications.denoise(model, image, samples=400, seed=1).image
    noise = np.random.default_rng(2).standard_normal((400, *model.latent_shape)).astype("float32")
    drawn = np.asarray(model.decode(model.draw(np.repeat(image[None], 400, axis=0), noise))["image"])
    assert np.all(np.abs(mean - drawn.mean(0)) <= 8 * drawn.std(0) / 20)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_keeps_float32_variables_terms_and_codes(policy):
    keras.config.set_dtype_policy(policy)
    model, x = small("resnet"), pictures()
    assert_gradients_are_finite(model)
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    distortion, rate = model.elbo_terms(x)
    assert distortion.dtype == rate.dtype == model.codes(x).dtype == model.reconstruct(x)["image"].dtype == "float32"
    assert all(value.dtype == "float32" for latents in model.latents(x) for value in latents)


@pytest.mark.slow
def test_the_step_compiles_with_xla():
    model = ladder("mlp", widths=(6,), groups=(2,))
    model.compile("adam", jit_compile=True)
    history = model.fit(pictures(6), batch_size=3, verbose=0).history
    assert np.all(np.isfinite(history["loss"])) and int(model.optimizer.iterations) == 2


@pytest.mark.slow
def test_two_devices_take_the_step_of_one(two_devices):
    x, weights = pictures(8), []
    for scope in (tf.distribute.get_strategy().scope, two_devices.scope):
        with scope():
            model = ladder("mlp", widths=(6,), groups=(2,))
            model.compile(keras.optimizers.SGD(1e-3))
        model.fit(x, batch_size=4, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_tflite_file_is_the_model(tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    model, x = small("resnet"), pictures()
    model.export(tmp_path / "model.tflite", format="litert")
    runtime = Interpreter(str(tmp_path / "model.tflite"))
    noise = RNG.standard_normal((4, *model.latent_shape)).astype("float32")
    for name, inputs in (
        ("encode", {"image": x}),
        ("reconstruct", {"image": x}),
        ("decode", {"z": noise}),
        ("generate", {"noise": noise}),
    ):
        actual = runtime.get_signature_runner(name)(**inputs)
        for output, expected in getattr(model, name)(*inputs.values()).items():
            np.testing.assert_allclose(actual[output], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": (0,)}, "`groups` must be one positive number, or 3 numbers"),
        ({"groups": (1, 2)}, r"Received: groups=\(1, 2\)"),
        ({"groups": (1, -1, 1)}, "`groups`"),
        ({"blocks": 0}, "`blocks` must be at least 1"),
        ({"embed_levels": 4}, "`embed_levels` must be from 1 to 3. Received: embed_levels=4"),
        ({"network": "conv"}, "`network` of a ladder must be mlp or resnet"),
        ({"shape": (None, None, 1)}, "`latent` of a ladder must be 'vector'"),
        ({"dropout": 0.1}, "`dropout` of a HierarchicalVAE must be 0"),
        ({"hidden": 0}, "`hidden` must be at least 1"),
        ({"free_bits": -1.0}, "`free_bits` must be non-negative"),
    ],
)
def test_settings_that_mean_nothing_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ladder(**{"groups": (1, 2, 2), **options})


@pytest.mark.parametrize("levels", [4, -1, [3], []], ids=str)
def test_levels_that_are_not_there_are_refused(model, levels):
    with pytest.raises(ValueError, match="`levels` must be a number from 0 to 3, or a list of levels from 0 to 2"):
        model.reconstruct(pictures(1), levels=levels)


def test_levels_without_groups_do_not_count():
    model = ladder(groups=(0, 1, 1))
    assert model.levels == 2 and model.decoder.level_units == [2, 12]
    assert len(model.latents(pictures(1))) == 2


def test_the_command_draws_a_picture_of_the_levels_and_embeds_the_top(tmp_path):
    run = write_run(tmp_path / "run", ladder(shape=(8, 8, 1)))
    tfvae_command(["reconstruct", str(run), "-n", "3", "--levels"])
    assert (run / "reconstruction.png").is_file()
    tfvae_command(["embed", str(run)])
    with np.load(run / "codes.npz") as kept:
        assert kept["codes"].shape[1] == UNITS[0]
