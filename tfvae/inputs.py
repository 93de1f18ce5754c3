"""Images and labels as models take them: their types and shapes, in the graph."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfvae.distributions import float32


def check_keras_settings() -> None:
    """Raises `ValueError` where Keras is set to what no model of this library computes with."""
    for name, wanted, found, remedy in (
        ("image_data_format", "channels_last", keras.config.image_data_format(), "set_image_data_format"),
        ("floatx", "float32", keras.config.floatx(), "set_floatx"),
    ):
        if found != wanted:
            half = "; for half precision set the policy, keras.config.set_dtype_policy" if name == "floatx" else ""
            raise ValueError(
                f"tfvae needs Keras's {name} to be '{wanted}', and it is '{found}'. "
                f"Remedy: keras.config.{remedy}('{wanted}') (or ~/.keras/keras.json){half}"
            )


def as_images(x: Any, image_shape: tuple[int | None, ...], owner: str) -> Any:
    """float32 `(batch, height, width, channels)`: uint8 is divided by 255, and `(batch, height, width)` is grey.

    Args:
        x: Array or tensor.
        image_shape: `(height, width, channels)` of the model's images; None where any size will do.
        owner: Whose images they are, for the message.

    Raises:
        ValueError: For another shape.
    """
    if getattr(getattr(x, "shape", None), "rank", 0) is None:  # as of a generator, which says nothing beforehand
        x = tf.ensure_shape(x, (None, *image_shape))
    shape = tuple(np.shape(x) if isinstance(x, (list, tuple)) else x.shape)
    if len(shape) == 3 and image_shape[-1] == 1 and _agree(shape[1:], image_shape[:2]):
        return as_images(ops.expand_dims(x, -1), image_shape, owner)
    if len(shape) != 4 or not _agree(shape[1:], image_shape):
        size = ", ".join("any" if side is None else str(side) for side in image_shape)
        grey = " (the last axis may be missing)" if image_shape[-1] == 1 else ""
        remedy = _remedy(shape, image_shape)
        raise ValueError(f"{owner} takes images of shape (batch, {size}){grey}. Received: shape {shape}{remedy}")
    if keras.backend.standardize_dtype(getattr(x, "dtype", "float32")) == "uint8":
        return float32(x) / 255.0
    return float32(x)


def as_labels(y: Any) -> Any:
    """int32 `(batch,)` of class indices `(batch,)` or `(batch, 1)`.

    Raises:
        ValueError: For another shape.
    """
    shape = tuple(y.shape)
    if len(shape) == 2 and shape[1] == 1:
        y = ops.squeeze(y, axis=-1)
    elif len(shape) != 1:
        raise ValueError(f"labels must be class indices of shape (batch,) or (batch, 1). Received: shape {shape}")
    return ops.cast(y, "int32")


def as_label_weights(labels: Any, label_names: Sequence[str]) -> Any:
    """A weight of each class, float32 `(batch, classes)`: of a label 1 at its class and 0 elsewhere.

    Args:
        labels: Class indices or names, `(batch,)` or `(batch, 1)` or a single one; or float weights.
        label_names: Names of the classes.

    Raises:
        ValueError: For another shape, and for a label that is no class, where its value is known.
    """
    known = tf.get_static_value(labels) if tf.is_tensor(labels) else np.atleast_1d(labels)
    labels = labels if known is None else known
    if known is not None and known.dtype.kind in "US":
        where = {name: place for place, name in enumerate(label_names)}
        labels = known = np.array([where.get(str(name), -1) for name in known.ravel()])
    classes = len(label_names)
    if keras.backend.standardize_dtype(labels.dtype).startswith(("float", "bfloat")):
        if len(labels.shape) != 2 or labels.shape[1] != classes:
            raise ValueError(
                f"weights of labels must be of shape (batch, {classes}), a weight for each class. "
                f"Received: shape {tuple(labels.shape)}"
            )
        return float32(labels)
    labels = as_labels(labels)
    if known is not None:
        check_labels(np.asarray(labels), label_names)
    return ops.one_hot(labels, classes, dtype="float32")


def given(labels: Any) -> dict[str, Any]:
    """The labels as an argument that only methods of a conditional model take; nothing where there are none."""
    return {} if labels is None else {"labels": labels}


def in_turn(rows: Any, label_names: Sequence[str]) -> Any:
    """A label for each row, int32: every class in turn."""
    return ops.mod(ops.arange(ops.shape(rows)[0], dtype="int32"), len(label_names))


def check_labels(labels: np.ndarray, label_names: Sequence[str]) -> None:
    """Raises `ValueError` for class indices that are none of the classes."""
    if labels.size and not 0 <= labels.min() <= labels.max() < len(label_names):
        raise ValueError(
            f"labels must be from 0 to {len(label_names) - 1}, the places of {', '.join(label_names[:12])}. "
            f"Received: labels from {labels.min()} to {labels.max()}"
        )


def _remedy(shape, image_shape):
    """What makes images of another shape fit, where axes alone are in the way."""
    if len(shape) == 4 and _agree((*shape[2:], shape[1]), image_shape):
        return ". Remedy: channels come last, np.moveaxis(x, 1, -1)"
    if len(shape) == 3 and _agree(shape, image_shape):
        return ". Remedy: a single image is a batch of one, x[None]"
    return ""


def _agree(shape, wanted):
    return all(own in (None, side) or side is None for own, side in zip(shape, wanted, strict=True))
