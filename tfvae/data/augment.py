"""Stateless augmentation of whole batches: what happens to an image depends on its own row of random numbers only."""

import math

import tensorflow as tf

# Columns of the uniform numbers in [0, 1) that belong to one image in one epoch.
CROP_Y, CROP_X, FLIP, FLIP_VERTICAL, SHIFT_Y, SHIFT_X, ROTATE, BRIGHTNESS, CONTRAST, RED, GREEN, BLUE = range(12)
COLUMNS = 12
SHIFT = 0.1  # of the side
ROTATION = math.radians(10)
COLOUR = 0.15  # of the value range


def augment(images: tf.Tensor, draws: tf.Tensor, names: tuple[str, ...]) -> tf.Tensor:
    """Applies the named augmentations.

    - flip, flip_vertical: mirrored left-right, top-bottom, with probability 1/2.
    - shift: by up to 10 % of the side, rotate: by up to 10 degrees; the edge is mirrored into the gap.
    - colour: brightness and contrast by up to 15 %, and each channel of a coloured image by up to 15 %.

    Args:
        images: float32 `(batch, height, width, channels)` in [0, 1].
        draws: Uniform numbers in [0, 1), float32 `(batch, COLUMNS)`.
        names: Of `AUGMENTATIONS`.

    Returns:
        float32 of the same shape in [0, 1].
    """
    if "flip" in names:
        images = tf.where(_coin(draws, FLIP), images[:, :, ::-1], images)
    if "flip_vertical" in names:
        images = tf.where(_coin(draws, FLIP_VERTICAL), images[:, ::-1], images)
    if "shift" in names or "rotate" in names:
        images = _move(images, draws, "shift" in names, "rotate" in names)
    if "colour" in names:
        images = _recolour(images, draws)
    return images


def _coin(draws: tf.Tensor, column: int) -> tf.Tensor:
    return draws[:, column, None, None, None] < 0.5


def _move(images: tf.Tensor, draws: tf.Tensor, shift: bool, rotate: bool) -> tf.Tensor:
    """One resampling for shift and rotation together, about the centre."""
    size = tf.cast(tf.shape(images)[1:3], tf.float32)
    centre = (size - 1.0) / 2.0
    angle = (2 * draws[:, ROTATE] - 1) * ROTATION if rotate else tf.zeros_like(draws[:, 0])
    down = _whole_steps(draws[:, SHIFT_Y], size[0]) if shift else tf.zeros_like(angle)
    right = _whole_steps(draws[:, SHIFT_X], size[1]) if shift else tf.zeros_like(angle)
    cos, sin = tf.cos(angle), tf.sin(angle)
    # Rows of the inverse map: where in the input the output pixel (x, y) comes from.
    to_x = centre[1] - cos * (centre[1] + right) + sin * (centre[0] + down)
    to_y = centre[0] - sin * (centre[1] + right) - cos * (centre[0] + down)
    zero = tf.zeros_like(angle)
    transforms = tf.stack([cos, -sin, to_x, sin, cos, to_y, zero, zero], axis=1)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR" if rotate else "NEAREST",
        fill_mode="REFLECT",
    )


def _whole_steps(draw: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
    """A shift by whole pixels, each equally likely: a fraction of one would blur."""
    most = tf.round(SHIFT * side)
    return tf.floor(draw * (2 * most + 1)) - most


def _recolour(images: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    def between(column: int) -> tf.Tensor:
        return (2 * draws[:, column, None, None, None] - 1) * COLOUR

    grey = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    images = (images - grey) * (1 + between(CONTRAST)) + grey + between(BRIGHTNESS)
    if images.shape[-1] == 3:
        images *= tf.concat([1 + between(RED), 1 + between(GREEN), 1 + between(BLUE)], axis=-1)
    return tf.clip_by_value(images, 0.0, 1.0)
