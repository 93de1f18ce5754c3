"""Images as short vectors of numbers."""

from collections.abc import Iterator
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
    codes = [_averaged(keras.ops.convert_to_numpy(model.codes(x))) for x in batches(images, batch_size)]
    return np.concatenate(codes).astype(np.float32)


def embed_in_batches(model: Any, images: Any, batch_size: int = 64) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """The codes that `model.embed` gives, and how unsure they are, in portions: for more images than memory holds.

    Args:
        model, images, batch_size: As of `embed`.

    Yields:
        Codes and the variances of their posteriors, float32 `(b, latent_dim)` each; None in place of variances where a
        code has no distribution. Of a spatial latent it is the variance of the average, that of the places by their
        number.
    """
    for x in batches(images, batch_size):
        encoded = {name: keras.ops.convert_to_numpy(value) for name, value in model.encode(x).items()}
        if "log_var" not in encoded:
            yield _averaged(encoded["code"])[:, model.embedded], None
            continue
        variance = np.exp(encoded["log_var"])
        places = np.prod(variance.shape[1:3]) if variance.ndim == 4 else 1
        codes, variances = _averaged(encoded["mean"]), _averaged(variance) / np.float32(places)
        yield codes[:, model.embedded], variances[:, model.embedded]


def _averaged(code: np.ndarray) -> np.ndarray:
    return (code.mean(axis=(1, 2)) if code.ndim == 4 else code).astype(np.float32)
