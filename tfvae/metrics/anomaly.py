"""How well scores and maps tell what is wrong from what is good: AUROC, AUPRO, best F1, false alarms, intervals."""

from collections.abc import Callable

import numpy as np
from scipy import ndimage, stats

MOST_FALSE = 0.3  # false-positive rate up to which AUPRO integrates (Bergmann et al. 2020)


def auroc(wrong: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve: `P(score of a wrong one > score of a good one) + P(equal) / 2`.

    Of pictures, a label and a score each; of pixels, masks and maps of any equal shape.

    Args:
        wrong: True or 1 where something is wrong.
        scores: Of the same shape, higher is more suspicious.

    Returns:
        From 0 to 1; 0.5 is chance.

    Raises:
        ValueError: When shapes differ, a score is not a number, or all are good or all wrong.
    """
    wrong, scores = _checked(wrong, scores)
    ranks = stats.rankdata(scores)  # ties share the mean of their ranks
    count = int(wrong.sum())
    above = ranks[wrong].sum() - count * (count + 1) / 2
    return float(above / (count * (len(wrong) - count)))


def aupro(masks: np.ndarray, maps: np.ndarray, most_false: float = MOST_FALSE) -> float:
    """Area under the per-region overlap: small defects count as much as large ones.

    At a threshold the overlap is the share of each connected region (8 neighbours) of the masks that the map finds,
    averaged over all regions of all pictures; the abscissa is the share of good pixels that it finds. The area is
    taken up to `most_false`, linear between thresholds, and divided by it.

    Args:
        masks: True or 1 where a pixel is wrong, `(n, height, width)`.
        maps: Of the same shape, higher is more suspicious.
        most_false: In (0, 1].

    Returns:
        From 0 to 1; `most_false / 2` is chance.

    Raises:
        ValueError: As `auroc`, and when `most_false` is out of its range.

    Reference:
        Bergmann et al. (2020), Uninformed students, https://arxiv.org/abs/1911.02357, section 4
    """
    if not 0 < most_false <= 1:
        raise ValueError(f"`most_false` must be in (0, 1]. Received: most_false={most_false}")
    if np.ndim(masks) != 3:
        raise ValueError(f"`masks` must be (n, height, width). Received: shape {np.shape(masks)}")
    wrong, scores = _checked(masks, maps)
    share = _share_of_region(np.asarray(masks, bool)).ravel()
    order, last = _descending(scores)
    overlap = np.append(0.0, np.cumsum(share[order])[last])
    false = np.append(0.0, np.cumsum(~wrong[order])[last] / np.count_nonzero(~wrong))
    return _area(false, overlap, most_false) / most_false


def best_f1(wrong: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """The largest F1 that a threshold reaches, and that threshold: `score >= threshold` is called wrong.

    It is chosen with the labels, so no threshold chosen without them does better.

    Args:
        wrong: True or 1 where something is wrong.
        scores: Of the same shape.

    Raises:
        ValueError: As `auroc`.
    """
    wrong, scores = _checked(wrong, scores)
    order, last = _descending(scores)
    found = np.cumsum(wrong[order])[last]
    f1 = 2 * found / (last + 1 + wrong.sum())  # 2 tp / (2 tp + fp + fn)
    best = int(np.argmax(f1))
    return float(f1[best]), float(scores[order][last[best]])


def share_above(scores: np.ndarray, threshold: float) -> float:
    """Share of the scores above a threshold: of good pieces the false-alarm rate, of wrong ones the rate found."""
    scores = np.asarray(scores, np.float64)
    if not scores.size:
        raise ValueError("`scores` must hold one or more. Received: none")
    return float(np.mean(scores > threshold))


def bootstrap_interval(
    measure: Callable[[np.ndarray, np.ndarray], float],
    wrong: np.ndarray,
    scores: np.ndarray,
    draws: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of `measure(wrong, scores)` over resampled pictures; good and wrong ones keep their numbers.

    Args:
        measure: Of labels and scores, such as `auroc`; of masks and maps, such as `aupro`.
        wrong: A row a picture: labels `(n,)`, or masks of which a picture is wrong that has any.
        scores: A row a picture.
        draws: Resamples.
        confidence: Of the interval.
        seed: Of the resamples.

    Raises:
        ValueError: When the rows differ in number, all pictures are good or all wrong, or `draws` is below 1.
    """
    wrong, scores = np.asarray(wrong), np.asarray(scores)
    if len(wrong) != len(scores) or draws < 1:
        raise ValueError(f"`scores` must be as many as `wrong`. Received: {len(wrong)} and {len(scores)}, {draws=}")
    bad = np.asarray(wrong.reshape(len(wrong), -1).astype(bool).any(axis=1))
    groups = np.flatnonzero(~bad), np.flatnonzero(bad)
    if not all(map(len, groups)):
        raise ValueError(f"`wrong` must hold good pictures and wrong ones. Received: {len(bad)} of one kind")
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        rows = np.concatenate([rng.choice(group, len(group)) for group in groups])
        values.append(measure(wrong[rows], scores[rows]))
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _checked(wrong: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both flat, bool and float64."""
    if np.shape(wrong) != np.shape(scores):
        raise ValueError(
            f"`scores` must have the shape of the labels. Received: {np.shape(scores)} and {np.shape(wrong)}"
        )
    wrong = np.asarray(wrong).astype(bool).ravel()
    scores = np.asarray(scores, np.float64).ravel()
    if np.isnan(scores).any():
        raise ValueError(f"`scores` must be numbers. Received: {int(np.isnan(scores).sum())} NaN")
    if wrong.all() or not wrong.any():
        raise ValueError(f"`wrong` must hold good and wrong ones. Received: {len(wrong)} of one kind")
    return wrong, scores


def _descending(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places from the highest score to the lowest, and where in them the last of each score is: ties fall together."""
    order = np.argsort(-scores, kind="stable")
    return order, np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)


def _share_of_region(masks: np.ndarray) -> np.ndarray:
    """For each wrong pixel 1 over the size of its region and over the number of regions, else 0; sums to 1."""
    shares = np.zeros(masks.shape)
    regions = 0
    for mask, share in zip(masks, shares, strict=True):
        labels, count = ndimage.label(mask, np.ones((3, 3)))
        sizes = np.bincount(labels.ravel(), minlength=count + 1)
        share[mask] = 1 / sizes[labels[mask]]
        regions += count
    return shares / regions


def _area(x: np.ndarray, y: np.ndarray, end: float) -> float:
    """Integral of the line through `(x, y)`, x rising from 0 to 1, up to `end`."""
    inside = x <= end
    at_end = np.interp(end, x, y)  # of equal x the last y, but there is none beyond `inside`
    return float(np.trapezoid(np.append(y[inside], at_end), np.append(x[inside], end)))
