"""What is measured: a model, the images it is measured on, and everything that a measure may ask for."""

import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from tfvae.data import DataConfig, Images, evaluation_batches
from tfvae.data.array_batches import largest_batch
from tfvae.pixels import to_uint8

T = TypeVar("T")

# The graphs of a model, by function: a second evaluation in one process traces nothing again. They go with the model.
_GRAPHS: weakref.WeakKeyDictionary[Any, dict[Callable, Callable]] = weakref.WeakKeyDictionary()


class UnmeasurableError(ValueError):
    """A measure that means nothing for this model or these images; the message says why."""


@dataclass
class EvaluationContext:
    """A model and images, and the settings of the measures.

    Attributes:
        model: Any latent model of this library.
        images: What to measure on, `Images` or an array `(n, height, width, channels)`, uint8 or float in [0, 1]; sizes
            may differ from image to image where the model takes any size.
        data_config: The `[data]` section the model was trained with; its `binarize` is used.
        batch_size: Most images in a step; fewer where they are large.
        seed: Of the posterior samples, the binarisation, draws from the prior and the bootstrap.
        k: Importance samples an image.
        features: Name of what distances between sets of images are taken in.
        training: The images the model was trained on, or None where they are not at hand.
        progress: Called with (what, done, in all).
        known: What measures computed and others may use; see `remembered`.
    """

    model: Any
    images: Any
    data_config: DataConfig = field(default_factory=lambda: DataConfig(source="array"))
    batch_size: int = 64
    seed: int = 0
    k: int = 1000
    features: str = "encoder"
    training: Images | None = None
    progress: Callable[[str, int, int], None] = lambda what, done, total: None
    known: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.images, Images) and len(self.images):
            self.images = Images.from_array(to_uint8(np.asarray(self.images)))
        if len(self.images) == 0:
            raise ValueError("`images` must hold at least one image. Received: 0 images.")

    def batches(self, images: Images | None = None) -> tf.data.Dataset:
        """Every image once, in order, as the model sees it: `(batch, height, width, channels)` in [0, 1]."""
        images = self.images if images is None else images
        height, width = images.shapes[:, :2].max(axis=0)
        most = largest_batch(self.batch_size, int(height), int(width))
        return evaluation_batches(images, most, seed=self.seed, config=self.data_config)

    def labels(self, images: Images | None = None) -> np.ndarray | None:
        """The label of each image as a conditional model counts its classes, int32 `(n,)`.

        None where the model takes no labels, or an image has none that it knows: it then takes the likeliest.
        """
        images = self.images if images is None else images
        if not self.model.conditional or images.labels is None:
            return None
        where = {name: place for place, name in enumerate(self.model.label_names)}
        classes = np.array([where.get(name, -1) for name in images.label_names], np.int32)
        known = images.labels >= 0
        labels = np.where(known, classes[np.where(known, images.labels, 0)], -1)
        return labels if (labels >= 0).all() else None

    def conditions(self) -> dict[str, str]:
        """What the protocol of a likelihood says of a conditional model: p(x|y), or p(x) with the likeliest label."""
        if not self.model.conditional:
            return {}
        return {"labels": "the likeliest" if self.labels() is None else "given"}

    def labelled_batches(self, images: Images | None = None) -> Iterator[tuple[tf.Tensor, np.ndarray | None]]:
        """Pairs of a batch of `batches` and its labels, or None."""
        labels, done = self.labels(images), 0
        for x in self.batches(images):
            yield x, None if labels is None else labels[done : done + x.shape[0]]
            done += x.shape[0]

    def remembered(self, key: str, make: Callable[[], T]) -> T:
        """`make()`, computed once for all measures that ask for `key`."""
        if key not in self.known:
            self.known[key] = make()
        return self.known[key]

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, whose first argument is the model, as a `tf.function`; one for all evaluations of the model."""
        graphs = _GRAPHS.setdefault(self.model, {})
        return graphs.setdefault(function, tf.function(function, reduce_retracing=True))

    def means(self) -> list[np.ndarray]:
        """The codes of `images` batch by batch (posterior means, where there is a posterior), float32."""
        return self.remembered("means", self._means)

    def _means(self) -> list[np.ndarray]:
        encode = self.compiled(_codes)
        codes, done = [], 0
        for x in self.batches():
            codes.append(np.asarray(encode(self.model, x)))
            done += len(codes[-1])
            self.progress("codes", done, len(self.images))
        return codes


def _codes(model: Any, x: tf.Tensor) -> tf.Tensor:
    return model.codes(x)
