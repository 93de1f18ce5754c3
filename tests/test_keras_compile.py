"""compile, predict, export, beta, summary, quantize of a model: as Keras has them, or refused in one line."""

import json
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_models import SHAPE, X, autoencoder, pipeline, vae

import tfvae
from tfvae.corruptions import from_tables
from tfvae.likelihoods import Gaussian

# compile


def test_a_loss_of_keras_is_refused():
    with pytest.raises(ValueError, match="loss of its own"):
        vae().compile("adam", loss="mse")


@pytest.mark.parametrize("name", ["compute_loss", "compute_metrics"])
def test_methods_that_no_step_calls_are_refused(name):
    own = type("Own", (tfvae.VAE,), {name: lambda self, *args, **kwargs: 0.0})
    with pytest.raises(NotImplementedError, match=rf"`{name}` of Own.*auxiliary_loss"):
        own.from_shape(**SHAPE).compile("adam")


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


def test_a_step_is_traced_once():
    """The optimiser's variables are made before: a step that makes them is traced a second time without them."""
    traced = []

    class Counting(tfvae.VAE):
        def train_step(self, data):
            traced.append(1)
            return super().train_step(data)

    model = Counting.from_shape(**SHAPE)
    model.compile("adam")
    model.fit(X, batch_size=8, epochs=2, verbose=0)
    assert len(traced) == 1


# predict and export


def test_predict_is_the_default_endpoint_and_deterministic():
    model = vae()
    images = model.predict(X, verbose=0)["image"]
    np.testing.assert_allclose(images, model.predict(pipeline(X), verbose=0)["image"], atol=1e-6)
    np.testing.assert_allclose(images, model.reconstruct(X)["image"], atol=1e-6)
    restorer = tfvae.Restorer(1, (4, 4, 4), 2, corruptions=[{"kind": "gaussian"}])
    np.testing.assert_allclose(restorer.predict(X, verbose=0)["image"], restorer.restore(X)["image"], atol=1e-6)


def test_predict_of_pixels_up_to_255_is_refused():
    with pytest.raises(ValueError, match="divide the pixels by 255"):
        vae().predict(255 * X, verbose=0)
    model = vae()
    bytes_ = np.round(255 * X).astype("uint8")
    expected = model.predict(bytes_ / np.float32(255), verbose=0)["image"]
    np.testing.assert_allclose(model.predict(bytes_, verbose=0)["image"], expected, atol=1e-6)


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


@pytest.mark.parametrize(("setting", "value"), [("image_data_format", "channels_first"), ("floatx", "float16")])
def test_settings_of_keras_that_no_model_has_are_one_line(setting, value):
    before = getattr(keras.config, setting)()
    try:
        getattr(keras.config, f"set_{setting}")(value)
        for make in (vae, lambda: tfvae.Encoder(**SHAPE)):
            with pytest.raises(ValueError, match=f"tfvae needs Keras's {setting} to be .*Remedy: keras.config.set_"):
                make()
    finally:
        getattr(keras.config, f"set_{setting}")(before)


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
