"""Texture of any size from a few photographs: their own codes quilted anew, decoded strip by strip."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfvae.applications.textures.field import Field
from tfvae.applications.textures.quilting import EVENLY, Library, Quilt, overlap_of
from tfvae.applications.tiles import SIDE, Tile, assemble, smallest_side, tiles
from tfvae.pixels import pixels, to_uint8

PATCH = 96  # pixels; the default side of a window
STRIP = 256  # pixels; rows that are decoded at once
SMALLEST = 4  # places of the side of a window, at least
LEAST = 6  # places of a period that the smallest windows have room in


@dataclass(frozen=True)
class Texture:
    """The places of one or several photographs of a texture.

    Attributes:
        codes: Posterior means, `(places, latent_dim)`, float32.
        details: What the decoder leaves out of the pixels of a place, `(places, factor, factor, channels)`, float32.
        std: The posterior's standard deviation of each channel of the latent, `(latent_dim,)`.
        maps: The codes of each photograph in units of `std`, `(h, w, latent_dim)`.
    """

    codes: np.ndarray
    details: np.ndarray
    std: np.ndarray
    maps: list[np.ndarray]


def texture_of(model: Any, pictures: Sequence[np.ndarray], std: np.ndarray | None = None) -> Texture:
    """The texture of photographs.

    Args:
        model: A VAE with a spatial latent.
        pictures: `(height, width, channels)` each; uint8, or float in [0, 1]. Rows and columns beyond a multiple of
            `model.factor` are left out.
        std: The posterior's standard deviation of each channel of the latent, where it is to be another than that of
            these pictures: two textures that are to be compared need one.

    Raises:
        ValueError: Without pictures, for one smaller than a place, and for a model whose latent is no map.
    """
    check_model(model)
    factor, margin = model.factor, reach(model.encoder)
    if not len(pictures) or any(min(picture.shape[:2]) < factor for picture in pictures):
        shapes = [picture.shape for picture in pictures]
        raise ValueError(f"`pictures` must be one or more of {factor}x{factor} pixels or more. Received: {shapes}")
    codes, details, variances = [], [], []
    for picture in pictures:
        height, width = (side // factor * factor for side in picture.shape[:2])
        x = pixels(picture[:height, :width])
        # Mirrored at its edges: a place must have the code that it has amid others.
        more = (margin * factor, margin * factor)
        padded = np.pad(x, (more, more, (0, 0)), mode="symmetric")[None]
        encoded = {name: keras.ops.convert_to_numpy(value) for name, value in model.encode(padded).items()}
        code = keras.ops.convert_to_numpy(model.codes(padded))
        decoded = keras.ops.convert_to_numpy(model.decode(code)["image"])[0]
        inner = (slice(margin, margin + height // factor), slice(margin, margin + width // factor))
        codes.append(code[0][inner])
        variances.append(np.exp(encoded.get("log_var", np.zeros_like(code))[0][inner]).reshape(-1, code.shape[-1]))
        rest = x - decoded[more[0] : more[0] + height, more[1] : more[1] + width]
        blocks = rest.reshape(height // factor, factor, width // factor, factor, -1).swapaxes(1, 2)
        details.append(blocks.reshape(-1, *blocks.shape[2:]))
    if std is None:
        std = np.sqrt(np.concatenate(variances).mean(axis=0))
    flat = np.concatenate([code.reshape(-1, code.shape[-1]) for code in codes])
    return Texture(flat, np.concatenate(details), std, [code / std for code in codes])


def synthesize(
    model: Any,
    pictures: Sequence[np.ndarray],
    size: tuple[int, int],
    *,
    seamless: bool = False,
    mixed: tuple[Sequence[np.ndarray], float] | None = None,
    seed: int = 0,
    patch: int = PATCH,
    details: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[np.ndarray]:
    """A picture of any size with the texture of `pictures`, in strips from the top: memory is that of one strip.

    The picture is drawn in the latent space. The texture's prior is the Markov random field of its own posterior
    means: windows of them are quilted (Efros and Freeman 2001), all of them about as often, with differences measured
    in standard deviations of the posterior. The decoder, whose receptive field is wider than a cut, joins what meets
    there:

        `x = decode(codes[q]) + details[q]`

    with `q` the quilt, which names a place of the photographs for each place of the picture, and `details` what the
    decoder leaves out of it. Where `q` goes on as a photograph does, and farther than the decoder sees from a cut,
    `x` is the photograph.

    With `mixed`, a second quilt follows the structure of the first, and both codes are interpolated by a smooth random
    field, periodic as the picture: forms, not pixels, change into each other.

    Args:
        model: A VAE with a spatial latent.
        pictures: As in `texture_of`.
        size: Height and width in pixels.
        seamless: Whether the picture is to be periodic in both directions; then both sides are multiples of
            `model.factor`.
        mixed: Pictures of a second texture, and its share of the area, between 0 and 1.
        seed: Of everything random.
        patch: Side of a window in pixels; less where a picture is small. Larger than the texture's largest form.
        details: Whether to add what the decoder leaves out.
        progress: Called with the rows done and all rows.

    Yields:
        uint8 `(rows, width, channels)`, `height` rows in all.

    Raises:
        ValueError: As `check_request`.
    """
    check_request(model, pictures, size, seamless=seamless, mixed=mixed, patch=patch)
    height, width = size
    factor, margin = model.factor, reach(model.decoder)
    rows, columns = -(-height // factor), -(-width // factor)
    # A torus has its own neighbours beyond its edges; else more is quilted than is shown.
    frame = 0 if seamless else 2 * margin
    textures = [texture_of(model, pictures)]
    if mixed:
        textures.append(texture_of(model, mixed[0], std=textures[0].std))
    side = _side(textures, patch // factor, (rows, columns) if seamless else None)
    quilts: list[Quilt] = []
    for number, texture in enumerate(textures):
        library = Library(texture.maps, side)
        canvas = (rows + frame, columns + frame)
        guide = quilts[0] if quilts else None
        own = np.random.SeedSequence((seed, number))
        quilts.append(Quilt(library, *canvas, wrap=seamless, seed=own, guide=guide, evenly=EVENLY))
    field = Field(mixed[1], (rows, columns), seed) if mixed else None
    decode = _decoder(model)
    done = 0
    for strip in _strips(_bands(quilts, margin, seamless), STRIP // factor, margin):
        first, quilt = strip
        weight = field(first - margin, quilt.shape[1:], margin) if field else None
        codes = _blend([texture.codes[q] for texture, q in zip(textures, quilt, strict=True)], weight)
        drawn = _decoded(decode, codes, margin, factor, model.image_shape[-1])
        if details:
            inside = (slice(margin, -margin or None),) * 2
            parts = [texture.details[q[inside]] for texture, q in zip(textures, quilt, strict=True)]
            rest = _blend(parts, weight if weight is None else weight[inside], keeps_variance=True)
            drawn += rest.swapaxes(1, 2).reshape(drawn.shape)
        drawn = drawn[: height - done, :width]
        done += len(drawn)
        yield to_uint8(drawn)
        if progress:
            progress(done, height)


def check_request(
    model: Any,
    pictures: Sequence[np.ndarray],
    size: tuple[int, int],
    *,
    seamless: bool = False,
    mixed: tuple[Sequence[np.ndarray], float] | None = None,
    patch: int = PATCH,
) -> None:
    """Raises `ValueError` for arguments that `synthesize` cannot work with, before any work."""
    check_model(model)
    height, width = size
    factor = model.factor
    for name, value in (("height", height), ("width", width), ("patch", patch)):
        if value < 1:
            raise ValueError(f"`{name}` must be positive. Received: {name}={value}")
    if seamless and (height % factor or width % factor):
        raise ValueError(f"`size` must be multiples of {factor} for a seamless picture. Received: {height}x{width}")
    least = LEAST * factor
    if seamless and min(size) < least:
        raise ValueError(f"`size` must be {least}x{least} or more for a seamless picture. Received: {height}x{width}")
    if mixed and not 0 < mixed[1] < 1:
        raise ValueError(f"`mixed` must have a share between 0 and 1. Received: {mixed[1]}")
    least = SMALLEST * factor
    for picture in (*pictures, *(mixed[0] if mixed else [])):
        if min(picture.shape[:2]) < least:
            raise ValueError(f"`pictures` must be of {least}x{least} pixels or more. Received: {picture.shape}")


def check_model(model: Any) -> None:
    """Raises `ValueError` for a model without a map of codes that decodes by itself."""
    if not hasattr(model, "decode") or len(model.latent_shape) != 3 or model.image_shape[0] is not None:
        raise ValueError(
            f"`model` must have a spatial latent. Received: {type(model).__name__} of {model.latent_shape}"
        )


def reach(side: keras.layers.Layer) -> int:
    """Places from a cut within which an encoder or a decoder may differ: at most the radii of all its windows.

    A bound, not the receptive field: convolutions at a finer resolution reach less far.
    """
    layers = side._flatten_layers()
    windows = [getattr(layer, name, (1,)) for layer in layers for name in ("kernel_size", "pool_size")]
    return sum(max(window) // 2 for window in windows)


def _side(textures: list[Texture], asked: int, torus: tuple[int, int] | None) -> int:
    """Side of a window in places, a multiple of 4: as asked, or what photographs and torus have room for."""
    most = min(min(each.shape[:2]) for texture in textures for each in texture.maps)
    # Windows that cover half of a photograph can hardly be chosen.
    side = max(SMALLEST, min(asked, most // 2 if most >= 2 * SMALLEST else most) // 4 * 4)
    while torus and side > SMALLEST and min(torus) < 2 * (side - overlap_of(side)):
        side -= 4
    return side


def _bands(quilts: list[Quilt], margin: int, seamless: bool) -> Iterator[np.ndarray]:
    """Finished rows of all quilts, `(quilts, rows, columns)`, with their margins on all sides.

    A torus has its edge wherever one likes: here it crosses the midst of windows, so that none are joined along it.
    """
    lead, right = _edge(quilts[0], margin) if seamless else (0, 0)
    again = lead + 2 * margin if seamless else 0  # rows at the top that come once more below
    head: list[np.ndarray] = []
    # In step: a quilt that is guided looks at the band that its guide has just made.
    for rows in zip(*quilts, strict=True):
        band = np.stack(rows)
        if seamless:
            band = np.pad(np.roll(band, -right, axis=2), ((0, 0), (0, 0), (margin, margin)), mode="wrap")
        before = sum(part.shape[1] for part in head)
        if before < again:
            head.append(band[:, :again])
        yield band[:, max(lead - before, 0) :]
    if again:
        yield np.take(np.concatenate(head, axis=1), np.arange(again), axis=1, mode="wrap")


def _edge(quilt: Quilt, margin: int) -> tuple[int, int]:
    """Rows of a torus to be left out above, with a margin below them, and columns on the left: to its `midst`."""
    down, right = quilt.midst
    return (down - margin) % int(quilt.rows[1]), right


def _strips(bands: Iterator[np.ndarray], rows: int, margin: int) -> Iterator[tuple[int, np.ndarray]]:
    """The same rows in strips of `rows` and a margin above and below, each with the number of its first inner row."""
    first, held = 0, None
    for band in bands:
        held = band if held is None else np.concatenate([held, band], axis=1)
        while held.shape[1] >= rows + 2 * margin:
            yield first, held[:, : rows + 2 * margin]
            first, held = first + rows, held[:, rows:]
    if held is not None and held.shape[1] > 2 * margin:
        yield first, held


def _blend(parts: list[np.ndarray], weight: np.ndarray | None, keeps_variance: bool = False) -> np.ndarray:
    """The first part, or both weighed; `keeps_variance` of parts that are independent of each other."""
    if weight is None:
        return parts[0]
    weight = weight.reshape(*weight.shape, *[1] * (parts[0].ndim - 2))
    scale = np.sqrt(np.square(weight) + np.square(1 - weight)) if keeps_variance else 1
    return ((1 - weight) * parts[0] + weight * parts[1]) / scale


@functools.lru_cache(maxsize=4)
def _decoder(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    """One graph for tiles of all sizes, and for all pictures of a model."""
    signature = [tf.TensorSpec([1, None, None, model.latent_shape[-1]], tf.float32)]
    decode = tf.function(lambda z: model.decode(z)["image"], input_signature=signature)
    return lambda codes: decode(codes[None]).numpy()[0]


def _decoded(
    decode: Callable[[np.ndarray], np.ndarray], codes: np.ndarray, margin: int, factor: int, channels: int
) -> np.ndarray:
    """Pixels of a map of codes without its margin, float32, in tiles."""
    height, width = (side * factor for side in codes.shape[:2])
    edge = margin * factor

    def compute(tile: Tile) -> dict[str, np.ndarray]:
        rows, columns = (slice(span.start // factor, span.stop // factor) for span in tile.window)
        return {"image": decode(codes[rows, columns])}

    whole = np.empty((height, width, channels), np.float32)
    plan = tiles(height, width, max(SIDE, 2 * smallest_side(edge, factor)), edge, factor)
    assemble(compute, plan, {"image": whole})
    return whole[edge : height - edge, edge : width - edge]
