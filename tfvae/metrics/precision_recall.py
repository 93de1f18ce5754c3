"""Precision, recall, density and coverage: where two sets of features lie among each other's nearest neighbours.

The reference implementation, the package `prdc`, holds every pair of distances in memory at once (gigabytes for ten
thousand images) and prints; here the search is scikit-learn's, block by block, and `prdc` is what it is tested against.
"""

import numpy as np

from tfvae.metrics.frechet import check_features

NEIGHBOURS = 5  # Naeem et al. (2020), section 4; Kynkäänniemi et al. (2019) use 3


def neighbour_figures(real: np.ndarray, fake: np.ndarray, k: int = NEIGHBOURS) -> dict[str, float]:
    """Means over images of `neighbour_values`, by name."""
    return {name: float(np.mean(values)) for name, values in neighbour_values(real, fake, k).items()}


def neighbour_values(real: np.ndarray, fake: np.ndarray, k: int = NEIGHBOURS) -> dict[str, np.ndarray]:
    """How the generated images lie among the real ones, by their features.

    With the ball of an image reaching to its k-th nearest neighbour in its own set (itself not counted):

    - `precision`: the share of generated images inside some real ball (Kynkäänniemi et al.): are they realistic?
    - `recall`: the share of real images inside some generated ball: is all variety drawn?
    - `density`: real balls around a generated image, on average, over k (Naeem et al.); may exceed 1, is 1 in
      expectation for equal distributions, and one outlier among the real images does not raise it.
    - `coverage`: the share of real balls that hold a generated image; about `1 - 2**-k` in expectation for equal
      distributions and many images of each.

    All four depend on k and on both numbers of images, which belong to their protocol.

    Args:
        real: Features of real images, shape `(n, features)`.
        fake: Features of generated images, shape `(m, features)`.
        k: The neighbour that a ball reaches to.

    Returns:
        A value an image, float64, whose mean is the figure: `precision` and `density` of the generated images, shape
        `(m,)`; `recall` and `coverage` of the real ones, shape `(n,)`.

    Raises:
        ValueError: When the features disagree in number, or a set has no k-th neighbour.

    Reference:
        Kynkäänniemi et al. (2019), https://arxiv.org/abs/1904.06991; Naeem et al. (2020),
        https://arxiv.org/abs/2002.09797
    """
    from sklearn.metrics import pairwise_distances_chunked

    if k < 1:
        raise ValueError(f"`k` must be positive. Received: k={k}")
    real, fake = check_features(real, fake, least=k + 1)
    real_radii, fake_radii = radii(real, k), radii(fake, k)
    around = np.zeros(len(fake), np.int64)  # real balls around each generated image
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    start = 0
    for distances in pairwise_distances_chunked(real, fake):
        rows = slice(start, start + len(distances))
        inside = distances < real_radii[rows, None]
        around += inside.sum(axis=0)
        covered[rows] = inside.any(axis=1)
        recalled[rows] = (distances < fake_radii).any(axis=1)
        start += len(distances)
    return {
        "precision": (around > 0).astype(np.float64),
        "recall": recalled.astype(np.float64),
        "density": around / k,
        "coverage": covered.astype(np.float64),
    }


def radii(features: np.ndarray, k: int) -> np.ndarray:
    """Euclidean distance of each row of `(n, features)` to its k-th nearest other row, shape `(n,)`."""
    from sklearn.metrics import pairwise_distances_chunked

    def kth(distances: np.ndarray, start: int) -> np.ndarray:
        # The nearest of all is the image itself, or its exact copy.
        return np.partition(distances, k, axis=1)[:, k]

    return np.concatenate(list(pairwise_distances_chunked(features, reduce_func=kth)))
