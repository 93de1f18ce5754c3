"""Two devices take the steps of one: on two logical devices of one processor."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tfvae.layers import GaussianSampler
from tfvae.layers.seeded import Dropout
from tfvae.objectives import free_bits_rate

X = np.random.default_rng(0).random((12, 8, 8, 1)).astype("float32")
SHAPE = {"image_shape": (8, 8, 1), "latent_dim": 3, "network": "mlp", "widths": (16,), "dropout": 0.3}


def make(likelihood="optimal_gaussian", free_bits=0.5, scaled=False, steps=1):
    """Everything whose value depends on the whole batch: noise, dropout, its variance, free bits, clipping."""
    keras.utils.set_random_seed(1)
    encoder, decoder = tfvae.Encoder(**SHAPE, seed=1), tfvae.Decoder(**SHAPE, likelihood=likelihood, seed=2)
    model = tfvae.VAE(encoder, decoder, free_bits=free_bits, seed=0)
    optimizer = tfvae.optimizers.AveragedAdam(1e-2, global_clipnorm=20.0, use_ema=True)
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=64.0)
    model.compile(optimizer, steps_per_execution=steps)
    optimizer.build(model.trainable_variables)
    return model


def on(strategy, **options):
    with strategy.scope() if strategy else contextlib.nullcontext():
        return make(**options)


def state(model):
    return [np.array(v.value.numpy()) for v in (*model.variables, *model.optimizer.variables)]


def scale_and_steps(model):
    return float(model.optimizer.dynamic_scale.value.numpy()), int(model.optimizer.iterations.value.numpy())


def curve(model, x=X, epochs=4):
    # Three steps of four images an epoch, so that the optimiser's moments and the running variance matter, too.
    return model.fit(x, batch_size=4, epochs=epochs, shuffle=False, verbose=0, validation_data=x).history


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="all"),
        pytest.param(
            {"likelihood": "bernoulli", "free_bits": 0.0, "steps": 3},
            marks=pytest.mark.slow,
            id="bernoulli, three steps an execution",
        ),
        pytest.param({"scaled": True}, id="loss scale"),
    ],
)
def test_two_devices_have_the_curves_and_the_weights_of_one(options, two_devices):
    one, two = on(None, **options), on(two_devices, **options)
    for (name, ours), theirs in zip(curve(one).items(), curve(two).values(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, err_msg=name)
    for ours, theirs in zip(state(one), state(two), strict=True):
        # A sum in another order differs by some float32 roundings; Adam divides by moments as small as their noise.
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_steps_of_an_execution_that_do_not_divide_the_epoch_are_refused(two_devices):
    with pytest.raises(ValueError, match="`steps_per_execution` must divide"):
        on(two_devices, steps=2).fit(X, batch_size=4, verbose=0)


@pytest.mark.slow
def test_clipping_acts(two_devices):
    """Else the test above would not notice that each replica's gradients are clipped before they are summed."""
    assert min(curve(on(two_devices), epochs=1)["gradient_norm"]) > 20.0


@pytest.mark.slow
@pytest.mark.parametrize("row", [0, 3])
def test_a_bad_image_on_either_device_changes_no_weight_and_no_moment(row, two_devices):
    model = on(two_devices)
    curve(model, epochs=1)
    before = [v.value.numpy().copy() for v in (*model.trainable_variables, *model.optimizer.variables)]
    bad = X[:4].copy()
    bad[row] = np.nan
    model.fit(bad, batch_size=4, verbose=0)
    after = [v.value.numpy() for v in (*model.trainable_variables, *model.optimizer.variables)]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)
    assert int(model.skipped_steps.value.numpy()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("row", [0, 3])
def test_an_overflow_on_either_device_lowers_the_loss_scale_once(row, two_devices):
    model = on(two_devices, scaled=True)
    bad = X[:4].copy()
    bad[row] = np.inf
    model.fit(bad, batch_size=4, verbose=0)
    assert scale_and_steps(model) == (32.0, 0)
    assert np.isfinite(curve(model, epochs=1)["loss"]).all()
    assert scale_and_steps(model) == (32.0, 3)


def replicas_of(strategy, function, x):
    """`function` of each replica's rows of `x`, put together again."""
    dataset = iter(strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensors(x)))
    results = strategy.run(tf.function(function), args=(next(dataset),))
    return np.concatenate([np.asarray(part) for part in strategy.experimental_local_results(results)])


@pytest.mark.parametrize(
    "layer", [lambda: GaussianSampler(seed=1), lambda: Dropout(0.5, seed=1)], ids=["sampler", "dropout"]
)
def test_the_noise_of_the_replicas_together_is_that_of_one_device(layer, two_devices):
    ones = np.ones((6, 5), "float32")
    call = (
        (lambda made, x: made(x, x))
        if isinstance(layer(), GaussianSampler)
        else (lambda made, x: made(x, training=True))
    )
    alone = layer()
    with two_devices.scope():
        shared = layer()
        shared.build(*[ones.shape] * (2 if isinstance(shared, GaussianSampler) else 1))
    for _ in range(2):  # the second draw, too: the generators move on alike
        expected = np.asarray(call(alone, tf.constant(ones)))
        np.testing.assert_array_equal(replicas_of(two_devices, lambda x: call(shared, x), ones), expected)
        assert len(np.unique(expected)) > 1


def test_free_bits_hold_for_the_mean_of_the_whole_batch(two_devices):
    # The channel's mean is 2 over all, above the floor; over the second half it is 0.5, below.
    kl = np.array([[3.5], [3.5], [0.5], [0.5]], "float32")
    parts = replicas_of(two_devices, lambda x: free_bits_rate(x, 1.0)[None], kl)
    np.testing.assert_allclose(parts.mean(), float(free_bits_rate(kl, 1.0)))
    np.testing.assert_allclose(parts, [3.5, 0.5])
