"""Rebuild images from their codes."""

from typing import Any

import keras
import numpy as np

from tfvae.data.array_batches import batches, together


def reconstruct(model: Any, images: Any, batch_size: int = 64) -> np.ndarray | list[np.ndarray]:
    """`E[x|z]` at the deterministic code of each image: its posterior mean, or an autoencoder's code.

    Args:
        model: A latent model of this library.
        images: `(n, height, width, channels)`, or a sequence of images of any sizes for a model with a spatial
            latent; uint8, or float in [0, 1].
        batch_size: Most images in a batch.

    Returns:
        float32 in [0, 1], shape of `images`; a list when the sizes differ.

    Raises:
        ValueError: When there are no images.
    """
    if len(images) == 0:
        raise ValueError("`images` must hold at least one image. Received: 0 images.")
    rebuilt: list[np.ndarray] = []
    for x in batches(images, batch_size):
        rebuilt.extend(keras.ops.convert_to_numpy(model.reconstruct(x)["image"]))
    return together(rebuilt)
