"""Whether drawn images have edges as reconstructions have them, or blotches."""

import itertools

import numpy as np

from tfvae import applications
from tfvae.evaluation.context import EvaluationContext, UnmeasurableError
from tfvae.evaluation.measurements import Measurement, bootstrap_measurement
from tfvae.metrics.edge_sparseness import LEAST_SIDE, edge_sparseness

MOST_IMAGES = 64  # on each side
FEWEST_IMAGES = 16


def measure(context: EvaluationContext) -> dict[str, Measurement]:
    """`edges`: the kurtosis of drawn images' derivatives, over that of reconstructions, mean over octaves.

    Reconstructions and not images, as the decoder is the same on both sides: what differs is the prior. Where fewer
    images than `MOST_IMAGES` are held out, training images are taken, too.

    Raises:
        UnmeasurableError: For a model without a prior, or images that are of unequal sizes, small, or few.
    """
    if not hasattr(context.model, "generate"):
        raise UnmeasurableError(f"a {type(context.model).__name__} has no prior to draw images from")
    size = context.images.common_size
    if size is None or min(size) < LEAST_SIDE:
        raise UnmeasurableError(f"it needs images of one size, of {LEAST_SIDE} pixels a side or more")
    images = list(itertools.islice(itertools.chain(context.images, context.training or ()), MOST_IMAGES))
    if len(images) < FEWEST_IMAGES:
        raise UnmeasurableError(f"it needs {FEWEST_IMAGES} images or more, and these are {len(images)}")
    fixed = context.model.image_shape[0] is not None
    drawn = edge_sparseness(
        applications.generate(context.model, len(images), context.seed, size=None if fixed else size)
    )
    rebuilt = edge_sparseness(applications.reconstruct(context.model, np.stack(images)))

    def ratio(rows: np.ndarray) -> float:
        return float(np.mean(np.nanmedian(drawn[rows], axis=0) / np.nanmedian(rebuilt[rows], axis=0)))

    unit = "kurtosis of the derivatives, drawn over reconstructed; 1: edges are as sparse, less: blotches"
    return {"edges": bootstrap_measurement(ratio, len(images), context.seed, unit, {"images_each": len(images)})}
