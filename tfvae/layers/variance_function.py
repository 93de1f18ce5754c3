"""A variance function: the standard deviation of an error, told from predictors of its size."""

import numpy as np
import tensorflow as tf
from keras import ops

BOUND = 3.0  # standard deviations of a predictor, beyond which its products with others grow no more
PARTS = ("centre", "scale", "weights", "products", "knots", "log_error")


def standard_deviation(predictors, table):
    """`exp(f(w' p + c' Q c))` of standardised predictors p, with c = p held within ±`BOUND`.

    The products let one predictor change what another means; being held, they stay sensible where a picture is unlike
    those of the calibration, and w' p goes on in proportion. So does f beyond its knots.

    Args:
        predictors: Shape `(..., k)`.
        table: `centre`, `scale` and `weights` (w), each k numbers; `products` (Q), k rows of k; `knots` and `log_error`
            of f, monotone and piecewise linear.

    Returns:
        Shape `(...)`, float32.

    Reference:
        Davidian and Carroll (1987), Variance function estimation, Journal of the American Statistical Association 82
    """
    centre, scale, weights, products, knots, values = (np.array(table[name], np.float32) for name in PARTS)
    standard = (predictors - centre) / scale
    held = ops.clip(standard, -BOUND, BOUND)
    index = ops.sum(standard * weights + held * tf.tensordot(held, tf.constant(products), 1), axis=-1)
    slopes = np.concatenate([[1.0], np.diff(values) / np.diff(knots), [1.0]])
    found = index + float(values[0] - knots[0])
    for knot, change in zip(knots, np.diff(slopes), strict=True):
        found = found + float(change) * ops.relu(index - float(knot))
    return ops.exp(found)


def terms(standard: np.ndarray) -> np.ndarray:
    """What the index is linear in, `(n, k + k (k + 1) / 2)`: standardised predictors `(n, k)`, then held products."""
    held = np.clip(standard, -BOUND, BOUND)
    first, second = np.triu_indices(standard.shape[1])
    return np.hstack([standard, held[:, first] * held[:, second]])
