"""How many bits one codec saves against another at equal quality, over a range of qualities."""

import numpy as np
from scipy.interpolate import PchipInterpolator


def bd_rate(
    rates: np.ndarray,
    qualities: np.ndarray,
    anchor_rates: np.ndarray,
    anchor_qualities: np.ndarray,
    within: tuple[float, float] | None = None,
) -> float:
    """Bjøntegaard's mean difference of rate: `exp(mean over D of (log R(D) - log R_anchor(D))) - 1`.

    The logarithm of each rate is a piecewise cubic function of the quality, monotone between the points, and the mean
    is over the qualities that both curves have.

    Args:
        rates: Bits (of any unit) at some points of a codec's curve, positive.
        qualities: PSNR, or another measure that rises with the rate, at these points.
        anchor_rates: Of what it is compared with, in the same unit.
        anchor_qualities: Likewise.
        within: The least and the highest rate of the anchor; None: all.

    Returns:
        -0.4 where two fifths of the bits are saved.

    Raises:
        ValueError: If a curve has fewer than two points or is not rising, or the curves do not overlap.

    Reference:
        Bjøntegaard (2001), Calculation of average PSNR differences between RD curves, VCEG-M33; JCT-VC common test
        conditions for the piecewise cubics
    """
    curve, anchor = _curve(rates, qualities), _curve(anchor_rates, anchor_qualities)
    low, high = max(curve.x[0], anchor.x[0]), min(curve.x[-1], anchor.x[-1])
    if within is not None:
        rising = PchipInterpolator(np.sort(np.log(anchor_rates)), np.sort(np.asarray(anchor_qualities, float)))
        least, most = (float(rising(np.clip(np.log(rate), rising.x[0], rising.x[-1]))) for rate in within)
        low, high = max(low, least), min(high, most)
    if not high > low:
        raise ValueError(
            "`qualities` and `anchor_qualities` must overlap. "
            f"Received: {curve.x[0]:.4g} to {curve.x[-1]:.4g} and {anchor.x[0]:.4g} to {anchor.x[-1]:.4g}"
        )
    mean = (curve.integrate(low, high) - anchor.integrate(low, high)) / (high - low)
    return float(np.expm1(mean))


def rate_at(quality: float, rates: np.ndarray, qualities: np.ndarray) -> float:
    """The rate at which a curve has a quality, as `bd_rate` interpolates it; NaN outside of the curve."""
    curve = _curve(rates, qualities)
    return float(np.exp(curve(quality))) if curve.x[0] <= quality <= curve.x[-1] else float("nan")


def _curve(rates: np.ndarray, qualities: np.ndarray) -> PchipInterpolator:
    order = np.argsort(rates)
    bits, values = np.asarray(rates, float)[order], np.asarray(qualities, float)[order]
    if len(bits) < 2 or not (np.all(np.diff(values) > 0) and np.all(bits > 0)):
        raise ValueError(f"`qualities` must rise with their positive rates, at two points or more. Received: {values}")
    return PchipInterpolator(values, np.log(bits))
