"""float32, mixed_bfloat16 and mixed_float16: the same ELBO, and no NaN at the extremes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

import tfvae

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
SIDE = 8
PICTURES = {
    "black": np.zeros((4, SIDE, SIDE, 1), "float32"),
    "white": np.ones((4, SIDE, SIDE, 1), "float32"),
    "chequered": np.tile(np.indices((SIDE, SIDE)).sum(0)[None, ..., None] % 2, (4, 1, 1, 1)).astype("float32"),
}


def make(policy, likelihood="bernoulli", network="mlp", width=16, eager=True, rate=1e-2):
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(1)
    shape = {"image_shape": (SIDE, SIDE, 1), "latent_dim": 3, "network": network, "widths": (width,), "hidden": 16}
    model = tfvae.VAE(tfvae.Encoder(**shape, seed=1), tfvae.Decoder(**shape, likelihood=likelihood, seed=2), seed=0)
    optimizer = keras.optimizers.Adam(rate)
    if policy == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=128.0)
    model.compile(optimizer, run_eagerly=eager)
    model.optimizer.build(model.trainable_variables)
    return model


def weights_and_moments(model):
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return [v.numpy().copy() for v in (*model.trainable_variables, *optimizer.variables)]


def gradients_of(model, x):
    with tf.GradientTape() as tape:
        loss, _, _ = model.loss_terms(tf.constant(x), training=True)
        scaled = model.optimizer.scale_loss(loss)
    scale = float(model.optimizer.scale_loss(1.0))
    return float(loss), [np.asarray(g) / scale for g in tape.gradient(scaled, model.trainable_variables)]


def assert_finite(model, x):
    loss, gradients = gradients_of(model, x)
    assert np.isfinite(loss) and all(np.isfinite(gradient).all() for gradient in gradients)


def assert_learns_without_nan(model, x):
    scaled = hasattr(model.optimizer, "dynamic_scale")
    iterations, skipped = int(model.optimizer.iterations), int(model.skipped_steps)
    steps = 10 if scaled else 3
    assert np.isfinite(model.fit(x, batch_size=len(x), epochs=steps, verbose=0).history["loss"]).all()
    assert all(np.isfinite(value).all() for value in weights_and_moments(model))
    taken, passed_over = int(model.optimizer.iterations) - iterations, int(model.skipped_steps) - skipped
    assert taken + passed_over == steps
    if scaled:  # A step that overflows float16 is skipped and halves the scale, until one fits.
        assert taken > 0
        model.optimizer.dynamic_scale.assign(model.optimizer.dynamic_scale / 16)
    else:
        assert not passed_over
    assert_finite(model, x)


LEARNT = [*((name, "mlp") for name in tfvae.likelihoods.LIKELIHOODS), ("logistic", "conv")]


@pytest.mark.parametrize(
    ("policy", "likelihood", "network"),
    [
        # bfloat16 has the range of float32: nothing overflows in one that does not in the other.
        pytest.param(policy, *learnt, marks=[pytest.mark.slow] if "bfloat" in policy and index % 4 else [])
        for policy in POLICIES
        for index, learnt in enumerate(LEARNT)
    ],
)
def test_black_white_and_chequered_pictures_are_learnt_without_nan(policy, likelihood, network):
    model = make(policy, likelihood, network, eager=policy != "mixed_float16")  # thirty steps are worth their tracing
    for x in PICTURES.values():
        assert_learns_without_nan(model, x)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("likelihood", ["bernoulli", "logistic", "logistic_mixture"])
@pytest.mark.parametrize("size", [-1e6, 1e6])
def test_saturated_outputs_of_the_decoder_are_finite(policy, likelihood, size):
    """A million is beyond float16 and saturates every sigmoid; the decoder's last layer is float32."""
    model = make(policy, likelihood)
    bias = model.decoder.trainable_variables[-1]
    bias.assign(tf.fill(bias.shape, size))
    if policy == "mixed_float16":
        model.optimizer.dynamic_scale.assign(2.0**-6)  # A sharp logistic has steep flanks: what halving arrives at.
    for x in PICTURES.values():
        assert_finite(model, x)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_gaussian_far_from_every_picture_is_finite_or_skipped(policy):
    """Its gradient grows with the distance, so that in float16 it overflows; then nothing but the scale changes."""
    model = make(policy, "pixel_gaussian")
    bias = model.decoder.trainable_variables[-1]
    bias.assign(tf.fill(bias.shape, 1e6))
    before = weights_and_moments(model)
    assert np.isfinite(model.fit(PICTURES["black"], verbose=0).history["loss"]).all()
    after = weights_and_moments(model)
    assert all(np.isfinite(value).all() for value in after)
    if int(model.skipped_steps):
        assert policy == "mixed_float16" and float(model.optimizer.dynamic_scale) == 64.0
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("log_var", [-200.0, -20.0, 12.0])
def test_sharp_and_broad_posteriors_are_finite(policy, log_var):
    """float16 ends at exp(11.1), where the variance is still float32; exp(-200) is zero in every precision."""
    model = make(policy)
    bias = model.encoder.head.bias
    bias.assign(tf.concat([tf.zeros(3), tf.fill([3], log_var)], 0))
    assert_learns_without_nan(model, PICTURES["chequered"])


@pytest.mark.parametrize("policy", POLICIES)
def test_a_posterior_beyond_every_float_skips_the_step_and_harms_nothing(policy):
    model = make(policy)
    model.encoder.head.bias.assign(tf.concat([tf.zeros(3), tf.fill([3], 200.0)], 0))  # exp(200) is infinite
    before = weights_and_moments(model)
    model.fit(PICTURES["chequered"], epochs=2, verbose=0)
    for a, b in zip(before, weights_and_moments(model), strict=True):
        np.testing.assert_array_equal(a, b)
    assert int(model.skipped_steps) == 2


def test_an_overflow_halves_the_scale_skips_the_step_and_training_goes_on():
    model, x = make("mixed_float16", eager=False), PICTURES["chequered"]
    optimizer = model.optimizer
    optimizer.dynamic_growth_steps = 3
    optimizer.dynamic_scale.assign(2.0**40)  # times a gradient of one, far beyond float16
    before = weights_and_moments(model)
    model.fit(x, epochs=1, verbose=0)
    assert float(optimizer.dynamic_scale) == 2.0**39 and int(model.skipped_steps) == 1
    for a, b in zip(before, weights_and_moments(model), strict=True):
        np.testing.assert_array_equal(a, b)
    model.fit(x, epochs=40, verbose=0)
    skipped = int(model.skipped_steps)
    steps = int(optimizer.iterations)
    assert steps + skipped == 41 and steps >= 10 and int(model.skipped_in_a_row) <= 1
    # It came down until the gradients fitted, and tries to grow after every third good step.
    assert float(optimizer.dynamic_scale) < 2.0**30
    assert all(np.isfinite(value).all() for value in weights_and_moments(model))


@pytest.mark.parametrize("policy", POLICIES[1:])
def test_half_precision_gradients_are_those_of_float32(policy):
    """Within the rounding of the format, so the loss scale is undone: a forgotten one is off by 128."""
    x = load_digits().images[:16, ..., None].astype("float32") / 16
    (_, exact), (_, rounded) = gradients_of(make("float32"), x), gradients_of(make(policy), x)
    exact, rounded = (np.concatenate([g.ravel() for g in gradients]) for gradients in (exact, rounded))
    spacing = 2.0**-8 if policy == "mixed_bfloat16" else 2.0**-11
    # A handful of roundings, each of half a spacing, on the way through four layers and back.
    assert np.linalg.norm(rounded - exact) / np.linalg.norm(exact) < 8 * spacing


@pytest.mark.slow
def test_half_precision_reaches_the_elbo_of_float32():
    """MNIST's bar, 0.5 nats, in miniature; another seed of the posterior's noise moves this ELBO by 0.4 nats."""
    x = (load_digits().images[..., None] > 7).astype("float32")
    train, test = x[:1400], x[1400:1780]
    elbos = {}
    for policy in POLICIES:
        model = make(policy, width=64, eager=False, rate=3e-3)
        history = model.fit(train, batch_size=50, epochs=12, shuffle=False, verbose=0).history
        assert int(model.skipped_steps) == 0
        model.sampler.seed_generator.state.assign([9, 0])
        elbos[policy] = model.evaluate(test, batch_size=190, verbose=0, return_dict=True)["elbo"]
        assert elbos[policy] > history["elbo"][0] + 3.0  # something was learnt
    for policy in POLICIES[1:]:
        assert abs(elbos[policy] - elbos["float32"]) < 0.5, elbos
