"""What every corruption is: a frozen table of settings that maps a batch of images and a seed to damaged images."""

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, NamedTuple

import tensorflow as tf

from tfvae.corruptions.draws import Draws, Setting


class Corrupted(NamedTuple):
    """Images after a corruption, and where it damaged them.

    `image` is `(batch, height, width, channels)` float32. Noise is not clipped, so that it keeps its mean and its
    variance; marks and tones are within [0, 1]. `damage` is `(batch, height, width, 1)` float32: 1 where a local
    corruption (hole, scratch, stain, mark) lies, else 0; noise, blur, JPEG and tones are everywhere and damage nothing.
    """

    image: tf.Tensor
    damage: tf.Tensor


def bounded(low: float, high: float, whole: bool = False) -> dict[str, Any]:
    """Metadata of a field that holds a setting: a number from `low` to `high`, or a pair that each image draws from."""
    return {"bounds": (low, high), "whole": whole}


@dataclass(frozen=True)
class Corruption:
    """A corruption with its settings; `probability` is the share of images that get it, the others stay as they are.

    A subclass names its `kind`, declares its settings as fields with `within`, and defines `apply`.

    Raises:
        ValueError: When a setting is neither a number nor a pair `[low, high]` within its bounds.
    """

    kind: ClassVar[str] = ""
    allows_xla: ClassVar[bool] = True  # whether XLA has a kernel of all it does
    probability: float = field(default=1.0, kw_only=True)

    def __post_init__(self):
        for item in fields(self):
            if "bounds" in item.metadata:
                value = _checked(self.kind, item.name, getattr(self, item.name), **item.metadata)
                object.__setattr__(self, item.name, value)
        if not is_number(self.probability) or not 0 <= self.probability <= 1:
            raise ValueError(
                f"`probability` of the corruption '{self.kind}' must be a number in [0, 1]. "
                f"Received: probability={self.probability!r}"
            )

    def __call__(self, image: tf.Tensor, damage: tf.Tensor, seed: tf.Tensor) -> Corrupted:
        """`image` `(b, h, w, c)` and `damage` `(b, h, w, 1)` after it; a function of `seed`, int32 (2,)."""
        seeds = tf.random.split(seed, 2)
        draws = Draws(seeds[0], tf.shape(image)[0])
        corrupted = self.apply(image, damage, draws)
        if self.probability < 1:
            chosen = Draws(seeds[1], tf.shape(image)[0]).uniform(1, 1, 1) < self.probability
            corrupted = Corrupted(tf.where(chosen, corrupted.image, image), tf.where(chosen, corrupted.damage, damage))
        return corrupted

    def apply(self, image: tf.Tensor, damage: tf.Tensor, draws: Draws) -> Corrupted:
        """What the corruption does to every image of a batch."""
        raise NotImplementedError

    def table(self) -> dict[str, Any]:
        """The settings, JSON-ready, with the `kind`."""
        settings = {item.name: getattr(self, item.name) for item in fields(self)}
        return {"kind": self.kind} | {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()}


def is_number(value: Any) -> bool:
    """Whether a value of a table is a number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _checked(kind: str, name: str, value: Any, bounds: tuple[float, float], whole: bool) -> Setting:
    pair = tuple(value) if isinstance(value, list | tuple) else (value, value)
    low, high = bounds
    # A NaN fails every comparison, so it is refused, too.
    fits = len(pair) == 2 and all(map(is_number, pair)) and low <= pair[0] <= pair[1] <= high
    if not fits or (whole and any(number != int(number) for number in pair)):
        raise ValueError(
            f"`{name}` of the corruption '{kind}' must be a {'whole ' if whole else ''}number or a pair [low, high] "
            f"of them, from {low} to {high}. Received: {name}={value!r}"
        )
    return pair if isinstance(value, list | tuple) else value
