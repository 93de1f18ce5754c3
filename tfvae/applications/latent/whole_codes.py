"""Codes that a picture can be decoded from: of a conditional model the label is part of them."""

from typing import Any

import keras
import numpy as np

from tfvae.inputs import as_label_weights


def whole_codes(model: Any, images: Any) -> np.ndarray:
    """The deterministic code of each image; of a conditional model with the weights of the label behind it.

    Args:
        model: A latent model of this library that decodes codes (`model.decode`).
        images: `(n, height, width, channels)`, float in [0, 1].

    Returns:
        `(n, *latent_shape)`, float32, with as many numbers more in the last axis as there are classes. The label is the
        likeliest.
    """
    if not model.conditional:
        return keras.ops.convert_to_numpy(model.codes(images))
    labels = as_label_weights(model.likeliest_labels(images), model.label_names)
    codes = keras.ops.convert_to_numpy(model.codes(images, labels))
    weights = np.reshape(labels, (len(codes), *[1] * (codes.ndim - 2), -1))
    return np.concatenate([codes, np.broadcast_to(weights, (*codes.shape[:-1], weights.shape[-1]))], axis=-1)


def decoded(model: Any, codes: np.ndarray) -> np.ndarray:
    """Images of `whole_codes`, or of points between them, `(n, height, width, channels)` in [0, 1].

    Between two labels their weights are mixed; they are divided by their sum, and equal where they are all 0.
    """
    given = {}
    if model.conditional:
        classes = len(model.label_names)
        codes, weights = codes[..., :-classes], codes[..., -classes:]
        weights = weights.mean(axis=tuple(range(1, weights.ndim - 1)))
        total = weights.sum(axis=-1, keepdims=True)
        given["labels"] = np.where(total > 0, weights / np.where(total > 0, total, 1), 1 / classes).astype(np.float32)
    return keras.ops.convert_to_numpy(model.decode(codes, **given)["image"])
