"""What a model takes: pictures, labels, weights. Shapes and types in the graph, and the first batch by its values."""

import itertools
import types
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfvae.distributions import float32
from tfvae.pixels import out_of_range
from tfvae.quiet import native_messages_held

SOME = 256  # images of an array whose range is looked at


def as_images(x: Any, image_shape: tuple[int | None, ...], owner: str) -> Any:
    """float32 `(batch, height, width, channels)`: uint8 is divided by 255, and `(batch, height, width)` is grey.

    Args:
        x: Array or tensor.
        image_shape: `(height, width, channels)` of the model's images; None where any size will do.
        owner: Whose images they are, for the message.

    Raises:
        ValueError: For another shape.
    """
    shape = tuple(np.shape(x) if isinstance(x, (list, tuple)) else x.shape)
    if len(shape) == 3 and image_shape[-1] == 1 and _agree(shape[1:], image_shape[:2]):
        return as_images(ops.expand_dims(x, -1), image_shape, owner)
    if len(shape) != 4 or not _agree(shape[1:], image_shape):
        size = ", ".join("any" if side is None else str(side) for side in image_shape)
        grey = " (the last axis may be missing)" if image_shape[-1] == 1 else ""
        raise ValueError(f"{owner} takes images of shape (batch, {size}){grey}. Received: shape {shape}")
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


def _agree(shape, wanted):
    return all(own in (None, side) or side is None for own, side in zip(shape, wanted, strict=True))


class Inspection:
    """Looks at the first batch of what a model is given, and refuses what it would learn nothing from.

    Args:
        model: A latent model.
        weighs: Whether labels are there for `class_weight` alone.
    """

    def __init__(self, model: Any, weighs: bool = False):
        self.model, self.weighs = model, weighs
        self.error: ValueError | None = None  # found within a pipeline, where it cannot be raised as it is

    def __call__(self, data: Any) -> None:
        """Raises `ValueError` for a batch of arrays `x`, `(x, y)` or `(x, y, weights)` that the model cannot take."""
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        if isinstance(x, dict):
            raise ValueError(
                f"{self._name} takes images, or pairs of images and labels. Received: a dict of {', '.join(x)}. "
                "Remedy: dataset.map(lambda example: example['image'])"
            )
        x = np.asarray(x)
        as_images(x[:1], self.model.image_shape, self._name)
        self._range(x[:SOME])
        if self.model.conditional:
            self._labels(y)
        elif y is not None and not self.weighs and not _same(x, np.asarray(y)):
            raise ValueError(
                f"{self._name} learns from images alone, and these come with something else, of shape {np.shape(y)}. "
                "Remedy: fit(x), or dataset.map(lambda x, y: x); labels are for a model with classes, and pairs of "
                "damaged and undamaged images for tfvae.Restorer, which damages its images itself"
            )

    def pipeline(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """`dataset`, whose first batch is looked at when it comes: nothing is read twice, and no shuffle moves on."""
        if not all(isinstance(spec, tf.TensorSpec) for spec in tf.nest.flatten(dataset.element_spec)):
            return dataset

        def look(*flat):
            try:
                self(tf.nest.pack_sequence_as(dataset.element_spec, flat))
            except ValueError as error:
                self.error = error
                raise
            return np.int32(0)

        def looked_at(place, element):
            flat = tf.nest.flatten(element)
            first = tf.cond(tf.equal(place, 0), lambda: tf.numpy_function(look, flat, tf.int32), lambda: 0)
            with tf.control_dependencies([first]):
                return tf.nest.map_structure(tf.identity, element)

        return dataset.enumerate().map(looked_at)

    def source(self, x: Any, y: Any = None) -> Any:
        """Looks at any source that `fit` takes; returns what to give to `fit` in its place."""
        if isinstance(x, tf.data.Dataset):
            return self.pipeline(x)
        if isinstance(x, types.GeneratorType):
            first = next(x)
            self(_arrays(first))
            return (batch for batch in itertools.chain([first], x))
        if isinstance(x, keras.utils.PyDataset):
            self(_arrays(x[0]))
        elif is_array(x):
            self((x[:SOME], None if y is None else y[:SOME]))
        return x

    def now(self, data: Any) -> None:
        """Looks at validation data before any step: arrays, a tuple of them, or a source that can be read again."""
        if isinstance(data, tf.data.Dataset):
            with native_messages_held():  # a cache that is not read to its end says so
                for batch in data.take(1):
                    self(_arrays(batch))
        elif isinstance(data, (list, tuple)) and data and is_array(data[0]):
            self.source(*data[:2])
        elif not isinstance(data, types.GeneratorType):
            self.source(data)

    @property
    def _name(self) -> str:
        return type(self.model).__name__

    def _range(self, x: np.ndarray) -> None:
        if x.dtype == np.uint8 or not x.size:
            return
        finite = x[np.isfinite(x)] if x.dtype.kind == "f" else x
        found = out_of_range(float(finite.min()), float(finite.max())) if finite.size else None
        if found is None:
            return
        seen, remedy = found
        if finite.min() >= 0 and finite.max() <= 1:  # dark pictures may be meant
            warnings.warn(f"data outside the likelihood's range: {seen}. Remedy: {remedy}.", stacklevel=4)
            return
        raise ValueError(f"data outside the likelihood's range: {seen}. Remedy: {remedy}, or give them as uint8.")

    def _labels(self, y: Any) -> None:
        names = self.model.label_names
        if y is None:
            raise ValueError(f"{self._name} is conditional: it takes a label for each image, fit(x, y). Received: none")
        y = np.asarray(as_labels(np.asarray(y)))
        if y.size and not 0 <= y.min() <= y.max() < len(names):
            raise ValueError(
                f"labels must be from 0 to {len(names) - 1}, the places of {', '.join(map(str, names[:12]))}. "
                f"Received: labels from {y.min()} to {y.max()}"
            )


def is_array(x: Any) -> bool:
    """Whether `x` holds all images at once: an array or a tensor."""
    return hasattr(x, "shape") and hasattr(x, "__getitem__")


def _same(x: np.ndarray, y: np.ndarray) -> bool:
    return x.shape == y.shape and np.array_equal(x, y, equal_nan=x.dtype.kind == "f")


def _arrays(batch: Any) -> Any:
    return tf.nest.map_structure(np.asarray, batch)
