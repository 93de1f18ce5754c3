"""Which pictures are alike, by their codes."""

from collections.abc import Iterable

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

DISTANCES = ("euclidean", "cosine")
ACTIVE = 0.01  # variance of a unit's means, above which it tells pictures apart (Burda et al. 2016)
MOST_PAIRS = 2**24  # distances that are held at once


def distances(codes: np.ndarray, query: np.ndarray, kind: str = "euclidean") -> np.ndarray:
    """How far codes `(n, d)` lie from one, `(d,)`: float64 `(n,)`.

    Args:
        codes, query: Codes.
        kind: `"euclidean"`, or `"cosine"`: 1 less the cosine of the angle, from 0 to 2; 1 of a code that is all zeros.

    Raises:
        ValueError: For another kind.
    """
    if kind not in DISTANCES:
        raise ValueError(f"`kind` must be {' or '.join(DISTANCES)}. Received: kind={kind!r}")
    codes, query = codes.astype(np.float64), query.astype(np.float64)
    if kind == "euclidean":
        return np.sqrt(np.square(codes - query).sum(axis=1))
    lengths = np.sqrt(np.square(codes).sum(axis=1)) * np.sqrt(np.square(query).sum())
    return 1.0 - np.divide(codes @ query, lengths, out=np.zeros(len(codes)), where=lengths > 0)


def nearest(
    portions: Iterable[np.ndarray], query: np.ndarray, count: int, kind: str = "euclidean"
) -> list[tuple[int, float]]:
    """The codes that lie nearest to one, the nearest first; of equals the earlier.

    Args:
        portions: Codes, `(b, d)` each, one after the other; no more of them than one are held.
        query: A code, `(d,)`.
        count: How many.
        kind: As of `distances`.

    Returns:
        `(index, distance)` of each.
    """
    found: list[tuple[float, int]] = []
    seen = 0
    for codes in portions:
        apart = distances(codes, query, kind)
        found = sorted([*found, *((float(value), seen + place) for place, value in enumerate(apart))])[:count]
        seen += len(codes)
    return [(index, distance) for distance, index in found]


def duplicate_groups(codes: np.ndarray, variances: np.ndarray, threshold: float) -> list[list[tuple[int, float]]]:
    """Groups of pictures whose codes are nearer to each other than the model itself is sure of.

    `d**2 = mean_j (m_j - m'_j)**2 / (2 v_j)` over the units j that are active, with the mean variance `v_j` of their
    posteriors: two draws of the code of one picture are 1 apart in the root mean square. Below the threshold two
    pictures are neighbours, and neighbours of neighbours are one group.

    Args:
        codes: Means of the posteriors, `(n, d)`.
        variances: Of the posteriors, `(n, d)`.
        threshold: Largest distance d.

    Returns:
        Groups of at least two, each of `(index, distance to its first)` in order; the groups in the order of their
        first pictures.

    Raises:
        ValueError: When no unit tells pictures apart.
    """
    active = codes.var(axis=0) > ACTIVE
    if not active.any():
        raise ValueError(
            f"`codes` must have a unit whose variance is above {ACTIVE}, to tell pictures apart by. "
            f"Received: at most {codes.var(axis=0).max():.2g}"
        )
    scale = np.sqrt(2.0 * variances[:, active].mean(axis=0, dtype=np.float64) * active.sum())
    points = (codes[:, active] - codes[:, active].mean(axis=0)) / scale
    squares = np.square(points).sum(axis=1)
    group = np.arange(len(points))
    rows = max(1, MOST_PAIRS // len(points))
    for first in range(0, len(points), rows):
        some = slice(first, first + rows)
        apart = squares[some, None] + squares[None] - 2.0 * points[some] @ points.T
        one, other = np.nonzero(apart <= threshold**2 + 1e-12 * squares.max(initial=1.0))
        edges = coo_matrix((np.ones(len(one), bool), (group[one + first], group[other])), shape=(len(group),) * 2)
        group = connected_components(edges, directed=False)[1][group]
    order = np.argsort(group, kind="stable")
    cuts = np.flatnonzero(np.diff(group[order])) + 1
    groups = sorted((members for members in np.split(order, cuts) if len(members) > 1), key=lambda members: members[0])
    return [
        [(int(index), float(np.sqrt(np.square(points[index] - points[members[0]]).sum()))) for index in members]
        for members in groups
    ]
