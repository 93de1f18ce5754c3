"""Kurtosis of the derivatives of pictures: how sparse their edges are."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

LEAST_SIDE = 8  # pixels of the coarsest octave


def edge_sparseness(images: Iterable[ArrayLike]) -> np.ndarray:
    """`mean(d**4) / mean(d**2)**2` of the horizontal and vertical differences d of luminance, octave by octave.

    Pictures of things are flat between few edges and have large values; blurred noise has some 3, as a normal
    distribution has. Contrast does not count.

    Args:
        images: `(n, height, width, channels)`, of one size; any scale.

    Returns:
        float64 `(n, octaves)`: as they are, at half their size, and on as long as no side is below `LEAST_SIDE`; not
        a number where an image has no differences.

    Raises:
        ValueError: If a side is below `LEAST_SIDE` pixels.

    Reference:
        Field (1987), Relations between the statistics of natural images and the response properties of cortical cells
    """
    grey = np.stack([np.asarray(image, np.float64).mean(axis=-1) for image in images])
    if min(grey.shape[1:]) < LEAST_SIDE:
        raise ValueError(f"`images` must have sides of {LEAST_SIDE} pixels or more. Received: {grey.shape[1:]}")
    octaves = []
    while min(grey.shape[1:]) >= LEAST_SIDE:
        octaves.append(_kurtosis(grey))
        grey = grey[:, : grey.shape[1] // 2 * 2, : grey.shape[2] // 2 * 2]
        grey = (grey[:, ::2] + grey[:, 1::2]) / 2
        grey = (grey[:, :, ::2] + grey[:, :, 1::2]) / 2
    return np.stack(octaves, axis=1)


def _kurtosis(grey: np.ndarray) -> np.ndarray:
    differences = np.concatenate([np.diff(grey, axis=axis).reshape(len(grey), -1) for axis in (1, 2)], axis=1)
    squares = np.square(differences)
    with np.errstate(invalid="ignore"):
        return np.mean(np.square(squares), axis=1) / np.square(np.mean(squares, axis=1))
