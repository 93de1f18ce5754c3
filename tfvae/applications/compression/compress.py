"""Pictures as bytes by a codec, and back."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfvae.applications.channels import joined, views
from tfvae.applications.compression import container
from tfvae.applications.compression.container import TENTHS, Header
from tfvae.applications.compression.streams import digest, streams
from tfvae.applications.compression.symbols import (
    Prediction,
    Progress,
    codes_of,
    latents_of,
    picture_of,
    predicted,
    rounded,
)
from tfvae.networks.hyperprior import FACTOR

BEST = 100.0


@dataclass(frozen=True)
class Compressed:
    """A file, and what is in it.

    Attributes:
        content: Its bytes.
        quality: At which the picture was rounded.
    """

    content: bytes
    quality: float


@dataclass(frozen=True)
class Decompressed:
    """A picture from a file.

    Attributes:
        pixels: uint8 `(height, width, channels)`; of a region, that of it.
        alpha: uint8 `(height, width)`, or None.
        header: What the file said, with what else was `kept`.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None
    header: Header


class Encoder:
    """One picture, on its way into files of any quality: what does not depend on the quality is computed once.

    Args:
        model: A `Codec`.
        image: uint8 or float in [0, 1], `(height, width, 1 or 3)`.
        alpha: uint8 `(height, width)`; it is kept exactly.
        kept: EXIF and other blocks to keep, bytes by the names of `container.KEPT`.
        coder: `"ans"` or `"huffman"`.
        tile: Side in pixels of the parts that it is computed in; 1024 by default.
        progress: Called with the parts done and all parts.

    Raises:
        ValueError: For another shape, size or coder.
        UserError: If the coder's package is missing.
    """

    def __init__(
        self,
        model: Any,
        image: np.ndarray,
        alpha: np.ndarray | None = None,
        kept: dict[str, bytes] | None = None,
        coder: str = "ans",
        tile: int | None = None,
        progress: Progress | None = None,
    ):
        image = np.asarray(image)
        if image.ndim != 3 or image.shape[2] not in (1, 3) or image.dtype == np.uint16 or not image.size:
            raise ValueError(
                "`image` must be (height, width, 1 or 3), uint8 or float in [0, 1]. "
                f"Received: {image.dtype} of shape {image.shape}"
            )
        if image.shape[0] * image.shape[1] > container.MOST_PIXELS or max(image.shape) > container.MOST_SIDE:
            raise ValueError(f"`image` must be at most {container.MOST_PIXELS:,} pixels. Received: {image.shape}")
        self.model, self.shape, self.coder = model, image.shape, coder
        self.streams = streams(model, coder)
        self.kept = {name: block for name, block in (kept or {}).items() if block}
        if alpha is not None:
            self.kept["alpha"] = container.packed_alpha(np.ascontiguousarray(alpha).tobytes())
        parts = views(image, model.channels)
        self.latents = []
        for number, view in enumerate(parts):
            share = None if progress is None else _share(progress, number, len(parts))
            self.latents.append(latents_of(model, view, tile, share))

    def at(self, quality: float) -> Compressed:
        """The file at a quality from 0 to 100, taken to tenths.

        Raises:
            ValueError: For another quality.
        """
        if not 0 <= quality <= BEST:
            raise ValueError(f"`quality` must be from 0 to 100. Received: quality={quality}")
        quality = round(quality * TENTHS) / TENTHS
        height, width, channels = self.shape
        header = Header(self.streams.digest, self.coder, height, width, channels, quality, self.kept)
        found = []
        for latents in self.latents:
            hyper, symbols, prediction = rounded(self.model, latents, quality)
            found.append(self.streams.hyper(hyper))
            found += [
                self.streams.latents(symbols[tile], prediction.index[tile]) for tile in header.tiles(self.model.factor)
            ]
        return Compressed(container.pack(header, found), quality)

    def information(self, quality: float) -> float:
        """Bits of all symbols at a quality by the model's tables: what no coder by them can be below of."""
        maps = (rounded(self.model, latents, quality) for latents in self.latents)
        return sum(self.streams.information(hyper, symbols, known.index) for hyper, symbols, known in maps)

    def within(self, most: int) -> Compressed:
        """The file of the best quality that has at most so many bytes.

        Raises:
            ValueError: If at quality 0 it has more.
        """
        best = self.at(0)
        if len(best.content) > most:
            raise ValueError(f"`most` must be {len(best.content):,} bytes or more for this picture. Received: {most:,}")
        low, high = 0, int(BEST) * TENTHS + 1  # tenths: the former fits, the latter does not (or is none)
        while high - low > 1:
            middle = (low + high) // 2
            found = self.at(middle / TENTHS)
            if len(found.content) <= most:
                best, low = found, middle
            else:
                high = middle
        return best


def compress(model: Any, image: np.ndarray, quality: float = 50.0, coder: str = "ans") -> bytes:
    """A file of a picture; see `Encoder`, which also keeps alpha and EXIF, and finds the quality for a size.

    Args:
        model: A `Codec`.
        image: uint8 or float in [0, 1], `(height, width, 1 or 3)`.
        quality: From 0 to 100.
        coder: `"ans"`, or `"huffman"`, which needs no package and makes larger files.

    Raises:
        ValueError, UserError: As `Encoder`.
    """
    return Encoder(model, image, coder=coder).at(quality).content


def decompress(
    model: Any,
    content: bytes,
    region: tuple[slice, slice] | None = None,
    tile: int | None = None,
    progress: Progress | None = None,
) -> Decompressed:
    """The picture of a file, or a region of it, for which only its tiles are read.

    Args:
        model: The `Codec` that wrote it.
        content: Of the file.
        region: Rows and columns in pixels; None for all.
        tile, progress: As of `Encoder`.

    Raises:
        UnreadableError: With the reason, where it is not such a file, is damaged, or of another model.
        ValueError: If the region is not within the picture.
        UserError: If the coder's package is missing.
    """
    header, found = container.unpack(content, digest(model), model.factor, model.channels)
    rows, columns = _region(region, header)
    alpha = None
    if "alpha" in header.kept:
        plane = container.unpacked_alpha(header.kept["alpha"], header.height * header.width)
        alpha = np.frombuffer(plane, np.uint8).reshape(header.height, header.width)[rows, columns]
    reader, plan = streams(model, header.coder), header.tiles(model.factor)
    places = header.places(model.factor)
    # What is read: all places whose pixels the region shows or its pixels depend on.
    margin = -(-model.decoder.margin // model.factor)
    window = tuple(
        _window(span, most, margin, model.factor) for span, most in zip((rows, columns), places, strict=True)
    )
    hyper_places = -(-places[0] // FACTOR), -(-places[1] // FACTOR)
    parts = []
    for start in range(0, len(found), 1 + len(plan)):
        hyper = reader.read_hyper(found[start], hyper_places)
        prediction = predicted(model, hyper, header.quality, places)
        codes = np.zeros((*places, model.latent_dim), np.float32)
        for spans, stream in zip(plan, found[start + 1 :], strict=False):
            if all(span.start < own.stop and own.start < span.stop for span, own in zip(spans, window, strict=True)):
                own_part = Prediction(prediction.mean[spans], prediction.index[spans])
                codes[spans] = codes_of(reader.read_latents(stream, own_part.index), own_part)
        bottom = min(header.height, window[0].stop * model.factor)
        right = min(header.width, window[1].stop * model.factor)
        top, left = window[0].start * model.factor, window[1].start * model.factor
        image = picture_of(model, codes[window], header.quality, (bottom - top, right - left), tile, progress)
        parts.append(image[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left])
    pixels = joined(parts, header.channels)
    whole = pixels if pixels.dtype == np.uint8 else np.rint(pixels).astype(np.uint8)
    return Decompressed(whole, alpha, header)


def _region(region: tuple[slice, slice] | None, header: Header) -> tuple[slice, slice]:
    size = header.height, header.width
    spans = region or (slice(0, size[0]), slice(0, size[1]))
    for span, most in zip(spans, size, strict=True):
        if span.start is None or span.stop is None or not 0 <= span.start < span.stop <= most or span.step is not None:
            raise ValueError(f"`region` must be within the {size[0]}×{size[1]} pixels. Received: region={region}")
    return spans


def _window(span: slice, most: int, margin: int, factor: int) -> slice:
    return slice(max(0, span.start // factor - margin), min(most, -(-span.stop // factor) + margin))


def _share(progress: Progress, number: int, of: int) -> Progress:
    return lambda done, parts: progress(number * parts + done, of * parts)
