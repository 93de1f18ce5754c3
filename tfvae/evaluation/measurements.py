"""A figure: a value, its unit, its 95 % confidence interval and the protocol it was measured by."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import special

CONFIDENCE = 0.95
RESAMPLES = 200  # bootstrap draws; the ends of a 95 % interval are then the 5th value from each side


@dataclass(frozen=True)
class Measurement:
    """One measured number.

    Attributes:
        value: The estimate.
        unit: Its unit, and which direction is better, for a person.
        interval: Ends of the 95 % confidence interval over images, or None where one image has no spread.
        protocol: What two figures of this name must have in common to be compared, JSON-ready: k, features, windows.
            What all figures of a report share (data, split, hash, seed) stands once, in the report.
        note: What the value says, in plain words, where that is not plain.
    """

    value: float
    unit: str = ""
    interval: tuple[float, float] | None = None
    protocol: dict[str, Any] = field(default_factory=dict)
    note: str = ""


def mean_measurement(values: np.ndarray, unit: str = "", protocol: dict[str, Any] | None = None) -> Measurement:
    """The mean over images, `mean ± t * std / sqrt(n)` with Student's t of n - 1 degrees of freedom.

    Args:
        values: One value an image, shape `(n,)`.
        unit: Of the values.
        protocol: As `Measurement.protocol`.

    Raises:
        ValueError: When there are no values.
    """
    values = np.asarray(values, np.float64)
    if not values.size:
        raise ValueError("`values` must hold at least one value. Received: none.")
    value, error = float(values.mean()), standard_error(values)
    interval = None
    if math.isfinite(error):
        margin = student_t(len(values) - 1) * error
        interval = (value - margin, value + margin)
    return Measurement(value, unit, interval, protocol or {})


def bootstrap_measurement(
    statistic: Callable[[np.ndarray], float],
    count: int,
    seed: int,
    unit: str = "",
    protocol: dict[str, Any] | None = None,
    resamples: int = RESAMPLES,
    lowest: float = -math.inf,
) -> Measurement:
    """A figure that is no mean over images, with the interval of a basic bootstrap over images.

    The interval is `2 * value - quantile(1 - a), 2 * value - quantile(a)` of the resampled statistic: a statistic such
    as a distance is larger on every resample than on the images themselves, and a percentile interval would inherit
    that bias, where this one turns it around. The value itself is always within.

    Args:
        statistic: Of the images at these indices, int64 `(count,)`; called with `arange(count)` for the value. Not a
            number where it is undefined for a resample, which then does not count.
        count: Number of images.
        seed: Of the resampling.
        unit: Of the statistic.
        protocol: As `Measurement.protocol`; how the interval was made is added.
        resamples: Number of draws with replacement.
        lowest: What the statistic cannot fall below (0 for a distance): the interval is cut there.

    Reference:
        Davison and Hinkley (1997), Bootstrap Methods and their Application, section 5.2
    """
    if count < 1:
        raise ValueError(f"`count` must be positive. Received: count={count}")
    value = float(statistic(np.arange(count)))
    rng = np.random.default_rng((seed, 11))
    drawn = [float(statistic(rng.integers(0, count, count))) for _ in range(resamples)] if count > 1 else []
    drawn = [one for one in drawn if not math.isnan(one)]
    interval = None
    if drawn:
        low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        interval = (min(value, max(lowest, float(2 * value - high))), max(value, float(2 * value - low)))
    return Measurement(
        value, unit, interval, {**(protocol or {}), "interval": f"basic bootstrap, {resamples} resamples"}
    )


def difference_figure(
    first: np.ndarray, second: np.ndarray, unit: str = "", protocol: dict[str, Any] | None = None
) -> Measurement:
    """`mean(first) - mean(second)` of two independent sets of images, with Welch's interval."""
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    value = float(first.mean() - second.mean())
    shares = [standard_error(values) ** 2 for values in (first, second)]
    interval = None
    if all(map(math.isfinite, shares)):
        total = sum(shares)
        pooled = sum(s**2 / (len(values) - 1) for s, values in zip(shares, (first, second), strict=True))
        margin = student_t(total**2 / pooled) * math.sqrt(total) if pooled else 0.0
        interval = (value - margin, value + margin)
    return Measurement(value, unit, interval, protocol or {})


def standard_error(values: np.ndarray) -> float:
    """`std / sqrt(n)` with n - 1 in the variance; not a number for fewer than two values."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def student_t(degrees: float) -> float:
    """The quantile that leaves 2.5 % above it."""
    return float(special.stdtrit(degrees, (1 + CONFIDENCE) / 2))
