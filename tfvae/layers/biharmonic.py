"""Lost pixels from known ones by the biharmonic equation: where an inpainting network starts."""

import numpy as np
import tensorflow as tf

BOXES = (3, 9)  # sides of the neighbourhoods that a lost pixel starts from, in pixels: the smallest that knows any
FARTHER = (3, 7)  # those of the coarsest picture, for what is lost farther from all that is known
COARSER = (4, 2, 1)  # relaxations of the soap film in pictures of a half, a quarter, an eighth of the resolution
HARMONIC, BIHARMONIC = 8, 16  # relaxations: of the soap film, which is stable, then of the thin plate, which is smooth
DAMPING = 0.5  # of the thin plate's: above 0.625 it would diverge
FACTOR = 2 ** len(COARSER)  # of which the sides are multiples
# Pixels, beyond which nothing is seen; a coarser picture is enlarged by what lies one of its own pixels away.
MARGIN = (
    HARMONIC
    + 2 * BIHARMONIC
    + sum(2**level * (relaxations + 1) for level, relaxations in enumerate(COARSER, start=1))
    + FACTOR * (FARTHER[-1] // 2)
)

_LAPLACE = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)
_THIN_PLATE = np.array(
    [[0, 0, 1, 0, 0], [0, 2, -8, 2, 0], [1, -8, 20, -8, 1], [0, 2, -8, 2, 0], [0, 0, 1, 0, 0]], np.float32
)
_LEAST = 1e-9  # weight of grey in a mean, the last resort; each neighbourhood counts a thousandth of the one before


def interpolate(images, known):
    """`images` with lost pixels interpolated from the known ones, which stay as they are.

    A lost pixel starts as the mean of the known ones around it, or, where none is near, as the soap film of a coarser
    picture has it (a cascadic multigrid); then a fixed number of relaxations of `Δx = 0` and of `Δ²x = 0`, the
    interpolation of scikit-image's `inpaint_biharmonic`. Fixed, so that a pixel depends on `MARGIN` pixels around it:
    in the middle of holes that are much wider than 60 pixels there is grey.

    Args:
        images: float32 `(b, h, w, c)`, sides multiples of `FACTOR`; what lost pixels hold does not matter.
        known: float32 `(b, h, w, 1)`, 1 or 0.

    Returns:
        float32 `(b, h, w, c)`; 0.5 where nothing is known far around.

    Reference:
        Damelin and Hoang (2018), https://doi.org/10.1155/2018/3950312; Bornemann and Deuflhard (1996), The cascadic
        multigrid method for elliptic problems
    """
    start = _mean_of_known(images, known, BOXES, _coarse(images, known, COARSER))
    x = _soap_film(images, known, start, HARMONIC)
    for _ in range(BIHARMONIC):
        x = tf.where(known > 0, images, x - DAMPING / 20 * _convolved(x, _THIN_PLATE))
    return x


def _coarse(images, known, relaxations):
    """The soap film of the picture of half the resolution, enlarged, which starts from that of a quarter, and so on."""
    share = tf.nn.avg_pool2d(known, 2, 2, "VALID")
    images = tf.nn.avg_pool2d(tf.where(known > 0, images, 0.0), 2, 2, "VALID") / tf.maximum(share, 0.25)
    known = tf.where(share > 0, 1.0, 0.0)
    rest = relaxations[1:]
    start = _coarse(images, known, rest) if rest else _mean_of_known(images, known, FARTHER, 0.5)
    film = _soap_film(images, known, start, relaxations[0])
    sizes = zip(film.shape[1:3], tf.unstack(tf.shape(film)[1:3]), strict=True)
    return tf.image.resize(film, [2 * (dynamic if static is None else static) for static, dynamic in sizes])


def _soap_film(images, known, start, relaxations):
    """Relaxations of `Δx = 0` for what is lost, from `start`."""
    x = tf.where(known > 0, images, start)
    for _ in range(relaxations):
        x = tf.where(known > 0, images, x + _convolved(x, _LAPLACE) / 4)
    return x


def _mean_of_known(images, known, boxes, otherwise):
    """Of the smallest of `boxes` about each pixel that has any; `otherwise` where none has."""
    total, weight, importance = _LEAST * otherwise, _LEAST, 1.0
    kept = tf.where(known > 0, images, 0.0)
    for side in boxes:
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
