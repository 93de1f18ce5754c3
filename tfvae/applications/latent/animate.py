"""A walk through the latent space, from picture to picture, as the frames of a film."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from scipy.interpolate import CubicSpline

from tfvae.applications.latent.generate import drawn_size, noise_shape, temperatures
from tfvae.applications.latent.interpolate import METHODS as ARCS
from tfvae.applications.latent.whole_codes import decoded, whole_codes
from tfvae.data.array_batches import batches, largest_batch
from tfvae.inputs import given

METHODS = (*ARCS, "spline")


def animate(
    model: Any,
    images: np.ndarray,
    frames: int = 30,
    method: str = "slerp",
    loop: bool = False,
    batch_size: int = 16,
) -> Iterator[np.ndarray]:
    """Frames decoded on the way through the codes of `images`; each picture's reconstruction is one of them.

    Args:
        model: A latent model of this library that decodes a code alone (`model.decode`).
        images: At least two, `(n, height, width, channels)`; uint8, or float in [0, 1].
        frames: From one picture to the next.
        method: As in `walk`.
        loop: Whether the last picture leads back to the first.
        batch_size: Most frames decoded at once.

    Yields:
        float32 in [0, 1], `(height, width, channels)`: `frames * (n - 1) + 1` of them, `frames * n` in a loop.

    Raises:
        ValueError: As `walk`, and when the model needs more than a code to decode.
    """
    if not hasattr(model, "decode"):
        raise ValueError(f"`model` must decode a code and nothing else. Received: {type(model).__name__}")
    codes = np.concatenate([whole_codes(model, x) for x in batches(images, batch_size)])
    way = walk(codes, frames, method, loop)
    yield from _decoded(lambda codes: decoded(model, codes), way, images[0].shape[:2], batch_size)


def animate_draws(
    model: Any,
    count: int = 5,
    seed: int = 0,
    frames: int = 30,
    method: str = "slerp",
    loop: bool = False,
    temperature: float | Sequence[float] = 1.0,
    size: tuple[int, int] | None = None,
    batch_size: int = 16,
    labels: Any = None,
) -> Iterator[np.ndarray]:
    """Frames on the way through `count` draws of the prior, of which the first are those that `generate` draws.

    Args:
        model: A latent model with a prior (`model.generate`).
        count: Draws, at least two.
        seed: Of the draws.
        frames: From one draw to the next.
        method: As in `walk`.
        loop: Whether the last draw leads back to the first.
        temperature: As in `generate`.
        size: As in `generate`.
        batch_size: Most frames decoded at once.
        labels: Of a conditional model, one for all frames: an index, a name, or weights; None: the first.

    Yields:
        As `animate`.

    Raises:
        ValueError: As `walk`, and as `generate` for the model, the temperature and the size.
    """
    if not hasattr(model, "generate"):
        raise ValueError(f"`model` must have a prior to draw from. Received: {type(model).__name__}")
    factors = temperatures(model, temperature)
    height, width = drawn_size(model, size)
    noise = np.random.default_rng(seed).standard_normal((count, *noise_shape(model, height, width)), dtype=np.float32)
    way = walk(noise, frames, method, loop)
    if labels is None and model.conditional:
        labels = 0

    def draw(z: np.ndarray) -> np.ndarray:
        return keras.ops.convert_to_numpy(model.generate(z, factors, **given(labels))["image"])

    yield from _decoded(draw, way, (height, width), batch_size)


def walk(codes: np.ndarray, frames: int, method: str = "slerp", loop: bool = False) -> Iterator[np.ndarray]:
    """Points on a way through `codes` that passes each of them exactly, `frames` equal steps apart.

    Args:
        codes: At least two, `(n, …)`.
        frames: Steps from one code to the next, of the way's own parameter.
        method: `"linear"` or `"slerp"` from neighbour to neighbour, as in `interpolate`; `"spline"`: one natural cubic
            spline through all, whose velocity and acceleration are continuous – in a loop across its end, too.
        loop: Whether the way goes from the last code back to the first; the first is then not repeated at the end.

    Yields:
        float32, shape of a code.

    Raises:
        ValueError: When there are less than two codes, `frames` is not positive, or the method is unknown.
    """
    codes = np.asarray(codes, np.float32)
    if len(codes) < 2:
        raise ValueError(f"`codes` must be two or more. Received: {len(codes)}")
    if frames < 1:
        raise ValueError(f"`frames` must be positive. Received: frames={frames}")
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {', '.join(METHODS)}. Received: method={method!r}")
    stops = np.concatenate([codes, codes[:1]]) if loop else codes
    if method == "spline":
        spline = CubicSpline(np.arange(len(stops)), stops, bc_type="periodic" if loop else "natural")

    def between(leg: int, t: float) -> np.ndarray:
        return spline(leg + t).astype(np.float32) if method == "spline" else ARCS[method](stops[leg], stops[leg + 1], t)

    for leg in range(len(stops) - 1):
        yield stops[leg]
        for step in range(1, frames):
            yield between(leg, step / frames)
    if not loop:
        yield stops[-1]


def _decoded(
    decode: Callable[[np.ndarray], np.ndarray], way: Iterator[np.ndarray], size: tuple[int, ...], batch_size: int
) -> Iterator[np.ndarray]:
    """Frames of the codes, in batches of one size, so that nothing is compiled twice."""
    height, width = size
    batch_size = largest_batch(batch_size, height, width)
    batch: list[np.ndarray] = []

    def drawn() -> np.ndarray:
        full = np.stack(batch + batch[-1:] * (batch_size - len(batch)))
        # A spatial latent decodes to whole multiples of its factor; the picture is the top left of it.
        return decode(full)[: len(batch), :height, :width]

    for code in way:
        batch.append(code)
        if len(batch) == batch_size:
            yield from drawn()
            batch = []
    if batch:
        yield from drawn()
