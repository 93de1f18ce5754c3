"""The two sides of transform coding: a picture as a map of latents whose rounding is hardly seen, and back."""

import math

import keras
import tensorflow as tf
from keras import ops

from tfvae.distributions import float32
from tfvae.layers.composite import Chain
from tfvae.layers.gdn import GDN
from tfvae.layers.padding import pad_to_multiple
from tfvae.layers.resampling import SubPixelUpsample
from tfvae.likelihoods import get as likelihood_of
from tfvae.networks.cosines import cosines

# What an output of 1 of the convolutions adds: so much of the pixel range, or of a step of rounding at the quality
# that models are measured at. A step of Adam moves all weights of a last layer together, and must move neither far.
ADDED, ADDED_STEPS = 0.01, 0.1


class _Transform(Chain):
    """What both share: shapes, and how far what they compute reaches."""

    stochastic = False

    def __init__(self, channels, widths, latent_dim, std, **kwargs):
        super().__init__(**kwargs)
        if channels not in (1, 3):
            raise ValueError(f"`channels` must be 1 or 3. Received: channels={channels}")
        if latent_dim < 1 or not widths or any(width < 1 for width in widths):
            raise ValueError(
                "`widths` must be one or more positive integers and `latent_dim` positive. "
                f"Received: widths={widths}, latent_dim={latent_dim}"
            )
        self.channels, self.widths, self.latent_dim = channels, tuple(widths), latent_dim
        self.image_shape, self.latent_shape = (None, None, channels), (None, None, latent_dim)
        self.factor, self.std = 2 ** (len(self.widths) + 1), std

    def _convolution(self, filters, size, **options):
        return keras.layers.Conv2D(filters, size, padding="same", **{"dtype": self.dtype_policy, **options})

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "widths": self.widths,
            "latent_dim": self.latent_dim,
            "std": self.std,
        }


@keras.saving.register_keras_serializable(package="tfvae")
class Analysis(_Transform):
    """Cosines of blocks, and what 5×5 convolutions that halve the resolution add, with a `GDN` after each but the last.

    The cosines are those of JPEG, each divided by its usual size, and stay as they are. At first the convolutions add
    nothing: training begins with a codec of pictures, and not with noise.

    Args:
        channels: Of the picture, 1 or 3.
        widths: Filters of the levels, fine to coarse; one level more makes the latents.
        latent_dim: Latents of a place.
        std: Standard deviation of the likelihood of a picture at the quality that models are measured at: a step of
            rounding is as large as the square root of 12 times that.

    Call arguments:
        images: `(b, h, w, channels)` in [0, 1], of any size.

    Returns:
        `(b, ceil(h / factor), ceil(w / factor), latent_dim)`, float32.

    Raises:
        ValueError: If a size is not positive, or `channels` is neither 1 nor 3.

    Reference:
        Ballé, Laparra and Simoncelli (2017), https://arxiv.org/abs/1611.01704
    """

    def __init__(self, channels, widths, latent_dim, std=0.05, **kwargs):
        super().__init__(channels, widths, latent_dim, std, **kwargs)
        self.step = math.sqrt(12) * std / cosines(channels, self.factor, latent_dim)[1]
        self.chain = []
        for width in self.widths:
            self.chain += [self._convolution(width, 5, strides=2), GDN(dtype=self.dtype_policy)]
        last = {"kernel_initializer": "zeros", "dtype": "float32"}
        self.chain.append(self._convolution(latent_dim, 5, strides=2, **last))
        self.cosines = keras.layers.Conv2D(
            latent_dim,
            self.factor,
            strides=self.factor,
            use_bias=False,
            kernel_initializer="zeros",
            trainable=False,
            dtype="float32",
        )

    @property
    def margin(self):
        """Pixels around those of a place on which its latents depend: each level adds two of its own pixels."""
        return 2 * (self.factor - 1)

    def build(self, input_shape):
        super().build(input_shape)
        if not self.cosines.built:
            self.cosines.build(input_shape)
            functions, usual = cosines(self.channels, self.factor, self.latent_dim)
            self.cosines.kernel.assign(functions / usual)

    def call(self, images):
        # Centred pixels: a network fed values that are all positive starts with a bias to unlearn.
        images = pad_to_multiple(float32(images), self.factor) - 0.5
        return ADDED_STEPS * self.step * float32(super().call(images)) + self.cosines(images)

    def compute_output_shape(self, input_shape):
        places = (None if side is None else -(-side // self.factor) for side in input_shape[1:3])
        return (input_shape[0], *places, self.latent_dim)


@keras.saving.register_keras_serializable(package="tfvae")
class Synthesis(_Transform):
    """Cosines of blocks, and what 3×3 convolutions and sub-pixels add, with an inverse `GDN` after each but the last.

    The cosines are the inverse of those of `Analysis`, and at first nothing is added.

    Args:
        channels, widths, latent_dim, std: As of `Analysis`; `widths`, too, from fine to coarse.

    Call arguments:
        latents: `(b, h, w, latent_dim)`.
        inside: `(b, h, w, 1)`, 1 at places of the picture and 0 beyond its border, where a function of a fixed size is
            given a picture that is smaller; None: all are of the picture.

    Returns:
        What `likelihood` reads: `(b, h * factor, w * factor, channels)`, float32, centred at 0.

    Raises:
        ValueError: As `Analysis`.

    Reference:
        Shi et al. (2016), https://arxiv.org/abs/1609.05158, for the sub-pixels
    """

    def __init__(self, channels, widths, latent_dim, std=0.05, **kwargs):
        super().__init__(channels, widths, latent_dim, std, **kwargs)
        self.likelihood = likelihood_of("noise_model", std=std, clipped=False)
        self.chain = []
        for width in self.widths[::-1]:
            self.chain.append(SubPixelUpsample(width, activation=None, dtype=self.dtype_policy))
            self.chain.append(GDN(inverse=True, dtype=self.dtype_policy))
        self.chain.append(SubPixelUpsample(channels, activation=None, dtype="float32"))
        self.cosines = keras.layers.Conv2D(
            channels * self.factor**2,
            1,
            use_bias=False,
            kernel_initializer="zeros",
            trainable=False,
            dtype="float32",
        )

    @property
    def margin(self):
        """Pixels around a pixel on whose latents it depends: each level adds one of its own pixels."""
        return 2 * self.factor - 2

    def build(self, input_shape):
        super().build(input_shape)
        if not self.cosines.built:
            self.cosines.build(input_shape)
            functions, usual = cosines(self.channels, self.factor, self.latent_dim)
            self.cosines.kernel.assign((functions * usual).reshape(1, 1, -1, self.latent_dim).swapaxes(2, 3))
            last = self.chain[-1].convolution.kernel
            last.assign(ops.zeros_like(last))
        if not self.likelihood.built:
            self.likelihood.build(self.compute_output_shape(input_shape))

    def call(self, latents, inside=None):
        blocks = tf.nn.depth_to_space(self.cosines(latents), self.factor)
        for layer in self.chain:
            if inside is not None and isinstance(layer, SubPixelUpsample):
                # Beyond the border every convolution meets zeros, as it does where a picture ends.
                latents = latents * ops.cast(inside, latents.dtype)
                inside = tf.nn.depth_to_space(ops.concatenate([inside] * 4, axis=-1), 2)
            latents = layer(latents)
        return ADDED * float32(latents) + blocks

    def compute_output_shape(self, input_shape):
        sides = (None if side is None else side * self.factor for side in input_shape[1:3])
        return (input_shape[0], *sides, self.channels)
