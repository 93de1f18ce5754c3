"""What is drawn from an exemplar, by whom, and the figures of it."""

from typing import Any

import numpy as np

from tfvae.applications.textures import photographs
from tfvae.applications.textures.quilting import Library, Quilt
from tfvae.applications.textures.synthesis import synthesize
from tfvae.metrics.sliced_wasserstein import SIDE as NEIGHBOURHOOD
from tfvae.metrics.sliced_wasserstein import pyramid_distance
from tfvae.pixels import pixels

LEVELS = 4  # of the pyramid, fewer where the held-out part is too small
SHARE = 5 / 8  # of a photograph, the exemplar


def halves(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The exemplar, left or upper, and the rest: the longer side is divided."""
    axis = int(image.shape[1] < image.shape[0]) ^ 1
    exemplar, rest = np.split(image, [int(SHARE * image.shape[axis])], axis=axis)
    return exemplar, rest


def ours(exemplar: np.ndarray, side: int, patch: int, seed: int, seamless: bool) -> np.ndarray:
    """A square picture, uint8, as the command draws it from a photograph."""
    return photographs.quilted([exemplar], (side, side), seamless=seamless, patch=patch, seed=seed)


def learnt(model: Any, exemplar: np.ndarray, side: int, patch: int, seed: int) -> np.ndarray:
    """A square picture, uint8, as the command draws it from a run."""
    side = side // model.factor * model.factor
    strips = synthesize(model, [exemplar], (side, side), patch=patch, seed=seed)
    return np.concatenate(list(strips))


def quilted(exemplar: np.ndarray, side: int, patch: int, seed: int) -> np.ndarray:
    """Image quilting of the pixels: differences in their own units, rules of choice and of overlap as ours."""
    patch = min(patch, min(exemplar.shape[:2]) // 2) // 4 * 4
    quilt = Quilt(Library([pixels(exemplar)], patch), side, side, seed=seed)
    return exemplar.reshape(-1, exemplar.shape[2])[np.concatenate(list(quilt))]


def phase_noise(exemplar: np.ndarray, seed: int) -> np.ndarray:
    """The exemplar with one random phase for all channels, uint8: its spectrum, and no form.

    Reference:
        Galerne, Gousseau and Morel (2011), Random phase textures: theory and synthesis
    """
    x = pixels(exemplar)
    mean = x.mean(axis=(0, 1))
    # The phase of real noise is antisymmetric, so that the picture is real.
    phase = np.angle(np.fft.fft2(np.random.default_rng(seed).standard_normal(x.shape[:2])))
    turned = np.fft.fft2(x - mean, axes=(0, 1)) * np.exp(1j * phase)[:, :, None]
    noise = np.real(np.fft.ifft2(turned, axes=(0, 1))) + mean
    return np.rint(255 * np.clip(noise, 0, 1)).astype(np.uint8)


def distance(real: np.ndarray, drawn: np.ndarray, seed: int) -> dict[str, float]:
    """`pyramid_distance` of two pictures, as deep as both are large enough for."""
    least = min(*real.shape[:2], *drawn.shape[:2])
    levels = min(LEVELS, 1 + int(np.log2(least / NEIGHBOURHOOD)))
    return pyramid_distance([pixels(real)], [pixels(drawn)], levels=levels, seed=seed)


def seam(tile: np.ndarray) -> dict[str, float]:
    """Mean absolute differences of adjacent rows and columns, white is 1: across the edge, and everywhere inside."""
    x = pixels(tile)
    across = [np.abs(x[0] - x[-1]).mean(), np.abs(x[:, 0] - x[:, -1]).mean()]
    inside = [np.abs(np.diff(x, axis=axis)).mean() for axis in (0, 1)]
    return {"across": float(np.mean(across)), "inside": float(np.mean(inside))}
