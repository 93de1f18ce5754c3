import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import assert_config_round_trip, assert_saves_and_loads
from keras import ops
from tiny_runs import write_run

import tfvae
from tfvae import applications
from tfvae.layers.quantiser import VectorQuantiser
from tfvae.priors.autoregressive import CausalTransformer, inverse_transform
from training.build import start_from

RNG = np.random.default_rng(11)
SHAPE = (9, 6, 1)  # no multiple of the factor 4: 3 × 2 places


def assemble(shape=SHAPE, likelihood="bernoulli", **options):
    small = {"codes": 5, "prior_width": 16, "prior_depth": 2, "prior_heads": 2}
    return tfvae.MODELS["vq_vae"].from_shape(
        shape,
        3,
        network="conv",
        widths=(8, 8),
        hidden=0,
        dropout=0.0,
        likelihood=tfvae.likelihoods.get(likelihood),
        seed=0,
        **{**small, **options},
    )


def pictures(count=6, shape=SHAPE):
    return RNG.random((count, *shape)).astype("float32")


def quantiser(codebook, **options):
    layer = VectorQuantiser(len(codebook), **{"momentum": 0.0, "revival": 0.0, "seed": 1, **options})
    layer.build((None, codebook.shape[-1]))
    layer.codebook.assign(codebook)
    return layer


def transformer(codes=3, size=(2, 3), **options):
    """With weights large enough that every part of it matters to the output."""
    prior = CausalTransformer(codes, size, **{"width": 8, "depth": 2, "heads": 2, "seed": 0, **options})
    prior.build((None, None, None))
    for weight in prior.trainable_variables:
        weight.assign(weight + 0.5 * RNG.standard_normal(weight.shape))
    return prior


@pytest.fixture(scope="module")
def prior():
    return transformer()


# The quantiser.


def test_each_vector_becomes_the_nearest_code():
    codebook, vectors = RNG.standard_normal((7, 4)), RNG.standard_normal((2, 5, 3, 4))
    indices, quantised = quantiser(codebook)(vectors)
    distances = np.square(vectors[..., None, :] - codebook).sum(-1)
    np.testing.assert_array_equal(indices, distances.argmin(-1))
    np.testing.assert_array_equal(quantised, codebook[distances.argmin(-1)].astype("float32"))


def test_the_gradient_passes_straight_through():
    layer, vectors = quantiser(RNG.standard_normal((7, 4))), tf.constant(RNG.standard_normal((5, 4)), tf.float32)
    weights = RNG.standard_normal((5, 4)).astype("float32")
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        value = tf.reduce_sum(weights * layer(vectors, training=True)[1])
    np.testing.assert_array_equal(tape.gradient(value, vectors), weights)


def test_without_a_past_an_update_is_a_step_of_k_means():
    codebook, vectors = RNG.standard_normal((4, 2)).astype("float32"), RNG.standard_normal((200, 2)).astype("float32")
    codebook[3] = 50.0  # nobody's nearest: it stays
    layer = quantiser(codebook)
    owner = np.asarray(layer(vectors, training=True)[0])
    means = [vectors[owner == code].mean(0) for code in range(3)]
    np.testing.assert_allclose(layer.codebook, [*means, codebook[3]], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(layer.counts, np.bincount(owner, minlength=4))


def test_the_averages_are_those_of_the_paper():
    vectors, momentum = RNG.standard_normal((3, 50, 2)).astype("float32"), 0.9
    layer = quantiser(np.float32([[-1, -1], [1, 1]]), momentum=momentum)
    counts, sums = np.zeros(2), np.zeros((2, 2))
    for batch in vectors:
        owner = np.asarray(layer(batch, training=True)[0])
        one_hot = np.eye(2)[owner]
        counts = momentum * counts + (1 - momentum) * one_hot.sum(0)
        sums = momentum * sums + (1 - momentum) * one_hot.T @ batch
        np.testing.assert_allclose(layer.codebook, sums / counts[:, None], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.counts, counts, rtol=1e-5)


def test_dead_codes_revive_where_vectors_are():
    layer = quantiser(np.float32([[0, 0], [90, 90], [90, -90]]), momentum=0.5, revival=0.1)
    vectors = RNG.standard_normal((30, 2)).astype("float32")
    layer(vectors, training=True)
    revived = np.asarray(layer.codebook)[1:]
    assert all((vectors == code).all(-1).any() for code in revived)
    np.testing.assert_allclose(layer.counts, [15, 10, 10])  # an even share, so they are not taken away at once
    assert len(np.unique(layer(vectors)[0])) > 1
    assert 1 < float(layer.perplexity()) <= 3


def test_evaluation_and_broken_batches_leave_the_codebook_alone():
    layer = quantiser(RNG.standard_normal((4, 2)).astype("float32"), revival=0.1)
    before = layer.get_weights()
    layer(RNG.standard_normal((9, 2)))
    layer(np.float32([[np.inf, 0], [1, 1]]), training=True)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_replicas_learn_the_codebook_of_one_device(two_devices):
    vectors = RNG.standard_normal((24, 2)).astype("float32")
    alone = quantiser(np.zeros((6, 2), "float32"), momentum=0.9, revival=0.2)
    alone(vectors, training=True)
    with two_devices.scope():
        shared = quantiser(np.zeros((6, 2), "float32"), momentum=0.9, revival=0.2)
    halves = iter(two_devices.experimental_distribute_dataset(tf.data.Dataset.from_tensors(vectors)))
    step = tf.function(lambda x: shared(x, training=True)[0])
    two_devices.run(step, args=(next(halves),))
    for own, other in zip(alone.get_weights(), shared.get_weights(), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-5, atol=1e-6)


# The prior.


def test_no_place_sees_itself_or_what_comes_after(prior):
    maps = RNG.integers(0, 3, (1, 2, 3))
    logits = np.asarray(prior(maps)).reshape(6, 3)
    for place in range(6):
        changed = maps.reshape(1, 6).copy()
        changed[0, place] = (changed[0, place] + 1) % 3
        moved = np.abs(np.asarray(prior(changed.reshape(1, 2, 3))).reshape(6, 3) - logits).max(-1)
        assert np.all(moved[: place + 1] == 0) and np.all(moved[place + 1 :] > 1e-3)


def test_the_probabilities_of_all_maps_sum_to_one():
    maps = np.array(list(itertools.product(range(3), repeat=4))).reshape(-1, 2, 2)
    probabilities = np.exp(transformer(size=(2, 2)).log_prob(maps))
    np.testing.assert_allclose(probabilities.sum(), 1.0, rtol=1e-5)
    assert probabilities.max() > 2 * probabilities.min()


@pytest.mark.parametrize("temperature", [1.0, 0.5, 0.0])
def test_kept_keys_and_values_draw_what_whole_passes_draw(prior, temperature):
    uniform = RNG.random((16, 2, 3)).astype("float32")
    maps = np.zeros((16, 2, 3), "int32")
    for row, column in itertools.product(range(2), range(3)):
        logits = prior(maps)[:, row, column]
        maps[:, row, column] = inverse_transform(logits, uniform[:, row, column], temperature)
    np.testing.assert_array_equal(prior.sample(uniform, temperature), maps)
    np.testing.assert_array_equal(tf.function(prior.sample)(uniform, temperature), maps)


def test_smaller_maps_are_known_and_larger_ones_refused(prior):
    assert prior.log_prob(np.zeros((1, 1, 2), "int32")).shape == (1,)
    with pytest.raises(ValueError, match="at most"):
        prior.log_prob(np.zeros((1, 3, 3), "int32"))


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_draws_are_as_frequent_as_the_logits_say(temperature):
    logits, count = np.float32([0.3, -2.0, 1.0, -np.inf, 0.0]), 20_000
    drawn = inverse_transform(np.tile(logits, (count, 1)), RNG.random(count), temperature)
    expected = np.asarray(ops.softmax(logits / temperature))
    error = np.sqrt(expected * (1 - expected) / count)
    assert np.all(np.abs(np.bincount(drawn, minlength=5) / count - expected) <= 5 * error)


def test_draws_reach_no_index_of_probability_zero_and_zero_temperature_takes_the_likeliest():
    logits = np.float32([[-np.inf, 0.0, 0.1, -np.inf]] * 2)
    ends = np.float32([0.0, 1 - 2.0**-24])
    np.testing.assert_array_equal(inverse_transform(logits, ends), [1, 2])
    np.testing.assert_array_equal(inverse_transform(logits, ends, 0.0), [2, 2])


# The model.


def test_the_contract(tmp_path):
    model = assemble(likelihood="optimal_gaussian", prior_dropout=0.2)
    x = pictures()
    model.compile("adam")
    model.fit(x, batch_size=3, verbose=0)
    assert_config_round_trip(model)
    loaded = assert_saves_and_loads(model, tmp_path, x)
    assert int(loaded.optimizer.iterations) == 2
    np.testing.assert_array_equal(model.elbo_terms(x), loaded.elbo_terms(x))
    # Revival and dropout go on where they stopped.
    np.testing.assert_array_equal(model.loss_terms(x, True)[0], loaded.loss_terms(x, True)[0])
    np.testing.assert_array_equal(model.quantiser.codebook, loaded.quantiser.codebook)


def test_the_bound_is_that_of_a_posterior_without_entropy():
    model, x = assemble(), pictures()
    distortion, rate = model.elbo_terms(x)
    encoded = model.encode(x)
    decoded = model.crop(model.decoder(encoded["code"]), x)
    np.testing.assert_allclose(distortion, -model.likelihood.log_prob(x, decoded), rtol=1e-6)
    np.testing.assert_allclose(rate, -model.prior.log_prob(encoded["indices"]), rtol=1e-6)
    assert encoded["indices"].shape == (6, 3, 2) and encoded["indices"].dtype == "int32"
    np.testing.assert_array_equal(encoded["code"], model.quantiser.look_up(encoded["indices"]))
    assert model.reconstruct(x)["image"].shape == x.shape


def test_the_loss_is_the_bound_and_the_commitment():
    model, x = assemble(commitment=0.5), pictures()
    loss, distortion, rate = model.loss_terms(x)
    distance = np.square(model.encoder(x) - model.codes(x)).sum((1, 2, 3))
    np.testing.assert_allclose(loss, np.mean(distortion + rate + 0.5 * distance), rtol=1e-5)


def test_the_prior_changes_nothing_of_the_autoencoder():
    model, x = assemble(), pictures()
    with tf.GradientTape(persistent=True) as tape:
        _, distortion, rate = model.loss_terms(x, training=True)
    sides = model.encoder.trainable_variables + model.decoder.trainable_variables
    assert all(gradient is None for gradient in tape.gradient(rate, sides))
    assert all(gradient is None for gradient in tape.gradient(distortion, model.prior.trainable_variables))
    for terms, variables in ((distortion, sides), (rate, model.prior.trainable_variables)):
        gradients = tape.gradient(terms, variables)
        assert np.all(np.isfinite([tf.norm(tf.convert_to_tensor(gradient)) for gradient in gradients]))


def test_the_commitment_pulls_the_encoder_to_its_codes_only():
    model, x = assemble(), pictures()
    with tf.GradientTape(persistent=True) as tape:
        outputs = model(x, training=True)
        tape.watch([outputs["encoded"], outputs["z"]])
        commitment = model.auxiliary_loss(outputs, x)
    expected = 2 * 0.25 * (outputs["encoded"] - outputs["z"])
    np.testing.assert_allclose(tape.gradient(commitment, outputs["encoded"]), expected, rtol=1e-5)
    assert tape.gradient(commitment, outputs["z"]) is None


def test_drawn_pictures_are_decoded_draws_of_the_prior():
    model = assemble()
    maps = model.prior.sample(np.full((1, 3, 2), 0.5, "float32"), 0.0)
    likeliest = model.crop(model.decode_quantised(model.quantiser.look_up(maps))["image"], pictures(1))
    drawn = applications.generate(model, 3, seed=4, temperature=0.0)
    np.testing.assert_allclose(drawn, np.repeat(likeliest, 3, axis=0), atol=1e-6)
    drawn = applications.generate(model, 20, seed=4)
    assert drawn.shape == (20, *SHAPE) and len(np.unique(drawn.round(5), axis=0)) > 1
    np.testing.assert_array_equal(applications.generate(model, 2, seed=4), drawn[:2])


def test_a_model_of_any_size_draws_maps_within_its_window():
    model = assemble((None, None, 1), window=(4, 4))
    assert model.image_shape == (None, None, 1) and model.latent_shape == (None, None, 3)
    assert applications.generate(model, 2, seed=0, size=(10, 7)).shape == (2, 10, 7, 1)
    assert model.reconstruct(pictures(1, (30, 21, 1)))["image"].shape == (1, 30, 21, 1)
    with pytest.raises(ValueError, match="at most"):
        model.elbo_terms(pictures(1, (30, 21, 1)))


@pytest.mark.slow
def test_training_lowers_the_loss_and_uses_the_codebook():
    model = assemble(codes=8)
    corners = np.zeros((64, *SHAPE), "float32")
    for index, image in enumerate(corners):
        image[4 * (index % 2) :][:4, 3 * (index // 2 % 2) :][:, :3] = 1.0
    model.compile(keras.optimizers.Adam(5e-3))
    history = model.fit(corners, epochs=25, batch_size=16, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert history["rate"][-1] < 6 * np.log(8)  # below the uniform prior's
    assert float(model.quantiser.perplexity()) > 2 and int(model.skipped_steps) == 0


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_keeps_float32_weights_and_terms(policy):
    keras.config.set_dtype_policy(policy)
    model, x = assemble(prior_dropout=0.1), pictures()
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), initial_scale=128.0))
    history = model.fit(x, epochs=2, verbose=0).history
    assert np.all(np.isfinite(history["loss"])) and int(model.skipped_steps) == 0
    assert {weight.dtype for weight in model.trainable_variables} == {"float32"}
    distortion, rate = model.elbo_terms(x)
    assert distortion.dtype == rate.dtype == model.codes(x).dtype == "float32"
    assert applications.generate(model, 2, seed=0).dtype == np.float32


@pytest.mark.slow
def test_a_tflite_file_encodes_decodes_rebuilds_and_draws(tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    model, x = assemble(), pictures()
    model.export(tmp_path / "model.tflite", format="litert")
    runtime = Interpreter(str(tmp_path / "model.tflite"))
    expected = model.encode(x)
    encoded = runtime.get_signature_runner("encode")(image=x)
    np.testing.assert_array_equal(encoded["indices"], expected["indices"])
    np.testing.assert_allclose(encoded["code"], expected["code"], atol=1e-6)
    for name, method, inputs in (
        ("decode", model.decode_quantised, {"z": np.asarray(expected["code"])}),
        ("reconstruct", model.reconstruct, {"image": x}),
        ("generate", model.generate, {"noise": RNG.standard_normal((6, 3, 2, 3)).astype("float32")}),
    ):
        actual = runtime.get_signature_runner(name)(**inputs)["image"]
        np.testing.assert_allclose(actual, method(*inputs.values())["image"], atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"codes": 0}, "codes"),
        ({"momentum": 1.0}, "momentum"),
        ({"revival": -0.1}, "revival"),
        ({"commitment": -1.0}, "commitment"),
        ({"prior_heads": 3}, "heads"),
        ({"prior_dropout": 1.0}, "dropout"),
        ({"prior_depth": 0}, "depth"),
    ],
)
def test_settings_that_mean_nothing_are_refused(options, message):
    with pytest.raises(ValueError, match=f"`{message}`|`width` must be a multiple of `{message}`"):
        assemble(**options)


@pytest.mark.slow
def test_fine_tuning_starts_from_the_codebook_and_the_deviation_too(tmp_path):
    former, later = (assemble(likelihood="optimal_gaussian") for _ in range(2))
    former.compile("adam")
    for _ in range(3):
        former.train_on_batch(pictures())
    run = write_run(tmp_path / "run", former)
    start_from(later, str(run))
    assert np.any(later.quantiser.counts)
    for a, b in zip(former.layers, later.layers, strict=True):
        for one, other in zip(a.weights, b.weights, strict=True):
            np.testing.assert_array_equal(one, other)
