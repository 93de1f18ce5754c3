"""Means of equal areas of pictures of any size, in operations that TFLite and XLA have."""

import tensorflow as tf


def area_shares(size, count):
    """How much of each of `size` equal pixels lies in each of `count` equal parts of a line, `(count, size)`, float32.

    Args:
        size: Of the line in pixels, a number or a tensor.
        count: Parts.
    """
    size = tf.cast(size, tf.float32)
    step = size / count
    start = tf.range(count, dtype=tf.float32)[:, None] * step
    pixel = tf.range(size)[None, :]
    return tf.maximum(tf.minimum(start + step, pixel + 1.0) - tf.maximum(start, pixel), 0.0)


def area_means(images, count):
    """The mean of each of `count`×`count` equal areas: `(b, h, w, c) -> (b, count, count, c)`.

    As `tf.image.resize(method="area")`, as two products with matrices.
    """
    shape = tf.shape(images)
    height, width, channels = shape[1], shape[2], images.shape[-1]
    down, across = (area_shares(size, count) * (count / tf.cast(size, tf.float32)) for size in (height, width))
    rows = tf.matmul(down, tf.reshape(images, (-1, height, width * channels)))
    columns = tf.transpose(tf.reshape(rows, (-1, count, width, channels)), (0, 1, 3, 2))
    return tf.transpose(tf.matmul(columns, across, transpose_b=True), (0, 1, 3, 2))
