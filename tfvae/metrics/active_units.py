"""Active units: the latent units whose posterior mean varies with the image."""

from collections.abc import Iterable

import numpy as np

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
