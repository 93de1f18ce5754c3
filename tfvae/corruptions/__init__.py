"""Corruptions on purpose, in TensorFlow alone: batched, a function of the seed, at home in a `tf.function`.

A recipe writes them as tables, `[{"kind": "gaussian", "std": [0, 0.2]}, {"kind": "jpeg", "quality": 40}]`: a number is
fixed, a pair is drawn uniformly for each image, and `probability` says how many images get the corruption at all.
A new one is a frozen dataclass with `kind`, settings and `apply`, and a place in `CORRUPTIONS`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import tensorflow as tf

from tfvae.corruptions.base import Corrupted, Corruption
from tfvae.corruptions.blur import Blur
from tfvae.corruptions.choice import OneOf
from tfvae.corruptions.defects import Cracks, PastedPatches, UnevenTone, WarpedPatches
from tfvae.corruptions.holes import Boxes, RandomPixels, Scratches, Strokes
from tfvae.corruptions.jpeg import Jpeg
from tfvae.corruptions.marks import LogoWatermark, Stains, TextWatermark
from tfvae.corruptions.noise import GaussianNoise, PoissonNoise, SaltPepper
from tfvae.corruptions.tone import Brightness, ColourCast, Contrast, Exposure, Gamma, Saturation
from tfvae.errors import did_you_mean

__all__ = ["CORRUPTIONS", "Corrupted", "Corruption", "as_tables", "corrupt", "from_tables"]

CORRUPTIONS: dict[str, type[Corruption]] = {
    corruption.kind: corruption
    for corruption in (
        *(GaussianNoise, PoissonNoise, SaltPepper, Jpeg, Blur),
        *(RandomPixels, Boxes, Strokes, Scratches, Stains, TextWatermark, LogoWatermark),
        *(PastedPatches, WarpedPatches, Cracks, UnevenTone),
        *(Exposure, Gamma, Contrast, Brightness, ColourCast, Saturation),
        OneOf,
    )
}


def corrupt(images: tf.Tensor, corruptions: Iterable[Corruption], seed: tf.Tensor) -> Corrupted:
    """`images` after the corruptions, in their order; each draws from its own part of `seed`.

    Args:
        images: `(batch, height, width, channels)` floats in [0, 1]; 1 or 3 channels, the other sizes may be unknown.
        corruptions: What is done to them, from `from_tables` or made directly.
        seed: int32, shape (2,). The same seed, images and corruptions give the same outcome.

    Returns:
        The images, float32, and where they are damaged.

    Raises:
        ValueError: When `images` are not four-dimensional floats with 1 or 3 channels.
    """
    images = tf.convert_to_tensor(images)
    if images.shape.rank != 4 or images.shape[-1] not in (1, 3) or not images.dtype.is_floating:
        raise ValueError(
            "`images` must be floats (batch, height, width, channels) with 1 or 3 channels. "
            f"Received: shape {images.shape}, {images.dtype.name}"
        )
    image = tf.cast(images, tf.float32)
    outcome = Corrupted(image, tf.zeros_like(image[..., :1]))
    steps = tuple(corruptions)
    for corruption, step_seed in zip(steps, tf.unstack(tf.random.split(seed, max(1, len(steps)))), strict=False):
        outcome = corruption(*outcome, step_seed)
    return outcome


def from_tables(tables: Sequence[Mapping[str, Any]]) -> tuple[Corruption, ...]:
    """The corruptions that `tables` describe: `kind`, and any of its settings.

    Raises:
        ValueError: When a kind or a setting is unknown, or a value is out of its bounds.
    """
    if not isinstance(tables, list | tuple):
        raise ValueError(f"`tables` must be a list of tables such as {{'kind': 'gaussian'}}. Received: {tables!r}")
    return tuple(_from_table(table) for table in tables)


def as_tables(corruptions: Iterable[Corruption]) -> list[dict[str, Any]]:
    """Tables, JSON-ready, with every setting; `from_tables` makes equal corruptions of them."""
    return [corruption.table() for corruption in corruptions]


def _from_table(table: Mapping[str, Any]) -> Corruption:
    if not isinstance(table, Mapping):
        raise ValueError(f"`tables` must hold tables such as {{'kind': 'gaussian'}}. Received: {table!r}")
    settings = dict(table)
    kind = settings.pop("kind", None)
    if not isinstance(kind, str) or kind not in CORRUPTIONS:
        raise ValueError(
            f"`kind` of a corruption must be one of {', '.join(CORRUPTIONS)}.{did_you_mean(str(kind), CORRUPTIONS)} "
            f"Received: kind={kind!r}"
        )
    known = [item.name for item in fields(CORRUPTIONS[kind])]
    for name in settings:
        if name not in known:
            raise ValueError(
                f"`{name}` is no setting of the corruption '{kind}', which has {', '.join(known)}."
                f"{did_you_mean(name, known)} Received: {name}={settings[name]!r}"
            )
    if kind == OneOf.kind and "of" in settings:
        settings["of"] = from_tables(settings["of"])
    return CORRUPTIONS[kind](**settings)
