"""Pictures side by side: grids, and reconstructions and restorations next to what they were made from."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfvae.pixels import to_uint8
from tfvae.whole_files import whole_file

# A cell of a grid is enlarged by whole factors until it is about this many pixels wide, so that digits of 8×8 or
# 28×28 pixels can be seen; larger pictures are reduced to at most MAX_CELL.
MIN_CELL = 72
MAX_CELL = 320
SEPARATOR = 2  # pixels between cells
PAPER = 255  # grey value of separators and margins
INK = (60, 60, 60)


def save_png(path: str | Path, picture: np.ndarray) -> Path:
    """Write `picture`, `(height, width, channels)` uint8 or float in [0, 1]; makes the folder. Returns the path."""
    path = Path(path)
    with whole_file(path) as file:
        _pillow(to_uint8(picture)).save(file, format="PNG", optimize=True)
    return path


def grid(images: Sequence[np.ndarray] | np.ndarray, columns: int | None = None) -> np.ndarray:
    """Images side by side in reading order, with thin separators, enlarged by a whole factor where they are tiny.

    Args:
        images: `(n, height, width, channels)`, or a sequence of images of any sizes, 1 or 3 channels; uint8, or
            float in [0, 1]. Smaller ones are centred in the cell of the largest.
        columns: Images in a row; by default as many as make the whole about square.

    Returns:
        uint8 RGB picture `(height, width, 3)`.

    Raises:
        ValueError: When there are no images, or `columns` is not positive.
    """
    if len(images) == 0:
        raise ValueError("`images` must hold at least one image. Received: 0 images.")
    if columns is not None and columns < 1:
        raise ValueError(f"`columns` must be positive. Received: columns={columns}")
    scale = _scale(images)
    cells = [_resize(_rgb(to_uint8(image)), scale) for image in images]
    height, width = (max(cell.shape[axis] for cell in cells) for axis in (0, 1))
    columns = min(columns or max(1, round(math.sqrt(len(cells) * height / width))), len(cells))
    rows = [_row(cells[start : start + columns], width) for start in range(0, len(cells), columns)]
    blank = [np.full((row.shape[0], rows[0].shape[1] - row.shape[1], 3), PAPER, np.uint8) for row in rows]
    sheet = np.concatenate([np.concatenate(pair, axis=1) for pair in zip(rows, blank, strict=True)])
    return _framed(sheet, SEPARATOR // 2, SEPARATOR // 2)


def reconstruction_picture(
    x: Sequence[np.ndarray] | np.ndarray, x_hat: Sequence[np.ndarray] | np.ndarray, columns: int = 8
) -> np.ndarray:
    """Rows original / reconstruction / |difference|, labelled; one block of three rows for each `columns` images.

    The difference is amplified by the factor written beside it, chosen once for the whole picture; black is equal.

    Args:
        x: Originals, `(n, height, width, channels)` or a sequence of images of any sizes; uint8 or float in [0, 1].
        x_hat: Their reconstructions, sizes as in `x`.
        columns: Images in a row.

    Returns:
        uint8 RGB picture `(height, width, 3)`.

    Raises:
        ValueError: When there are no images, or not as many reconstructions as originals.
    """
    if len(x) != len(x_hat):
        raise ValueError(f"`x` and `x_hat` must hold as many images. Received: {len(x)} and {len(x_hat)}.")
    if len(x) == 0:
        raise ValueError("`x` must hold at least one image. Received: 0 images.")
    originals = [to_uint8(image) for image in x]
    rebuilt = [to_uint8(image) for image in x_hat]
    apart = [np.abs(a.astype(np.int16) - b.astype(np.int16)) for a, b in zip(originals, rebuilt, strict=True)]
    factor = _amplification(apart)
    differences = [np.minimum(image * factor, 255).astype(np.uint8) for image in apart]
    labels = ["original", "reconstruction", "difference" if factor == 1 else f"difference × {factor}"]
    return _sheet(zip(labels, (originals, rebuilt, differences), strict=True), columns)


def restoration_picture(
    originals: Sequence[np.ndarray] | np.ndarray,
    degraded: Sequence[np.ndarray] | np.ndarray,
    restored: Sequence[np.ndarray] | np.ndarray,
    std: Sequence[np.ndarray] | np.ndarray | None = None,
    columns: int = 6,
) -> np.ndarray:
    """Rows original / degraded / restored / uncertainty, labelled; one block of rows for each `columns` images.

    The uncertainty is the root mean square over the channels of `std`, in units of the pixels' range, times the factor
    written beside it, chosen once for the whole picture: in the colours of "magma" black is 0 and the brightest is 1.

    Args:
        originals: `(n, height, width, channels)` or a sequence of images of any sizes; uint8 or float in [0, 1].
        degraded: What the model was given, sizes as in `originals`.
        restored: What it made of them.
        std: Standard deviation of the model's own uncertainty, floats in units of [0, 1]; without it three rows.
        columns: Images in a row.

    Returns:
        uint8 RGB picture `(height, width, 3)`.

    Raises:
        ValueError: When there are no images, or not as many of each kind, or `columns` is not positive.
    """
    counts = [len(images) for images in (originals, degraded, restored, std) if images is not None]
    if len(set(counts)) > 1:
        raise ValueError(
            "`originals`, `degraded`, `restored` and `std` must hold as many images. "
            f"Received: {', '.join(map(str, counts))}."
        )
    if not counts[0]:
        raise ValueError("`originals` must hold at least one image. Received: 0 images.")
    if columns < 1:
        raise ValueError(f"`columns` must be positive. Received: columns={columns}")
    kinds = (("original", originals), ("degraded", degraded), ("restored", restored))
    rows = [(text, [to_uint8(image) for image in images]) for text, images in kinds]
    if std is not None:
        levels = [np.sqrt(np.mean(np.square(np.asarray(image, np.float32)), axis=-1)) for image in std]
        factor = _amplification([255 * level for level in levels], highest=64)
        colours = [matplotlib.colormaps["magma"](np.minimum(level * factor, 1.0), bytes=True) for level in levels]
        rows.append(("std" if factor == 1 else f"std × {factor}", [colour[..., :3] for colour in colours]))
    return _sheet(rows, columns)


def _sheet(rows: Iterable[tuple[str, list[np.ndarray]]], columns: int) -> np.ndarray:
    """Labelled rows of images, in blocks of `columns` images; the sizes of the first row decide the scale."""
    rows = list(rows)
    first = rows[0][1]
    columns, scale = min(columns, len(first)), _scale(first)
    blocks = []
    for start in range(0, len(first), columns):
        part = slice(start, start + columns)
        cells = [(text, [_resize(_rgb(image), scale) for image in images[part]]) for text, images in rows]
        blocks.append(np.concatenate([_label(_row(row), text) for text, row in cells]))
    width = max(block.shape[1] for block in blocks)
    return np.concatenate(
        [_framed(np.pad(b, ((0, 0), (0, width - b.shape[1]), (0, 0)), constant_values=PAPER), 8, 8) for b in blocks]
    )


def _row(cells: list[np.ndarray], width: int = 0) -> np.ndarray:
    """Images in one row, centred in cells as high as the highest and at least `width` wide, with half a separator."""
    height = max(cell.shape[0] for cell in cells)
    framed = []
    for cell in cells:
        spare = (height - cell.shape[0], max(0, width - cell.shape[1]))
        sides = [(room // 2 + SEPARATOR // 2, room - room // 2 + SEPARATOR // 2) for room in spare]
        framed.append(np.pad(cell, (*sides, (0, 0)), constant_values=PAPER))
    return np.concatenate(framed, axis=1)


def _framed(picture: np.ndarray, vertical: int, horizontal: int) -> np.ndarray:
    return np.pad(picture, ((vertical, vertical), (horizontal, horizontal), (0, 0)), constant_values=PAPER)


def _label(row: np.ndarray, text: str) -> np.ndarray:
    """`row` with its name on the left, level with the middle of the images."""
    # Matplotlib brings DejaVu Sans, which has the multiplication sign; Pillow's own font has not.
    font = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size=13)
    margin = Image.new("RGB", (128, row.shape[0]), (PAPER, PAPER, PAPER))
    ImageDraw.Draw(margin).text((118, row.shape[0] / 2), text, fill=INK, font=font, anchor="rm")
    return np.concatenate([np.asarray(margin), row], axis=1)


def _amplification(differences: list[np.ndarray], highest: int = 16) -> int:
    """The power of two, `highest` at most, that makes the largest of 255 levels visible without burning them out."""
    # The 99th per cent, because one wrong pixel should not make all others invisible.
    high = np.percentile(np.concatenate([image.ravel() for image in differences]), 99)
    factor = highest
    while factor > 1 and factor * high > 255:
        factor //= 2
    return factor


def _scale(images: Sequence[np.ndarray] | np.ndarray) -> float:
    """How much larger the images of a picture are drawn: a whole number for tiny ones, below 1 for large ones."""
    side = max(max(image.shape[:2]) for image in images)
    return min(1.0, MAX_CELL / side) if side > MIN_CELL else max(1, MIN_CELL // side)


def _resize(image: np.ndarray, scale: float) -> np.ndarray:
    if scale >= 1:
        # Nearest neighbour: the pixels of the model stay visible as squares.
        return image.repeat(int(scale), axis=0).repeat(int(scale), axis=1)
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(_pillow(image).resize(size, Image.Resampling.LANCZOS))


def _rgb(image: np.ndarray) -> np.ndarray:
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image


def _pillow(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
