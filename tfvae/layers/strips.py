"""A clip as a strip of film: its frames one below the other in one picture, `(frames * height, width, channels)`.

So whatever is made for pictures (batches, figures, reports, signatures) works for clips too, and only what moves has to
know where one frame ends and the next begins.
"""

import tensorflow as tf


def frames_of(strips, frames: int):
    """Strips `(b, frames * h, w, c)` as clips `(b, frames, h, w, c)`.

    Raises:
        ValueError: When the height, where it is known, is no multiple of `frames`.
    """
    _, height, width, channels = strips.shape
    if height is not None and height % frames:
        raise ValueError(f"`strips` must have a height that {frames} frames divide. Received: {height}")
    shape = tf.shape(strips)
    clips = tf.reshape(strips, (shape[0], frames, shape[1] // frames, shape[2], shape[3]))
    return tf.ensure_shape(clips, (None, frames, height and height // frames, width, channels))


def strip_of(clips):
    """Clips `(b, t, h, w, c)` as strips `(b, t * h, w, c)`: the inverse of `frames_of`."""
    _, frames, height, width, channels = clips.shape
    shape = tf.shape(clips)
    strips = tf.reshape(clips, (shape[0], shape[1] * shape[2], shape[3], shape[4]))
    return tf.ensure_shape(strips, (None, frames and height and frames * height, width, channels))
