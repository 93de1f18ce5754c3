"""Calibration of standard deviations: whether errors are as large as they were said to be."""

import numpy as np
from scipy import stats

LEVELS = np.linspace(0.05, 0.95, 19)  # probabilities of the central intervals whose coverage is looked at


def coverage(error: np.ndarray, std: np.ndarray, width: float = 2.0) -> float:
    """Share of errors within `width` standard deviations: of normal errors 95.45 % for a width of 2.

    Args:
        error: Truth minus mean, any shape.
        std: Standard deviations that were predicted, same shape.
        width: Of half the interval, in standard deviations.

    Raises:
        ValueError: When there is no error, or a standard deviation is negative.
    """
    error, std = _checked(error, std)
    return float(np.mean(np.abs(error) <= width * std))


def expected_calibration_error(error: np.ndarray, std: np.ndarray) -> float:
    """Mean over probabilities p of `|share of errors in the central interval of N(0, std**2) of probability p - p|`.

    0 where every interval holds the share of errors that it promises; 0.5 at most.

    Args:
        error: Truth minus mean, any shape.
        std: Standard deviations that were predicted, same shape.

    Raises:
        ValueError: As `coverage`.

    Reference:
        Kuleshov, Fenner and Ermon (2018), Accurate uncertainties for deep learning using calibrated regression,
        https://arxiv.org/abs/1807.00263
    """
    error, std = _checked(error, std)
    # The least probability of an interval that holds the error; an error of 0 is in all of them, whatever the std.
    least = np.sort(2 * stats.norm.cdf(np.abs(error) / np.maximum(std, np.finfo(np.float64).tiny)) - 1)
    held = np.searchsorted(least, LEVELS, side="right") / len(least)
    return float(np.mean(np.abs(held - LEVELS)))


def calibration_curve(error: np.ndarray, std: np.ndarray, bins: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Root mean squares of what was predicted and of the errors, in bins of equal numbers of predictions, rising.

    Args:
        error: Truth minus mean, any shape.
        std: Standard deviations that were predicted, same shape.
        bins: How many at most: equal predictions are in one bin.

    Returns:
        `(predicted, measured, count)`, each of as many as there are bins.

    Raises:
        ValueError: As `coverage`.
    """
    error, std = _checked(error, std)
    edges = np.unique(np.quantile(std, np.arange(1, bins) / bins))
    place = np.searchsorted(edges, std, side="left")
    count = np.bincount(place, minlength=len(edges) + 1)
    squares = (np.bincount(place, np.square(values), len(edges) + 1) for values in (std, error))
    predicted, measured = (np.sqrt(sums[count > 0] / count[count > 0]) for sums in squares)
    return predicted, measured, count[count > 0]


def _checked(error: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    error, std = np.broadcast_arrays(np.asarray(error, np.float64), np.asarray(std, np.float64))
    if not error.size or not np.all(std >= 0):
        raise ValueError(f"`std` must not be negative, of one error or more. Received: {error.size} errors")
    return error.ravel(), std.ravel()
