"""Colours as people tell them apart: Oklab, and the colours of one picture brought to those of another."""

from collections.abc import Callable, Sequence

import numpy as np

from tfvae.applications.styles.painting import blurred

# Björn Ottosson (2020), A perceptual color space for image processing, https://bottosson.github.io/posts/oklab/
CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
OPPONENTS = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
SCALE = 100.0  # white has a lightness of so much, and a difference of 1 is just seen
NOISE = 2.0  # standard deviation of colours below which they are not stretched
LEVELS = 512  # quantiles by which two histograms are matched


def oklab(rgb: np.ndarray) -> np.ndarray:
    """Lightness and two opponent colours, float32 `(…, 3)`, white at 100, 0, 0; of sRGB in [0, 1], `(…, 1 or 3)`."""
    rgb = np.asarray(rgb, np.float32)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((np.maximum(rgb, 0) + 0.055) / 1.055) ** 2.4)
    if linear.shape[-1] == 1:
        return np.concatenate([SCALE * np.cbrt(linear), np.zeros((*linear.shape[:-1], 2))], -1).astype(np.float32)
    return (SCALE * np.cbrt(linear @ CONES.T) @ OPPONENTS.T).astype(np.float32)


def srgb(lab: np.ndarray) -> np.ndarray:
    """The inverse of `oklab` for three channels, clipped to [0, 1]: what no screen shows becomes the nearest edge."""
    linear = ((lab / SCALE) @ np.linalg.inv(OPPONENTS).T) ** 3 @ np.linalg.inv(CONES).T
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055).astype(np.float32)


def transferred(lab: np.ndarray, like: np.ndarray) -> np.ndarray:
    """A picture in the colours of another, as of `transfer`."""
    return transfer(lab, like)(lab)


def transfer(lab: np.ndarray, like: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """What brings the colours of a picture to those of another: means and covariance, and lightness's histogram.

    The linear map `T` with `T @ cov(x) @ T.T = cov(like)` that moves colours least; then the lightness half-way to the
    one that has the other's histogram: all of it would make few greys out of a sky.

    Args:
        lab: `(h, w, 3)`, of `oklab`.
        like: `(h, w, 3)` of any size.

    Returns:
        A function of pictures `(h, w, 3)`: of `lab`, and of others that are to be changed alike.

    Reference:
        Pitié and Kokaram (2007), The linear Monge-Kantorovitch linear colour mapping for example-based colour transfer
    """
    x, y = lab.reshape(-1, 3).astype(np.float64), like.reshape(-1, 3).astype(np.float64)
    own, other = (np.cov(each.T, bias=True) + NOISE**2 * np.eye(3) for each in (x, y))
    half = _root(own)
    map_ = np.linalg.inv(half) @ _root(half @ other @ half) @ np.linalg.inv(half)
    mean, to = x.mean(axis=0), y.mean(axis=0)
    curve = matching(((x - mean) @ map_.T + to)[:, 0], y[:, 0])

    def change(picture: np.ndarray) -> np.ndarray:
        moved = (picture.reshape(-1, 3).astype(np.float64) - mean) @ map_.T + to
        moved[:, 0] = (moved[:, 0] + curve(moved[:, 0])) / 2
        return moved.reshape(picture.shape).astype(np.float32)

    return change


def barycentre(labs: Sequence[np.ndarray], shares: Sequence[float]) -> list[np.ndarray]:
    """Pictures in colours between those of all: each moved towards each other one by that one's share.

    Args:
        labs: Each `(h, w, 3)`, of `oklab`.
        shares: Of each, of the sum 1.

    Reference:
        Rabin et al. (2011), Wasserstein barycenter and its application to texture mixing, for colours of textures
        between others; here of the optimal linear maps
    """
    pairs = ([transferred(lab, like) if like is not lab else lab for like in labs] for lab in labs)
    return [np.tensordot(np.asarray(shares, np.float32), np.stack(row), axes=1) for row in pairs]


def matching(x: np.ndarray, like: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The rising function of values that gives `x` the histogram of others."""
    shares = np.linspace(0, 1, LEVELS)
    levels, first = np.unique(np.quantile(x, shares), return_index=True)
    if len(levels) == 1:
        return lambda values: np.full_like(values, like.mean())
    return lambda values: np.interp(values, levels, np.quantile(like, shares)[first])


def recoloured(lab: np.ndarray, like: np.ndarray, radius: float) -> np.ndarray:
    """A picture whose colours and lightness, smoothed over `radius` pixels, are those of another of its size."""
    return lab + blurred(like - lab, radius)


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
