"""Disentanglement of codes whose factors are known: the mutual information gap (MIG) and DCI."""

from dataclasses import dataclass

import numpy as np

BINS = 20  # Locatello et al. (2019), appendix C
HELD_OUT = 1 / 3  # of the images, for DCI's informativeness; 5,000 of 15,000 in Locatello et al.
PREDICTOR = "sklearn.ensemble.GradientBoostingClassifier, its defaults"


def mig(codes: np.ndarray, factors: np.ndarray, bins: int = BINS) -> float:
    """Mutual information gap: how much more information one unit has about a factor than the next, mean over factors.

    `mean over factors v of (I(z_a; v) - I(z_b; v)) / H(v)`, where a and b are the units with the most and the
    second most information about v. 1 when each factor is encoded by one unit alone and wholly, 0 when two
    share it. Codes are discretised in equal steps between their least and greatest value, unit by unit.

    Args:
        codes: Posterior means, shape `(n, units)`.
        factors: Value number of each factor, int `(n, factors)`; factors of one value only are left aside.
        bins: Steps of the discretisation; part of the protocol.

    Raises:
        ValueError: When codes and factors disagree in number, or no factor varies.

    Reference:
        Chen et al. (2018), section 4.1, https://arxiv.org/abs/1802.04942; Locatello et al. (2019),
        https://arxiv.org/abs/1811.12359
    """
    codes, factors = checked(codes, factors)
    information = mutual_information(discretised(codes, bins), factors)
    # A code of a single unit has no second one.
    ranked = np.sort(np.vstack([information, np.zeros(factors.shape[1])]), axis=0)
    return float(np.mean((ranked[-1] - ranked[-2]) / _entropies(factors)))


@dataclass(frozen=True)
class DCI:
    """Disentanglement, completeness, informativeness and what they come from; see `dci`."""

    disentanglement: float
    completeness: float
    right: np.ndarray  # share of the factors predicted correctly of each held-out image, shape (held out,)
    importance: np.ndarray  # of each unit for each factor, shape (units, factors); columns sum to 1

    @property
    def informativeness(self) -> float:
        """Accuracy on held-out images, mean over factors."""
        return float(self.right.mean())


def dci(codes: np.ndarray, factors: np.ndarray, seed: int = 0) -> DCI:
    """Disentanglement, completeness and informativeness, by gradient-boosted trees that predict the factors.

    With `R` the importance of units (rows) for factors (columns), each column summing to 1:

    - disentanglement: `sum over units of rho * (1 - H(row / sum(row)))`, entropy in base of the number of factors,
      `rho = sum(row) / sum(R)`: does a unit serve one factor only?
    - completeness: `mean over factors of 1 - H(column)`, in base of the number of units: is a factor served by one
      unit only?
    - informativeness: the accuracy of the trees on a third of the images held out, mean over factors; a factor of m
      values is guessed at 1 / m. (Eastwood and Williams report an error instead; Locatello et al. this accuracy.)

    Args:
        codes: Posterior means, shape `(n, units)`.
        factors: Value number of each factor, int `(n, factors)`; factors of one value only are left aside.
        seed: Of the held-out images and of the trees.

    Raises:
        ValueError: When codes and factors disagree in number, no factor varies, or there are fewer than 3 images.

    Reference:
        Eastwood and Williams (2018), https://openreview.net/forum?id=By-7dz-AZ; Locatello et al. (2019), appendix C,
        https://arxiv.org/abs/1811.12359, whose trees these are
    """
    from sklearn.ensemble import GradientBoostingClassifier

    codes, factors = checked(codes, factors)
    if len(codes) < 3:
        raise ValueError(f"`codes` must be of at least 3 images. Received: {len(codes)}")
    order = np.random.default_rng((seed, 17)).permutation(len(codes))
    held_out, rest = np.split(order, [max(1, round(HELD_OUT * len(codes)))])
    importance, right = np.zeros((codes.shape[1], factors.shape[1])), np.zeros(factors[held_out].shape)
    for place in range(factors.shape[1]):
        known = factors[rest, place]
        if len(np.unique(known)) == 1:  # in so few images one value is all that is seen
            right[:, place] = factors[held_out, place] == known[0]
            continue
        trees = GradientBoostingClassifier(random_state=seed).fit(codes[rest], known)
        importance[:, place] = trees.feature_importances_
        right[:, place] = trees.predict(codes[held_out]) == factors[held_out, place]
    return DCI(disentanglement(importance), disentanglement(importance.T), right.mean(axis=1), importance)


def disentanglement(importance: np.ndarray) -> float:
    """`sum over rows of rho * (1 - H(row / sum(row)))`, entropy in base of the columns, `rho` the row's share of all.

    1 when every row with any weight has it in one column. Of the transposed importance it is the completeness: the
    columns of `dci` have equal weight.

    Args:
        importance: Non-negative, shape `(rows, columns)`.
    """
    total = importance.sum()
    if total == 0:
        return 0.0
    rows = importance.sum(axis=1)
    shares = importance / np.where(rows > 0, rows, 1.0)[:, None]
    # One column has no entropy to lose: any row is wholly in it.
    entropy = _plog(shares).sum(axis=1) / np.log(max(2, importance.shape[1]))
    return float(np.sum(rows / total * (1.0 - entropy)))


def discretised(codes: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Number of the step that each code lies in, 0 … bins - 1: equal steps over the range of its unit, `(n, units)`."""
    if bins < 2:
        raise ValueError(f"`bins` must be at least 2. Received: bins={bins}")
    low, high = codes.min(axis=0), codes.max(axis=0)
    steps = (codes - low) / np.where(high > low, high - low, 1.0) * bins
    return np.minimum(steps.astype(np.int64), bins - 1)


def mutual_information(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Mutual information in nats of each column of one with each of the other: int `(n, a)`, `(n, b)` give `(a, b)`."""
    joint = np.empty((first.shape[1], second.shape[1]))
    for column in range(second.shape[1]):
        width = int(second[:, column].max()) + 1
        for row in range(first.shape[1]):
            joint[row, column] = _plog(np.bincount(first[:, row] * width + second[:, column]) / len(first)).sum()
    return np.maximum(_entropies(first)[:, None] + _entropies(second)[None, :] - joint, 0.0)


def _entropies(values: np.ndarray) -> np.ndarray:
    """Entropy of each column in nats."""
    return np.array([_plog(np.bincount(column) / len(column)).sum() for column in values.T])


def _plog(shares: np.ndarray) -> np.ndarray:
    """`-p log p`, 0 at p = 0."""
    return -shares * np.log(np.where(shares > 0, shares, 1.0))


def checked(codes: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes as float64, and the factors that vary, each counted from 0."""
    codes, factors = np.asarray(codes, np.float64), np.asarray(factors)
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors) or not len(codes):
        raise ValueError(
            f"`codes` and `factors` must be (n, units) and (n, factors) of the same n. "
            f"Received: {codes.shape} and {factors.shape}."
        )
    if not np.isfinite(codes).all():
        raise ValueError("`codes` must be finite. Received: NaN or infinite codes.")
    numbered = [np.unique(column, return_inverse=True)[1] for column in factors.T]
    varying = [column for column in numbered if column.max() > 0]
    if not varying:
        raise ValueError("`factors` must vary. Received: one value of each.")
    return codes, np.stack(varying, axis=1)
