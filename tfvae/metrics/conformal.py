"""Conformal calibration: a threshold that raises at most a given share of false alarms, for finite samples.

The good pieces that calibrate it and the good piece that is inspected must be exchangeable: of the same product, drawn
alike, none of them trained on. Nothing else is assumed, neither of the model nor of the scores' distribution.

Reference:
    Vovk, Gammerman and Shafer (2005), Algorithmic learning in a random world, section 2.2; Bates et al. (2023),
    Testing for outliers with conformal p-values, https://arxiv.org/abs/2104.08279
"""

import math

import numpy as np


def p_values(calibration: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """`(1 + number of calibration scores >= score) / (1 + number of calibration scores)`.

    Of a good piece `P(p <= alpha) <= alpha` for every alpha; an equal score counts against an alarm.

    Args:
        calibration: Scores of held-out good pieces, `(n,)`, higher is more suspicious.
        scores: Of any shape.

    Returns:
        In [1 / (n + 1), 1], of the shape of `scores`.

    Raises:
        ValueError: When there is no calibration score, or any is not a number.
    """
    ordered, scores = _ordered(calibration), np.asarray(scores, np.float64)
    if np.isnan(scores).any():
        raise ValueError("`scores` must be numbers. Received: NaN")
    at_least = len(ordered) - np.searchsorted(ordered, scores, side="left")
    return (1 + at_least) / (1 + len(ordered))


def least_pieces(alpha: float) -> int:
    """How many good pieces a false-alarm rate of `alpha` takes: `ceil(1 / alpha) - 1`.

    Raises:
        ValueError: When `alpha` is not in (0, 1).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"`alpha` must be between 0 and 1. Received: alpha={alpha}")
    return math.ceil(1 / alpha - 1e-9) - 1


def threshold(calibration: np.ndarray, alpha: float) -> float:
    """The smallest t such that `score > t` exactly where `p_values(calibration, score) <= alpha`.

    It is the k-th largest of the n calibration scores, `k = floor(alpha * (n + 1))`, so that a good piece is above it
    with a probability of at most `k / (n + 1) <= alpha`: `guaranteed_rate(n, alpha)`.

    Args:
        calibration: Scores of held-out good pieces, `(n,)`.
        alpha: The false-alarm rate that is admitted, in (0, 1).

    Raises:
        ValueError: When there are too few scores for this `alpha`, or any is not a number.
    """
    least, count = least_pieces(alpha), np.size(calibration)
    if count < least:
        raise ValueError(
            f"`alpha` of {alpha:g} takes {least} or more good pieces to calibrate with. Received: {count}, "
            f"enough for alpha={1 / (count + 1):.2g} or more"
        )
    ordered = _ordered(calibration)
    return float(ordered[count - _alarms(count, alpha)])


def guaranteed_rate(count: int, alpha: float) -> float:
    """The false-alarm rate that `threshold` of so many scores keeps: exactly this where no two scores are equal."""
    return _alarms(count, alpha) / (count + 1)


def _alarms(count: int, alpha: float) -> int:
    """`floor(alpha * (count + 1))`; 0.29 * 100 is a rounding error below 29, and means 29."""
    return math.floor(alpha * (count + 1) + 1e-9)


def _ordered(calibration: np.ndarray) -> np.ndarray:
    ordered = np.sort(np.asarray(calibration, np.float64).ravel())
    if not len(ordered) or np.isnan(ordered).any():
        raise ValueError(f"`calibration` must hold one score or more, all numbers. Received: {len(ordered)}")
    return ordered
