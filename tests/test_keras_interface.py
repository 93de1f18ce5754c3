"""What a Keras user does with a model works, or says in one line why not: nothing is accepted and ignored."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_models import SHAPE, X, autoencoder, moved, pipeline, vae, weights

import tfvae

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


@pytest.mark.parametrize(
    "count",
    [pytest.param(9, id="one row in the last batch"), pytest.param(11, marks=pytest.mark.slow, id="three rows")],
)
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


def test_pixels_of_16_bits_are_to_be_divided_by_their_own_white():
    with pytest.raises(ValueError, match="divide the pixels by 65535"):
        vae().fit((X * 65535).astype("uint16"), verbose=0)


@pytest.mark.parametrize("images", [[], list(X), X[:0]], ids=["empty list", "list", "empty array"])
def test_no_images_and_lists_of_images_are_refused_in_a_line(images):
    with pytest.raises(ValueError, match=r"VAE takes (images as one array|one image or more).*Received: an? "):
        vae().fit(images, verbose=0)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_images_that_hold_no_number_are_counted_before_their_batches_are_skipped(source):
    bad = X.copy()
    bad[1, 0, 0], bad[3, 0, 0] = np.nan, np.inf
    with pytest.warns(UserWarning, match="2 of the .* images looked at hold NaN or infinite pixels"):
        vae().fit(source(bad), steps_per_epoch=3, batch_size=8 if source is SOURCES["array"] else None, verbose=0)


@pytest.mark.parametrize(
    ("path", "kind", "remedy"),
    [("vae.tflite", {}, "format='litert'"), ("d", {"format": "tflite"}, "litert"), ("vae.keras", {}, "model.save")],
)
def test_no_directory_is_exported_under_the_name_of_a_file(path, kind, remedy, tmp_path):
    with pytest.raises(ValueError, match=f"`format` must be one of .*Remedy: .*{remedy}"):
        vae().export(tmp_path / path, **kind)
    assert not list(tmp_path.iterdir())


def test_a_count_of_no_draws_is_refused():
    for count in (0, -2, 2.0):
        with pytest.raises(ValueError, match=f"1 or more.*Received: {count}"):
            vae().generate(count)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_bytes_are_scaled_whatever_the_source(source):
    bytes_, floats = autoencoder(), autoencoder()
    pixels = np.round(X * 255).astype("uint8")
    bytes_.fit(source(pixels), steps_per_epoch=3, batch_size=8 if source is SOURCES["array"] else None, verbose=0)
    floats.fit(source(pixels / np.float32(255)), steps_per_epoch=3, verbose=0)
    assert bytes_.evaluate(pixels, verbose=0) == pytest.approx(bytes_.evaluate(pixels / 255.0, verbose=0), rel=1e-5)


@pytest.mark.parametrize("validation", [*SOURCES.values(), lambda x: (x, x)], ids=[*SOURCES, "pair"])
def test_bad_validation_data_raise_before_the_first_step(validation):
    model = vae()
    before = weights(model)
    with pytest.raises(ValueError, match="divide the pixels by 255"):
        model.fit(X, validation_data=validation(X * 255), validation_steps=3, verbose=0)
    assert not moved(model, before)


def test_a_pipeline_is_read_once_and_warns_of_nothing():
    read = []

    def noted():
        for image in X:
            read.append(1)
            yield image

    source = tf.data.Dataset.from_generator(noted, output_signature=tf.TensorSpec((8, 8, 1))).batch(8)
    source = source.apply(tf.data.experimental.assert_cardinality(3))  # Keras warns where it does not know the length
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vae().fit(source, verbose=0)
    assert len(read) == len(X)


@pytest.mark.parametrize("shape", [(24, 64), (24, 5, 5, 1), (24, 8, 8, 3), (24, 8, 7)])
@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_images_of_another_shape_are_refused(method, shape):
    with pytest.raises(ValueError, match=r"VAE takes images of shape \(batch, 8, 8, 1\).*Received: shape"):
        getattr(vae(), method)(np.zeros(shape, "float32"), verbose=0)


@pytest.mark.parametrize(
    ("shape", "remedy"),
    [((24, 3, 8, 9), r"np.moveaxis\(x, 1, -1\)"), ((8, 9, 3), r"x\[None\]"), ((24, 9, 8, 3), r"shape \([\d, ]+\)$")],
)
def test_axes_in_the_wrong_place_are_told_their_place(shape, remedy):
    model = tfvae.VAE.from_shape((8, 9, 3), network="mlp", widths=(4,))
    with pytest.raises(ValueError, match=remedy):
        model(np.zeros(shape, "float32"))


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
