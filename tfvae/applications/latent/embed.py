"""Images as short vectors of numbers."""

from typing import Any

import keras
import numpy as np

from tfvae.data.array_batches import batches


def embed(model: Any, images: Any, batch_size: int = 64) -> np.ndarray:
    """The deterministic code of each image: its posterior mean, or an autoencoder's code.

    A spatial latent is averaged over height and width, so that images of any size have codes of one length: the
    kind of content is kept, its place is not.

    Args:
        model: A latent model of this library.
        images: `(n, height, width, channels)`, or a sequence of images of any sizes for a model with a spatial
            latent; uint8, or float in [0, 1].
        batch_size: Most images in a batch.

    Returns:
        float32 codes, shape `(n, latent_dim)`.

    Raises:
        ValueError: When there are no images.
    """
    if len(images) == 0:
        raise ValueError("`images` must hold at least one image. Received: 0 images.")
    codes = []
    for x in batches(images, batch_size):
        code = keras.ops.convert_to_numpy(model.codes(x))
        codes.append(code.mean(axis=(1, 2)) if code.ndim == 4 else code)
    return np.concatenate(codes).astype(np.float32)
