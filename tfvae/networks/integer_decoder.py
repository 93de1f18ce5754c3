"""The hyper-decoder in whole numbers: what it says of the latents is the same on every machine, bit for bit.

| symbol | meaning | name in the code |
| --- | --- | --- |
| w | weight of a convolution, a multiple of 2**-10, at most 15 bits and sign | `kernel` |
| a | activation after a ReLU, a multiple of 2**-6, 14 bits | — |
| mu | predicted mean of a latent, a multiple of 2**-4, 15 bits and sign | `mean` |
| k | predicted index into `tfvae.integer_tables.SCALES`, eighths of what the last layer emits | `index` |
| c | what each unit of the quality adds to the last layer, a multiple of 2**-16 | `slope` |

A sum of a layer is below 2**42: whole numbers that large are exact in int64, and in float64 (NumPy's matrix products,
JavaScript's only numbers), in whatever order they are added. Between layers they are rounded by a shift.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfvae.distributions import clip_with_gradient, float32
from tfvae.integer_tables import COUNT, LEAST, STEP
from tfvae.layers.rounding import straight_through

WEIGHT_BITS, WEIGHT_MOST = 10, 2**15 - 1
HIDDEN_BITS, HIDDEN_MOST = 6, 2**14 - 1
BIAS_MOST = 2**31 - 1
MEAN_BITS, MEAN_MOST = 4, 2**15 - 1
INDEX_BITS = 3  # eight indices are one unit of the last layer: scales e times as large
INPUT_MOST = 2**15 - 1  # of the hyper-latents
STRIP = 8  # rows of hyper-latents whose predictions are computed at once
HALO = 2  # rows around them that are needed


@keras.saving.register_keras_serializable(package="tfvae")
class IntegerHyperDecoder(keras.layers.Layer):
    """From rounded hyper-latents to the means and scales of the latents: 3×3 convolutions, four times the resolution.

    Called, it computes in float32 with weights and activations rounded as they will be, the gradient passing every
    rounding straight through: what is trained is what is decoded. `exact` computes in whole numbers.

    Args:
        hyper_dim: Channels of the hyper-latents.
        latent_dim: Channels of the latents.
        width: Channels in between.

    Call arguments:
        z: Rounded hyper-latents, `(b, h, w, hyper_dim)`.
        quality: `(b, 1)`, from 0 to 100; its whole part is looked at.

    Returns:
        `(mean, index)`, each `(b, 4h, 4w, latent_dim)`, float32, rounded.

    Reference:
        Ballé, Johnston and Minnen (2019), Integer networks for data compression with latent-variable models,
        https://openreview.net/forum?id=S1zz2i0cY7
    """

    def __init__(self, hyper_dim, latent_dim, width=96, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.hyper_dim, self.latent_dim, self.width = hyper_dim, latent_dim, width

    def build(self, input_shape):
        # The quality is a channel of its own: 128 of it are 1 to the first layer's kernel.
        sizes = [(self.hyper_dim + 1, 4 * self.width), (self.width, 4 * self.width), (self.width, 2 * self.latent_dim)]
        self.kernels, self.biases = [], []
        for place, (inputs, outputs) in enumerate(sizes):
            name = f"{place}"
            self.kernels.append(self.add_weight(name=f"kernel_{name}", shape=(3, 3, inputs, outputs)))
            self.biases.append(self.add_weight(name=f"bias_{name}", shape=(outputs,), initializer="zeros"))
        first = self.kernels[0]
        # A channel of up to 100 among channels of about 1.
        first.assign(ops.concatenate([first[:, :, :-1], 0.02 * first[:, :, -1:]], axis=2))
        self.slope = self.add_weight(name="slope", shape=(2 * self.latent_dim,), initializer="zeros")
        last = self.kernels[-1]
        last.assign(0.1 * last)  # at first the biases say most
        self.built = True

    def start(self, lowest, highest):
        """Begins with these standard deviations of the latents at qualities 0 and 100, each `(latent_dim,)`."""
        low, high = (np.log(np.asarray(scale) / LEAST) / (STEP * 2**INDEX_BITS) for scale in (lowest, highest))
        zeros = np.zeros_like(low)
        self.biases[-1].assign(np.concatenate([zeros, low]))
        self.slope.assign(np.concatenate([zeros, (high - low) / 100.0]))

    def call(self, z, quality):
        plane = ops.broadcast_to(ops.floor(float32(quality))[:, None, None, :], (*ops.shape(z)[:-1], 1))
        hidden = ops.concatenate([ops.clip(float32(z), -INPUT_MOST, INPUT_MOST), plane], axis=-1)
        for place, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            bits = WEIGHT_BITS + (HIDDEN_BITS if place else 0)
            rounded = _rounded(kernel, WEIGHT_BITS, -WEIGHT_MOST, WEIGHT_MOST)
            total = ops.conv(hidden, rounded, padding="same") + _rounded(bias, bits, -BIAS_MOST, BIAS_MOST)
            if place == 2:
                total += ops.floor(float32(quality))[:, None, None, :] * _rounded(
                    self.slope, bits, -BIAS_MOST, BIAS_MOST
                )
            else:
                # A ReLU: no gradient where it is 0.
                hidden = tf.nn.depth_to_space(_rounded(ops.relu(total), HIDDEN_BITS, 0, HIDDEN_MOST), 2)
        mean = _rounded(total[..., : self.latent_dim], MEAN_BITS, -MEAN_MOST, MEAN_MOST)
        index = _rounded(total[..., self.latent_dim :], INDEX_BITS, 0, COUNT - 1)
        return mean, index * 2**INDEX_BITS

    def integers(self):
        """Kernels and biases as whole numbers in float64, `[(kernel, bias), …]`, and the slope."""
        found = []
        for place, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            bits = WEIGHT_BITS + (HIDDEN_BITS if place else 0)
            pairs = (kernel, WEIGHT_BITS, WEIGHT_MOST), (bias, bits, BIAS_MOST)
            found.append(tuple(_whole(ops.convert_to_numpy(value), fine, most) for value, fine, most in pairs))
        return found, _whole(ops.convert_to_numpy(self.slope), bits, BIAS_MOST)

    def exact(self, z, quality, parts=None):
        """What a decoder needs, the same everywhere: `(mean, index)` of one picture.

        Args:
            z: Whole numbers, `(h, w, hyper_dim)`.
            quality: From 0 to 100; its whole part counts.
            parts: What `integers` returned, where it is known already.

        Returns:
            int16 means in sixteenths and uint8 indices, each `(4h, 4w, latent_dim)`.
        """
        parts = self.integers() if parts is None else parts
        height, width, _ = z.shape
        mean = np.empty((4 * height, 4 * width, self.latent_dim), np.int16)
        index = np.empty(mean.shape, np.uint8)
        for start in range(0, height, STRIP):
            stop = min(start + STRIP, height)
            above, below = max(0, start - HALO), min(height, stop + HALO)
            rows = slice(4 * (start - above), 4 * (stop - above))
            means, indices = _strip(z[above:below], int(quality), parts)
            mean[4 * start : 4 * stop], index[4 * start : 4 * stop] = means[rows], indices[rows]
        return mean, index

    def compute_output_shape(self, z_shape, quality_shape=None):
        sides = (None if side is None else 4 * side for side in z_shape[1:3])
        return ((z_shape[0], *sides, self.latent_dim),) * 2

    def get_config(self):
        return {
            **super().get_config(),
            "hyper_dim": self.hyper_dim,
            "latent_dim": self.latent_dim,
            "width": self.width,
        }


def _strip(z, quality, parts):
    """Means in sixteenths and indices of some rows of hyper-latents, float64 whole numbers."""
    hidden = np.clip(z.astype(np.float64), -INPUT_MOST, INPUT_MOST)
    hidden = np.concatenate([hidden, np.full((*z.shape[:2], 1), float(quality))], axis=-1)
    layers, slope = parts
    for place, (kernel, bias) in enumerate(layers):
        total = _convolved(hidden, kernel) + bias
        if place < 2:
            bits = WEIGHT_BITS - (0 if place else HIDDEN_BITS)
            hidden = _sub_pixels(np.clip(_shifted(total, bits), 0, HIDDEN_MOST))
    total += float(quality) * slope
    latents, bits = slope.size // 2, WEIGHT_BITS + HIDDEN_BITS
    mean = np.clip(_shifted(total[..., :latents], bits - MEAN_BITS), -MEAN_MOST, MEAN_MOST)
    return mean, np.clip(_shifted(total[..., latents:], bits - INDEX_BITS), 0, COUNT - 1)


def _convolved(image, kernel):
    """A 3×3 convolution with zeros around, `(h, w, c) -> (h, w, filters)`: nine products of whole numbers."""
    height, width, _ = image.shape
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    total = np.zeros((height, width, kernel.shape[-1]))
    for row in range(3):
        for column in range(3):
            total += padded[row : row + height, column : column + width] @ kernel[row, column]
    return total


def _sub_pixels(image):
    """`tf.nn.depth_to_space(…, 2)` of one picture."""
    height, width, channels = image.shape
    blocks = image.reshape(height, width, 2, 2, channels // 4)
    return blocks.transpose(0, 2, 1, 3, 4).reshape(2 * height, 2 * width, channels // 4)


def _shifted(total, bits):
    """`floor(total / 2**bits + 1/2)`: exact, as dividing by a power of two is."""
    return np.floor(total * 2.0**-bits + 0.5)


def _whole(weights, bits, most):
    return np.clip(_shifted(weights.astype(np.float64), -bits), -most, most)


def _rounded(value, bits, low, high):
    """`value` as a multiple of 2**-bits between `low` and `high` of them; gradients pass straight through the rounding.

    Half goes up, as a shift does it.
    """
    scale = 2.0**bits
    whole = ops.floor(tf.convert_to_tensor(value) * scale + 0.5)
    return clip_with_gradient(straight_through(value, whole / scale), low / scale, high / scale)
