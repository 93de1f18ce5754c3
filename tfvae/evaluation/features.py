"""What distances between sets of images are taken in: features, by the names that `tfvae evaluate --features` takes.

To add one: a function from a `EvaluationContext` to `Features`, and a line in `FEATURES`.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfvae.data import Images
from tfvae.data.array_batches import batches
from tfvae.errors import UserError, did_you_mean
from tfvae.evaluation.classifier import train_classifier
from tfvae.evaluation.context import EvaluationContext, UnmeasurableError
from tfvae.file_names import user_path

RAW_SIDE = 32  # raw pixels: the covariance of larger pictures fits no memory
INCEPTION_SIDE = 299
INCEPTION_FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
PORTION = 256  # images at once


@dataclass(frozen=True)
class Features:
    """A function from images to vectors, and what makes it this one and no other.

    Attributes:
        extract: float32 `(batch, height, width, channels)` in [0, 1] to `(batch, features)`.
        protocol: Name, hash of the weights, accuracy, …: values in unlike features do not compare.
    """

    extract: Callable[[np.ndarray], Any]
    protocol: dict[str, Any]

    def of(self, images: Images | np.ndarray) -> np.ndarray:
        """Features of each image, float64 `(n, features)`; of uint8 images or such in [0, 1]."""
        return np.concatenate([np.asarray(self.extract(x), np.float64) for x in batches(images, PORTION)])


def features(context: EvaluationContext) -> Features:
    """The features that `context.features` names: one of `FEATURES`, or `inception:FILE`.

    Raises:
        UserError: An unknown name, or weights of Inception that are not there.
        UnmeasurableError: Features that these images have not: no labels to train a classifier on.
    """
    name, _, _ = context.features.partition(":")
    if name not in FEATURES or (":" in context.features and name != "inception"):
        raise UserError(
            f"features: unknown features '{context.features}'.{did_you_mean(context.features, FEATURES)} "
            f"Known: {', '.join(FEATURES)}, inception:FILE."
        )
    return context.remembered(f"features {context.features}", lambda: FEATURES[name](context))


def encoder(context: EvaluationContext) -> Features:
    """The model's own posterior means (of a spatial latent their mean over places).

    They hold what this encoder encodes. Another model has another encoder: two models do not compare in them, and
    the hash of the weights in the protocol keeps anyone from doing it.
    """
    encode = tf.function(context.model.codes, reduce_retracing=True)

    def extract(x: np.ndarray) -> np.ndarray:
        codes = np.asarray(encode(x))
        return codes.mean(axis=(1, 2)) if codes.ndim == 4 else codes

    weights = getattr(context.model, "encoder", context.model).get_weights()
    return Features(extract, {"features": "encoder", "features_sha256": digest(weights)})


def classifier(context: EvaluationContext) -> Features:
    """The 64 numbers before the last layer of a small CNN trained on the labels of the training images.

    The same for the same training images and seed, whatever the model: so models compare in them.
    """
    training, held_out = _labelled(context.training), _labelled(context.images)
    if training is None or len(np.unique(_labels(training))) < 2:
        raise UnmeasurableError("features 'classifier' need training images with labels of two classes or more")
    found = train_classifier(
        _together(training), _labels(training), context.seed, lambda d, n: context.progress("classifier", d, n)
    )
    facts: dict[str, Any] = {
        "features": "classifier",
        "features_sha256": digest(found.trunk.get_weights()),
        "classes": found.classes,
        "side": found.side,
    }
    if held_out is not None:
        facts["accuracy"] = round(found.accuracy(held_out, _labels(held_out)), 4)
    return Features(found.extract, facts)


def inception(context: EvaluationContext) -> Features:
    """The 2,048 averages of InceptionV3 of keras.applications, trained on ImageNet; its weights are never downloaded.

    The file is keras's own (`…_notop.h5`) in ~/.keras/models or $KERAS_HOME/models, or that of `inception:FILE`. The
    distances are not those of published FIDs, which use the graph of 2015 with other weights and another way of
    resizing.
    """
    _, _, given = context.features.partition(":")
    path = (
        user_path(given)
        if given
        else Path(os.environ.get("KERAS_HOME", "~/.keras"), "models", INCEPTION_FILE).expanduser()
    )
    if not path.is_file():
        raise UserError(
            f"features: no weights of Inception at '{path}'. Accepted: {INCEPTION_FILE} there, or inception:FILE."
        )
    try:
        network = keras.applications.InceptionV3(include_top=False, pooling="avg", weights=str(path))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"features: '{path}' holds no weights of InceptionV3 without its top ({reason}).") from error
    network.trainable = False

    @tf.function(reduce_retracing=True)
    def run(x: tf.Tensor) -> tf.Tensor:
        x = tf.image.resize(x, (INCEPTION_SIDE, INCEPTION_SIDE), antialias=True)
        return network(2.0 * tf.clip_by_value(x, 0.0, 1.0) - 1.0, training=False)

    def extract(x: np.ndarray) -> np.ndarray:
        colour = np.repeat(x, 3, axis=-1) if x.shape[-1] == 1 else x
        return np.concatenate([run(colour[start : start + 32]) for start in range(0, len(colour), 32)])

    told = {"features": "inception (keras.applications)", "features_sha256": digest(network.get_weights())}
    return Features(extract, told)


def raw(context: EvaluationContext) -> Features:
    """The pixels themselves, of pictures above 32 pixels a side after reduction to it: a baseline."""

    def extract(x: np.ndarray) -> np.ndarray:
        if max(x.shape[1:3]) > RAW_SIDE:
            x = np.asarray(tf.image.resize(x, (RAW_SIDE, RAW_SIDE), antialias=True))
        return x.reshape(len(x), -1)

    return Features(extract, {"features": "raw pixels", "side": RAW_SIDE})


FEATURES: dict[str, Callable[[EvaluationContext], Features]] = {
    "encoder": encoder,
    "classifier": classifier,
    "inception": inception,
    "raw": raw,
}


def digest(weights: Iterable[np.ndarray]) -> str:
    """SHA-256 of arrays: of their shapes and values, in order."""
    found = hashlib.sha256()
    for array in weights:
        found.update(str((array.dtype, array.shape)).encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _labelled(images: Images | None) -> Images | None:
    """The images that have a label; None when there is none."""
    if images is None or images.labels is None:
        return None
    known = np.flatnonzero(images.labels >= 0)
    return images.take(known) if len(known) else None


def _labels(images: Images) -> np.ndarray:
    assert images.labels is not None
    return images.labels


def _together(images: Images) -> np.ndarray:
    if not images.uniform:
        raise UnmeasurableError("features 'classifier' need training images of one size (data.height, data.width)")
    return images.array


__all__: Sequence[str] = ["FEATURES", "Features", "features"]
