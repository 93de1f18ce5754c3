"""A look at the first batch that a model is given: shapes, range, labels, while nothing has been learnt from it."""

import itertools
import types
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfvae.inputs import as_images, as_labels, check_labels
from tfvae.pixels import out_of_range
from tfvae.quiet import native_messages_held

SOME = 256  # images of an array whose range is looked at
FAR_OUT = 2.0  # no noise brings a pixel of [0, 1] there


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

        def looked_at(first, element):
            flat = tf.nest.flatten(element)
            done = tf.cond(first, lambda: tf.numpy_function(look, flat, tf.int32), lambda: 0)
            with tf.control_dependencies([done]):
                return False, tf.nest.map_structure(tf.identity, element)

        # Not `enumerate`, after which a dataset of unknown length has a length.
        return dataset.scan(True, looked_at)

    def source(self, x: Any, y: Any = None) -> Any:
        """Looks at any source that `fit` takes; returns what to give to `fit` in its place."""
        if isinstance(x, tf.data.Dataset):
            return self.pipeline(x)
        if isinstance(x, (list, tuple)):
            raise ValueError(
                f"{self._name} takes images as one array, tf.data pipeline, generator or PyDataset. Received: a "
                f"{type(x).__name__} of {len(x)}. Remedy: np.stack([np.asarray(image) for image in images])"
            )
        if isinstance(x, types.GeneratorType):
            first = next(x)
            self(_arrays(first))
            return (batch for batch in itertools.chain([first], x))
        if isinstance(x, keras.utils.PyDataset):
            self(_arrays(x[0]))
        elif is_array(x):
            if x.shape and x.shape[0] == 0:
                raise ValueError(f"{self._name} takes one image or more. Received: an array of shape {tuple(x.shape)}")
            self((x[:SOME], None if y is None else y[:SOME]))
        return x

    def now(self, data: Any) -> Any:
        """Looks at validation data before any step; returns what to give to `fit` in their place."""
        if isinstance(data, tf.data.Dataset):
            with native_messages_held():  # a cache that is not read to its end says so
                for batch in data.take(1):
                    self(_arrays(batch))
            return data
        if isinstance(data, (list, tuple)) and data and is_array(data[0]):
            self.source(*data[:2])
            return data
        return self.source(data)

    def scale(self, x: Any) -> None:
        """Raises `ValueError` for floats that are up to 255; damaged pictures may be a little outside of [0, 1]."""
        some = np.asarray(x[:SOME])
        if some.dtype != np.uint8 and some.size and np.nanmax(some) > FAR_OUT:
            self._range(some)

    @property
    def _name(self) -> str:
        return type(self.model).__name__

    def _range(self, x: np.ndarray) -> None:
        if x.dtype == np.uint8 or not x.size:
            return
        is_finite = np.isfinite(x)
        if bad := np.count_nonzero(~is_finite.all(axis=tuple(range(1, x.ndim)))):
            warnings.warn(
                f"{bad} of the {len(x)} images looked at hold NaN or infinite pixels: every batch with such an image, "
                "unless its weight is 0, is skipped. Remedy: leave them out.",
                stacklevel=4,
            )
        finite = x[is_finite]
        found = out_of_range(float(finite.min()), float(finite.max())) if finite.size else None
        if found is None:
            return
        seen, remedy = found
        if finite.min() >= 0 and finite.max() <= 1:  # dark pictures may be meant
            warnings.warn(f"data outside the likelihood's range: {seen}. Remedy: {remedy}.", stacklevel=4)
            return
        raise ValueError(f"data outside the likelihood's range: {seen}. Remedy: {remedy}, or give them as uint8.")

    def _labels(self, y: Any) -> None:
        if y is None:
            raise ValueError(f"{self._name} is conditional: it takes a label for each image, fit(x, y). Received: none")
        check_labels(np.asarray(as_labels(np.asarray(y))), self.model.label_names)


def is_array(x: Any) -> bool:
    """Whether `x` holds all images at once: an array or a tensor."""
    return hasattr(x, "shape") and hasattr(x, "__getitem__")


def _same(x: np.ndarray, y: np.ndarray) -> bool:
    return x.shape == y.shape and np.array_equal(x, y, equal_nan=x.dtype.kind == "f")


def _arrays(batch: Any) -> Any:
    return tf.nest.map_structure(np.asarray, batch)
