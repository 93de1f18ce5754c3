"""The finite scalar quantiser: each number of a vector becomes one of a few levels, without a codebook to learn."""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfvae.distributions import float32

# How far what tanh reaches goes beyond the outer levels, in levels: so they are reached at all.
BEYOND = 1e-3


@keras.saving.register_keras_serializable(package="tfvae")
class FiniteScalarQuantiser(keras.layers.Layer):
    """`z_q = k / half - 1`, `k = round(half * (1 + tanh(z_e)))`, `half = (levels - 1) / 2`: one of `levels` in [-1, 1].

    The codes are the grid of all combinations, `prod(levels)` of them, and all of them are used without a loss that
    asks for it. The gradient passes the rounding straight through.

    The grid is symmetric for even levels, too, where the paper's has a zero and one level more below it than above: a
    code of zeros, which is what an encoder begins with, would have no gradient behind a decoder's first ReLU, ever.

    Args:
        levels: Of each number, 2 or more, at least one of them even. (8, 6, 5) is 240 codes, (8, 5, 5, 5) 1,000.

    Call arguments:
        inputs: Vectors `(…, len(levels))`.

    Returns:
        `(indices, quantised)`: int32 `(…)` in [0, prod(levels)), the first number counting fastest; and float32 in
        [-1, 1] of the shape of `inputs`.

    Raises:
        ValueError: If a level is below 2, all are odd, or the vectors have another length.

    Reference:
        Mentzer et al. (2024), Finite scalar quantization: VQ-VAE made simple, https://arxiv.org/abs/2309.15505
    """

    def __init__(self, levels, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        if not levels or min(levels) < 2 or all(level % 2 for level in levels):
            raise ValueError(f"`levels` must be 2 or more each, one of them even. Received: levels={tuple(levels)}")
        self.levels = tuple(int(level) for level in levels)
        self.codes = math.prod(self.levels)
        self._half = (np.array(self.levels, np.float32) - 1.0) / 2.0
        self._basis = np.cumprod([1, *self.levels[:-1]]).astype(np.int32)

    def build(self, input_shape):
        if input_shape[-1] != len(self.levels):
            numbers = f"as many as a code has numbers, here {input_shape[-1]}"
            raise ValueError(f"`levels` must be {numbers}. Received: levels={self.levels}")
        self.built = True

    def call(self, inputs, training=False):
        bounded = self.bounded(float32(inputs))
        digits = ops.clip(ops.round(self._half * (1.0 + bounded)), 0.0, 2.0 * self._half)
        indices = ops.sum(ops.cast(digits, "int32") * self._basis, axis=-1)
        quantised = digits / self._half - 1.0
        if training:
            quantised = bounded + tf.stop_gradient(quantised - bounded)
        return indices, quantised

    def bounded(self, z):
        """`tanh(z)`, times a little more than 1."""
        return ops.tanh(z) * (1.0 + BEYOND / self._half)

    def look_up(self, indices):
        """The code of each of `indices`, `(…) -> (…, len(levels))`, float32."""
        digits = (ops.expand_dims(indices, -1) // self._basis) % np.array(self.levels, np.int32)
        return float32(digits) / self._half - 1.0

    def distance(self, encoded, quantised):
        """What the commitment weighs, `(batch,)`: nothing, as a vector cannot drift away from a grid."""
        return ops.zeros((ops.shape(encoded)[0],), dtype="float32")

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[:-1]), tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "levels": self.levels}
