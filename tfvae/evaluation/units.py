"""Which latent units a model uses."""

from collections.abc import Iterable

import numpy as np

from tfvae.evaluation.figures import Figure, bootstrap_figure
from tfvae.evaluation.subject import Subject, UnmeasurableError

ACTIVE = 0.01  # Burda's threshold: above it, a unit's posterior mean moves with the image


def unit_variances(means: np.ndarray | Iterable[np.ndarray]) -> np.ndarray:
    """Variance of each unit's posterior mean over images, `Var_x(E_q(z|x)[z_u])`.

    Of a spatial latent a unit is a channel, and its variance is taken over images and places, so that maps of unequal
    sizes count, too.

    Args:
        means: Posterior means, shape `(images, …, units)`; or an iterable of such batches, whose sizes may differ in
            all axes but the last.

    Returns:
        Shape `(units,)`, float64.

    Raises:
        ValueError: When there is nothing to take a variance of.

    Reference:
        Burda, Grosse and Salakhutdinov (2016), section 5.2, https://arxiv.org/abs/1509.00519
    """
    batches = [means] if isinstance(means, np.ndarray) else list(means)
    rows = [np.asarray(batch, np.float64).reshape(-1, batch.shape[-1]) for batch in batches]
    if not sum(map(len, rows)):
        raise ValueError("`means` must hold at least one image. Received: none.")
    return np.concatenate(rows).var(axis=0)


def active_units(means: np.ndarray | Iterable[np.ndarray], threshold: float = ACTIVE) -> np.ndarray:
    """Whether each unit is active, `unit_variances(means) > threshold`: bool, shape `(units,)`.

    Raises:
        ValueError: As `unit_variances`.
    """
    return unit_variances(means) > threshold


def measure(subject: Subject) -> dict[str, Figure]:
    """`active_units`: how many units are active over the images measured.

    Raises:
        UnmeasurableError: For a model without a posterior, or for a single image.
    """
    if not subject.model.stochastic:
        raise UnmeasurableError(f"the units of a {type(subject.model).__name__} have no posterior")
    if len(subject.images) < 2:
        raise UnmeasurableError("a single image tells of no variance")
    moments = np.array([_moments(image) for batch in subject.means() for image in batch])  # (images, 3, units)

    def count(chosen: np.ndarray) -> float:
        places, sums, squares = moments[chosen].sum(axis=0)
        return float((squares / places - (sums / places) ** 2 > ACTIVE).sum())

    protocol = {"threshold": ACTIVE}
    figure = bootstrap_figure(count, len(moments), subject.seed, f"of {moments.shape[2]}", protocol, lowest=0.0)
    return {"active_units": figure}


def _moments(means: np.ndarray) -> np.ndarray:
    """Places, sum and sum of squares of each unit of one image, float64 `(3, units)`."""
    rows = np.asarray(means, np.float64).reshape(-1, means.shape[-1])
    return np.stack([np.full(rows.shape[1], len(rows)), rows.sum(axis=0), np.square(rows).sum(axis=0)])
