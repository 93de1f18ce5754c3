"""Holes: pixels that are lost and filled with one value; damage says exactly which. And scratches."""

from dataclasses import dataclass, field
from typing import ClassVar

import tensorflow as tf

from tfvae.corruptions.base import Corrupted, Corruption, bounded
from tfvae.corruptions.draws import Draws, Setting, most
from tfvae.corruptions.geometry import distance_to_curve, random_curves, sides

MAX_COUNT = 64  # every object costs a pass over the pixels


@dataclass(frozen=True)
class Holes(Corruption):
    """Base of what loses pixels: where `lost` says 1, all channels become `fill` and the damage 1."""

    fill: Setting = field(default=0.5, metadata=bounded(0, 1))

    def apply(self, image: tf.Tensor, damage: tf.Tensor, draws: Draws) -> Corrupted:
        lost = self.lost(image, draws)
        return Corrupted(tf.where(lost, draws.setting(self.fill, 1, 1, 1), image), tf.where(lost, 1.0, damage))

    def lost(self, image: tf.Tensor, draws: Draws) -> tf.Tensor:
        """Which pixels are lost, `(b, h, w, 1)` bool."""
        raise NotImplementedError


@dataclass(frozen=True)
class RandomPixels(Holes):
    """Each pixel is lost with probability `fraction`, whatever becomes of its neighbours."""

    kind: ClassVar[str] = "random_pixels"
    fraction: Setting = field(default=(0.0, 0.8), metadata=bounded(0, 1))

    def lost(self, image: tf.Tensor, draws: Draws) -> tf.Tensor:
        fraction = draws.setting(self.fraction, 1, 1, 1)
        return draws.uniform(*tf.unstack(tf.shape(image)[1:3]), 1) < fraction


@dataclass(frozen=True)
class Boxes(Holes):
    """`count` rectangles anywhere inside the image, each side `size` times the shorter side of the image."""

    kind: ClassVar[str] = "boxes"
    count: Setting = field(default=(1, 4), metadata=bounded(0, MAX_COUNT, whole=True))
    size: Setting = field(default=(0.1, 0.4), metadata=bounded(0, 1))

    def lost(self, image: tf.Tensor, draws: Draws) -> tf.Tensor:
        n = most(self.count)
        height, width = sides(image)
        present = draws.present(self.count)
        inside = []
        for side in (height, width):
            extent = draws.setting(self.size, n, 1) * tf.minimum(height, width)
            start = draws.uniform(n, 1) * (side - extent)
            middle = tf.range(side) + 0.5  # a pixel is lost when its centre is
            inside.append(tf.cast((middle >= start) & (middle < start + extent), tf.float32))
        return (tf.einsum("bn,bny,bnx->byx", present, *inside) > 0)[..., None]


@dataclass(frozen=True)
class Strokes(Holes):
    """`count` curved brush strokes of `width` pixels; `length` is in shorter sides of the image."""

    kind: ClassVar[str] = "strokes"
    count: Setting = field(default=(1, 6), metadata=bounded(0, MAX_COUNT, whole=True))
    width: Setting = field(default=(4.0, 14.0), metadata=bounded(0, 1000))
    length: Setting = field(default=(0.2, 1.0), metadata=bounded(0.01, 10))

    def lost(self, image: tf.Tensor, draws: Draws) -> tf.Tensor:
        n = most(self.count)
        length = draws.setting(self.length, n) * tf.minimum(*sides(image))
        curves = random_curves(image, draws, n, length, bend=0.8)
        # A stroke that is not there has a radius that no distance is below.
        radius = tf.where(draws.present(self.count) > 0, draws.setting(self.width, n) / 2, -1.0)
        lost = tf.zeros(tf.shape(image)[:3], tf.bool)
        for i in range(n):
            lost |= distance_to_curve(image, curves, i)[0] <= radius[:, i, None, None]
        return lost[..., None]


@dataclass(frozen=True)
class Scratches(Corruption):
    """`count` long thin lines, slightly curved, bright or dark, `width` pixels wide, thinning and breaking off.

    A line covers a pixel in part where it is thinner than the pixel or ends in it: `(1 - cover) x + cover * ink`.
    Damage is 1 wherever something is covered.
    """

    kind: ClassVar[str] = "scratches"
    count: Setting = field(default=(1, 6), metadata=bounded(0, MAX_COUNT, whole=True))
    width: Setting = field(default=(0.7, 2.5), metadata=bounded(0.1, 100))

    def apply(self, image: tf.Tensor, damage: tf.Tensor, draws: Draws) -> Corrupted:
        n = most(self.count)
        length = draws.uniform(n, low=0.3, high=1.8) * tf.maximum(*sides(image))
        curves = random_curves(image, draws, n, length, bend=0.08)
        width = draws.setting(self.width, n, 1, 1)
        strength = draws.present(self.count)[..., None, None] * draws.uniform(n, 1, 1, low=0.5, high=1.3)
        waves, phase = draws.uniform(n, 1, 1, low=2.0, high=25.0), draws.uniform(n, 1, 1, high=6.3)
        uneven = draws.uniform(n, 1, 1, high=0.6)
        bright = draws.uniform(n, 1) < 0.6
        # Emulsion and paper are not quite neutral: each channel has its own nearly white or nearly black.
        depth = draws.uniform(n, image.shape[-1], high=0.2)
        ink = tf.where(bright, 1 - depth, depth)
        for i in range(n):
            distance, along = distance_to_curve(image, curves, i)
            # Up to 40 % of a scratch's width comes and goes along it.
            reach = width[:, i] * (1 - uneven[:, i] * (0.5 + 0.5 * tf.sin(waves[:, i] * along + phase[:, i])))
            cover = tf.clip_by_value(reach / 2 + 0.5 - distance, 0.0, 1.0) * tf.minimum(reach, 1.0)
            cover = tf.minimum(cover * strength[:, i], 1.0)[..., None]
            image += cover * (ink[:, i, None, None, :] - image)
            damage = tf.where(cover > 0, 1.0, damage)
        return Corrupted(image, damage)
