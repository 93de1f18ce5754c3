"""Defects that no paper or lens makes but a production line does: patches, distortions, cracks, uneven tone.

What they do is judged by what can be seen: damage is 1 where a pixel moved by more than `NOTICEABLE`, so a patch that
looks like what it covers is no defect, and nobody has to find it.
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import tensorflow as tf

from tfvae.corruptions.base import Corrupted, Corruption, bounded
from tfvae.corruptions.draws import Draws, Setting, most
from tfvae.corruptions.geometry import pixel_grid, sides
from tfvae.corruptions.marks import NOTICEABLE
from tfvae.layers.warping import warp


@dataclass(frozen=True)
class Defects(Corruption):
    """Base of what changes `count` places of a picture, one after the other: `changed` says how each does."""

    count: Setting = field(default=(1, 2), metadata=bounded(0, 16, whole=True))
    size: Setting = field(default=(0.05, 0.4), metadata=bounded(0.001, 5))

    def apply(self, image: tf.Tensor, damage: tf.Tensor, draws: Draws) -> Corrupted:
        original, present = image, draws.present(self.count)
        for i in range(most(self.count)):
            changed = tf.clip_by_value(self.changed(image, original, draws), 0.0, 1.0)
            image = tf.where(present[:, i, None, None, None] > 0, changed, image)
        seen = tf.reduce_max(tf.abs(image - original), axis=-1, keepdims=True) > NOTICEABLE
        return Corrupted(image, tf.where(seen, 1.0, damage))

    def changed(self, image: tf.Tensor, originals: tf.Tensor, draws: Draws) -> tf.Tensor:
        """`image` with one more defect; `originals` are those of the whole batch."""
        raise NotImplementedError


@dataclass(frozen=True)
class PastedPatches(Defects):
    """`count` patches from elsewhere in the picture or in another one of the batch, `(1 - a) x + a (patch + tone)`.

    A patch is a turned rectangle or ellipse whose sides are `size` times the shorter side of the picture, its edge
    `softness` pixels wide; `alpha` is the largest a, and `tone` is added to what is pasted.

    Reference:
        Li et al. (2021), CutPaste, https://arxiv.org/abs/2104.04015; Schlüter et al. (2022), Natural synthetic
        anomalies, https://arxiv.org/abs/2109.15222
    """

    kind: ClassVar[str] = "pasted_patches"
    alpha: Setting = field(default=(0.4, 1.0), metadata=bounded(0, 1))
    softness: Setting = field(default=(0.5, 6.0), metadata=bounded(0.1, 100))
    tone: Setting = field(default=(-0.2, 0.2), metadata=bounded(-1, 1))

    def changed(self, image: tf.Tensor, originals: tf.Tensor, draws: Draws) -> tf.Tensor:
        cover = draws.setting(self.alpha, 1, 1) * _patch(image, draws, self.size, draws.setting(self.softness, 1, 1))
        pasted = _from_elsewhere(originals, draws) + draws.setting(self.tone, 1, 1, 1)
        return image + cover[..., None] * (pasted - image)


@dataclass(frozen=True)
class WarpedPatches(Defects):
    """`count` round places, `size` shorter sides wide, where the picture is bent by up to `shift` pixels.

    A place is pushed aside or turned about its middle; the bend is full in the middle and none at the rim.
    """

    kind: ClassVar[str] = "warped_patches"
    shift: Setting = field(default=(2.0, 8.0), metadata=bounded(0, 1000))

    def changed(self, image: tf.Tensor, originals: tf.Tensor, draws: Draws) -> tf.Tensor:
        y, x, radius = _placed(image, draws, self.size)
        inside = tf.maximum(1 - (y * y + x * x) / (radius * radius), 0.0)
        bump = draws.setting(self.shift, 1, 1) * inside * inside
        angle, turns = draws.uniform(1, 1, high=2 * math.pi), draws.uniform(1, 1) < 0.5
        down = tf.where(turns, x / radius, tf.sin(angle))
        right = tf.where(turns, -y / radius, tf.cos(angle))
        return warp(image, tf.stack([bump * down, bump * right], axis=-1))


@dataclass(frozen=True)
class UnevenTone(Defects):
    """`count` soft bright or dark places: up to `strength` of the light is taken away, or of what lacks to white added.

    A place is a turned bell, `size` times the shorter side wide at about half of its height, and may be larger than
    the picture, which then is brighter on one side.
    """

    kind: ClassVar[str] = "uneven_tone"
    size: Setting = field(default=(0.2, 1.5), metadata=bounded(0.001, 5))
    strength: Setting = field(default=(0.08, 0.5), metadata=bounded(0, 1))

    def changed(self, image: tf.Tensor, originals: tf.Tensor, draws: Draws) -> tf.Tensor:
        y, x, radius = _placed(image, draws, self.size)
        longer = draws.uniform(1, 1, low=1.0, high=3.0)
        bell = tf.exp(-math.log(2) * ((y * longer) ** 2 + x * x) / (radius * radius))
        change = (draws.setting(self.strength, 1, 1) * bell)[..., None]
        return tf.where(draws.uniform(1, 1, 1) < 0.5, image * (1 - change), image + change * (1 - image))


@dataclass(frozen=True)
class Cracks(Defects):
    """`count` jagged lines, `size` times the longer side long and `width` pixels wide, tapering: `x + cover (ink - x)`.

    A crack turns by about half a right angle from piece to piece; most are darker than what they cross. `strength` is
    the largest cover.
    """

    kind: ClassVar[str] = "cracks"
    size: Setting = field(default=(0.1, 0.8), metadata=bounded(0.001, 5))
    width: Setting = field(default=(0.6, 2.5), metadata=bounded(0.1, 100))
    strength: Setting = field(default=(0.2, 1.0), metadata=bounded(0, 1))

    PIECES: ClassVar[int] = 6

    def changed(self, image: tf.Tensor, originals: tf.Tensor, draws: Draws) -> tf.Tensor:
        height, width = sides(image)
        piece = draws.setting(self.size, 1) * tf.maximum(height, width) / self.PIECES
        turns = tf.concat([draws.uniform(1, high=2 * math.pi), 0.6 * draws.normal(self.PIECES - 1)], axis=1)
        angle = tf.cumsum(turns, axis=1)
        step = piece[..., None] * tf.stack([tf.sin(angle), tf.cos(angle)], axis=-1)  # (b, pieces, 2)
        # Its middle is anywhere in the picture.
        middle = draws.uniform(1, 2) * tf.stack([height, width])
        start = middle - 0.5 * tf.reduce_sum(step, axis=1, keepdims=True) + tf.cumsum(step, axis=1, exclusive=True)
        distance, along = _distance_to_pieces(image, start, step)
        reach = draws.setting(self.width, 1, 1) * (1 - 0.7 * along)
        cover = tf.clip_by_value(reach / 2 + 0.5 - distance, 0.0, 1.0) * tf.minimum(reach, 1.0)
        cover = (draws.setting(self.strength, 1, 1) * cover)[..., None]
        ink = tf.where(draws.uniform(1, 1, 1) < 0.7, 0.0, 1.0)
        return image + cover * (ink - image)


def _placed(image: tf.Tensor, draws: Draws, size: Setting) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Where all pixels lie across and along a direction from a random pixel, `(b, h, w)`, and half a `size`: pixels."""
    y, x = pixel_grid(image)
    height, width = sides(image)
    y = y - draws.uniform(1, 1) * height
    x = x - draws.uniform(1, 1) * width
    angle = draws.uniform(1, 1, high=math.pi)
    radius = draws.setting(size, 1, 1) * tf.minimum(height, width) / 2
    return y * tf.cos(angle) - x * tf.sin(angle), x * tf.cos(angle) + y * tf.sin(angle), radius


def _patch(image: tf.Tensor, draws: Draws, size: Setting, softness: tf.Tensor) -> tf.Tensor:
    """Cover `(b, h, w)` in [0, 1] of a turned rectangle or ellipse whose two sides are drawn from `size`."""
    y, x, half = _placed(image, draws, size)
    other = draws.setting(size, 1, 1) * tf.minimum(*sides(image)) / 2
    y, x = tf.abs(y), tf.abs(x)
    round_ = half * other / tf.maximum(half, other) * (1 - tf.sqrt((x / half) ** 2 + (y / other) ** 2))
    straight = tf.minimum(half - x, other - y)
    # Pixels from the edge, inwards.
    depth = tf.where(draws.uniform(1, 1) < 0.5, round_, straight)
    return tf.clip_by_value(depth / softness + 0.5, 0.0, 1.0)


def _from_elsewhere(images: tf.Tensor, draws: Draws) -> tf.Tensor:
    """Each image of a batch replaced by any of them, moved by any distance; what leaves it comes in opposite."""
    shape = tf.shape(images)
    batch, height, width = shape[0], shape[1], shape[2]
    which = tf.range(batch) + tf.cast(draws.uniform() * tf.cast(batch, tf.float32), tf.int32)
    flat = tf.gather(tf.reshape(images, (batch, height * width, shape[3])), which % batch)
    rows, columns = (
        tf.range(side)[None] + tf.cast(draws.uniform(1) * tf.cast(side, tf.float32), tf.int32)
        for side in (height, width)
    )
    place = (rows % height)[:, :, None] * width + (columns % width)[:, None, :]
    moved = tf.gather(flat, tf.reshape(place, (batch, height * width)), batch_dims=1)
    return tf.ensure_shape(tf.reshape(moved, shape), images.shape)


def _distance_to_pieces(image: tf.Tensor, start: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Distance of every pixel to a chain of straight pieces, and how far along the chain its nearest point is, 0 to 1.

    Both `(b, h, w)`; `start` and `step` of the pieces are rows and columns, `(b, pieces, 2)`.
    """
    y, x = pixel_grid(image)
    shape, count = tf.shape(image)[:3], step.shape[1]
    nearest, along = tf.fill(shape, math.inf), tf.zeros(shape)
    for i in range(count):
        from_y, from_x = (start[:, i, axis, None, None] for axis in (0, 1))
        step_y, step_x = (step[:, i, axis, None, None] for axis in (0, 1))
        length = step_y**2 + step_x**2
        share = tf.clip_by_value(((y - from_y) * step_y + (x - from_x) * step_x) / length, 0.0, 1.0)
        distance = tf.sqrt((y - from_y - share * step_y) ** 2 + (x - from_x - share * step_x) ** 2)
        along = tf.where(distance < nearest, (i + share) / count, along)
        nearest = tf.minimum(nearest, distance)
    return nearest, along
