"""A picture in the channels and the units that a model takes, and back in its own."""

from collections.abc import Sequence

import numpy as np

from tfvae.decoding import on_white

TYPES = (np.uint8, np.uint16, np.float16, np.float32, np.float64)


def floats(pixels: np.ndarray) -> np.ndarray:
    """float32 of which white is 1: uint8 is divided by 255, uint16 by 65535, floats are left as they are."""
    return pixels.astype(np.float32) / np.float32(_white(pixels.dtype))


def flat(pixels: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """`floats` of pixels `(h, w, c)`, uint8 or uint16, on white where `alpha`, `(h, w)` of their type, says so."""
    return floats(pixels if alpha is None else on_white(pixels, alpha))


def typed(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Floats of which white is 1, clipped to [0, 1], in a type; rounded to the nearest where it is of whole numbers."""
    values = np.clip(values, 0.0, 1.0)
    return np.rint(values * _white(dtype)).astype(dtype) if np.issubdtype(dtype, np.integer) else values.astype(dtype)


def put_back(image: np.ndarray, restored: np.ndarray, known: np.ndarray | None) -> np.ndarray:
    """`restored`, floats, in the type of `image`; where `known`, bool `(h, w, 1)`, the bits of `image` itself."""
    changed = typed(restored, image.dtype)
    return changed if known is None else np.where(known, image, changed)


def views(image: np.ndarray, channels: int) -> list[np.ndarray]:
    """The picture `(h, w, c)` as pictures of so many channels: itself, its channels one by one, or its grey repeated.

    Raises:
        ValueError: When both have several channels and not as many.
    """
    if image.shape[2] == channels:
        return [image]
    if channels == 1:
        return [image[:, :, index : index + 1] for index in range(image.shape[2])]
    if image.shape[2] == 1:
        return [np.repeat(image, channels, axis=2)]
    raise ValueError(f"`image` must have 1 or {channels} channels for this model. Received: {image.shape}")


def in_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """`floats` of a picture `(h, w, 1 or 3)` in as many channels: grey repeated, or colours averaged."""
    values = floats(image)
    if channels < values.shape[2]:
        values = values.mean(axis=2, keepdims=True)
    return np.broadcast_to(values, (*values.shape[:2], channels))


def joined(maps: Sequence[np.ndarray], channels: int) -> np.ndarray:
    """What was made of `views`, as one map `(h, w, channels)`: side by side, or averaged where grey was repeated."""
    together = np.concatenate(maps, axis=-1) if len(maps) > 1 else maps[0]
    return together if together.shape[-1] == channels else together.mean(axis=-1, keepdims=True)


def as_known(known: np.ndarray | None, image: np.ndarray) -> np.ndarray | None:
    """`known` as bool `(h, w, 1)`, from bool or numbers (above 0.5 is known), `(h, w)` or `(h, w, 1)`.

    Raises:
        ValueError: When it is not of the size of `image`, or that is no picture.
    """
    if image.ndim != 3 or image.dtype not in TYPES:
        raise ValueError(
            "`image` must be (height, width, channels) of uint8, uint16 or float. "
            f"Received: {image.dtype} of shape {image.shape}"
        )
    if known is None:
        return None
    known = np.asarray(known)
    if known.shape not in (image.shape[:2], (*image.shape[:2], 1)):
        raise ValueError(f"`known` must have the size of the picture, {image.shape[:2]}. Received: {known.shape}")
    return (known > 0.5).reshape(*image.shape[:2], 1)


def _white(dtype: np.dtype) -> float:
    return float(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else 1.0
