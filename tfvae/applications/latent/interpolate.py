"""The way from one image to another through the latent space."""

from typing import Any

import numpy as np

from tfvae.applications.latent.whole_codes import decoded, whole_codes
from tfvae.data.array_batches import largest_batch
from tfvae.pixels import pixels

# Below this sine of the angle between two directions the great circle between them is lost in rounding.
PARALLEL = 1e-6


def interpolate(
    model: Any,
    a: np.ndarray,
    b: np.ndarray,
    steps: int = 10,
    method: str = "linear",
    batch_size: int = 64,
    levels: Any = None,
) -> np.ndarray:
    """Images decoded on the way between the codes of `a` and `b`; the first and the last are their reconstructions.

    Args:
        model: A latent model of this library.
        a: Image to start from, `(height, width, channels)`; uint8, or float in [0, 1].
        b: Image to arrive at, same shape.
        steps: How many images, both ends included.
        method: `"linear"`, the straight line; or `"slerp"`, along the sphere, where the codes in between stay as
            far from the origin as the prior's draws are.
        batch_size: Most images decoded at once.
        levels: Of a hierarchical model: the levels that go over, as its methods take them; the others stay those of
            `a`.

    Returns:
        float32 in [0, 1], shape `(steps, height, width, channels)`.

    Raises:
        ValueError: When `steps` is below 2, the method is unknown, the shapes of `a` and `b` differ, or there are
            levels for a model that has none.
    """
    if steps < 2:
        raise ValueError(f"`steps` must be at least 2. Received: steps={steps}")
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {', '.join(METHODS)}. Received: method={method!r}")
    if levels is not None and not hasattr(model, "mixed"):
        raise ValueError(f"`levels` must be None for a {type(model).__name__}, which has none. Received: {levels}")
    a, b = pixels(a), pixels(b)
    if a.shape != b.shape:
        raise ValueError(f"`a` and `b` must have the same shape. Received: {a.shape} and {b.shape}.")
    start, end = whole_codes(model, np.stack([a, b]))
    if levels is not None:
        end = np.asarray(model.mixed(start[None], end[None], levels))[0]
    path = np.stack([METHODS[method](start, end, t) for t in np.linspace(0.0, 1.0, steps)])
    images = []
    batch_size = largest_batch(batch_size, *a.shape[:2])
    for place in range(0, steps, batch_size):
        images.append(decoded(model, path[place : place + batch_size]))
    # A spatial latent decodes to whole multiples of its factor; the picture is the top left of it.
    return np.concatenate(images)[:, : a.shape[0], : a.shape[1]]


def lerp(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """The point at `t` of the straight line from `a` (t = 0) to `b` (t = 1): `(1 - t) * a + t * b`, float32."""
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    return np.float32(1.0 - t) * a + np.float32(t) * b


def slerp(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """Spherical interpolation: the direction turns from `a` to `b` at constant rate, the length changes linearly.

    With `w` the angle between them, unit vectors `u`, `v` and `t` in [0, 1]:
    `lerp(|a|, |b|, t) * (sin((1 - t) * w) * u + sin(t * w) * v) / sin(w)`. Falls back to `lerp` where the direction
    is undefined: parallel, opposite or zero vectors.

    Args:
        a: Start; an array of any shape is one vector.
        b: End, same shape.
        t: Place on the way.

    Returns:
        float32, shape of `a`.

    Reference:
        Shoemake (1985), Animating rotation with quaternion curves; White (2016), https://arxiv.org/abs/1609.04468
    """
    if t in (0.0, 1.0):
        return lerp(a, b, t)  # exactly the ends, free of the rounding of the sines
    start, end = np.asarray(a, np.float64), np.asarray(b, np.float64)
    lengths = np.linalg.norm(start), np.linalg.norm(end)
    if min(lengths) == 0.0:
        return lerp(a, b, t)
    u, v = start / lengths[0], end / lengths[1]
    # Half-angle form: arccos of the dot product loses half of the digits for small angles.
    angle = 2.0 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v))
    if np.sin(angle) < PARALLEL:
        return lerp(a, b, t)
    direction = (np.sin((1.0 - t) * angle) * u + np.sin(t * angle) * v) / np.sin(angle)
    return (((1.0 - t) * lengths[0] + t * lengths[1]) * direction).astype(np.float32)


METHODS = {"linear": lerp, "slerp": slerp}
