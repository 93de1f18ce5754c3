"""Adam: its step is Keras's; the average of its weights: its closed form, and that a saved model brings it back."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tfvae.optimizers import AveragedAdam


@pytest.mark.parametrize("settings", [{}, {"global_clipnorm": 0.5, "weight_decay": 0.01}, {"amsgrad": True}])
@pytest.mark.parametrize("sparse", [False, True])
def test_the_step_is_that_of_keras(settings, sparse):
    rng, rate = np.random.default_rng(0), keras.optimizers.schedules.CosineDecay(0.1, 30)
    start, gradients = rng.standard_normal((5, 3)).astype("float32"), rng.standard_normal((20, 5, 3)).astype("float32")
    gradients[:, 4] = 0.0
    found = []
    for kind in (keras.optimizers.Adam, AveragedAdam):
        variable, optimizer = keras.Variable(start), kind(rate, beta_1=0.8, beta_2=0.95, epsilon=1e-4, **settings)
        optimizer.build([variable])
        for gradient in gradients:
            rows = tf.IndexedSlices(tf.constant(gradient[:4]), tf.range(4), tf.constant([5, 3]))
            optimizer.apply([rows if sparse else tf.constant(gradient)])
        found.append([one.numpy() for one in (variable, *optimizer.variables)])
    assert np.abs(found[0][0] - start).max() > 0.5
    for theirs, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_adam_by_name_is_the_fast_one():
    vae = tfvae.VAE.from_shape((8, 8, 1), latent_dim=2, network="mlp", widths=(8,))
    vae.compile()
    assert type(vae.optimizer) is AveragedAdam and not vae.optimizer.use_ema
    vae.compile("sgd")
    assert type(vae.optimizer) is keras.optimizers.SGD


def averages(momentum, count):
    """The values of one weight after each step, and the optimiser's average of them."""
    variable = keras.Variable(5.0)
    optimizer = AveragedAdam(0.1, use_ema=True, ema_momentum=momentum)
    optimizer.build([variable])
    step = tf.function(lambda: optimizer.apply([tf.constant(1.0)]))
    values, kept = [], []
    for _ in range(count):
        step()
        values.append(float(variable.numpy()))
        kept.append(float(optimizer._model_variables_moving_average[0].numpy()))
    return np.array(values), np.array(kept)


def test_the_first_average_is_the_weight_itself_and_momentum_grows_to_its_limit():
    values, kept = averages(0.4, 20)
    assert kept[0] == pytest.approx(values[0])
    for step in range(1, 20):
        momentum = min(0.4, step / (9 + step))
        assert kept[step] == pytest.approx(momentum * kept[step - 1] + (1 - momentum) * values[step], rel=1e-6)


def test_after_a_short_training_the_average_has_left_the_beginning():
    values, kept = averages(0.999, 100)
    assert 0 < kept[-1] - values[-1] < 0.2 * (values[0] - values[-1])
    constant = values[0]
    for value in values[1:]:
        constant = 0.999 * constant + 0.001 * value
    assert constant - values[-1] > 0.9 * (values[0] - values[-1]), "what Keras keeps has hardly moved"


def test_a_saved_model_comes_back_with_its_optimiser_and_average(tmp_path):
    vae = tfvae.VAE.from_shape((8, 8, 1), latent_dim=2, network="mlp", widths=(8,))
    vae.compile(AveragedAdam(1e-2, use_ema=True, ema_momentum=0.9))
    vae.fit(np.random.default_rng(0).random((8, 8, 8, 1), "float32"), batch_size=4, epochs=2, verbose=0)
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    assert type(loaded.optimizer) is AveragedAdam and loaded.optimizer.ema_momentum == 0.9
    for ours, theirs in zip(vae.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
