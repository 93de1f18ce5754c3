"""Comparison with a template: what a picture has that its registered template has not, and the other way round."""

import numpy as np
from scipy import fft, ndimage

from tfvae.applications.channels import floats
from tfvae.applications.inspection.inspect import Inspected

MOST = 32  # pixels that a piece may lie beside its template, each way
PART = 8  # of the picture's side, beyond which a shift is no small one either
TOLERANCE = 2  # pixels by which an edge may lie elsewhere
WINDOW = 3  # pixels a side over which differences are averaged: a single pixel is no defect
GAIN = (0.5, 2.0)  # of the brightness: within these a template stays what it is
BETTER = 0.9  # times the difference without a shift: a shift that leaves more is none
TRIMMED = 0.9  # of the pixels, those that agree best, give the brightness


def compare(template: np.ndarray, image: np.ndarray) -> Inspected:
    """The map and the score of a picture beside a template of it; no network and no training.

    With `t` the `registered` template, `x` the picture, and `max_r`, `min_r` over the neighbours within `TOLERANCE`
    pixels, the map is the mean over `WINDOW` of `max(0, x - max_r t, min_r t - x, t - max_r x, min_r x - t)`, the
    largest of all channels: the absolute difference where an edge may lie a little elsewhere, in either. Where the
    template does not reach, it is 0.

    Args:
        template: A good piece, `(height, width, 1 or 3)`; uint8, uint16, or float in [0, 1].
        image: The piece that is inspected, of the same height and width.

    Returns:
        The map in [0, 1], in units of the range of light.

    Raises:
        ValueError: When the two are not of one size.
    """
    moved, known = registered(template, image)
    found = difference(moved, floats(np.asarray(image)), known)
    return Inspected(found, float(found.max()))


def difference(template: np.ndarray, image: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """The map of `compare`, float32 `(height, width)`, of a registered template and a picture, floats in [0, 1].

    Args:
        template, image: `(height, width, 1 or 3)`.
        known: Where the template reaches, bool `(height, width)`; None: everywhere.
    """
    t, x = np.broadcast_arrays(template, image)
    side = (2 * TOLERANCE + 1,) * 2 + (1,)
    found = np.zeros(x.shape, np.float32)
    for one, other in ((x, t), (t, x)):
        np.maximum(found, one - ndimage.maximum_filter(other, side), out=found)
        np.maximum(found, ndimage.minimum_filter(other, side) - one, out=found)
    largest = found.max(axis=2) if known is None else np.where(known, found.max(axis=2), np.float32(0))
    return np.clip(ndimage.uniform_filter(largest, WINDOW), 0.0, 1.0)


def registered(template: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A template moved by whole pixels and re-lit, so that it lies on a picture as well as it can.

    The shift is the peak of the phase correlation, at most `MOST` pixels and 1/`PART` of the side each way; it is none
    where it does not take a tenth off the difference. The brightness `gain * t + offset` of each channel is that of
    least squares over the pixels that agree best.

    Args:
        template, image: As of `compare`.

    Returns:
        The template, float32 `(height, width, channels)`, and where it reaches, bool `(height, width)`.

    Raises:
        ValueError: As `compare`.

    Reference:
        Kuglin and Hines (1975), The phase correlation image alignment method.
    """
    t, x = floats(np.asarray(template)), floats(np.asarray(image))
    if t.ndim != 3 or x.ndim != 3 or t.shape[:2] != x.shape[:2]:
        raise ValueError(f"`template` must be of the picture's size, {x.shape}. Received: {t.shape}")
    everywhere = np.ones(x.shape[:2], bool)
    still = _lit(t, x, everywhere)
    moved, known = _moved(t, _shift(t.mean(axis=2), x.mean(axis=2)))
    moved = _lit(moved, x, known)
    away, before = (float(np.abs(each - x)[known].mean()) for each in (moved, still))
    return (moved, known) if away < BETTER * before else (still, everywhere)


def _shift(template: np.ndarray, image: np.ndarray) -> tuple[int, int]:
    """Pixels down and to the right by which the picture lies beside the template: the phase correlation's peak."""
    window = np.outer(*(np.hanning(side + 2)[1:-1] for side in image.shape)).astype(np.float32)
    spectra = [fft.rfft2((each - each.mean()) * window) for each in (template, image)]
    cross = spectra[0].conj() * spectra[1]
    correlation = fft.irfft2(cross / (np.abs(cross) + 1e-9), image.shape)
    most = [min(MOST, side // PART) for side in image.shape]
    near = np.roll(correlation, most, axis=(0, 1))[: 2 * most[0] + 1, : 2 * most[1] + 1]
    down, right = np.unravel_index(near.argmax(), near.shape)
    return int(down) - most[0], int(right) - most[1]


def _moved(template: np.ndarray, shift: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A template moved by `shift`, its border repeated, and where it reaches."""
    rows, columns = (np.arange(side) - by for side, by in zip(template.shape[:2], shift, strict=True))
    inside = [(places >= 0) & (places < side) for places, side in zip((rows, columns), template.shape[:2], strict=True)]
    clipped = [places.clip(0, side - 1) for places, side in zip((rows, columns), template.shape[:2], strict=True)]
    return template[np.ix_(*clipped)], np.logical_and.outer(*inside)


def _lit(template: np.ndarray, image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """A template in the light of a picture; twice, the second time without what agrees least."""
    template, image = np.broadcast_arrays(template, image)
    t, x = template[known], image[known]  # (pixels, channels)
    kept = np.ones(len(t), bool)
    for _ in range(2):
        mean_t, mean_x = (each[kept].mean(axis=0, dtype=np.float64) for each in (t, x))
        spread = ((t[kept] - mean_t) ** 2).mean(axis=0)
        gain = ((t[kept] - mean_t) * (x[kept] - mean_x)).mean(axis=0) / np.maximum(spread, 1e-9)
        gain = np.where(spread > 1e-9, np.clip(gain, *GAIN), 1.0)
        residual = np.abs(gain * (t - mean_t) + mean_x - x).max(axis=1)
        kept = residual <= np.quantile(residual, TRIMMED)
    return (gain * (template - mean_t) + mean_x).astype(np.float32)
