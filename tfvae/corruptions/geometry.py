"""Where things lie: distances of all pixels to random curves, and smooth random fields."""

import math
from typing import NamedTuple

import tensorflow as tf

from tfvae.corruptions.draws import Draws


class Curves(NamedTuple):
    """`n` random curves for each image, all `(batch, n)`: middle, direction (radians), length (pixels), bends."""

    y: tf.Tensor
    x: tf.Tensor
    angle: tf.Tensor
    length: tf.Tensor
    bow: tf.Tensor
    sway: tf.Tensor


def pixel_grid(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Rows `(1, h, 1)` and columns `(1, 1, w)` of the pixels of `image`, float32."""
    y, x = (tf.range(tf.cast(side, tf.float32)) for side in tf.unstack(tf.shape(image)[1:3]))
    return y[None, :, None], x[None, None, :]


def sides(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Height and width of `image`, float32 scalars."""
    height, width = tf.unstack(tf.cast(tf.shape(image)[1:3], tf.float32))
    return height, width


def random_curves(image: tf.Tensor, draws: Draws, n: int, length: tf.Tensor, bend: float) -> Curves:
    """Curves of `length` `(batch, n)` pixels anywhere in the image in any direction.

    `bend` bounds how far a curve leaves its chord, in half lengths.
    """
    height, width = sides(image)
    return Curves(
        draws.uniform(n) * height,
        draws.uniform(n) * width,
        draws.uniform(n, high=math.pi),
        length,
        draws.uniform(n, low=-bend, high=bend),
        draws.uniform(n, low=-bend, high=bend),
    )


def distance_to_curve(image: tf.Tensor, curves: Curves, i: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Distance of every pixel to curve `i` in pixels, and the place along it in [-1, 1], both `(b, h, w)`.

    In the curve's own axes (u along, v across, t = 2 u / length) it is v = length / 2 * (bow t² + sway (t³ - t)).
    The distance across is |v - v(t)| / sqrt(1 + v'(t)²), exact to first order; the ends are round.
    """
    y, x = pixel_grid(image)
    centre_y, centre_x, angle, length, bow, sway = (part[:, i, None, None] for part in curves)
    cos, sin = tf.cos(angle), tf.sin(angle)
    half = length / 2
    u = (x - centre_x) * cos + (y - centre_y) * sin
    v = (y - centre_y) * cos - (x - centre_x) * sin
    t = tf.clip_by_value(u / half, -1.0, 1.0)
    across = v - half * t * (bow * t + sway * (t * t - 1))
    slope = 2 * bow * t + sway * (3 * t * t - 1)
    beyond = u - half * t
    return tf.sqrt(across * across / (1 + slope * slope) + beyond * beyond), t


def smooth_field(y: tf.Tensor, x: tf.Tensor, draws: Draws, n: int, waves: int = 4) -> tf.Tensor:
    """Smooth random fields of mean 0 and variance 1 about, `(b, n, h, w)`: products of random cosines.

    `y` `(b, n, h)` and `x` `(b, n, w)` are coordinates in units of the field's grain.
    """
    frequency = tf.range(1.0, waves + 1.0)
    along_y = tf.cos(y[..., None] * frequency + draws.uniform(n, 1, waves, high=2 * math.pi))
    along_x = tf.cos(x[..., None] * frequency + draws.uniform(n, 1, waves, high=2 * math.pi))
    # Amplitudes fall with the frequency, as in natural edges; the mean square of a cosine is 1/2.
    amplitude = tf.sqrt(frequency[:, None] * frequency) ** -1
    amplitude *= 2 / tf.norm(amplitude)
    return tf.einsum("bnyk,bnkl,bnxl->bnyx", along_y, amplitude * draws.normal(n, waves, waves), along_x)
