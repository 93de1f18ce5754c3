"""What baseline JPEG loses, as tensors: chroma at half resolution, and rounded cosine coefficients of 8 × 8 blocks."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import tensorflow as tf

from tfvae.corruptions.base import Corrupted, Corruption, bounded
from tfvae.corruptions.draws import Draws, Setting

# ITU-T T.81 (1992), Annex K: quantisation of luminance and chrominance at what libjpeg calls quality 50.
LUMINANCE_TABLE = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMINANCE_TABLE = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99),
    *(47, 66, 99, 99, 99, 99, 99, 99, *(99,) * 32),
)
TO_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)
TO_RGB = np.array([[1.0, 0.0, 1.402], [1.0, -0.344136, -0.714136], [1.0, 1.772, 0.0]], np.float32)


def _cosines() -> np.ndarray:
    """The orthonormal 8 × 8 DCT on blocks flattened in reading order, `(64, 64)`: coefficients = block @ it."""
    k, n = np.arange(8)[:, None], np.arange(8)[None, :]
    one = np.sqrt(np.where(k == 0, 1, 2) / 8) * np.cos(math.pi * (2 * n + 1) * k / 16)
    return np.kron(one, one).T.astype(np.float32)


COSINES = _cosines()


@dataclass(frozen=True)
class Jpeg(Corruption):
    """Compressed as baseline JPEG at `quality` 1 to 100 (libjpeg's scale, 4:2:0) and decompressed.

    Entropy coding loses nothing and is left out. Images are rounded to 8 bits before and after, as in a file.
    """

    kind: ClassVar[str] = "jpeg"
    quality: Setting = field(default=(20, 95), metadata=bounded(1, 100, whole=True))

    def apply(self, image: tf.Tensor, damage: tf.Tensor, draws: Draws) -> Corrupted:
        quality = draws.whole(self.quality, 1, 1, 1)
        height, width = tf.unstack(tf.shape(image)[1:3])
        pixels = tf.round(tf.clip_by_value(image, 0.0, 1.0) * 255.0)
        if image.shape[-1] == 1:
            out = _quantised(_padded(pixels, 8) - 128, LUMINANCE_TABLE, quality) + 128
        else:
            # Each step ends in whole numbers, as it does in coders: what is rounded then falls on the same side.
            planes = tf.round(tf.tensordot(_padded(pixels, 16), tf.constant(TO_YCBCR.T), 1))
            luma = _quantised(planes[..., :1] - 128, LUMINANCE_TABLE, quality) + 128
            half = _halved(planes[..., 1:])
            chroma = [_quantised(half[..., i : i + 1], CHROMINANCE_TABLE, quality) for i in range(2)]
            chroma = tf.round(_doubled(_doubled(tf.concat(chroma, -1), 1), 2))
            out = tf.tensordot(tf.concat([luma, chroma], -1), tf.constant(TO_RGB.T), 1)
        out = tf.clip_by_value(tf.round(out), 0.0, 255.0) / 255.0
        return Corrupted(tf.ensure_shape(out[:, :height, :width], image.shape), damage)


def _quantised(plane: tf.Tensor, table: tuple[int, ...], quality: tf.Tensor) -> tf.Tensor:
    """A plane `(b, h, w, 1)` after its coefficients are rounded to multiples of the scaled table."""
    percent = tf.where(quality < 50, tf.floor(5000 / quality), 200 - 2 * quality)
    steps = tf.clip_by_value(tf.floor((tf.constant(table, tf.float32) * percent + 50) / 100), 1.0, 255.0)
    # The blocks become channels, in reading order, and one product transforms them all.
    coefficients = tf.tensordot(tf.nn.space_to_depth(plane, 8), tf.constant(COSINES), 1)
    coefficients = tf.round(coefficients / steps) * steps
    plane = tf.nn.depth_to_space(tf.tensordot(coefficients, tf.constant(COSINES.T), 1), 8)
    return tf.clip_by_value(tf.round(plane), -128.0, 127.0)


def _padded(image: tf.Tensor, multiple: int) -> tf.Tensor:
    """`image` with its last row and column repeated until both sides are whole multiples."""
    height, width = tf.unstack(tf.shape(image)[1:3])
    for axis, side in ((1, height), (2, width)):
        # Indices instead of tf.pad, which reflects at most one image; the last pixel is repeated as often as needed.
        places = tf.minimum(tf.range(side + (-side) % multiple), side - 1)
        image = tf.gather(image, places, axis=axis)
    return image


def _halved(plane: tf.Tensor) -> tf.Tensor:
    """Means of 2 × 2 samples in whole numbers; libjpeg rounds halves down in even columns and up in odd ones."""
    mean = tf.nn.avg_pool2d(plane, 2, 2, "VALID")
    odd = tf.cast(tf.range(tf.shape(mean)[2]) % 2, tf.float32)
    return tf.floor(mean + 0.25 + 0.25 * odd[:, None])


def _doubled(plane: tf.Tensor, axis: int) -> tf.Tensor:
    """Twice the samples along `axis`, 3/4 of the nearer and 1/4 of the further one: libjpeg's "fancy upsampling"."""
    side = tf.shape(plane)[axis]
    place = tf.range(side)
    before = tf.gather(plane, tf.maximum(place - 1, 0), axis=axis)
    after = tf.gather(plane, tf.minimum(place + 1, side - 1), axis=axis)
    pairs = tf.stack([0.75 * plane + 0.25 * before, 0.75 * plane + 0.25 * after], axis=axis + 1)
    shape = tf.unstack(tf.shape(plane))
    shape[axis] *= 2
    return tf.reshape(pairs, shape)
