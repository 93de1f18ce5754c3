"""Lost pixels from known ones by the biharmonic equation: where an inpainting network starts."""

import numpy as np
import tensorflow as tf

BOXES = (3, 9, 27)  # sides of the neighbourhoods that a lost pixel starts from, in pixels: the smallest that knows any
HARMONIC, BIHARMONIC = 8, 16  # relaxations: of the soap film, which is stable, then of the thin plate, which is smooth
DAMPING = 0.5  # of the thin plate's: above 0.625 it would diverge
MARGIN = BOXES[-1] // 2 + HARMONIC + 2 * BIHARMONIC  # pixels, beyond which nothing is seen

_LAPLACE = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)
_THIN_PLATE = np.array(
    [[0, 0, 1, 0, 0], [0, 2, -8, 2, 0], [1, -8, 20, -8, 1], [0, 2, -8, 2, 0], [0, 0, 1, 0, 0]], np.float32
)


def interpolate(images, known):
    """`images` with lost pixels interpolated from the known ones, which stay as they are.

    A lost pixel starts as the mean of the known ones around it; then a fixed number of relaxations of `Δx = 0` and of
    `Δ²x = 0`, the interpolation of scikit-image's `inpaint_biharmonic`. Fixed, so that a pixel depends on `MARGIN`
    pixels around it: holes that are much wider are filled roughly.

    Args:
        images: float32 `(b, h, w, c)`; what lost pixels hold does not matter.
        known: float32 `(b, h, w, 1)`, 1 or 0.

    Returns:
        float32 `(b, h, w, c)`; 0.5 where nothing is known within 13 pixels.

    Reference:
        Damelin and Hoang (2018), https://doi.org/10.1155/2018/3950312
    """
    x = tf.where(known > 0, images, _mean_of_known(images, known))
    for _ in range(HARMONIC):
        x = tf.where(known > 0, images, x + _convolved(x, _LAPLACE) / 4)
    for _ in range(BIHARMONIC):
        x = tf.where(known > 0, images, x - DAMPING / 20 * _convolved(x, _THIN_PLATE))
    return x


def _mean_of_known(images, known):
    total, weight, importance = 0.5e-9, 1e-9, 1.0
    kept = tf.where(known > 0, images, 0.0)
    for side in BOXES:
        # Both are divided by as many pixels, at the border, too.
        total += importance * tf.nn.avg_pool2d(kept, side, 1, "SAME")
        weight += importance * tf.nn.avg_pool2d(known, side, 1, "SAME")
        importance *= 1e-3
    return total / weight


def _convolved(x, kernel):
    """Each channel of `x`, mirrored at the border, with `kernel`."""
    channels, radius = x.shape[-1], len(kernel) // 2
    x = tf.pad(x, [[0, 0], [radius, radius], [radius, radius], [0, 0]], mode="SYMMETRIC")
    return tf.nn.conv2d(x, kernel[:, :, None, None] * np.eye(channels, dtype=np.float32), 1, "VALID")
