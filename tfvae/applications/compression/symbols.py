"""From a picture to the symbols of a file and back, through a codec, in tiles: no memory beyond the latents'.

A file holds whole numbers only: rounded hyper-latents, and latents rounded around the means that the hyper-decoder
predicts from them in exact arithmetic. Which table codes a symbol, the hyper-decoder says too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.applications.channels import floats, typed
from tfvae.applications.tiles import SIDE, assemble, tiles, traced
from tfvae.networks.hyperprior import FACTOR, rate_distortion_round
from tfvae.networks.integer_decoder import INPUT_MOST

Progress = Callable[[int, int], None]
PART = 128  # latent places: what is rounded at once, so that no map of floats is copied as a whole
MOST_SYMBOL = 2**20  # of a latent that has run away; beyond, nothing is kept of it


@dataclass(frozen=True)
class Prediction:
    """What is known of the latents of a picture before they are read.

    Attributes:
        mean: In sixteenths, int16 `(h, w, latent_dim)`.
        index: Of their tables, uint8, likewise.
    """

    mean: np.ndarray
    index: np.ndarray


def latents_of(model: Any, image: np.ndarray, tile: int | None = None, progress: Progress | None = None) -> np.ndarray:
    """Latents of a picture before a quality enlarges them, float32 `(h, w, latent_dim)`.

    Args:
        model: A `Codec`.
        image: `(height, width, channels)` of the model's channels, uint8 or float in [0, 1].
        tile: Side in pixels; it changes nothing beyond rounding.
        progress: Called with the tiles done and all tiles.
    """
    height, width, channels = image.shape
    factor, margin = model.factor, model.encoder.margin
    latents = np.empty((-(-height // factor), -(-width // factor), model.latent_dim), np.float32)
    plan = tiles(height, width, tile or SIDE, margin, factor)
    compute = traced(model, "transform", (("images", 4, channels),))
    for done, place in enumerate(plan, start=1):
        found = compute({"images": tf.convert_to_tensor(floats(image[place.window])[None])})[0].numpy()
        inner, crop = ([_in_places(span, factor) for span in spans] for spans in (place.inner, place.crop))
        latents[tuple(inner)] = found[tuple(crop)]
        if progress:
            progress(done, len(plan))
    return latents


def rounded(model: Any, latents: np.ndarray, quality: float) -> tuple[np.ndarray, np.ndarray, Prediction]:
    """Symbols of the hyper-latents and of the latents of a picture, int32, and what predicts the latter.

    Args:
        model: A `Codec`.
        latents: Of `latents_of`.
        quality: From 0 to 100.
    """
    rows, columns, _ = latents.shape
    of_one = np.array([[quality]], np.float32)

    def enlarged(part: np.ndarray) -> Any:
        return model.gains(part[None], of_one)

    hyper = np.empty((-(-rows // FACTOR), -(-columns // FACTOR), model.hyper_dim), np.int32)
    for place in tiles(rows, columns, PART, model.hyper_encoder.margin, FACTOR):
        found = model.hyper_encoder(enlarged(latents[place.window]))[0].numpy()
        inner, crop = ([_in_places(span, FACTOR) for span in spans] for spans in (place.inner, place.crop))
        hyper[tuple(inner)] = _whole(found[tuple(crop)], INPUT_MOST)
    prediction = predicted(model, hyper, quality, (rows, columns))
    symbols = np.zeros(latents.shape, np.int32)
    for start in range(0, rows, PART):
        part = slice(start, start + PART)
        distance = enlarged(latents[part])[0].numpy() - prediction.mean[part] * np.float32(1 / 16)
        chosen = np.abs(distance) > 0.5  # the others are 0, and most are
        found = rate_distortion_round(distance[chosen], prediction.index[part][chosen])
        symbols[part][chosen] = _whole(found.numpy(), MOST_SYMBOL)
    return hyper, symbols, prediction


def predicted(model: Any, hyper: np.ndarray, quality: float, places: tuple[int, int]) -> Prediction:
    """Means and tables of the latents, from the symbols of the hyper-latents, in exact arithmetic."""
    mean, index = model.hyper_decoder.exact(hyper, int(quality))
    return Prediction(mean[: places[0], : places[1]], index[: places[0], : places[1]])


def codes_of(symbols: np.ndarray, prediction: Prediction) -> np.ndarray:
    """The code ŷ, float32: means and symbols added; both are multiples of a sixteenth, so the sum is exact."""
    return symbols.astype(np.float32) + prediction.mean * np.float32(1 / 16)


def picture_of(
    model: Any,
    codes: np.ndarray,
    quality: float,
    size: tuple[int, int],
    tile: int | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """The picture of a code ŷ, uint8 `(height, width, channels)`.

    Args:
        model: A `Codec`.
        codes: Of `codes_of`, float32 `(h, w, latent_dim)`.
        quality: From 0 to 100.
        size: Height and width in pixels.
        tile, progress: As in `latents_of`.
    """
    factor = model.factor
    image = np.empty((*size, model.channels), np.uint8)
    compute = traced(model, "picture", (("quality", 2, 1), ("z", 4, model.latent_dim)))
    quality_of_one = tf.constant([[quality]], tf.float32)

    def painted(place):
        window = tuple(_in_places(span, factor) for span in place.window)
        found = compute({"z": tf.convert_to_tensor(codes[window][None]), "quality": quality_of_one})
        return {"image": typed(found[0].numpy(), np.dtype(np.uint8))}

    assemble(painted, tiles(*size, tile or SIDE, model.decoder.margin, factor), {"image": image}, progress)
    return image


def grouped(indices: np.ndarray, tables: Sequence[int]) -> list[np.ndarray]:
    """The positions of each of `tables` in `indices`, flat, in order."""
    order = np.argsort(indices, kind="stable")
    counts = np.bincount(indices, minlength=len(tables))
    return np.split(order, np.cumsum(counts)[:-1])


def _whole(values: np.ndarray, most: int) -> np.ndarray:
    return np.clip(np.nan_to_num(np.rint(values), posinf=most, neginf=-most), -most, most).astype(np.int32)


def _in_places(span: slice, factor: int) -> slice:
    """Of pixels that begin at a place and end at one, or at the picture's border."""
    return slice(span.start // factor, -(-span.stop // factor))
