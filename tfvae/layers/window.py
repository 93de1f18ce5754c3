"""Means over the neighbourhood of each pixel."""

import tensorflow as tf


def window_mean(maps, side):
    """Means of `(b, h, w, c)` over squares of an odd side about each pixel; beyond the border there is nothing."""
    # Two passes of lines; TensorFlow's pooling divides by the number of pixels that are there.
    rows = tf.nn.avg_pool2d(maps, (side, 1), 1, "SAME")
    return tf.nn.avg_pool2d(rows, (1, side), 1, "SAME")
