"""Sliced Wasserstein distance between the neighbourhoods of two sets of pictures, scale by scale."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

SIDE = 7  # pixels of a neighbourhood
PATCHES = 8192  # neighbourhoods drawn on each side at each scale
SLICES = 128  # random directions
SMOOTHING = 1.0  # standard deviation in pixels before every second pixel is taken


def sliced_wasserstein(x: np.ndarray, y: np.ndarray, slices: int = SLICES, seed: int = 0) -> float:
    """`mean over directions u of mean(|sort(x @ u) - sort(y @ u)|)`: the mean 1-Wasserstein distance of projections.

    Args:
        x: `(n, d)`.
        y: `(n, d)`: as many.
        slices: Random directions on the unit sphere.
        seed: Of the directions.

    Returns:
        In units of the data; 0 for equal sets.

    Raises:
        ValueError: If the shapes differ.

    Reference:
        Rabin et al. (2011), Wasserstein barycenter and its application to texture mixing
    """
    if x.shape != y.shape or x.ndim != 2:
        raise ValueError(f"`x` and `y` must be of one shape (n, d). Received: {x.shape} and {y.shape}")
    directions = np.random.default_rng(seed).standard_normal((x.shape[1], slices)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=0)
    return float(np.abs(np.sort(x @ directions, axis=0) - np.sort(y @ directions, axis=0)).mean())


def pyramid_distance(
    x: Sequence[np.ndarray], y: Sequence[np.ndarray], levels: int = 4, patches: int = PATCHES, seed: int = 0
) -> dict[str, float]:
    """Sliced Wasserstein distances of 7×7 neighbourhoods, at each level of a Laplacian pyramid.

    As Karras et al. (2018), section 5, except that the channels of the neighbourhoods are scaled by the standard
    deviation of `x` at that level, not of each set: a set with too little contrast is not forgiven.

    Args:
        x: Real pictures, `(height, width, channels)` each, float in [0, 1]; they scale the distance.
        y: Pictures to compare.
        levels: Of the pyramid; level i is of `1 / 2**i` of the resolution, the last one the low-pass rest.
        patches: Neighbourhoods on each side and level, drawn with replacement.
        seed: Of the neighbourhoods and the directions.

    Returns:
        The distance of each level by name (`"1"`, `"1/2"`, …) and their `"mean"`, in standard deviations of `x` times
        1000, as in the paper.

    Raises:
        ValueError: When a picture is too small for a neighbourhood at the last level.
    """
    pyramids = [[laplacian_pyramid(picture, levels) for picture in pictures] for pictures in (x, y)]
    found = {}
    for level in range(levels):
        rng = np.random.default_rng((seed, level))
        real, other = (_neighbourhoods([each[level] for each in pyramid], patches, rng) for pyramid in pyramids)
        mean, std = real.mean(axis=(0, 1)), np.maximum(real.std(axis=(0, 1)), 1e-6)
        x_flat, y_flat = (((each - mean) / std).reshape(len(each), -1) for each in (real, other))
        found["1" if not level else f"1/{2**level}"] = 1000 * sliced_wasserstein(x_flat, y_flat, seed=seed)
    return found | {"mean": float(np.mean(list(found.values())))}


def laplacian_pyramid(picture: np.ndarray, levels: int) -> list[np.ndarray]:
    """Band-passed pictures, fine to coarse, and the low-pass rest: `levels` in all, each half the size of the last.

    Raises:
        ValueError: When the last is smaller than a neighbourhood.
    """
    if min(picture.shape[:2]) < SIDE * 2 ** (levels - 1):
        least = SIDE * 2 ** (levels - 1)
        raise ValueError(f"`picture` must be {least} pixels wide and high or more. Received: {picture.shape}")
    bands, current = [], np.asarray(picture, np.float32)
    for _ in range(levels - 1):
        smooth = ndimage.gaussian_filter(current, (SMOOTHING, SMOOTHING, 0), mode="mirror")
        bands.append(current - smooth)
        current = smooth[::2, ::2]
    return [*bands, current]


def _neighbourhoods(pictures: list[np.ndarray], count: int, rng: np.random.Generator) -> np.ndarray:
    """Random squares `(count, SIDE * SIDE, channels)`, as many of each picture as its share of all pixels."""
    windows = [np.lib.stride_tricks.sliding_window_view(each, (SIDE, SIDE), axis=(0, 1)) for each in pictures]
    sizes = np.array([each.shape[0] * each.shape[1] for each in windows])
    chosen = np.split(rng.permutation(count), np.cumsum(rng.multinomial(count, sizes / sizes.sum()))[:-1])
    parts = []
    for window, numbers in zip(windows, chosen, strict=True):
        rows, columns = (rng.integers(side, size=len(numbers)) for side in window.shape[:2])
        part = window[rows, columns]  # (n, channels, SIDE, SIDE)
        parts.append(part.reshape(*part.shape[:2], -1).swapaxes(1, 2))
    return np.concatenate(parts)
