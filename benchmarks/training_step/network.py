"""keras.io's network as encoder and decoder networks of ours, registered by name like any other."""

from typing import Any

import keras

import tfvae
from benchmarks.argument_types import EXECUTION
from benchmarks.training_step import keras_io
from tfvae import networks
from tfvae.layers.composite import Chain
from training.build import compile_model
from training.config import TrainingConfig

NAME = "keras_io"
FILTERS, HIDDEN = (32, 64), 16


class KerasIoDown(Chain):
    """`(b, 28, 28, 1) -> (b, hidden)`: two convolutions of stride two and a dense layer."""

    def __init__(self, widths, hidden, dropout=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.chain = [
            # Our encoder centres the pixels and keras.io's does not: put back, so that both compute the same.
            keras.layers.Rescaling(1.0, offset=0.5, dtype=policy),
            *(
                keras.layers.Conv2D(width, 3, strides=2, padding="same", activation="relu", dtype=policy)
                for width in widths
            ),
            keras.layers.Flatten(dtype=policy),
            keras.layers.Dense(hidden, activation="relu", dtype=policy),
        ]


class KerasIoUp(Chain):
    """`(b, latent_dim) -> (b, 28, 28, 1)` log-odds: a dense layer and three transposed convolutions."""

    def __init__(self, output_shape, widths, hidden=0, dropout=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        policy, (height, width, channels) = self.dtype_policy, output_shape
        top = (height // 4, width // 4, widths[0])
        self.chain = [
            keras.layers.Dense(top[0] * top[1] * top[2], activation="relu", dtype=policy),
            keras.layers.Reshape(top, dtype=policy),
            *(
                keras.layers.Conv2DTranspose(count, 3, strides=2, padding="same", activation="relu", dtype=policy)
                for count in widths
            ),
            keras.layers.Conv2DTranspose(channels, 3, padding="same", dtype="float32"),
        ]


def build() -> keras.Model:
    """A `tfvae.VAE` of keras.io's network, compiled as the training program compiles a recipe's model."""
    networks.NETWORKS[NAME] = networks.Network(KerasIoDown, KerasIoUp, pyramid=False)
    shared: dict[str, Any] = {
        "image_shape": (28, 28, 1),
        "latent_dim": keras_io.LATENT_DIM,
        "network": NAME,
        "hidden": HIDDEN,
    }
    encoder = tfvae.Encoder(**shared, widths=FILTERS)
    decoder = tfvae.Decoder(**shared, widths=FILTERS[::-1], likelihood="bernoulli")
    model = tfvae.VAE(encoder, decoder, seed=keras_io.SEED)
    compile_model(model, TrainingConfig(steps_per_execution=EXECUTION), total_steps=1)
    return model


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """The weights of keras.io's model into ours: its two heads, mean and log-variance, are one layer here."""
    weights = source.encoder.get_weights()
    (kernel, bias), (log_var_kernel, log_var_bias) = weights[-4:-2], weights[-2:]
    joined = [keras.ops.concatenate(pair, axis=-1) for pair in ((kernel, log_var_kernel), (bias, log_var_bias))]
    values = [*weights[:-4], *joined, *source.decoder.get_weights()]
    for variable, value in zip(target.trainable_variables, values, strict=True):
        variable.assign(value)
