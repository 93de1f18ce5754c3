"""Weights of the examples of a batch: what `sample_weight` and `class_weight` of `fit` mean for a loss.

A loss is a mean over the examples of a batch, and some of its terms need a statistic of the batch: the variance of an
optimal Gaussian, the floor of free bits. Both ask here, so that weights need not travel through every signature
between `train_step` and the place that needs them. Without weights these are plain means.
"""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from keras import ops

from tfvae import replicas


class _Weights:
    def __init__(self, values: Any, examples: Any, total: Any):
        self.values, self.examples, self.total, self.asked = values, examples, total, False


_means: contextvars.ContextVar[Any] = contextvars.ContextVar("means", default=None)
_of_this_batch: contextvars.ContextVar[_Weights | None] = contextvars.ContextVar("example_weights", default=None)


@contextlib.contextmanager
def filled_up(means: Any) -> Iterator[None]:
    """Within, some rows of a batch, of weight 0, only make it as long as those of other replicas.

    Args:
        means: How many examples there are, and the sum of their weights, both per replica; None: no such rows.
    """
    token = _means.set(means)
    try:
        yield
    finally:
        _means.reset(token)


@contextlib.contextmanager
def weighted(values: Any) -> Iterator[None]:
    """Within, `batch_mean` and `batch_statistic` weigh the examples.

    Args:
        values: A weight for each example of this replica, `(batch,)`, float32; None: all weigh the same.

    Raises:
        ValueError: When there are weights and the loss that was made within did not ask for them.
    """
    if values is None:
        yield
        return
    examples, total = _means.get() or (ops.cast(ops.shape(values)[0], "float32"), ops.sum(values))
    weights = _Weights(values, examples, total)
    token = _of_this_batch.set(weights)
    try:
        yield
    finally:
        _of_this_batch.reset(token)
    if not weights.asked:
        raise ValueError(
            "`sample_weight` and `class_weight` weigh nothing in this model: its `loss_terms` must average over "
            "examples with `tfvae.objectives.batch_mean`, as those of `tfvae.VAE` do."
        )


def batch_mean(values: Any) -> Any:
    """Mean over the examples of this replica, `sum_i w_i * values_i / n`, a scalar.

    Args:
        values: Shape `(batch,)`, or a scalar that is the same for all.
    """
    weights = _of_this_batch.get()
    if weights is None:
        return ops.mean(values)
    weights.asked = True
    return ops.sum(weights.values * values) / weights.examples


def as_weighted_mean(mean: Any) -> Any:
    """A `batch_mean` as it is reported: the mean of weighted examples, `sum_i w_i * values_i / sum_i w_i`."""
    weights = _of_this_batch.get()
    if weights is None:
        return mean
    return ops.divide_no_nan(mean * weights.examples, weights.total)


def batch_statistic(values: Any) -> Any:
    """Weighted mean over the examples of all replicas, `sum_i w_i * values_i / sum_i w_i`, without a gradient.

    Args:
        values: Shape `(batch, …)`.

    Returns:
        Shape `(…)`; zeros where all weights are zero.
    """
    values, weights = tf.stop_gradient(values), _of_this_batch.get()
    if weights is None:
        return replicas.mean(ops.mean(values, axis=0))
    total, weight = replicas.summed(ops.sum(each(values) * values, axis=0), ops.sum(weights.values))
    return ops.divide_no_nan(total, weight)


def each(values: Any) -> Any:
    """The weight of the example that each of `values` belongs to, `(batch, …)`; ones without weights."""
    weights = _of_this_batch.get()
    if weights is None:
        return ops.ones_like(values, dtype="float32")
    column = ops.reshape(weights.values, (-1, *[1] * (len(values.shape) - 1)))
    return ops.broadcast_to(column, ops.shape(values))
