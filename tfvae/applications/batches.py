"""Arrays to batches a model takes, and back."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np


def pixels(image: np.ndarray) -> np.ndarray:
    """float32 in [0, 1] of an image or a batch: uint8 is divided by 255, floats are taken to be in [0, 1] already."""
    image = np.asarray(image)
    return image.astype(np.float32) / np.float32(255.0) if image.dtype == np.uint8 else image.astype(np.float32)


def batches(images: Any, batch_size: int) -> Iterator[np.ndarray]:
    """float32 batches `(b, height, width, channels)` in order; a batch ends where the size of the images changes.

    Args:
        images: `(n, height, width, channels)`, a sequence of images of any sizes, or `tfvae.data.Images`;
            uint8, or float in [0, 1].
        batch_size: Most images in a batch.

    Raises:
        ValueError: When `batch_size` is not positive.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be positive. Received: batch_size={batch_size}")
    batch: list[np.ndarray] = []
    for index in range(len(images)):
        image = pixels(images[index])
        if batch and (len(batch) == batch_size or image.shape != batch[0].shape):
            yield np.stack(batch)
            batch = []
        batch.append(image)
    if batch:
        yield np.stack(batch)


def together(images: Sequence[np.ndarray]) -> np.ndarray | list[np.ndarray]:
    """One array `(n, height, width, channels)` when all images have one size, else the list of them."""
    return np.stack(images) if len({image.shape for image in images}) == 1 else list(images)
