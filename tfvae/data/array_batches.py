"""Arrays to batches a model takes, and back."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfvae.pixels import pixels

# Pixels in a batch: with 64 feature maps at full resolution, a quarter of a gigabyte for each layer's output.
MOST_PIXELS = 2**20


def largest_batch(batch_size: int, height: int, width: int) -> int:
    """`batch_size`, or as many images of this size (at least one) as `MOST_PIXELS` allow."""
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be positive. Received: batch_size={batch_size}")
    return max(1, min(batch_size, MOST_PIXELS // (height * width)))


def batches(images: Any, batch_size: int) -> Iterator[np.ndarray]:
    """float32 batches `(b, height, width, channels)` in order; a batch ends where the size of the images changes.

    Args:
        images: `(n, height, width, channels)`, a sequence of images of any sizes, or `tfvae.data.Images`;
            uint8, or float in [0, 1].
        batch_size: Most images in a batch; fewer where they are large.

    Raises:
        ValueError: When `batch_size` is not positive.
    """
    batch: list[np.ndarray] = []
    for index in range(len(images)):
        image = pixels(images[index])
        if batch and (image.shape != batch[0].shape or len(batch) >= largest_batch(batch_size, *image.shape[:2])):
            yield np.stack(batch)
            batch = []
        batch.append(image)
    if batch:
        yield np.stack(batch)


def together(images: Sequence[np.ndarray]) -> np.ndarray | list[np.ndarray]:
    """One array `(n, height, width, channels)` when all images have one size, else the list of them."""
    return np.stack(images) if len({image.shape for image in images}) == 1 else list(images)
