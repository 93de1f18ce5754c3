"""Inspect one picture of any size, in tiles at full resolution: its map, its score, and the regions that stand out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import ndimage

from tfvae.applications.channels import floats
from tfvae.applications.tiles import SIDE, Tile, assemble, smallest_side, tiles, traced

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Inspected:
    """One picture, inspected.

    Attributes:
        map: How unlike a good piece each pixel is, in (0, 1), float32 `(height, width)`.
        score: The map's maximum.
    """

    map: np.ndarray
    score: float


@dataclass(frozen=True)
class Region:
    """A connected part of a picture that stands out.

    Attributes:
        box: Left, top, width and height, in pixels.
        mask: Which pixels of the box belong to it, bool `(height, width)`.
        score: The map's maximum in it.
    """

    box: tuple[int, int, int, int]
    mask: np.ndarray
    score: float

    @property
    def area(self) -> int:
        """Pixels."""
        return int(self.mask.sum())


def inspect(model: Any, image: np.ndarray, tile: int | None = None, progress: Progress | None = None) -> Inspected:
    """The map and the score of one picture; the tile's size changes nothing, up to rounding.

    Args:
        model: An `Inspector`.
        image: `(height, width, channels)` with the model's channels; uint8, uint16, or float in [0, 1].
        tile: Side of the parts it is computed in, pixels; None: 1024, more where the receptive field asks for it.
        progress: Called with the tiles done and all tiles.

    Raises:
        ValueError: When a shape or `tile` is none that is accepted.
    """
    image = _checked(model, image)
    found = np.empty((*image.shape[:2], 1), np.float32)
    _apply(model, "inspect", image, {"map": found}, tile, progress)
    return Inspected(found[:, :, 0], float(found.max()))


def peaks(model: Any, image: np.ndarray, tile: int | None = None) -> np.ndarray:
    """The largest of each of the model's `evidence_sources` in a picture, `(3,)`; arguments as of `inspect`."""
    image = _checked(model, image)
    sources = np.empty((*image.shape[:2], len(model.evidence_sources)), np.float32)
    _apply(model, "evidence", image, {"evidence": sources}, tile, None)
    return sources.max(axis=(0, 1))


def regions(found: Inspected, threshold: float) -> list[Region]:
    """The connected parts (8 neighbours) of a map above a threshold, the most suspicious first.

    A picture has a region exactly when its score is above the threshold.
    """
    labels, _ = ndimage.label(found.map > threshold, np.ones((3, 3)))
    parts = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        mask = labels[rows, columns] == number
        box = (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        parts.append(Region(box, mask, float(found.map[rows, columns][mask].max())))
    return sorted(parts, key=lambda part: -part.score)


def least_tile(model: Any) -> int:
    """The least `tile` that a picture larger than it can be computed in."""
    return smallest_side(model.reach, model.factor)


def _apply(
    model: Any, method: str, image: np.ndarray, into: dict[str, np.ndarray], tile: int | None, progress: Progress | None
) -> None:
    height, width, channels = image.shape
    plan = tiles(height, width, tile or max(SIDE, 2 * least_tile(model)), model.reach, model.factor)
    picture = ("image", 4, channels)
    # What each tile has to know of the whole picture; of one tile it knows all.
    alone = len(plan) == 1
    whole = None if alone else traced(model, "whole", (picture,))({"image": _batch(image)})["whole"]
    function = traced(model, method, (picture,) if alone else (picture, ("whole", 4, len(model.whole_sources))))

    def compute(place: Tile) -> dict[str, np.ndarray]:
        inputs = {"image": _batch(image[place.window])}
        maps = function(inputs if whole is None else {**inputs, "whole": whole[(slice(None), *place.window)]})
        return {name: maps[name].numpy()[0] for name in into}

    assemble(compute, plan, into, progress)


def _batch(image: np.ndarray) -> tf.Tensor:
    return tf.convert_to_tensor(floats(image)[None])


def _checked(model: Any, image: np.ndarray) -> np.ndarray:
    image, channels = np.asarray(image), model.image_shape[-1]
    if image.ndim != 3 or image.shape[2] != channels or 0 in image.shape:
        raise ValueError(f"`image` must be (height, width, {channels}) for this model. Received: {image.shape}")
    return image
