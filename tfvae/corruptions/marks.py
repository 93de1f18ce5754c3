"""Marks on a picture: stains, words, logos. Each is drawn anew for every image, at any size, place and angle."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import tensorflow as tf

from tfvae.corruptions.base import Corrupted, Corruption, bounded
from tfvae.corruptions.draws import Draws, Setting, most
from tfvae.corruptions.geometry import pixel_grid, sides, smooth_field
from tfvae.corruptions.sprites import Sprites, joined, logos, sample, width_at, words
from tfvae.corruptions.tone import LUMA

NOTICEABLE = 0.02  # a mark is damage where it may move a pixel by more: 5 of 255 steps
BROWNS = ((0.93, 0.80, 0.55), (0.80, 0.60, 0.36), (0.45, 0.30, 0.20))  # light left by tea, foxing, ink


@dataclass(frozen=True)
class Stains(Corruption):
    """`count` smooth irregular blobs that take light away, brownish: `x * (1 - strength * cover * (1 - tint))`.

    `size` is a blob's diameter in shorter sides of the image. Rims may be darker than the inside, as where coffee
    dried. Damage is 1 where the darkest channel loses more than `NOTICEABLE` of its light.
    """

    kind: ClassVar[str] = "stains"
    count: Setting = field(default=(1, 4), metadata=bounded(0, 64, whole=True))
    size: Setting = field(default=(0.1, 0.7), metadata=bounded(0.001, 5))
    strength: Setting = field(default=(0.3, 1.0), metadata=bounded(0, 1))

    def apply(self, image: tf.Tensor, damage: tf.Tensor, draws: Draws) -> Corrupted:
        n = most(self.count)
        height, width = sides(image)
        radius = draws.setting(self.size, n, 1) * tf.minimum(height, width) / 2
        y = (tf.range(height) - draws.uniform(n, 1) * height) / radius
        x = (tf.range(width) - draws.uniform(n, 1) * width) / radius
        # The outline is where a cone, dented by a smooth field, meets the paper.
        field = smooth_field(y * 1.5, x * 1.5, draws, n)
        inside = 1 - tf.sqrt(y[..., None] ** 2 + x[:, :, None, :] ** 2) + 0.3 * field
        softness = draws.uniform(n, 1, 1, low=0.04, high=0.4)
        depth = tf.clip_by_value(inside / softness, 0.0, 1.0)
        rim = draws.uniform(n, 1, 1, high=0.8) * tf.cast(draws.uniform(n, 1, 1) < 0.5, tf.float32)
        cover = depth * depth * (3 - 2 * depth) * (1 - rim * tf.clip_by_value((inside - softness) / 0.3, 0.0, 1.0))
        cover *= draws.present(self.count)[..., None, None] * draws.setting(self.strength, n, 1, 1)
        shares = draws.uniform(n, len(BROWNS))
        tint = shares / tf.reduce_sum(shares, -1, keepdims=True) @ tf.constant(BROWNS)
        tint = _in_channels(tint, image.shape[-1])
        lost = cover[..., None] * (1 - tint[:, :, None, None, :])
        kept = tf.reduce_prod(1 - lost, axis=1)
        noticed = tf.reduce_min(kept, axis=-1, keepdims=True) < 1 - NOTICEABLE
        return Corrupted(image * kept, tf.where(noticed, 1.0, damage))


@dataclass(frozen=True)
class TextWatermark(Corruption):
    """`count` words or strings in many typefaces, blended in: `(1 - a) x + a * colour`, a = alpha * cover.

    `size` is the height of a line in pixels, `angle` in degrees. White, black, grey or coloured; some words have a
    shadow or an outline of the opposite shade. Damage is 1 where a is above `NOTICEABLE`.
    """

    kind: ClassVar[str] = "text_watermark"
    alpha: Setting = field(default=(0.3, 0.9), metadata=bounded(0, 1))
    size: Setting = field(default=(10.0, 60.0), metadata=bounded(2, 1000))
    angle: Setting = field(default=(-45.0, 45.0), metadata=bounded(-180, 180))
    count: Setting = field(default=(1, 2), metadata=bounded(0, 16, whole=True))

    def apply(self, image: tf.Tensor, damage: tf.Tensor, draws: Draws) -> Corrupted:
        bank = words()
        present = draws.present(self.count)
        for i in range(most(self.count)):
            which = tf.cast(draws.whole((0, len(bank.width) - 1)), tf.int32)
            size = draws.setting(self.size)
            u, v = _turned(image, draws, draws.setting(self.angle))
            cover, ink = sample(bank, which, size, u, v)
            alpha = draws.setting(self.alpha) * present[:, i]
            image, damage = _blended(image, damage, draws, alpha, cover, ink)
        return Corrupted(image, damage)


@dataclass(frozen=True)
class LogoWatermark(Corruption):
    """A logo or a word repeated over the whole picture, as stock photographs have it, blended as text is.

    `size` is its height in pixels, `spacing` the period in its own heights and widths, `angle` in degrees. Rows may be
    shifted by half a period, and thin lines may join the logos. Damage is 1 where a is above `NOTICEABLE`.
    """

    kind: ClassVar[str] = "logo_watermark"
    alpha: Setting = field(default=(0.2, 0.7), metadata=bounded(0, 1))
    size: Setting = field(default=(16.0, 80.0), metadata=bounded(2, 1000))
    spacing: Setting = field(default=(1.2, 3.0), metadata=bounded(1, 20))
    angle: Setting = field(default=(-45.0, 45.0), metadata=bounded(-180, 180))

    def apply(self, image: tf.Tensor, damage: tf.Tensor, draws: Draws) -> Corrupted:
        bank = _logos_and_words()
        # Half of the images get a logo, half a word, though the bank has more words.
        emblem, total = len(logos().width), len(bank.width)
        which = tf.where(draws.uniform() < 0.5, draws.whole((0, emblem - 1)), draws.whole((emblem, total - 1)))
        which = tf.cast(which, tf.int32)
        size = draws.setting(self.size)
        across = (size * draws.setting(self.spacing))[:, None, None]
        along = (width_at(bank, which, size) * draws.setting(self.spacing))[:, None, None]
        u, v = _turned(image, draws, draws.setting(self.angle))
        row = tf.round(v / across)
        shifted = draws.uniform(1, 1) < 0.5
        u += 0.5 * along * row * tf.cast(shifted, tf.float32)
        u, v = u - along * tf.round(u / along), v - across * row
        cover, ink = sample(bank, which, size, u, v)
        # Lines from each middle of a gap to the next: diamonds about the logos, which only meet in unshifted rows.
        apart = tf.abs(tf.abs(u) / along + tf.abs(v) / across - 0.5) * tf.math.rsqrt(along**-2 + across**-2)
        thickness = draws.uniform(1, 1, low=0.8, high=3.0) * tf.cast(draws.uniform(1, 1) < 0.5, tf.float32)
        thickness = tf.where(shifted, 0.0, thickness)
        line = tf.clip_by_value(thickness / 2 + 0.5 - apart, 0.0, 1.0) * tf.minimum(thickness, 1.0)
        return Corrupted(
            *_blended(image, damage, draws, draws.setting(self.alpha), tf.maximum(cover, line), tf.maximum(ink, line))
        )


def _logos_and_words() -> Sprites:
    return joined(logos(), words())


def _turned(image: tf.Tensor, draws: Draws, degrees: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Places `(b, h, w)` of all pixels along and across a direction for each image, from a random pixel, in pixels."""
    y, x = pixel_grid(image)
    height, width = sides(image)
    y -= draws.uniform(1, 1) * height
    x -= draws.uniform(1, 1) * width
    angle = degrees[:, None, None] * (math.pi / 180)
    return x * tf.cos(angle) + y * tf.sin(angle), y * tf.cos(angle) - x * tf.sin(angle)


def _blended(
    image: tf.Tensor, damage: tf.Tensor, draws: Draws, alpha: tf.Tensor, cover: tf.Tensor, ink: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The mark laid over the image; where ink is less than the cover, the rest has the opposite shade."""
    colour = _colours(draws)
    shade = tf.cast(tf.tensordot(colour, tf.constant(LUMA), 1) < 0.5, tf.float32)[:, None]
    colour, shade = (_in_channels(c, image.shape[-1])[:, None, None, :] for c in (colour, shade + 0 * colour))
    alpha = alpha[:, None, None, None]
    cover, ink = cover[..., None], ink[..., None]
    mark = colour * ink + shade * (cover - ink)
    return (1 - alpha * cover) * image + alpha * mark, tf.where(alpha * cover > NOTICEABLE, 1.0, damage)


def _colours(draws: Draws) -> tf.Tensor:
    """A colour for each image, `(b, 3)`: white 4 times in 10, black 2, grey 1, any 3."""
    u = draws.uniform(1)
    grey = tf.where(u < 0.4, 1.0, tf.where(u < 0.6, 0.0, draws.uniform(1)))
    return tf.where(u < 0.7, grey, draws.uniform(3))


def _in_channels(colour: tf.Tensor, channels: int) -> tf.Tensor:
    """RGB in the last axis as it is, or for grey images its luma."""
    return colour if channels == 3 else tf.tensordot(colour, tf.constant(LUMA), 1)[..., None]
