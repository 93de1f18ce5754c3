"""Tones: exposure, gamma, contrast, brightness, colour cast, saturation. Images are clipped to [0, 1] first."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import tensorflow as tf

from tfvae.corruptions.base import Corrupted, Corruption, bounded
from tfvae.corruptions.draws import Draws, Setting

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, of gamma-encoded RGB
LUMINANCE = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709, of linear RGB


def power(x: tf.Tensor, exponent: tf.Tensor | float) -> tf.Tensor:
    """`x ** exponent` for x >= 0 and exponents above 0; 0 stays 0."""
    # On a processor a third of the time of `**`, most of what a tone costs.
    return tf.exp(exponent * tf.math.log(x))


def srgb_to_linear(x: tf.Tensor) -> tf.Tensor:
    """Linear light of sRGB values in [0, 1] (IEC 61966-2-1)."""
    return tf.where(x <= 0.04045, x / 12.92, power((x + 0.055) / 1.055, 2.4))


def linear_to_srgb(x: tf.Tensor) -> tf.Tensor:
    """sRGB values of linear light in [0, 1] (IEC 61966-2-1)."""
    return tf.where(x <= 0.0031308, x * 12.92, 1.055 * power(x, 1 / 2.4) - 0.055)


def grey_of(image: tf.Tensor, weights: tuple[float, float, float]) -> tf.Tensor:
    """Weighted sum of the channels of RGB, `(b, h, w, 1)`; a grey image is its own."""
    if image.shape[-1] == 1:
        return image
    return tf.tensordot(image, tf.constant(weights, image.dtype), 1)[..., None]


@dataclass(frozen=True)
class Tone(Corruption):
    """Base of what changes all pixels alike: `change` of images in [0, 1], clipped to [0, 1]."""

    def apply(self, image: tf.Tensor, damage: tf.Tensor, draws: Draws) -> Corrupted:
        changed = self.change(tf.clip_by_value(image, 0.0, 1.0), draws)
        return Corrupted(tf.clip_by_value(changed, 0.0, 1.0), damage)

    def change(self, image: tf.Tensor, draws: Draws) -> tf.Tensor:
        """What becomes of the images."""
        raise NotImplementedError


@dataclass(frozen=True)
class Exposure(Tone):
    """Linear light times `2 ** stops`: what a longer or shorter exposure records; clipped at white."""

    kind: ClassVar[str] = "exposure"
    stops: Setting = field(default=(-2.5, 1.0), metadata=bounded(-10, 10))

    def change(self, image: tf.Tensor, draws: Draws) -> tf.Tensor:
        light = srgb_to_linear(image) * 2 ** draws.setting(self.stops, 1, 1, 1)
        return linear_to_srgb(tf.minimum(light, 1.0))


@dataclass(frozen=True)
class Gamma(Tone):
    """`x ** gamma`: above 1 darker mid-tones, below 1 lighter ones; black and white stay.

    A pair is drawn from uniformly in the logarithm.
    """

    kind: ClassVar[str] = "gamma"
    gamma: Setting = field(default=(0.5, 2.0), metadata=bounded(0.05, 20))

    def change(self, image: tf.Tensor, draws: Draws) -> tf.Tensor:
        # Uniform in the logarithm: with [1/2, 2], lighter is as likely as darker.
        low, high = self.gamma if isinstance(self.gamma, tuple) else (self.gamma, self.gamma)
        return power(image, tf.exp(draws.setting((math.log(low), math.log(high)), 1, 1, 1)))


@dataclass(frozen=True)
class Contrast(Tone):
    """`m + factor * (x - m)` about the mean grey m of each image; 0 leaves m, above 1 is harder than the original."""

    kind: ClassVar[str] = "contrast"
    factor: Setting = field(default=(0.3, 1.0), metadata=bounded(0, 10))

    def change(self, image: tf.Tensor, draws: Draws) -> tf.Tensor:
        mean = tf.reduce_mean(grey_of(image, LUMA), axis=(1, 2, 3), keepdims=True)
        return mean + draws.setting(self.factor, 1, 1, 1) * (image - mean)


@dataclass(frozen=True)
class Brightness(Tone):
    """`x + offset`, the same in every pixel and channel: a veil of light, or shadows that drown."""

    kind: ClassVar[str] = "brightness"
    offset: Setting = field(default=(-0.2, 0.2), metadata=bounded(-1, 1))

    def change(self, image: tf.Tensor, draws: Draws) -> tf.Tensor:
        return image + draws.setting(self.offset, 1, 1, 1)


@dataclass(frozen=True)
class ColourCast(Tone):
    """A gain for each channel in linear light, as a wrong white balance leaves; the mean luminance stays.

    The gains are `2 ** (strength * d)`, d uniform in [-1, 1] for red, green and blue, divided so that each image's mean
    luminance is as before (but for clipping). Grey images have no colour to cast.
    """

    kind: ClassVar[str] = "colour_cast"
    strength: Setting = field(default=(0.0, 0.6), metadata=bounded(0, 5))

    def change(self, image: tf.Tensor, draws: Draws) -> tf.Tensor:
        strength, direction = draws.setting(self.strength, 1, 1, 1), draws.uniform(1, 1, 3, low=-1.0, high=1.0)
        if image.shape[-1] == 1:
            return image
        light = srgb_to_linear(image)
        cast = light * 2 ** (strength * direction)
        before, after = (tf.reduce_mean(grey_of(x, LUMINANCE), axis=(1, 2, 3), keepdims=True) for x in (light, cast))
        return linear_to_srgb(tf.minimum(cast * tf.math.divide_no_nan(before, after), 1.0))


@dataclass(frozen=True)
class Saturation(Tone):
    """`g + factor * (x - g)` about each pixel's own grey g (luma): 0 is a grey picture, 1 the same, above 1 gaudy."""

    kind: ClassVar[str] = "saturation"
    factor: Setting = field(default=(0.0, 1.0), metadata=bounded(0, 10))

    def change(self, image: tf.Tensor, draws: Draws) -> tf.Tensor:
        factor = draws.setting(self.factor, 1, 1, 1)
        if image.shape[-1] == 1:
            return image
        grey = grey_of(image, LUMA)
        return grey + factor * (image - grey)
