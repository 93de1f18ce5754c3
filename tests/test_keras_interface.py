"""What a Keras user does with a model works, or says in one line why not: nothing is accepted and ignored."""

import json
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tfvae.corruptions import from_tables
from tfvae.likelihoods import Gaussian

X = np.random.default_rng(0).random((24, 8, 8, 1)).astype("float32")
SHAPE = {"image_shape": (8, 8, 1), "latent_dim": 3, "network": "mlp", "widths": (16,)}


def vae(likelihood="bernoulli", optimizer="adam", **options):
    model = tfvae.VAE.from_shape(**SHAPE, likelihood=likelihood, seed=0, **options)
    model.compile(optimizer)
    return model


def autoencoder():
    """No noise: two equal batches give equal figures."""
    keras.utils.set_random_seed(0)
    model = tfvae.Autoencoder.from_shape(**SHAPE, seed=0)
    model.compile(keras.optimizers.SGD(1e-3))
    return model


def weights(model):
    return [variable.numpy().copy() for variable in model.trainable_variables]


def moved(model, before):
    return any(not np.array_equal(one, two) for one, two in zip(before, weights(model), strict=True))


def pipeline(x, batch=8):
    return tf.data.Dataset.from_tensor_slices(x).batch(batch)


# Weights of examples


def test_weights_of_zero_train_nothing_and_are_the_mean_of_nothing():
    model = vae()
    before = weights(model)
    history = model.fit(X, sample_weight=np.zeros(len(X)), verbose=0).history
    assert not moved(model, before)
    assert np.isnan([history[name][0] for name in ("loss", "elbo", "distortion", "rate")]).all()
    assert history["skipped_steps"] == [0]


@pytest.mark.parametrize("likelihood", ["bernoulli", "optimal_gaussian"])
def test_a_row_of_weight_zero_may_hold_anything(likelihood):
    bad, mask = X.copy(), np.ones(len(X))
    bad[::3], mask[::3] = np.nan, 0
    model = vae(likelihood, free_bits=0.1)
    history = model.fit(bad, sample_weight=mask, verbose=0).history
    assert np.isfinite(history["loss"]).all() and history["skipped_steps"] == [0]
    assert all(np.isfinite(value) for value in model.evaluate(bad, sample_weight=mask, verbose=0))


def test_weighted_figures_are_weighted_means():
    model, weight = autoencoder(), np.linspace(0, 2, len(X))
    distortion = np.asarray(model.elbo_terms(X)[0])
    found = model.evaluate(X, sample_weight=weight, batch_size=7, verbose=0, return_dict=True)
    for name in ("loss", "distortion"):
        np.testing.assert_allclose(found[name], np.average(distortion, weights=weight), rtol=1e-5)


def test_a_step_follows_the_gradient_of_the_weighted_sum():
    weight = np.linspace(0, 2, len(X)).astype("float32")
    model, twin = autoencoder(), autoencoder()
    model.fit(X, sample_weight=weight, batch_size=len(X), shuffle=False, verbose=0)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(weight * twin.elbo_terms(X, training=True)[0]) / len(X)
    twin.optimizer.apply(tape.gradient(loss, twin.trainable_variables), twin.trainable_variables)
    for ours, expected in zip(weights(model), weights(twin), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-7)


def test_class_weights_are_weights_of_examples():
    y = np.arange(len(X)) % 2
    by_class, by_example = autoencoder(), autoencoder()
    by_class.fit(X, y, class_weight={0: 0.5, 1: 2.0}, shuffle=False, verbose=0)
    by_example.fit(X, sample_weight=np.where(y, 2.0, 0.5), shuffle=False, verbose=0)
    for one, two in zip(weights(by_class), weights(by_example), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)


def test_the_optimal_variance_and_the_free_bits_are_those_of_the_weighted_examples():
    mask = np.repeat([1.0, 0.0], 12).astype("float32")
    noise = np.zeros((24, 3), "float32")
    both, half = vae("optimal_gaussian", free_bits=0.5), vae("optimal_gaussian", free_bits=0.5)
    half.set_weights(both.get_weights())
    for model, x, weight in ((both, X, mask), (half, X[:12], None)):
        model.sampler.call = lambda mean, log_var: mean + noise[: len(mean)]
        model.run_eagerly = True
        model.fit(x, sample_weight=weight, batch_size=24, shuffle=False, verbose=0)
    np.testing.assert_allclose(both.likelihood.average, half.likelihood.average, rtol=1e-5)


def test_a_loss_that_ignores_weights_says_so():
    class Unweighted(tfvae.VAE):
        def loss_terms(self, images, training=False):
            distortion, rate = self.elbo_terms(images, training=training)
            return keras.ops.mean(distortion + rate), distortion, rate

    model = Unweighted.from_shape(**SHAPE)
    model.compile("adam")
    model.fit(X, verbose=0)
    with pytest.raises(ValueError, match="batch_mean"):
        model.fit(X, sample_weight=np.ones(len(X)), verbose=0)


@pytest.mark.parametrize("count", [9, 11], ids=["one row in the last batch", "three rows"])
def test_a_last_batch_that_does_not_divide_is_that_of_one_device(two_devices, count):
    def trained():
        keras.utils.set_random_seed(1)
        model = vae("optimal_gaussian", free_bits=0.3)
        weight = np.linspace(0.5, 2, count)
        history = model.fit(
            X[:count], sample_weight=weight, batch_size=4, epochs=2, shuffle=False, verbose=0, validation_data=X[:7]
        )
        return history.history, model.get_weights()

    one_history, one = trained()
    with two_devices.scope():
        two_history, two = trained()
    for name, values in one_history.items():
        np.testing.assert_allclose(values, two_history[name], rtol=1e-4, err_msg=name)
    for ours, theirs in zip(one, two, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


# Epochs without a step


def test_an_epoch_of_skipped_steps_has_no_loss():
    class Best(keras.callbacks.Callback):
        loss = 1e9

        def on_epoch_end(self, epoch, logs=None):
            self.loss = min(self.loss, logs["loss"])

    model, best = vae(), Best()
    history = model.fit(np.full_like(X, np.nan), verbose=0, callbacks=[best, keras.callbacks.TerminateOnNaN()]).history
    assert np.isnan(history["loss"]).all() and np.isnan(history["elbo"]).all()
    assert history["skipped_steps"] == [1] and best.loss == 1e9


# Sources


def generator(x):
    while True:
        yield (x[:8],)


class Sequence(keras.utils.PyDataset):
    def __init__(self, x):
        super().__init__()
        self.x = x

    def __len__(self):
        return 3

    def __getitem__(self, place):
        return self.x[8 * place : 8 * place + 8]


SOURCES = {"array": lambda x: x, "tf.data": pipeline, "generator": generator, "PyDataset": Sequence}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize(("scale", "shift"), [(255, 0), (2, -1)], ids=["0…255", "-1…1"])
def test_floats_outside_the_range_raise_before_a_step_whatever_the_source(source, scale, shift):
    model = vae()
    before = weights(model)
    with pytest.raises(ValueError, match=r"data outside the likelihood's range.*Remedy"):
        model.fit(source(X * scale + shift), steps_per_epoch=3, verbose=0)
    assert not moved(model, before)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_bytes_are_scaled_whatever_the_source(source):
    bytes_, floats = autoencoder(), autoencoder()
    pixels = np.round(X * 255).astype("uint8")
    bytes_.fit(source(pixels), steps_per_epoch=3, batch_size=8 if source is SOURCES["array"] else None, verbose=0)
    floats.fit(source(pixels / np.float32(255)), steps_per_epoch=3, verbose=0)
    assert bytes_.evaluate(pixels, verbose=0) == pytest.approx(bytes_.evaluate(pixels / 255.0, verbose=0), rel=1e-5)


@pytest.mark.parametrize("validation", [lambda x: x, lambda x: (x, x), pipeline], ids=["array", "pair", "tf.data"])
def test_bad_validation_data_raise_before_the_first_step(validation):
    model = vae()
    before = weights(model)
    with pytest.raises(ValueError, match="divide the pixels by 255"):
        model.fit(X, validation_data=validation(X * 255), verbose=0)
    assert not moved(model, before)


def test_a_pipeline_is_read_once_and_warns_of_nothing():
    read = []

    def noted():
        for image in X:
            read.append(1)
            yield image

    source = tf.data.Dataset.from_generator(noted, output_signature=tf.TensorSpec((8, 8, 1))).batch(8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vae().fit(source, verbose=0)
    assert len(read) == len(X)


@pytest.mark.parametrize("shape", [(24, 64), (24, 5, 5, 1), (24, 8, 8, 3), (24, 8, 7)])
@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_images_of_another_shape_are_refused(method, shape):
    with pytest.raises(ValueError, match=r"VAE takes images of shape \(batch, 8, 8, 1\).*Received: shape"):
        getattr(vae(), method)(np.zeros(shape, "float32"), verbose=0)


def test_images_of_another_size_are_not_reconstructed_by_a_convolutional_model():
    model = tfvae.VAE.from_shape((8, 8, 1))
    for method in (model, model.encode, model.reconstruct, model.encoder):
        with pytest.raises(ValueError, match=r"takes images of shape \(batch, 8, 8, 1\)"):
            method(np.zeros((2, 5, 5, 1), "float32"))


def test_a_missing_last_axis_is_grey():
    model = autoencoder()
    np.testing.assert_array_equal(model.evaluate(X[..., 0], verbose=0), model.evaluate(X, verbose=0))
    np.testing.assert_array_equal(model.predict(X[..., 0], verbose=0)["image"], model.predict(X, verbose=0)["image"])


# Targets and labels


def test_targets_are_the_images_or_refused():
    model = vae()
    model.fit(X, X, verbose=0)
    for target in (np.arange(len(X)), X[::-1]):
        with pytest.raises(ValueError, match="learns from images alone"):
            model.fit(X, target, verbose=0)
        with pytest.raises(ValueError, match="learns from images alone"):
            model.fit(pipeline((X, target)), verbose=0)


@pytest.mark.parametrize(
    ("labels", "message"),
    [(None, "takes a label for each image"), ([0, 5], "from 0 to 1"), ([[0, 1]] * 2, "class indices")],
)
def test_labels_that_name_no_class_are_refused(labels, message):
    model = tfvae.StyleVAE(3, (4, 8), 2, "optimal_gaussian", ["oil", "ink"])
    model.compile("adam")
    x = np.random.default_rng(0).random((2, 16, 16, 3)).astype("float32")
    with pytest.raises(ValueError, match=message):
        model.fit(x, None if labels is None else np.array(labels), verbose=0)


# compile


def test_a_loss_of_keras_is_refused():
    with pytest.raises(ValueError, match="loss of its own"):
        vae().compile("adam", loss="mse")


def test_compute_loss_of_a_subclass_is_refused():
    class Own(tfvae.VAE):
        def compute_loss(self, *args, **kwargs):
            return 0.0

    with pytest.raises(NotImplementedError, match="auxiliary_loss"):
        Own.from_shape(**SHAPE).compile("adam")


def test_compiled_metrics_compare_images_with_their_reconstructions():
    model = autoencoder()
    model.compile("adam", metrics=["mse"], weighted_metrics=[keras.metrics.MeanAbsoluteError(name="mae")])
    assert {"mse", "val_mae"} <= model.fit(X, validation_data=X, verbose=0).history.keys()
    weight = np.linspace(0.1, 1, len(X))
    found = model.evaluate(X, sample_weight=weight, verbose=0, return_dict=True)
    error = X - model.reconstruct(X)["image"].numpy()
    np.testing.assert_allclose(found["mse"], np.mean(error**2), rtol=1e-5)
    expected = np.average(np.abs(error).mean((1, 2, 3)), weights=weight)
    np.testing.assert_allclose(found["mae"], expected, rtol=1e-5)


def test_a_half_precision_part_gets_a_loss_scale():
    encoder = tfvae.Encoder(**SHAPE, dtype="mixed_float16")
    model = tfvae.VAE(encoder, tfvae.Decoder(**SHAPE))
    model.compile("adam")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    model.compile("adam", auto_scale_loss=False)
    assert not isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)


def test_the_saved_compile_config_is_what_was_asked_for():
    assert vae().get_compile_config()["jit_compile"] == "auto"
    model = vae()
    model.compile("adam", jit_compile=False)
    assert model.get_compile_config()["jit_compile"] is False


def test_poisson_noise_is_not_compiled_by_xla(monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["a GPU"])
    noise = [{"kind": "one_of", "of": [{"kind": "gaussian"}, {"kind": "poisson"}]}]
    for corruptions, compiled in (([{"kind": "gaussian"}], True), (noise, False)):
        model = tfvae.Restorer(1, (4, 4, 4), 2, corruptions=corruptions)
        assert all(one.allows_xla for one in from_tables(corruptions)) is compiled
        model.compile("adam")
        assert model.jit_compile is compiled
    with pytest.raises(ValueError, match="XLA"):
        model.compile("adam", jit_compile=True)


# predict and export


def test_predict_is_the_default_endpoint_and_deterministic():
    model = vae()
    images = model.predict(X, verbose=0)["image"]
    np.testing.assert_allclose(images, model.predict(pipeline(X), verbose=0)["image"], atol=1e-6)
    np.testing.assert_allclose(images, model.reconstruct(X)["image"], atol=1e-6)
    restorer = tfvae.Restorer(1, (4, 4, 4), 2, corruptions=[{"kind": "gaussian"}])
    np.testing.assert_allclose(restorer.predict(X, verbose=0)["image"], restorer.restore(X)["image"], atol=1e-6)


def test_predict_takes_the_arguments_of_the_endpoint_by_name():
    model = tfvae.Restorer(1, (4, 4, 4), 2, mask="given")
    known = np.ones_like(X)
    known[:, 2:5] = 0
    found = model.predict({"degraded": X, "known": known}, verbose=0)["image"]
    np.testing.assert_allclose(found, model.restore(X, known)["image"], atol=1e-6)


def test_export_takes_keras_s_arguments_or_refuses_them_by_name(tmp_path, capsys):
    model = vae()
    model.export(tmp_path / "saved", verbose=False)
    assert {"encode", "generate"} <= tf.saved_model.load(tmp_path / "saved").signatures.keys()
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="input_signature"):
        model.export(tmp_path / "other", input_signature=[X])
    with pytest.raises(ValueError, match="python -m export RUN --onnx"):
        model.export(tmp_path / "model.onnx", format="onnx")
    with pytest.raises(TypeError, match="opset"):
        model.export(tmp_path / "other", opset=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["saved"]


# beta


def test_beta_can_be_set_after_a_fit(tmp_path):
    model = vae(beta=tfvae.schedules.LinearBeta(100))
    model.fit(X, verbose=0)
    model.beta = 4.0
    found = model.fit(X, verbose=0, batch_size=24).history
    np.testing.assert_allclose(found["loss"][0], found["distortion"][0] + 4 * found["rate"][0], rtol=1e-5)
    model.save(tmp_path / "model.keras")
    assert float(keras.saving.load_model(tmp_path / "model.keras").beta) == 4.0
    with pytest.raises(ValueError, match="non-negative"):
        model.beta = -1.0


def test_evaluation_is_at_the_final_beta(tmp_path):
    model = vae(beta=tfvae.schedules.CyclicalBeta(10, end=2.0))
    history = model.fit(X, verbose=0, batch_size=4, epochs=3, validation_data=X).history
    expected = np.array(history["val_distortion"]) + 2.0 * np.array(history["val_rate"])
    np.testing.assert_allclose(history["val_loss"], expected, rtol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded.compile("adam")
    found = loaded.evaluate(X, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["loss"], found["distortion"] + 2 * found["rate"], rtol=1e-5)


# A scale at its floor


@pytest.mark.parametrize("name", ["gaussian", "pixel_gaussian", "logistic", "logistic_mixture"])
def test_a_scale_below_its_floor_comes_back(name):
    likelihood = Gaussian(1e-4) if name == "gaussian" else tfvae.likelihoods.get(name)
    raw = np.full((1, 4, 4, likelihood.parameters_per_channel), -20.0, "float32")
    raw[..., : likelihood.parameters_per_channel * 1 // 3 or 1] = 0.0  # mixture logits, or locations of the others
    parameters = tf.Variable(raw)
    x = np.full((1, 4, 4, 1), 0.9, "float32")
    with tf.GradientTape() as tape:
        distortion = -tf.reduce_sum(likelihood.log_prob(x, parameters))
    scale = likelihood.log_std.value if name == "gaussian" else parameters
    gradient = np.asarray(tape.gradient(distortion, scale))
    lowest = gradient if name == "gaussian" else gradient[..., -1]
    assert np.isfinite(gradient).all() and np.all(lowest < 0)  # descent widens it


# The rest of Keras


def test_settings_are_plain_numbers():
    model = vae(free_bits=np.float32(0.5), beta=np.float64(2.0))
    json.dumps(model.get_config())


def test_a_convolutional_network_with_a_vector_latent_needs_hidden_units():
    with pytest.raises(ValueError, match="`hidden` must be at least 1"):
        tfvae.Encoder((8, 8, 1), 3, "conv", hidden=0)


def test_an_autoencoder_reports_no_bound():
    assert "elbo" not in autoencoder().fit(X, verbose=0).history


def test_a_summary_knows_every_shape():
    lines = []
    vae().summary(expand_nested=True, print_fn=lines.append)
    assert "?" not in "".join(lines)


def test_quantised_weights_still_reconstruct():
    model = vae()
    before = model.predict(X, verbose=0)["image"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras names each layer that has nothing to quantise
        model.quantize("int8")
    after = model.predict(X, verbose=0)["image"]
    assert 0 < np.abs(after - before).max() < 0.05


def test_an_unknown_way_of_summing_gradients_is_refused(monkeypatch, two_devices):
    with two_devices.scope():
        model = vae(optimizer=keras.optimizers.SGD())
        owner = next(one for one in type(model.optimizer).mro() if "_all_reduce_sum_gradients" in vars(one))
        monkeypatch.delattr(owner, "_all_reduce_sum_gradients")
        with pytest.raises(NotImplementedError, match="sums gradients"):
            model.fit(X, verbose=0)
