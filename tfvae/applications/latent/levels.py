"""What each level of a hierarchical model adds to a picture."""

from typing import Any

import keras
import numpy as np

from tfvae.data.array_batches import batches


def by_levels(model: Any, images: Any, batch_size: int = 64) -> np.ndarray:
    """Reconstructions from the top 0, 1, 2 … levels of the codes, the levels below at the mean of their priors.

    The first is the same for all images: what the model expects when it has seen nothing. The last is `reconstruct`.

    Args:
        model: A model whose code has levels, such as `HierarchicalVAE`.
        images: `(n, height, width, channels)`, or a sequence of images of one size; uint8, or float in [0, 1].
        batch_size: Most images in a batch.

    Returns:
        float32 in [0, 1], shape `(n, levels + 1, height, width, channels)`.

    Raises:
        ValueError: When the model has no levels, or there are no images.
    """
    if not hasattr(model, "levels"):
        raise ValueError(f"`model` must have levels, as a HierarchicalVAE has. Received: {type(model).__name__}")
    if len(images) == 0:
        raise ValueError("`images` must hold at least one image. Received: 0 images.")
    rebuilt: list[np.ndarray] = []
    for x in batches(images, batch_size):
        codes = model.codes(x)
        nothing = keras.ops.zeros_like(codes)
        some = [model.decode(model.mixed(nothing, codes, levels))["image"] for levels in range(model.levels + 1)]
        rebuilt.extend(np.stack([keras.ops.convert_to_numpy(image) for image in some], axis=1))
    return np.stack(rebuilt)
