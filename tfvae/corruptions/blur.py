"""Gaussian blur, each image with its own width, as two products with matrices."""

from dataclasses import dataclass, field
from typing import ClassVar

import tensorflow as tf

from tfvae.corruptions.base import Corrupted, Corruption, bounded
from tfvae.corruptions.draws import Draws, Setting


@dataclass(frozen=True)
class Blur(Corruption):
    """Gaussian blur of `sigma` pixels, borders reflected. As a matrix on each axis it needs no cut-off radius."""

    kind: ClassVar[str] = "blur"
    sigma: Setting = field(default=(0.0, 2.0), metadata=bounded(0, 100))

    def apply(self, image: tf.Tensor, damage: tf.Tensor, draws: Draws) -> Corrupted:
        sigma = draws.setting(self.sigma, 1, 1)
        height, width, channels = tf.unstack(tf.shape(image)[1:])
        rows, columns = _blur_matrix(height, sigma), _blur_matrix(width, sigma)
        down = tf.reshape(rows @ tf.reshape(image, (-1, height, width * channels)), tf.shape(image))
        return Corrupted(tf.ensure_shape(tf.einsum("bij,bhjc->bhic", columns, down), image.shape), damage)


def _blur_matrix(side: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """`(b, side, side)`: row i holds the weights with which the pixels make up pixel i; rows sum to 1."""
    place = tf.range(tf.cast(side, tf.float32))
    i, j = place[:, None], place[None, :]
    last = tf.cast(side, tf.float32) - 1

    def weight(distance: tf.Tensor) -> tf.Tensor:
        # Below a tenth of a pixel the neighbours weigh nothing, and 0 / 0 is out of reach.
        return tf.exp(-0.5 * (distance / tf.maximum(sigma, 0.1)) ** 2)

    # Mirror images about the first and the last pixel, which themselves are not doubled.
    weights = weight(i - j) + tf.where(j > 0, weight(i + j), 0.0) + tf.where(j < last, weight(2 * last - i - j), 0.0)
    return weights / tf.reduce_sum(weights, axis=-1, keepdims=True)
