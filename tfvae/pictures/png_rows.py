"""A PNG file written row by row: a picture larger than memory."""

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tfvae.whole_files import whole_file

COLOUR_TYPES = {1: 0, 3: 2}  # of the channels, as the format numbers them
PAETH = 4  # the filter type of the rows
LEVEL = 6  # of the compression


def write_png_rows(path: str | Path, height: int, width: int, strips: Iterable[np.ndarray]) -> Path:
    """Writes strips of rows, one below the other; memory is that of one strip. Returns the path.

    The file appears whole or not at all; the folder is made.

    Args:
        path: Of the file.
        height: Rows in all.
        width: Pixels of a row.
        strips: uint8 `(rows, width, 1 or 3)` each.

    Raises:
        ValueError: If the strips are not `height` rows of `width` pixels of 1 or 3 channels.
        OSError: When the file cannot be written.

    Reference:
        Portable Network Graphics (third edition), https://www.w3.org/TR/png-3
    """
    path = Path(path)
    with whole_file(path) as file:
        _write(file, height, width, strips)
    return path


def _write(file: BinaryIO, height: int, width: int, strips: Iterable[np.ndarray]) -> None:
    packer, rows = zlib.compressobj(LEVEL), 0
    before = np.empty(0, np.uint8)
    for strip in strips:
        if strip.dtype != np.uint8 or strip.ndim != 3 or strip.shape[1] != width or strip.shape[2] not in COLOUR_TYPES:
            raise ValueError(f"`strips` must be uint8 (rows, {width}, 1 or 3). Received: {strip.dtype} {strip.shape}")
        if not rows:
            header = struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPES[strip.shape[2]], 0, 0, 0)
            file.write(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header))
            before = np.zeros_like(strip[0])
        rows += len(strip)
        _write_data(file, packer.compress(_filtered(strip, before).tobytes()))
        before = strip[-1].copy()
    if rows != height:
        raise ValueError(f"`strips` must hold {height} rows. Received: {rows}")
    _write_data(file, packer.flush())
    file.write(_chunk(b"IEND", b""))


def _filtered(strip: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Each row with its filter type before it: differences from the best of left, above and upper left neighbour."""
    padded = np.pad(np.concatenate([before[None], strip]).astype(np.int16), ((0, 0), (1, 0), (0, 0)))
    left, above, corner = padded[1:, :-1], padded[:-1, 1:], padded[:-1, :-1]
    towards = left + above - corner
    apart = [np.abs(towards - each) for each in (left, above, corner)]
    nearest = np.where(
        (apart[0] <= apart[1]) & (apart[0] <= apart[2]), left, np.where(apart[1] <= apart[2], above, corner)
    )
    rows = (strip - nearest).astype(np.uint8).reshape(len(strip), -1)
    return np.concatenate([np.full((len(rows), 1), PAETH, np.uint8), rows], axis=1)


def _write_data(file: BinaryIO, data: bytes) -> None:
    if data:
        file.write(_chunk(b"IDAT", data))


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
