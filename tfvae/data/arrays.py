"""Images that are arrays already: scikit-learn's digits, `.npy` and `.npz` files."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tfvae.data.gathering import Gathering, chosen
from tfvae.decoding import OVERSHOOT, UnreadableError, black_and_white, eight_bits, scaled
from tfvae.errors import UserError, did_you_mean
from tfvae.whole_files import read_arrays

IMAGE_KEYS = ("x", "images", "image", "data", "X", "imgs", "pixels", "arr_0")
LABEL_KEYS = ("y", "labels", "label", "targets", "target", "Y")
BLOCK = 4096  # images converted at once


def gather_digits(into: Gathering, limit: int, seed: int) -> None:
    """scikit-learn's 1,797 digits, 8x8x1; their 17 grey levels 0 … 16 become 0 … 255."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    keep = chosen(len(digits.images), limit, seed)
    pixels = np.rint(digits.images[keep] * (255 / 16)).astype(np.uint8)[..., None]
    into.label_names = [str(digit) for digit in range(10)]
    into.add_block(pixels, [f"digits/{index:04d}" for index in keep], digits.target[keep])
    into.progress(len(keep), len(keep))
    into.description = f"{len(keep):,} of scikit-learn's digits"


def gather_array_file(path: Path, into: Gathering, limit: int, seed: int) -> None:
    """A `.npy` file of images, or an `.npz` file whose keys say which arrays are images, labels and splits."""
    tables = _open(path)
    parts = _parts(path, tables)
    for _, images, labels in parts:
        tables[images] = _images(path, tables[images], labels is not None)
    scale = _scale(path, [tables[images] for _, images, _ in parts], into)
    total = sum(len(tables[images]) for _, images, _ in parts)
    several = len(parts) > 1
    done = 0
    for part, images, labels in parts:
        array = tables[images]
        keep = chosen(len(array), limit, seed)
        classes = None if labels is None else _labels(path, labels, tables[labels], len(array), into)
        for start in range(0, len(keep), BLOCK):
            rows = keep[start : start + BLOCK]
            block = scale(np.asarray(array[rows]))
            names = [f"{path.stem}/{images + '/' if several else ''}{row:06d}" for row in rows]
            into.add_block(block, names, None if classes is None else classes[rows], part)
            done += len(rows)
            into.progress(done, total)
    into.description = f"{done:,} images of file '{path.name}'"


def _open(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by name. A `.npy` file is mapped, so that it need not fit into RAM."""
    try:
        if path.suffix.lower() == ".npy":
            return {"x": np.load(path, mmap_mode="r", allow_pickle=False)}
        return read_arrays(path)
    except Exception as error:  # of the file's header, whatever it leads to
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"data.source: '{path}' is no readable array file ({reason}).") from error


def _parts(path: Path, tables: dict[str, np.ndarray]) -> list[tuple[str, str, str | None]]:
    """Which arrays are what: (part, key of the images, key of the labels or None)."""
    found = []
    for part, aliases in {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("test",)}.items():
        for alias in aliases:
            images = _first(tables, [name for key in IMAGE_KEYS for name in (f"{key}_{alias}", f"{alias}_{key}")])
            if images:
                labels = [name for key in LABEL_KEYS for name in (f"{key}_{alias}", f"{alias}_{key}")]
                found.append((part, images, _first(tables, labels)))
                break
    if any(part == "train" for part, _, _ in found):
        return found
    images = _first(tables, list(IMAGE_KEYS))
    if images is None and len(tables) == 1:
        images = next(iter(tables))
    if images is None:
        hints = (did_you_mean(key, IMAGE_KEYS) for key in tables)
        hint = next((hint for hint in hints if hint), "")
        raise UserError(
            f"data.source: '{path}' does not say which array holds the images. Received keys: "
            f"{', '.join(tables) or 'none'}.{hint} Accepted: one array, or {', '.join(IMAGE_KEYS[:4])}, "
            "x_train and x_test."
        )
    return [("train", images, _first(tables, list(LABEL_KEYS)))]


def _first(tables: dict[str, np.ndarray], names: list[str]) -> str | None:
    return next((name for name in names if name in tables), None)


def _images(path: Path, array: np.ndarray, labelled: bool) -> np.ndarray:
    """The images of an array, checked: `(n, height, width)` or `(n, height, width, 1, 3 or 4)`.

    `(height, width, 1, 3 or 4)` is one picture where there are no labels: that is likelier than columns so few.
    """
    if array.ndim == 3 and array.shape[2] in (1, 3, 4) and array.shape[0] > 1 and array.shape[2] < array.shape[1]:
        array = array if labelled else array[None]
    shape_ok = array.ndim == 3 or (array.ndim == 4 and array.shape[3] in (1, 3, 4))
    if not shape_ok or 0 in array.shape:
        raise UserError(
            f"data.source: '{path}' must hold images of shape (n, height, width) or (n, height, width, 1, 3 or 4). "
            f"Received: {array.shape}."
        )
    if array.dtype.kind not in "buif":
        raise UserError(f"data.source: '{path}' must hold numbers. Received: {array.dtype}.")
    return array


def _scale(path: Path, arrays: list[np.ndarray], into: Gathering) -> Callable[[np.ndarray], np.ndarray]:
    """The function that brings blocks of these arrays to uint8 `(n, height, width, 1, 3 or 4)`."""
    scales = {}
    for kind in {array.dtype for array in arrays}:
        alike = [array for array in arrays if array.dtype == kind]
        low, high = _range(alike)
        if not np.isfinite([low, high]).all():
            raise UserError(f"data.source: '{path}' holds values that are no numbers (NaN or infinite).")
        scales[kind] = _black_and_white(path, kind, low, high, into)
        if kind != np.uint8 or scales[kind] != (0, 255):
            into.noted.append({"scale": scales[kind], "reached": (low, high), "several": False})

    def scale(block: np.ndarray) -> np.ndarray:
        if block.dtype != np.uint8 or scales[block.dtype] != (0, 255):
            block = eight_bits(scaled(block, scales[block.dtype]))
        return block[..., None] if block.ndim == 3 else block

    return scale


def _black_and_white(path: Path, kind: np.dtype, low: float, high: float, into: Gathering) -> tuple[float, float]:
    """The numbers that are black and white, from the type and from the range of all images together."""
    if into.config.white:
        return into.config.black, into.config.white
    if kind.kind in "bui" and low >= 0 and high <= 1:
        return 0.0, 1.0  # black and white
    slack = 255 * OVERSHOOT if kind.kind == "f" else 0
    # Bytes in a longer type. Floats of which none is bright may as well be something else.
    if low >= -slack and high <= 255 + slack and (kind.kind != "f" or high > 127.5):
        return 0.0, 255.0
    try:
        return black_and_white(kind.kind, 8 * kind.itemsize, low, high)
    except UnreadableError as error:
        raise UserError(f"data.source: '{path}' holds {error}.") from None


def _range(arrays: list[np.ndarray]) -> tuple[float, float]:
    """Least and greatest value over all arrays, block by block; NaN anywhere makes both NaN."""
    limits = [(float(np.min(block)), float(np.max(block))) for array in arrays for block in _blocks(array)]
    lows, highs = zip(*limits, strict=True)
    return float(np.min(lows)), float(np.max(highs))


def _blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    return (np.asarray(array[start : start + BLOCK]) for start in range(0, len(array), BLOCK))


def _labels(path: Path, key: str, values: np.ndarray, count: int, into: Gathering) -> np.ndarray:
    """Class numbers 0 … of labels that may be numbers or text; their names go into `into.label_names`."""
    if values.size != count:
        raise UserError(
            f"data.source: '{path}' has {values.size:,} labels in '{key}' for {count:,} images; one each is accepted."
        )
    words = [str(value) for value in values.reshape(-1)]
    numbers = values.dtype.kind in "iub"
    new = set(words) - set(into.label_names)
    into.label_names += sorted(new, key=int if numbers and values.dtype.kind != "b" else str)
    where = {word: index for index, word in enumerate(into.label_names)}
    return np.array([where[word] for word in words], np.int64)
