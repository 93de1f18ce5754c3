"""The finite scalar quantiser: each number of a vector becomes one of a few levels, without a codebook to learn."""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfvae.distributions import float32

# How far the outer levels lie inside of what tanh reaches, so that they are reached at all.
REACHED = 1e-3


@keras.saving.register_keras_serializable(package="tfvae")
class FiniteScalarQuantiser(keras.layers.Layer):
    """`z_q = round(f(z_e)) / half`, with f a tanh that takes each number to an interval that has its `levels` integers.

    The codes are the grid of all combinations, `prod(levels)` of them, and all of them are used without a loss that
    asks for it. The gradient passes the rounding straight through.

    Args:
        levels: Of each number, 2 or more; the paper has (8, 6, 5) for 240 codes and (8, 5, 5, 5) for 1,000.

    Call arguments:
        inputs: Vectors `(…, len(levels))`.

    Returns:
        `(indices, quantised)`: int32 `(…)` in [0, prod(levels)), the first number counting fastest; and float32 in
        [-1, 1] of the shape of `inputs`.

    Raises:
        ValueError: If a level is below 2, or the vectors have another length.

    Reference:
        Mentzer et al. (2024), Finite scalar quantization: VQ-VAE made simple, https://arxiv.org/abs/2309.15505
    """

    def __init__(self, levels, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        if not levels or min(levels) < 2:
            raise ValueError(f"`levels` must be 2 or more each. Received: levels={tuple(levels)}")
        self.levels = tuple(int(level) for level in levels)
        self.codes = math.prod(self.levels)
        self._half = np.array([level // 2 for level in self.levels], np.float32)  # what is divided by
        self._basis = np.cumprod([1, *self.levels[:-1]]).astype(np.int32)

    def build(self, input_shape):
        if input_shape[-1] != len(self.levels):
            numbers = f"as many as a code has numbers, here {input_shape[-1]}"
            raise ValueError(f"`levels` must be {numbers}. Received: levels={self.levels}")
        self.built = True

    def call(self, inputs, training=False):
        bounded = self.bounded(float32(inputs))
        rounded = ops.round(bounded)
        indices = ops.sum(ops.cast(rounded + self._half, "int32") * self._basis, axis=-1)
        if training:
            rounded = bounded + tf.stop_gradient(rounded - bounded)
        return indices, rounded / self._half

    def bounded(self, z):
        """f: each number between its lowest and highest integer; an even number of levels has one more below zero."""
        reach = (np.array(self.levels, np.float32) - 1.0) * (1.0 + REACHED) / 2.0
        offset = np.where(np.array(self.levels) % 2 == 0, 0.5, 0.0).astype(np.float32)
        return ops.tanh(z + np.arctanh(offset / reach).astype(np.float32)) * reach - offset

    def look_up(self, indices):
        """The code of each of `indices`, `(…) -> (…, len(levels))`, float32."""
        digits = (ops.expand_dims(indices, -1) // self._basis) % np.array(self.levels, np.int32)
        return (float32(digits) - self._half) / self._half

    def distance(self, encoded, quantised):
        """What the commitment weighs, `(batch,)`: nothing, as a vector cannot drift away from a grid."""
        return ops.zeros((ops.shape(encoded)[0],), dtype="float32")

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[:-1]), tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "levels": self.levels}
