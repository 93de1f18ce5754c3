"""Probabilities as whole numbers: the tables by which an entropy coder writes symbols, and reads them anywhere alike.

A decoder that computed its probabilities anew, in floats, would meet other last digits on another machine, and from the
first one that matters everything it reads would be wrong. So tables are made once, stored with the model as integers,
and only looked up afterwards.

| symbol | meaning | name in the code |
| --- | --- | --- |
| f_i / 2**24 | probability of place i of a table | `frequencies`, whole numbers of at least 1 |
| sigma_k | the k-th of 64 scales of a normal distribution | `SCALES` |
| r | a symbol: a rounded latent less its predicted mean | `symbols` |
| b | half width of a table: it holds -b … b, and what is beyond is escaped | `half_width` |
"""

import math

import numpy as np

PRECISION = 24  # bits: what `constriction` computes with
TOTAL = 1 << PRECISION
ESCAPE = TOTAL >> 16  # frequency of "beyond the table", which a number follows
COUNT = 64  # scales; an index costs nothing, and a scale is at most 6.4 % from the one that was predicted
LEAST, MOST = 0.11, 256.0  # below the least, a symbol is 0 with a probability of 0.99999
STEP = math.log(MOST / LEAST) / (COUNT - 1)  # of the logarithm
SCALES = LEAST * np.exp(STEP * np.arange(COUNT))
TAIL = 5.0  # standard deviations that a table reaches: what is beyond is escaped once in two million symbols


def frequencies(probabilities: np.ndarray) -> np.ndarray:
    """Whole numbers of at least 1 with the sum 2**24, int64, in proportion to `probabilities`.

    What rounding down leaves goes to the largest remainders, the first of equals.

    Args:
        probabilities: Non-negative, shape `(n,)`; they are normalised.

    Raises:
        ValueError: If they are not finite and non-negative with a positive sum, or more than 2**23.
    """
    values = np.asarray(probabilities, np.float64)
    if not np.all(np.isfinite(values)) or values.min() < 0 or not values.sum() > 0 or 2 * len(values) > TOTAL:
        raise ValueError(f"`probabilities` must be finite, non-negative and of a positive sum. Received: {values}")
    exact = values / values.sum() * (TOTAL - len(values))
    whole = np.floor(exact).astype(np.int64)
    missing = TOTAL - len(values) - int(whole.sum())
    whole[np.argsort(whole - exact, kind="stable")[:missing]] += 1
    return whole + 1


def with_escape(probabilities: np.ndarray) -> np.ndarray:
    """`frequencies` of a table whose last place, added here, says "beyond the table" with a probability of 2**-16.

    Args:
        probabilities: Of the symbols that the table holds, shape `(n,)`.

    Returns:
        Shape `(n + 1,)`.
    """
    inside = np.asarray(probabilities, np.float64)
    return frequencies(np.append(inside / inside.sum() * (TOTAL - ESCAPE), ESCAPE))


def normal_half_widths() -> np.ndarray:
    """Half width b of the table of each scale, int64 `(64,)`."""
    return np.ceil(TAIL * SCALES + 0.5).astype(np.int64)


def normal_frequencies(scale: float, half_width: int) -> np.ndarray:
    """The table of a normal distribution around 0, rounded: places -b … b, then the escape.

    `P(r) = Phi((r + 0.5) / scale) - Phi((r - 0.5) / scale)`.
    """
    # By the smaller tail: Phi(-x) keeps digits that 1 - Phi(x) loses.
    edges = (np.arange(half_width + 1) + 0.5) / scale
    tails = np.array([0.5 * math.erfc(edge / math.sqrt(2)) for edge in edges])
    right = np.append(1 - 2 * tails[0], tails[:-1] - tails[1:])
    return with_escape(np.concatenate([right[:0:-1], right]))


def bits(table: np.ndarray, places: np.ndarray) -> float:
    """The information of symbols at `places` of a table, in bits: `sum -log2(f / 2**24)`."""
    counts = np.bincount(places, minlength=len(table))
    return float(np.sum(counts * (PRECISION - np.log2(table))))
