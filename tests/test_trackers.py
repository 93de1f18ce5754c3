"""What a training step notes about its gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_runs import autoencoder, vector_vae

X = np.random.default_rng(0).random((8, 8, 8, 1)).astype("float32")


def gradient_norm(model, images):
    with tf.GradientTape() as tape:
        loss, _, _ = model.loss_terms(images, training=True)
    return float(tf.linalg.global_norm(tape.gradient(loss, model.trainable_variables)))


def test_the_gradient_norm_is_that_of_the_loss_before_clipping():
    model = autoencoder()
    model.compile(keras.optimizers.SGD(0.0, global_clipnorm=1e-6))
    expected = [gradient_norm(model, X[:4]), gradient_norm(model, X[4:])]
    logs = model.fit(X, batch_size=4, shuffle=False, verbose=0).history
    np.testing.assert_allclose(logs["gradient_norm"], [np.mean(expected)], rtol=1e-5)
    np.testing.assert_allclose(logs["gradient_peak"], [max(expected)], rtol=1e-5)


def test_a_loss_scale_does_not_show_in_the_gradient_norm():
    model = autoencoder()
    expected = gradient_norm(model, X)
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.0), initial_scale=128.0))
    np.testing.assert_allclose(model.fit(X, batch_size=8, verbose=0).history["gradient_norm"], [expected], rtol=1e-5)


def test_a_skipped_step_is_remembered_with_its_term_and_left_out_of_the_norm():
    model = autoencoder()
    model.compile(keras.optimizers.SGD(0.0))
    bad = X[:4].copy()
    bad[2] = np.nan
    stream = np.concatenate([X[:4], bad, X[4:]])
    first = model.fit(X, batch_size=4, epochs=2, shuffle=False, verbose=0)
    assert int(model.first_skip.result()) == -1
    logs = model.fit(stream, batch_size=4, epochs=2, shuffle=False, verbose=0).history
    assert int(model.first_skip.result()) == 5  # of the whole training, counted from 0; not the later one
    assert int(model.first_skip.distortion) == 1
    np.testing.assert_allclose(logs["gradient_norm"], first.history["gradient_norm"], rtol=1e-5)
    np.testing.assert_allclose(logs["gradient_peak"], first.history["gradient_peak"], rtol=1e-5)


def test_trackers_are_in_no_model_file(tmp_path):
    model = vector_vae()
    model.compile("adam")
    model.fit(X, batch_size=4, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert int(loaded.first_skip.steps) == 0 and float(loaded.gradient_trackers[1].result()) == 0.0


@pytest.mark.parametrize("position", [0, 7])
def test_replicas_agree_on_the_norm_and_on_the_first_bad_step(position, two_devices):
    with two_devices.scope():
        model = autoencoder()
        model.compile(keras.optimizers.SGD(0.0))
    expected = gradient_norm(model, X)
    logs = model.fit(X, batch_size=8, shuffle=False, verbose=0).history
    np.testing.assert_allclose(logs["gradient_norm"], [expected], rtol=1e-5)
    np.testing.assert_allclose(logs["gradient_peak"], [expected], rtol=1e-5)
    bad = X.copy()
    bad[position] = np.nan
    model.fit(bad, batch_size=8, shuffle=False, verbose=0)
    assert int(model.first_skip.result()) == 1 and model.first_skip.distortion.value.numpy() == 1
