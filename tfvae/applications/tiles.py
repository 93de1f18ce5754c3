"""Pictures of any size through a fully convolutional function, tile by tile: tiled equals whole."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.data.array_batches import MOST_PIXELS

SIDE = int(MOST_PIXELS**0.5)  # pixels; the default tile


@dataclass(frozen=True)
class Tile:
    """What is computed, and the part of it that is right.

    Attributes:
        window: Rows and columns of the picture that are looked at.
        inner: Rows and columns of the picture that are right: at least the margin away from every cut.
        crop: The same part, counted from the window's corner.
    """

    window: tuple[slice, slice]
    inner: tuple[slice, slice]
    crop: tuple[slice, slice]


def tiles(height: int, width: int, side: int, margin: int, factor: int = 1) -> list[Tile]:
    """Overlapping windows of at most `side` pixels whose inner parts make up the picture, each pixel once.

    A function whose output at a pixel depends on what is within `margin` pixels gives in the inner part of a window
    what it gives for the whole picture. Windows start at multiples of `factor`, and end at multiples of it or at the
    picture's own border, so that a network that pads to multiples of `factor` pads nowhere else than for the whole,
    and its grid of latent places is that of the whole. They are of one size, except for the last row and column of a
    picture that is no multiple of `factor`.

    Args:
        height: Of the picture, in pixels.
        width: Of the picture, in pixels.
        side: Of a window, in pixels; rounded down to a multiple of `factor`.
        margin: Radius of the receptive field, in pixels; rounded up to a multiple of `factor`.
        factor: Pixels a latent place.

    Returns:
        Tiles in reading order.

    Raises:
        ValueError: When a size is not positive, or `side` leaves nothing between two margins.
    """
    for name, value in (("height", height), ("width", width), ("factor", factor)):
        if value < 1:
            raise ValueError(f"`{name}` must be positive. Received: {name}={value}")
    if margin < 0:
        raise ValueError(f"`margin` must not be negative. Received: margin={margin}")
    rows, columns = (_spans(length, side, margin, factor) for length in (height, width))
    return [Tile((row[0], column[0]), (row[1], column[1]), (row[2], column[2])) for row in rows for column in columns]


def smallest_side(margin: int, factor: int = 1) -> int:
    """The least `side` that `tiles` takes for a picture larger than it: two margins and one latent place."""
    return 2 * _up(margin, factor) + factor


def assemble(
    compute: Callable[[Tile], Mapping[str, np.ndarray]],
    plan: list[Tile],
    into: Mapping[str, np.ndarray],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Runs `compute` for each tile of `plan` and writes the inner parts of its maps: no memory beyond one tile's.

    Args:
        compute: From a tile to maps `(height, width, …)` of its window, by name.
        plan: What `tiles` returned.
        into: Maps of the whole picture, written in place; each is wanted from `compute`.
        progress: Called with the tiles done and all tiles.
    """
    for done, tile in enumerate(plan, start=1):
        maps = compute(tile)
        for name, whole in into.items():
            whole[tile.inner] = maps[name][tile.crop]
        if progress:
            progress(done, len(plan))


def _spans(length: int, side: int, margin: int, factor: int) -> list[tuple[slice, slice, slice]]:
    """Window, inner part and crop along one axis."""
    if length <= side:
        return [(slice(0, length),) * 3]
    margin, least = _up(margin, factor), smallest_side(margin, factor)
    if side < least:
        raise ValueError(
            f"`side` must be {least} or more: two margins of {margin} pixels and one place of {factor}. "
            f"Received: side={side}"
        )
    side -= side % factor
    spans = []
    start = begin = 0
    while start + side < length:
        end = start + side - margin
        spans.append((start, start + side, begin, end))
        begin = end
        # The last window is moved back until it ends at the border, so that it is as large as the others.
        start = min(end - margin, _up(length - side, factor))
    spans.append((start, length, begin, length))
    return [(slice(a, b), slice(c, d), slice(c - a, d - a)) for a, b, c, d in spans]


def _up(value: int, factor: int) -> int:
    """The next multiple of `factor` from `value` on."""
    return -(-value // factor) * factor


@functools.lru_cache(maxsize=8)
def traced(model: Any, method: str, shapes: tuple[tuple[str, int, int], ...]) -> Any:
    """The model's method as one graph for all sizes: a folder of pictures is traced once."""
    specs = {name: tf.TensorSpec([None] * (rank - 1) + [last], tf.float32, name) for name, rank, last in shapes}
    return tf.function(lambda inputs: getattr(model, method)(**inputs), input_signature=[specs])
