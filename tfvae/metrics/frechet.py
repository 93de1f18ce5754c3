"""Fréchet distance between two sets of features, each seen as one Gaussian."""

import numpy as np


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Fréchet distance of the Gaussians fitted to two sets of features; of Inception's features, the FID.

    `|mean(x) - mean(y)|**2 + trace(cov(x) + cov(y) - 2 * sqrt(cov(x) @ cov(y)))`, the squared 2-Wasserstein distance
    of the two Gaussians, with the unbiased covariances.

    It is biased upwards: two samples of one distribution are a positive distance apart, which shrinks as one over
    their size and grows with the number of features. So values compare only between equal numbers of images and the
    same features, and with the distance of two real samples of that size (the floor). A resample of a bootstrap adds
    about as much again, for it repeats images: a percentile interval would lie above the value.

    Args:
        x: Features of the one set, shape `(n, features)`, in any unit; the distance is in that unit squared.
        y: Features of the other, shape `(m, features)`.

    Raises:
        ValueError: When the features disagree in number, or a set has fewer than two images.

    Reference:
        Heusel et al. (2017), https://arxiv.org/abs/1706.08500; Dowson and Landau (1982),
        https://doi.org/10.1016/0047-259X(82)90077-X
    """
    x, y = check_features(x, y, least=2)
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    return gaussian_frechet_distance(mean_x, _covariance(x, mean_x), mean_y, _covariance(y, mean_y))


def gaussian_frechet_distance(mean_x: np.ndarray, cov_x: np.ndarray, mean_y: np.ndarray, cov_y: np.ndarray) -> float:
    """Fréchet distance of two Gaussians given by means `(d,)` and covariances `(d, d)`, symmetric and non-negative.

    The trace of the square root of `cov_x @ cov_y` is the sum of the singular values of `sqrt(cov_x) @ sqrt(cov_y)`:
    real and non-negative by construction, also of singular covariances (fewer images than features), where a matrix
    square root of the product itself turns complex.
    """
    gap = np.asarray(mean_x, np.float64) - np.asarray(mean_y, np.float64)
    cov_x, cov_y = np.asarray(cov_x, np.float64), np.asarray(cov_y, np.float64)
    overlap = np.linalg.svd(_root(cov_x) @ _root(cov_y), compute_uv=False).sum()
    distance = gap @ gap + np.trace(cov_x) + np.trace(cov_y) - 2.0 * overlap
    return float(max(distance, 0.0))  # of equal Gaussians, rounding may leave a little below zero


def check_features(x: np.ndarray, y: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 `(n, features)`. Raises `ValueError` when they are no finite features of one kind."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1:] != y.shape[1:] or min(len(x), len(y)) < least:
        raise ValueError(
            f"`x` and `y` must be features (n, d) of the same d, n at least {least}. Received: {x.shape} and {y.shape}."
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("`x` and `y` must be finite. Received: NaN or infinite features.")
    return x, y


def _covariance(x: np.ndarray, mean: np.ndarray) -> np.ndarray:
    centred = x - mean
    return centred.T @ centred / (len(x) - 1)


def _root(cov: np.ndarray) -> np.ndarray:
    """The symmetric square root, by eigenvalues; those that rounding made negative are zero."""
    values, vectors = np.linalg.eigh(cov)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
