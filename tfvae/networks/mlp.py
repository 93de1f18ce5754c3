"""Fully connected networks: every pixel connected to every unit, for small pictures of one size."""

import functools
import math
from collections.abc import Callable
from typing import ClassVar

import keras
import numpy as np

from tfvae.layers.composite import Chain
from tfvae.layers.gated import GatedDense
from tfvae.layers.seeded import Dropout


@keras.saving.register_keras_serializable(package="tfvae")
class MLPDown(Chain):
    """Dense layers over the flattened picture: `(b, h, w, c) -> (b, widths[-1])`.

    Args:
        widths: Units of each hidden layer.
        hidden: Not used: an `mlp` is dense throughout. All networks have the same constructor.
        dropout: Fraction of units dropped after each layer while training.
        seed: Starts the dropout noise.
    """

    unit: ClassVar[Callable[..., keras.layers.Layer]] = functools.partial(
        keras.layers.Dense, activation="relu"
    )  # a hidden layer, of its width

    def __init__(self, widths, hidden=0, dropout=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.widths, self.hidden, self.dropout, self.seed = tuple(widths), hidden, dropout, seed
        self.chain = [keras.layers.Flatten(dtype=self.dtype_policy), *_dense(self)]

    def get_config(self):
        return {
            **super().get_config(),
            "widths": self.widths,
            "hidden": self.hidden,
            "dropout": self.dropout,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="tfvae")
class MLPUp(Chain):
    """Dense layers from a code to a picture: `(b, latent_dim) -> (b, *output_shape)`, the last one in float32.

    Args:
        output_shape: Height, width and channels of the output.
        widths: Units of each hidden layer.
        hidden, dropout, seed: As in `MLPDown`.
    """

    unit: ClassVar[Callable[..., keras.layers.Layer]] = functools.partial(
        keras.layers.Dense, activation="relu"
    )  # a hidden layer, of its width

    def __init__(self, output_shape, widths, hidden=0, dropout=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.picture_shape, self.widths = tuple(output_shape), tuple(widths)
        self.hidden, self.dropout, self.seed = hidden, dropout, seed
        self.chain = [
            *_dense(self),
            keras.layers.Dense(math.prod(output_shape), dtype="float32"),
            keras.layers.Reshape(self.picture_shape, dtype="float32"),
        ]

    def get_config(self):
        return {
            **super().get_config(),
            "output_shape": self.picture_shape,
            "widths": self.widths,
            "hidden": self.hidden,
            "dropout": self.dropout,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="tfvae")
class TanhMLPDown(MLPDown):
    """`MLPDown` of hyperbolic tangents, as in the papers on binarised MNIST."""

    unit = functools.partial(keras.layers.Dense, activation="tanh")


@keras.saving.register_keras_serializable(package="tfvae")
class TanhMLPUp(MLPUp):
    """`MLPUp` of hyperbolic tangents, whose picture can start at a mean picture.

    Reference:
        Burda, Grosse and Salakhutdinov (2016), https://github.com/yburda/iwae, for both
    """

    unit: ClassVar[Callable[..., keras.layers.Layer]] = functools.partial(keras.layers.Dense, activation="tanh")

    def start_at(self, picture):
        """Takes `picture`, of the output's shape, as the last bias: what is decoded before anything is learnt."""
        self.chain[-2].bias.assign(np.reshape(picture, -1))


@keras.saving.register_keras_serializable(package="tfvae")
class GatedMLPDown(MLPDown):
    """`MLPDown` of gated linear units, as in the paper of the VampPrior: more of the data in as many layers."""

    unit = GatedDense


@keras.saving.register_keras_serializable(package="tfvae")
class GatedMLPUp(TanhMLPUp):
    """`MLPUp` of gated linear units, whose picture can start at a mean picture.

    Reference:
        Tomczak and Welling (2018), https://arxiv.org/abs/1705.07120, for both
    """

    unit = GatedDense


def _dense(network):
    layers = []
    for width in network.widths:
        layers.append(network.unit(width, dtype=network.dtype_policy))
        if network.dropout:
            layers.append(Dropout(network.dropout, seed=network.seed, dtype=network.dtype_policy))
    return layers
