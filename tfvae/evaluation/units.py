"""Which latent units a model uses."""

import numpy as np

from tfvae.evaluation.context import EvaluationContext, UnmeasurableError
from tfvae.evaluation.measurements import Measurement, bootstrap_measurement
from tfvae.metrics.active_units import ACTIVE


def measure(context: EvaluationContext) -> dict[str, Measurement]:
    """`active_units`: how many units are active over the images measured; with layers of latents, of each as well.

    Raises:
        UnmeasurableError: For a model without a posterior, or for a single image.
    """
    if not context.model.encoder.stochastic:
        raise UnmeasurableError(f"the units of a {type(context.model).__name__} have no posterior")
    if len(context.images) < 2:
        raise UnmeasurableError("a single image has no variance")
    moments = np.array([_moments(image) for batch in context.means() for image in batch])  # (images, 3, units)

    def figure(own: np.ndarray) -> Measurement:
        def count(chosen: np.ndarray) -> float:
            places, sums, squares = own[chosen].sum(axis=0)
            return float((squares / places - (sums / places) ** 2 > ACTIVE).sum())

        protocol = {"threshold": ACTIVE}
        return bootstrap_measurement(count, len(own), context.seed, f"of {own.shape[2]}", protocol, lowest=0.0)

    groups = {f"active_units_{name}": part for name, part in context.model.unit_groups.items()}
    return {name: figure(moments[:, :, part]) for name, part in {"active_units": slice(None), **groups}.items()}


def _moments(means: np.ndarray) -> np.ndarray:
    """Places, sum and sum of squares of each unit of one image, float64 `(3, units)`."""
    rows = np.asarray(means, np.float64).reshape(-1, means.shape[-1])
    return np.stack([np.full(rows.shape[1], len(rows)), rows.sum(axis=0), np.square(rows).sum(axis=0)])
