"""Batches for training and evaluation, each a function of the seed and its place in the stream."""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfvae.data.augment import COLUMNS, CROP_X, CROP_Y, augment
from tfvae.data.images import Images
from tfvae.data_config import DataConfig
from tfvae.errors import UserError

# One stream of random numbers for each purpose, folded into the seed.
ORDER, DRAWS, PIXELS, EVALUATION = range(4)
FOREVER = 2**62
EPOCH = 100  # batches of an epoch, about, where the number of crops is not given


def steps_per_epoch(images: Images, batch_size: int, crops: int = 1) -> int:
    """Whole batches in one epoch of `crops` random crops of each image; a set smaller than a batch is one batch."""
    return max(1, crops * len(images) // batch_size)


def crops_of_each(images: Images, batch_size: int, config: DataConfig) -> int:
    """Random crops of each image in one epoch: `config.crops`, or for 0 as many as make some `EPOCH` batches."""
    return config.crops or max(1, round(EPOCH * batch_size / len(images)))


def training_batches(
    images: Images,
    batch_size: int,
    *,
    seed: int,
    config: DataConfig,
    start_step: int = 0,
    share: tuple[int, int] = (0, 1),
    labels: bool = False,
) -> tf.data.Dataset:
    """Training images without end: float32 `(batch, height, width, channels)` in [0, 1].

    Each epoch is a fresh permutation, cut into whole batches. Step s depends on (seed, s) alone: the order on (seed,
    epoch), crops and augmentation on (seed, epoch, index of the image), binarisation on (seed, epoch, batch). So the
    stream from `start_step` is the rest of the uninterrupted stream, bit for bit.

    Args:
        images: What to learn from.
        batch_size: Images in a batch; a smaller set is one batch.
        seed: Of everything random.
        config: Crop, crops of each image in an epoch, augmentation and binarisation.
        start_step: Batches that were already consumed.
        share: `(i, n)` gives part i of n equal parts of every batch, so that n workers together make the one stream.
        labels: Give pairs of images and their labels, int32 `(batch,)`; the images are those of the stream without.

    Raises:
        ValueError: the batch does not divide into the shares.
        UserError: no images, labels of images that have none, or images of unequal sizes and no crop that makes them
            equal.
    """
    if not len(images):
        raise UserError("data: there is no image to train on.")
    if not images.uniform and not config.crop:
        raise UserError(
            "data: the pictures have unequal sizes, and training needs equal ones. "
            "Accepted: data.crop (random crops), or data.height and data.width."
        )
    images = images.repeated(crops_of_each(images, batch_size, config))
    count, steps, batch = len(images), steps_per_epoch(images, batch_size), min(batch_size, len(images))
    own = _share_of(batch, share)
    classes = _labels(images) if labels else None
    read = _reader(images, config.crop, config.frames)

    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        order = _order(count, seed, epoch)
        # A row for each image, by its index: where it lands in the order must not matter.
        draws = tf.random.stateless_uniform((count, COLUMNS), seed=_key(seed, DRAWS, epoch), alg="philox")
        order = order[: steps * batch]
        order = tf.reshape(order, (steps, batch))[:, own]
        rows = tf.data.Dataset.from_tensor_slices((tf.range(steps, dtype=tf.int64), order))
        if not (config.crop or config.augment):
            return rows.map(lambda position, index: (epoch, position, index, tf.zeros((order.shape[1], COLUMNS))))
        return rows.map(lambda position, index: (epoch, position, index, tf.gather(draws, index)))

    def make(epoch: tf.Tensor, position: tf.Tensor, index: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        x = tf.cast(read(index, tf.stack([draws[:, CROP_Y], draws[:, CROP_X]], axis=1)), tf.float32) / 255.0
        x = augment(x, draws, config.augment)
        if config.binarize:
            # Drawn for the whole batch: a pixel's draw must not depend on how many share it.
            shape = tf.concat([[batch], tf.shape(x)[1:]], axis=0)
            noise = tf.random.stateless_uniform(shape, seed=_key(seed, PIXELS, epoch, position), alg="philox")
            x = tf.cast(noise[own] < x, tf.float32)
        return x if classes is None else (x, tf.gather(classes, index))

    epochs = tf.data.Dataset.range(start_step // steps, FOREVER)
    places = epochs.flat_map(epoch_batches).skip(start_step % steps)
    dataset = places.map(make, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    return dataset.with_options(_options()).prefetch(tf.data.AUTOTUNE)


def training_indices(images: Images, batch_size: int, *, seed: int, step: int, crops: int = 1) -> np.ndarray:
    """Which images the batch of `step` of `training_batches` holds: int64 `(batch,)`, in its order."""
    count, steps = crops * len(images), steps_per_epoch(images, batch_size, crops)
    batch = min(batch_size, count)
    epoch, position = divmod(step, steps)
    return _order(count, seed, epoch).numpy()[position * batch : (position + 1) * batch] % len(images)


def evaluation_batches(
    images: Images,
    batch_size: int,
    *,
    config: DataConfig,
    seed: int = 0,
    crop: int = 0,
    share: tuple[int, int] = (0, 1),
    labels: bool = False,
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
        share: `(i, n)` gives part i of n equal parts of every batch.
        labels: Give pairs of images and their labels, int32 `(batch,)`.

    Raises:
        ValueError: a batch does not divide into the shares.
        UserError: labels of images that have none.
    """
    classes = _labels(images) if labels else None
    bounds = _runs(images, batch_size, equal=bool(crop) or images.uniform)
    parts = [_share_of(int(size), share) for size in np.diff(bounds)]
    starts = bounds[:-1] + np.array([part.start for part in parts], np.int64)
    stops = bounds[:-1] + np.array([part.stop for part in parts], np.int64)
    read = _reader(images, crop, config.frames)
    height, width = _size(images, crop, config.frames)

    def noise(index: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        # A key for each image, so that batches cut elsewhere draw the same.
        key = functools.partial(_key, seed, EVALUATION)
        return tf.map_fn(
            lambda row: tf.random.stateless_uniform(shape[1:], seed=key(row), alg="philox"),
            index,
            fn_output_signature=tf.float32,
        )

    def make(start: tf.Tensor, stop: tf.Tensor) -> tf.Tensor:
        index = tf.range(start, stop)
        x = tf.cast(read(index, tf.fill((stop - start, 2), 0.5)), tf.float32) / 255.0
        if config.binarize:
            x = tf.cast(noise(index, tf.shape(x)) < x, tf.float32)
        x = tf.ensure_shape(x, (None, height, width, images.channels))
        return x if classes is None else (x, classes[start:stop])

    dataset = tf.data.Dataset.from_tensor_slices((starts, stops))
    dataset = dataset.map(make, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataset.with_options(_options()).prefetch(tf.data.AUTOTUNE)


def _labels(images: Images) -> tf.Tensor:
    """The class of each image, int32 `(n,)`."""
    if images.labels is None or (images.labels < 0).any():
        raise UserError(
            "data: the model is conditional on labels, and some pictures have none. "
            "Accepted: a folder whose pictures all lie in sub-folders, one a class."
        )
    return tf.constant(images.labels, tf.int32)


def _share_of(batch: int, share: tuple[int, int]) -> slice:
    """Rows of part i of n equal parts of a batch."""
    index, count = share
    if not 0 <= index < count or batch % count:
        raise ValueError(f"`share` must be (i, n) with i < n and n dividing the batch of {batch}. Received: {share}")
    return slice(index * batch // count, (index + 1) * batch // count)


def _reader(images: Images, crop: int, frames: int = 0) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The function from indices `(b,)` and places `(b, 2)` to uint8 pixels `(b, height, width, channels)`.

    A place says how far down and right the crop lies, as fractions of the way it can move; it is the same for all
    `frames` of a clip. All is TensorFlow, no Python: several threads read at once.
    """
    # Clips overlap: side by side they would take many times the memory.
    if len(images) and images.uniform and not images.mapped and not crop and not frames:
        # One tensor, captured once: a batch is one gather.
        shape = images.array.shape  # a scattered subset is laid side by side here
        first = int(images.offsets[0])
        pixels = tf.reshape(images.tensor()[first : first + int(np.prod(shape))], shape)
        return lambda index, place: tf.gather(pixels, index)

    with tf.device("CPU:0"):
        flat, offsets, shapes = images.tensor(), tf.constant(images.offsets), tf.constant(images.shapes)

    def one(index: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        shape = shapes[index]
        if not crop:
            return tf.reshape(tf.slice(flat, [offsets[index]], [tf.reduce_prod(shape)]), shape)
        one_frame = shape // tf.constant([max(1, frames), 1, 1], tf.int64)
        starts = (offsets[index] + frame * tf.reduce_prod(one_frame) for frame in range(max(1, frames)))
        return tf.concat([cut(flat, start, one_frame, place, crop) for start in starts], axis=0)

    height, width = _size(images, crop, frames)
    signature = tf.TensorSpec((height, width, images.channels), tf.uint8)
    return lambda index, place: tf.map_fn(lambda row: one(*row), (index, place), fn_output_signature=signature)


def _size(images: Images, crop: int, frames: int) -> tuple[int | None, int | None]:
    """Height and width of what is read; None where they differ. Cropped frames of a clip lie one below the other."""
    return (max(1, frames) * crop, crop) if crop else images.common_size or (None, None)


def cut(flat: tf.Tensor, offset: tf.Tensor, shape: tf.Tensor, place: tf.Tensor, side: int) -> tf.Tensor:
    """A square piece of the image at `offset` of a flat buffer; an image that is too small is mirrored at its edges.

    Args:
        flat: uint8 buffer.
        offset: Where the image begins.
        shape: Its height, width and channels, int64 `(3,)`.
        place: How far down and right, as fractions below 1 of the way the crop can move, float32 `(2,)`.
        side: Of the piece, in pixels.

    Returns:
        uint8 `(side, side, channels)`.
    """
    spare = shape[:2] - side
    room = tf.maximum(spare, 0)
    # A fraction below 1 times (room + 1) reaches every origin with equal probability.
    origin = tf.minimum(tf.cast(place * tf.cast(room + 1, tf.float32), tf.int64), room)
    rows = tf.minimum(shape[0], side)
    start = offset + origin[0] * shape[1] * shape[2]
    band = tf.reshape(tf.slice(flat, [start], [rows * shape[1] * shape[2]]), (rows, shape[1], shape[2]))
    piece = band[:, origin[1] : origin[1] + side]
    return tf.cond(tf.reduce_any(spare < 0), lambda: _mirrored(piece, side), lambda: piece)


def _mirrored(piece: tf.Tensor, side: int) -> tf.Tensor:
    """A piece that is too small, in the middle of its own mirror images (edges repeated, as NumPy's "symmetric")."""
    for axis in (0, 1):
        size = tf.shape(piece)[axis]
        place = tf.math.floormod(tf.range(side) - (side - size) // 2, 2 * size)
        piece = tf.gather(piece, tf.minimum(place, 2 * size - 1 - place), axis=axis)
    return piece


def _runs(images: Images, batch_size: int, equal: bool) -> np.ndarray:
    """Where batches begin and end: int64 bounds, a new batch at every `batch_size` images or change of shape."""
    bounds, shapes = [0], images.shapes
    for row in range(1, len(images)):
        new_shape = not equal and bool((shapes[row] != shapes[row - 1]).any())
        if new_shape or row - bounds[-1] == batch_size:
            bounds.append(row)
    return np.array([*bounds, len(images)] if len(images) else [0], np.int64)


def _order(count: int, seed: int, epoch: int | tf.Tensor) -> tf.Tensor:
    """The permutation of `count` images in an epoch, int64 `(count,)`."""
    places = tf.range(count, dtype=tf.int64)
    return tf.random.experimental.stateless_shuffle(places, seed=_key(seed, ORDER, epoch), alg="philox")


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
