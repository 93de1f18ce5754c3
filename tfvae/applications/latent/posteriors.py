"""The posteriors of images: what a prior is fitted to."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tfvae.data.array_batches import batches


def posteriors(model: Any, images: Any, batch_size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Mean and log-variance of `q(z|x)` of each image; of a code without a distribution the code, and minus infinity.

    Args:
        model: A model with a Gaussian posterior, or an autoencoder.
        images: As of `float_batches`, of one size.
        batch_size: Most images in a batch.

    Returns:
        Two float32 arrays, `(n, *latent)`.

    Raises:
        ValueError: When the images, so their codes, have unequal sizes, or there are none.
    """
    found: list[tuple[np.ndarray, ...]] = []
    for x in float_batches(images, batch_size):
        encoded = model.encode(x)
        if "code" in encoded:
            encoded = {"mean": encoded["code"], "log_var": keras.ops.full_like(encoded["code"], -np.inf)}
        found.append(tuple(keras.ops.convert_to_numpy(encoded[name]) for name in ("mean", "log_var")))
    shapes = sorted({mean.shape[1:] for mean, _ in found})
    if len(shapes) != 1:
        raise ValueError(f"`images` must have codes of one shape. Received: {shapes or 'no images'}")
    means, log_vars = zip(*found, strict=True)
    return np.concatenate(means), np.concatenate(log_vars)


def float_batches(images: Any, batch_size: int = 64) -> Iterator[np.ndarray]:
    """Batches `(b, height, width, channels)`, float32 in [0, 1].

    Args:
        images: `(n, height, width, channels)` or a sequence of images, uint8 or float in [0, 1]; or an iterable of
            batches of floats, such as a `tf.data.Dataset` that ends, whose elements may have labels behind them.
        batch_size: Most images in a batch that is made here.
    """
    if hasattr(images, "__getitem__") and (not len(images) or np.ndim(images[0]) == 3):
        yield from batches(images, batch_size)
        return
    for batch in images:
        yield np.asarray(batch[0] if isinstance(batch, (tuple, list)) else batch, dtype=np.float32)
