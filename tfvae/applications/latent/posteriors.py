"""The posteriors of images: what a prior is fitted to."""

from typing import Any

import keras
import numpy as np

from tfvae.data.array_batches import batches


def posteriors(model: Any, images: Any, batch_size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Mean and log-variance of `q(z|x)` of each image.

    Args:
        model: A model with a Gaussian posterior.
        images: `(n, height, width, channels)`, or a sequence of images of one size; uint8, or float in [0, 1].
        batch_size: Most images in a batch.

    Returns:
        Two float32 arrays, `(n, *latent)`.

    Raises:
        ValueError: When the images, so their codes, have unequal sizes, or there are none.
    """
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for x in batches(images, batch_size):
        encoded = model.encode(x)
        found.append(tuple(keras.ops.convert_to_numpy(encoded[name]) for name in ("mean", "log_var")))
    shapes = sorted({mean.shape[1:] for mean, _ in found})
    if len(shapes) != 1:
        raise ValueError(f"`images` must have codes of one shape. Received: {len(images)} images, shapes {shapes}")
    means, log_vars = zip(*found, strict=True)
    return np.concatenate(means), np.concatenate(log_vars)
