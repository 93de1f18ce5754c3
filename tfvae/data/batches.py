"""Batches for training and evaluation, each a function of the seed and its place in the stream."""

import numpy as np
import tensorflow as tf

from tfvae.data.augment import COLUMNS, CROP_X, CROP_Y, augment
from tfvae.data.config import DataConfig
from tfvae.data.images import Images
from tfvae.errors import UserError

# One stream of random numbers for each purpose, folded into the seed.
ORDER, DRAWS, PIXELS, EVALUATION = range(4)
FOREVER = 2**62


def steps_per_epoch(images: Images, batch_size: int) -> int:
    """Whole batches in one pass; a set smaller than a batch is one batch."""
    return max(1, len(images) // batch_size)


def training_batches(
    images: Images, batch_size: int, *, seed: int, config: DataConfig, start_step: int = 0
) -> tf.data.Dataset:
    """Training images without end: float32 `(batch, height, width, channels)` in [0, 1].

    Each epoch is a fresh permutation, cut into whole batches. Step s depends on (seed, s) alone: the order on (seed,
    epoch), crops and augmentation on (seed, epoch, index of the image), binarisation on (seed, epoch, batch). So the
    stream from `start_step` is the rest of the uninterrupted stream, bit for bit.

    Args:
        images: What to learn from.
        batch_size: Images in a batch; a smaller set is one batch.
        seed: Of everything random.
        config: Crop, augmentation and binarisation.
        start_step: Batches that were already consumed.

    Raises:
        UserError: no images, or images of unequal sizes and no crop that makes them equal.
    """
    if not len(images):
        raise UserError("data: there is no image to train on.")
    if not images.uniform and not config.crop:
        raise UserError(
            "data: the pictures have unequal sizes, and training needs equal ones. "
            "Accepted: data.crop (random crops), or data.height and data.width."
        )
    count, steps, batch = len(images), steps_per_epoch(images, batch_size), min(batch_size, len(images))
    gather = _gatherer(images, config.crop)

    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(count, dtype=tf.int64), seed=_key(seed, ORDER, epoch), alg="philox"
        )
        # A row for each image, by its index: where it lands in the order must not matter.
        draws = tf.random.stateless_uniform((count, COLUMNS), seed=_key(seed, DRAWS, epoch), alg="philox")
        order = order[: steps * batch]
        rows = tf.data.Dataset.from_tensor_slices(
            (tf.range(steps, dtype=tf.int64), tf.reshape(order, (steps, batch)))
        )
        if not (config.crop or config.augment):
            return rows.map(lambda position, index: (epoch, position, index, tf.zeros((batch, COLUMNS))))
        return rows.map(lambda position, index: (epoch, position, index, tf.gather(draws, index)))

    def make(epoch: tf.Tensor, position: tf.Tensor, index: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        x = tf.cast(gather(index, draws), tf.float32) / 255.0
        x = augment(x, draws, config.augment)
        if config.binarize:
            noise = tf.random.stateless_uniform(tf.shape(x), seed=_key(seed, PIXELS, epoch, position), alg="philox")
            x = tf.cast(noise < x, tf.float32)
        return x

    epochs = tf.data.Dataset.range(start_step // steps, FOREVER)
    places = epochs.flat_map(epoch_batches).skip(start_step % steps)
    dataset = places.map(make, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    return dataset.with_options(_options()).prefetch(tf.data.AUTOTUNE)


def evaluation_batches(
    images: Images, batch_size: int, *, config: DataConfig, seed: int = 0, crop: int = 0
) -> tf.data.Dataset:
    """Every image once, in order: float32 `(batch, height, width, channels)` in [0, 1]; the last batch may be smaller.

    Images of unequal sizes come whole, in batches of neighbours of one shape. With `config.binarize` the draw of an
    image depends on (seed, its index) alone, whatever the batch size.

    Args:
        images: What to measure on.
        batch_size: Most images in a batch.
        config: Its `binarize` is used.
        seed: Of the binarisation.
        crop: Side of centre crops in pixels, 0 for whole images.
    """
    bounds = _runs(images, batch_size, equal=bool(crop) or images.uniform)
    height, width = (crop, crop) if crop else images.common_size or (None, None)

    def read(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
        rows = range(int(start), int(stop))
        if crop:
            middle = np.full((len(rows), 2), 0.5)
            pixels = crops(images, np.array(rows), middle, crop)
        else:
            pixels = np.stack([images[row] for row in rows])
        x = pixels.astype(np.float32) / np.float32(255.0)
        if config.binarize:
            # One generator for each image, so that batches cut elsewhere draw the same.
            for place, row in enumerate(rows):
                noise = np.random.Generator(np.random.Philox(key=[seed % 2**64, row + (EVALUATION << 48)]))
                x[place] = noise.random(x[place].shape, np.float32) < x[place]
        return x

    def make(start: tf.Tensor, stop: tf.Tensor) -> tf.Tensor:
        x = tf.numpy_function(read, [start, stop], tf.float32, stateful=False)
        return tf.ensure_shape(x, (None, height, width, images.channels))

    dataset = tf.data.Dataset.from_tensor_slices((bounds[:-1], bounds[1:]))
    dataset = dataset.map(make, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataset.with_options(_options()).prefetch(tf.data.AUTOTUNE)


def crops(images: Images, index: np.ndarray, place: np.ndarray, side: int) -> np.ndarray:
    """Square pieces of images, uint8 `(n, side, side, channels)`; an image that is too small is mirrored at its edges.

    Args:
        images: Of any sizes.
        index: Which images, shape `(n,)`.
        place: Where in each, as fractions of the way the crop can move down and right, shape `(n, 2)`.
        side: Of the pieces, in pixels.
    """
    pieces = np.empty((len(index), side, side, images.channels), np.uint8)
    for piece, row, (down, right) in zip(pieces, index, place, strict=True):
        image = images[row]
        spare = np.array(image.shape[:2]) - side
        # A fraction below 1 times (spare + 1) reaches every origin with equal probability.
        top, left = (int(min(f * (s + 1), s)) if s > 0 else 0 for f, s in zip((down, right), spare, strict=True))
        image = image[top : top + side, left : left + side]
        if (spare < 0).any():
            missing = np.maximum(-spare, 0)
            before = missing // 2
            ends = [(int(b), int(m - b)) for b, m in zip(before, missing, strict=True)]
            image = np.pad(image, [*ends, (0, 0)], mode="symmetric")
        piece[...] = image
    return pieces


def _gatherer(images: Images, crop: int):
    """The function from (indices, draws) to uint8 pixels of a batch."""
    if images.uniform and not images.mapped and not crop:
        # One tensor, captured once: a batch is one gather. On the CPU, where the pipeline runs.
        with tf.device("CPU:0"):
            pixels = tf.constant(images.array)
        return lambda index, draws: tf.gather(pixels, index)

    def read(index: np.ndarray, place: np.ndarray) -> np.ndarray:
        return crops(images, index, place, crop) if crop else np.stack([images[row] for row in index])

    height, width = (crop, crop) if crop else images.common_size or (None, None)

    def gather(index: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        place = tf.stack([draws[:, CROP_Y], draws[:, CROP_X]], axis=1)
        pixels = tf.numpy_function(read, [index, place], tf.uint8, stateful=False)
        return tf.ensure_shape(pixels, (index.shape[0], height, width, images.channels))

    return gather


def _runs(images: Images, batch_size: int, equal: bool) -> np.ndarray:
    """Where batches begin and end: int64 bounds, a new batch at every `batch_size` images or change of shape."""
    bounds, shapes = [0], images.shapes
    for row in range(1, len(images)):
        new_shape = not equal and bool((shapes[row] != shapes[row - 1]).any())
        if new_shape or row - bounds[-1] == batch_size:
            bounds.append(row)
    return np.array([*bounds, len(images)] if len(images) else [0], np.int64)


def _key(seed: int, *words) -> tf.Tensor:
    """A seed of its own for every place: int32 `(2,)`."""
    key = tf.constant([seed & 0x7FFFFFFF, (seed >> 31) & 0x7FFFFFFF], tf.int32)
    for word in words:
        key = tf.random.fold_in(key, tf.cast(word, tf.int32), alg="philox")
    return key


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    # Every replica takes its share of one global batch; the source is no set of files to be dealt out.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options
