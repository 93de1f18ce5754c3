import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import assert_config_round_trip
from keras import ops

import tfvae
from tfvae.layers import (
    CropTo,
    Dropout,
    GaussianSampler,
    InceptionBlock,
    ResidualBlock,
    ResizeUpsample,
    SubPixelUpsample,
)
from tfvae.layers.padding import pad_to_multiple
from tfvae.networks import NETWORKS

RNG = np.random.default_rng(2)


@pytest.mark.parametrize(
    "layer",
    [
        CropTo(3, 2),
        Dropout(0.4, seed=3),
        GaussianSampler(seed=4),
        InceptionBlock(16),
        ResidualBlock(),
        ResizeUpsample(6),
        SubPixelUpsample(5, activation="linear"),
    ],
    ids=lambda layer: layer.name,
)
def test_config_comes_back(layer):
    assert_config_round_trip(layer)


@pytest.mark.parametrize("name", NETWORKS)
def test_network_configs_come_back(name):
    down = NETWORKS[name].down(widths=(8, 16), hidden=12, dropout=0.1, seed=1)
    up = NETWORKS[name].up(output_shape=(9, 6, 2), widths=(16, 8), hidden=12, dropout=0.1, seed=1)
    assert_config_round_trip(down)
    assert_config_round_trip(up)


def test_samples_have_the_posterior_s_mean_and_variance():
    mean = np.array([[0.5, -2.0]], "float32").repeat(100_000, 0)
    log_var = np.array([[0.0, -1.0]], "float32").repeat(100_000, 0)
    z = ops.convert_to_numpy(GaussianSampler(seed=0)(mean, log_var))
    std = np.exp(0.5 * log_var[0])
    assert np.all(np.abs(z.mean(0) - mean[0]) <= 5 * std / np.sqrt(len(z)))
    assert np.all(np.abs(z.var(0) - std**2) <= 5 * std**2 * np.sqrt(2 / len(z)))


def test_the_gradient_of_a_sample_is_that_of_the_reparameterisation():
    mean, log_var = tf.zeros((4, 3)), tf.fill((4, 3), 0.6)
    sampler = GaussianSampler(seed=1)
    with tf.GradientTape() as tape:
        tape.watch([mean, log_var])
        z = sampler(mean, log_var)
    d_mean, d_log_var = tape.gradient(z, [mean, log_var])
    np.testing.assert_allclose(d_mean, np.ones((4, 3)))
    np.testing.assert_allclose(d_log_var, 0.5 * z, rtol=1e-5)


def test_noise_differs_from_call_to_call_and_repeats_with_the_seed():
    zeros = np.zeros((5, 2), "float32")
    first, second = GaussianSampler(seed=9), GaussianSampler(seed=9)
    a, b, c = first(zeros, zeros), first(zeros, zeros), second(zeros, zeros)
    np.testing.assert_array_equal(a, c)
    assert np.any(a != b)


@pytest.mark.parametrize(
    "draw",
    [
        lambda layer, x: layer(x, x) if isinstance(layer, GaussianSampler) else layer(x, training=True),
    ],
)
@pytest.mark.parametrize("layer", [GaussianSampler(seed=9), Dropout(0.5, seed=9)], ids=["sampler", "dropout"])
def test_a_loaded_layer_continues_the_noise(layer, draw, tmp_path):
    class Holder(keras.Model):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer
            self.built = True

    x = np.ones((5, 4), "float32")
    for _ in range(3):
        draw(layer, x)
    Holder(layer).save_weights(tmp_path / "noise.weights.h5")
    expected = draw(layer, x)
    fresh = type(layer).from_config(layer.get_config())
    draw(fresh, x)
    Holder(fresh).load_weights(tmp_path / "noise.weights.h5")
    np.testing.assert_array_equal(expected, draw(fresh, x))


def test_a_fresh_residual_block_is_the_identity():
    x = RNG.standard_normal((2, 5, 4, 3)).astype("float32")
    np.testing.assert_array_equal(ResidualBlock()(x), x)


def test_a_fresh_sub_pixel_layer_makes_no_checkerboard():
    y = ops.convert_to_numpy(SubPixelUpsample(3)(RNG.random((2, 5, 4, 7)).astype("float32")))
    assert y.shape == (2, 10, 8, 3)
    for row, column in ((0, 1), (1, 0), (1, 1)):
        np.testing.assert_allclose(y[:, row::2, column::2], y[:, ::2, ::2], rtol=1e-6)


def test_resize_up_sampling_of_a_flat_picture_is_flat_inside():
    y = ops.convert_to_numpy(ResizeUpsample(2, activation="linear")(np.ones((1, 6, 6, 3), "float32")))
    assert y.shape == (1, 12, 12, 2)
    np.testing.assert_allclose(y[:, 1:-1, 1:-1], y[:, 5:6, 5:6].repeat(10, 1).repeat(10, 2), rtol=1e-5)


def test_inception_keeps_the_size_and_the_proportions():
    block = InceptionBlock(32)
    assert block(np.zeros((1, 5, 7, 3), "float32")).shape == (1, 5, 7, 32)
    assert [branch[-1].filters for branch in block.branches()] == [8, 16, 4, 4]
    with pytest.raises(ValueError, match=r"multiple of 8\. Received: filters=12"):
        InceptionBlock(12)


@pytest.mark.parametrize("name", [name for name, network in NETWORKS.items() if network.pyramid])
@pytest.mark.parametrize("size", [(28, 20), (9, 14), (5, 3)])
def test_pyramids_meet_every_size_on_both_ways(name, size):
    down = NETWORKS[name].down(widths=(8, 8), hidden=0)
    up = NETWORKS[name].up(output_shape=(*size, 3), widths=(8, 8), hidden=6)
    top = down(np.zeros((1, *size, 2), "float32"))
    assert top.shape[1:3] == tuple(-(-side // 4) for side in size)
    assert tuple(top.shape) == down.compute_output_shape((1, *size, 2))
    y = up(np.zeros((1, 4), "float32"))
    assert y.shape == (1, *size, 3) == up.compute_output_shape((1, 4))


@pytest.mark.parametrize("name", [name for name, network in NETWORKS.items() if network.pyramid])
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_codes_stay_in_place_when_a_picture_is_cut(name, cut):
    """Strided convolutions pad odd and even sizes differently; the encoder must not let that shift the codes."""
    keras.utils.set_random_seed(0)
    encoder = tfvae.Encoder((None, None, 1), 3, network=name, widths=(8, 8), stochastic=False)
    image = RNG.random((1, 64, 64, 1)).astype("float32")
    whole, part = encoder(image), encoder(image[:, : 64 - cut, : 64 - cut])
    np.testing.assert_allclose(part[:, :8, :8], whole[:, :8, :8], atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 9)])
def test_padding_repeats_the_edge_and_keeps_the_rest(size):
    image = RNG.random((1, *size, 2)).astype("float32")
    padded = ops.convert_to_numpy(pad_to_multiple(image, 8))
    assert padded.shape[1] % 8 == padded.shape[2] % 8 == 0
    np.testing.assert_array_equal(padded, np.pad(image, [(0, 0), *((0, -s % 8) for s in size), (0, 0)], mode="edge"))


def test_resize_up_sampling_repeats_each_pixel_before_the_convolution():
    inputs = np.random.default_rng(0).random((2, 3, 5, 4)).astype("float32")
    layer = ResizeUpsample(6, activation=None)
    repeated = keras.layers.UpSampling2D(2, interpolation="nearest")(inputs)
    outputs = layer(inputs)
    np.testing.assert_array_equal(outputs, layer.convolution(repeated))
