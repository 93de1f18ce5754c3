"""The finite scalar quantiser: its grid, its indices, its gradient, and a VQ-VAE that has it."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import assert_config_round_trip, assert_saves_and_loads
from keras import ops

import tfvae
from tfvae.layers.finite_scalar_quantiser import FiniteScalarQuantiser

LEVELS = (4, 3)


def built(levels=LEVELS):
    layer = FiniteScalarQuantiser(levels)
    layer.build((None, len(levels)))
    return layer


def test_every_code_of_the_grid_is_reached_and_no_other():
    z = np.stack(np.meshgrid(*[np.linspace(-6, 6, 121, dtype="float32")] * 2), axis=-1).reshape(-1, 2)
    indices, quantised = (np.asarray(value) for value in built()(z))
    assert set(indices) == set(range(12))
    grid = sorted(itertools.product((-1, -1 / 3, 1 / 3, 1), (-1, 0, 1)))
    np.testing.assert_allclose(sorted({tuple(code) for code in quantised}), grid, atol=1e-6)


def test_an_index_is_looked_up_as_the_code_that_it_was_given_for():
    layer, z = built((8, 5, 5)), np.random.default_rng(0).standard_normal((50, 3)).astype("float32") * 2
    indices, quantised = layer(z)
    np.testing.assert_allclose(layer.look_up(indices), quantised, atol=1e-6)
    every = layer.look_up(np.arange(200, dtype="int32"))
    assert len(np.unique(np.asarray(every).round(5), axis=0)) == 200


def test_the_gradient_is_that_of_the_bounded_number():
    layer, z = built(), tf.constant([[0.3, -0.2]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        quantised, bounded = layer(z, training=True)[1], layer.bounded(z)
    np.testing.assert_allclose(tape.gradient(quantised, z), tape.gradient(bounded, z), rtol=1e-6)
    np.testing.assert_allclose(quantised, layer(z)[1], atol=1e-6)  # in value it is rounded


def test_a_code_near_zero_is_no_code_of_zeros():
    """Behind a ReLU without a bias zeros have no gradient: a model that begins with them would never learn."""
    near = 1e-3 * np.random.default_rng(0).standard_normal((200, 2)).astype("float32")
    codes = np.asarray(built()(near)[1])
    assert set(codes[:, 0].round(5)) == {np.float32(-1 / 3).round(5), np.float32(1 / 3).round(5)}
    assert np.all(codes[:, 1] == 0)


def test_a_vq_vae_learns_with_it_draws_and_is_saved(tmp_path):
    model = tfvae.VQVAE.from_shape(
        (8, 8, 1), 2, widths=(8, 8), levels=LEVELS, prior_width=16, prior_depth=1, likelihood="optimal_gaussian", seed=0
    )
    assert model.prior.codes == 12
    x = np.random.default_rng(0).random((64, 1, 1, 1)).astype("float32") * np.ones((64, 8, 8, 1), "float32")
    model.compile(keras.optimizers.Adam(5e-3))
    history = model.fit(x, epochs=12, batch_size=16, verbose=0).history
    assert history["elbo"][-1] > history["elbo"][0] + 5
    assert len(np.unique(ops.convert_to_numpy(model.encode(x)["indices"]))) > 2
    drawn = ops.convert_to_numpy(model.generate(4, seed=0)["image"])
    assert drawn.shape == (4, 8, 8, 1) and np.isfinite(drawn).all()
    assert_saves_and_loads(model, tmp_path, x[:4])
    assert_config_round_trip(model.quantiser)


def test_what_cannot_be_is_a_line():
    with pytest.raises(
        ValueError, match=r"`levels` must be 2 or more each, one of them even. Received: levels=\(4, 1\)"
    ):
        FiniteScalarQuantiser((4, 1))
    with pytest.raises(ValueError, match="one of them even"):
        FiniteScalarQuantiser((3, 5))
    with pytest.raises(ValueError, match=r"`levels` must be as many as a code has numbers, here 3"):
        tfvae.VQVAE.from_shape((8, 8, 1), 3, widths=(8,), levels=LEVELS)
    with pytest.raises(ValueError, match="are of a codebook, which `levels` stand in for"):
        tfvae.VQVAE.from_shape((8, 8, 1), 2, widths=(8,), levels=LEVELS, codes=64)
