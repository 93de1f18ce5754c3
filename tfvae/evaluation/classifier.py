"""A small CNN trained on labels, whose last features separate the classes of this data."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tfvae.data.array_batches import batches

MOST_SIDE = 64  # pixels; larger pictures are reduced to it
FEATURES = 64
STEPS, BATCH = 1_000, 128  # half a minute on two cores for 28×28
LEARNING_RATE = 2e-3


@dataclass(frozen=True)
class Classifier:
    """A trained classifier.

    Attributes:
        trunk: float32 images in [0, 1] of `side` pixels to `(batch, 64)`.
        head: Those to one logit a class.
        names: The label of each class, ascending int64.
        side: Longest side of its input in pixels.
    """

    trunk: keras.Model
    head: keras.Layer
    names: np.ndarray
    side: int

    @property
    def classes(self) -> int:
        return len(self.names)

    def extract(self, x: np.ndarray) -> np.ndarray:
        """Features `(batch, 64)` of float32 images in [0, 1] of any one size."""
        return np.asarray(self.trunk(_fitted(x, self.trunk.input_shape[1:3]), training=False))

    def accuracy(self, images, labels: np.ndarray, portion: int = 256) -> float:
        """Accuracy: the share of the images that are classified correctly."""
        told = [np.argmax(self.head(self.extract(x)), axis=1) for x in batches(images, portion)]
        return float(np.mean(self.names[np.concatenate(told)] == labels))


def train_classifier(
    images: np.ndarray,
    labels: np.ndarray,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
    steps: int = STEPS,
) -> Classifier:
    """A classifier after 1,000 steps of Adam on batches of 128 with cosine decay: the same for the same arguments.

    Its weights and the order of the images come from `seed` alone; no other random state changes.

    Args:
        images: uint8 `(n, height, width, 1 or 3)`.
        labels: Class of each, int `(n,)`, two classes or more.
        seed: Of the weights and of the order.
        progress: Called with (steps done, steps in all).
        steps: How many batches to learn from.

    Raises:
        ValueError: When there are fewer than two classes.
    """
    names, classes = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"`labels` must be of two classes or more. Received: {len(names)}")
    height, width, channels = images.shape[1:]
    scale = min(1.0, MOST_SIDE / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    trunk, head = _network((*size, channels), len(names), seed)
    weights = [*trunk.trainable_variables, *head.trainable_variables]
    decay = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    optimizer = keras.optimizers.Adam(decay)
    optimizer.build(weights)

    @tf.function
    def step(x: tf.Tensor, y: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            logits = head(trunk(x, training=True))
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))

    rng = np.random.default_rng((seed, 19))
    batch = min(BATCH, len(images))
    each_epoch = len(images) // batch
    for done in range(steps):
        if done % each_epoch == 0:
            order = rng.permutation(len(images))
        rows = np.sort(order[done % each_epoch * batch :][:batch])
        step(_fitted(images[rows].astype(np.float32) / 255.0, size), tf.constant(classes[rows]))
        if done % 50 == 49 or done + 1 == steps:
            progress(done + 1, steps)
    return Classifier(trunk, head, names, max(size))


def _network(shape: tuple[int, int, int], classes: int, seed: int) -> tuple[keras.Model, keras.Layer]:
    """Three convolutions, halving while there are more than 4 pixels a side, and a dense layer of 64 features."""
    seeds = iter(range(seed * 100, seed * 100 + 100))

    def kernel() -> keras.Initializer:
        # HeNormal with a seed of its own: the global generator is left as it is.
        return keras.initializers.HeNormal(seed=next(seeds) % 2**31)

    # float32 whatever the policy, for the model under measurement may have set another.
    inputs = keras.Input(shape, dtype="float32")
    x, side = inputs, min(shape[:2])
    for width in (32, 64, 64):
        strides = 2 if side > 4 else 1
        options = {"strides": strides, "padding": "same", "activation": "relu", "dtype": "float32"}
        x = keras.layers.Conv2D(width, 3, kernel_initializer=kernel(), **options)(x)
        side = math.ceil(side / strides)
    x = keras.layers.Flatten(dtype="float32")(x)
    x = keras.layers.Dense(FEATURES, activation="relu", kernel_initializer=kernel(), dtype="float32")(x)
    head = keras.layers.Dense(classes, kernel_initializer=kernel(), dtype="float32")
    head.build((None, FEATURES))
    return keras.Model(inputs, x), head


def _fitted(x: np.ndarray, size: tuple[int, int]) -> tf.Tensor:
    """Float32 images at the network's size."""
    if tuple(x.shape[1:3]) == tuple(size):
        return tf.constant(x)
    return tf.clip_by_value(tf.image.resize(x, size, antialias=True), 0.0, 1.0)
