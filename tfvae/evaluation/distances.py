"""How the images a model draws compare with real ones: the measures in named features."""

from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from tfvae import applications
from tfvae.data import Images
from tfvae.evaluation.context import EvaluationContext, UnmeasurableError
from tfvae.evaluation.features import features
from tfvae.evaluation.measurements import RESAMPLES, Measurement, bootstrap_measurement, mean_measurement
from tfvae.metrics.frechet import frechet_distance
from tfvae.metrics.precision_recall import NEIGHBOURS, neighbour_values

MOST_IMAGES = 10_000  # on each side
MOST_BYTES = 2**30  # of the drawn images, float32
RESAMPLED_FEATURES = 256  # above, two hundred resamples take too long: 2,048 features need seconds each


def measure_frechet(context: EvaluationContext) -> dict[str, Measurement]:
    """`frechet`, between held-out and drawn images, and its floor: between held-out and training images.

    All three sets have the same number of images, for the distance depends on it. The interval resamples pairs of a
    real and a drawn image, which are independent of each other.

    Raises:
        UnmeasurableError: For a model without a prior, images of unequal sizes, or fewer than two of them.
        UserError: Features that are unknown or whose weights are missing.
    """
    real, drawn = _sides(context)
    figures = {"frechet": _frechet(context, real, drawn)}
    if context.training is not None and len(context.training) >= len(real):
        rows = np.random.default_rng((context.seed, 23)).choice(len(context.training), len(real), replace=False)
        training = features(context).of(context.training.take(np.sort(rows)))
        figures["frechet_floor"] = _frechet(context, real, training, "training images against held-out ones")
    return figures


def measure_neighbours(context: EvaluationContext) -> dict[str, Measurement]:
    """`precision`, `recall`, `density` and `coverage` of as many drawn images as there are held-out ones.

    The intervals are over images with the balls held fixed: a resample repeats images, whose nearest neighbour is
    then themselves.

    Raises:
        UnmeasurableError, UserError: As `measure_frechet`.
    """
    real, drawn = _sides(context)
    if len(real) <= NEIGHBOURS:
        raise UnmeasurableError(f"it needs more than {NEIGHBOURS} images, and these are {len(real)}")
    protocol = {**_protocol(context, len(real)), "neighbours": NEIGHBOURS, "balls": "held fixed in the intervals"}
    values = neighbour_values(real, drawn, NEIGHBOURS)
    return {name: mean_measurement(column, UNITS[name], protocol) for name, column in values.items()}


UNITS = {
    "precision": "share of drawn images, higher is better",
    "recall": "share of held-out images, higher is better",
    "density": "1 for equal distributions",
    "coverage": f"share of held-out images; {1 - 0.5**NEIGHBOURS:.2f} for equal distributions",
}


def _frechet(context: EvaluationContext, x: np.ndarray, y: np.ndarray, what: str = "") -> Measurement:
    protocol = _protocol(context, len(x)) | ({"floor": what} if what else {})
    unit = f"squared distance in {x.shape[1]} features, lower is better"
    if x.shape[1] > RESAMPLED_FEATURES:
        return Measurement(frechet_distance(x, y), unit, None, protocol)
    # Threads of BLAS that wait for each other make small matrices a hundred times slower on a busy machine.
    with threadpool_limits(1):
        return bootstrap_measurement(
            lambda rows: frechet_distance(x[rows], y[rows]), len(x), context.seed, unit, protocol, RESAMPLES, lowest=0.0
        )


def _protocol(context: EvaluationContext, count: int) -> dict[str, Any]:
    return {**features(context).protocol, "drawn": "E[x|z], z from the prior, 8 bits", "images_each": count}


def _sides(context: EvaluationContext) -> tuple[np.ndarray, np.ndarray]:
    """Features of held-out and of as many drawn images, float64 `(n, features)` each."""
    return context.remembered(f"sides in {context.features}", lambda: _both(context))


def _both(context: EvaluationContext) -> tuple[np.ndarray, np.ndarray]:
    if not hasattr(context.model, "generate"):
        raise UnmeasurableError(f"a {type(context.model).__name__} has no prior to draw images from")
    size = context.images.common_size
    if size is None:
        raise UnmeasurableError("it needs images of one size (data.height, data.width)")
    real = _at_most(context.images, MOST_BYTES // (4 * size[0] * size[1] * context.images.channels), context.seed)
    if len(real) < 2:
        raise UnmeasurableError("it needs two images or more")
    named = features(context)
    fixed = context.model.image_shape[0] is not None
    size = None if fixed else size
    drawn = applications.generate(context.model, len(real), context.seed, size=size, labels=context.labels(real))
    # Real pixels are bytes; a decoder's finer steps would be an invisible difference.
    eight_bits = np.rint(255 * np.clip(drawn, 0, 1)).astype(np.uint8)
    return named.of(real), named.of(eight_bits)


def _at_most(images: Images, count: int, seed: int) -> Images:
    count = min(MOST_IMAGES, max(2, count))
    if len(images) <= count:
        return images
    return images.take(np.sort(np.random.default_rng((seed, 29)).choice(len(images), count, replace=False)))
