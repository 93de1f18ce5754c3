"""What the replicas of a distributed step must share, so that n of them take the step of one device.

`tf.distribute` hands every replica its rows of the global batch, sums gradients, and leaves the rest to the model:
noise (every replica holds the same generator), statistics of the batch, clipping, and steps that must be skipped. These
functions are the rest. On one device they change nothing.
"""

import tensorflow as tf


def several():
    """The context of this replica among several; None on one device and outside `strategy.run`."""
    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def own_rows(draw, shape):
    """The rows of `draw` that belong to this replica's examples: the noise that one device would give them.

    Args:
        draw: Function from a shape to random numbers, the same on every replica.
        shape: Of this replica's numbers, `(batch, …)`. The replicas' batches are equal.

    Returns:
        `draw` of the global batch's shape, cut to `shape`.
    """
    replica = several()
    if replica is None:
        return draw(shape)
    rows, *rest = shape
    first = tf.cast(replica.replica_id_in_sync_group, tf.int32) * rows
    return draw((rows * replica.num_replicas_in_sync, *rest))[first : first + rows]


def mean(statistic):
    """The mean of `statistic` over the replicas; no gradient flows through it."""
    replica = several()
    if replica is None:
        return tf.stop_gradient(statistic)
    return tf.stop_gradient(replica.all_reduce(tf.distribute.ReduceOp.MEAN, tf.stop_gradient(statistic)))


def share(gradients, loss, *per_example):
    """Gradients summed, the loss averaged, and values per example gathered over the replicas, in one collective.

    Args:
        gradients: Of this replica's share of the loss.
        loss: Mean over this replica's examples.
        per_example: Tensors of shape `(batch,)`; the replicas' batches are equal.

    Returns:
        `(gradients, loss, *per_example)` of the global batch, the same numbers on every replica.
    """
    replica = several()
    if replica is None:
        return (gradients, loss, *per_example)
    count, rows = replica.num_replicas_in_sync, tf.shape(per_example[0])[0]
    # To gather is to sum what is zero elsewhere: so it travels in the gradients' message, not in one of its own.
    place = tf.one_hot(replica.replica_id_in_sync_group, count, on_value=True, off_value=False)
    placed = tf.where(place[:, None, None], tf.stack(per_example)[None], 0.0)
    *gradients, loss, values = replica.all_reduce(tf.distribute.ReduceOp.SUM, [*gradients, loss / count, placed])
    values = tf.reshape(tf.transpose(values, (1, 0, 2)), (len(per_example), count * rows))
    return (gradients, loss, *tf.unstack(values))


def once(update, *tensors):
    """`update(*tensors)`, where every replica holds the same tensors: each variable is written once, not by each.

    Within, there is no replica: variables are assigned on all devices, and nothing is summed.
    """
    replica = several()
    if replica is None:
        update(*tensors)
        return

    def merged(strategy, *values):
        update(*tf.nest.map_structure(lambda value: strategy.experimental_local_results(value)[0], values))

    replica.merge_call(merged, args=tensors)


def apply(optimizer, gradients, variables):
    """`optimizer.apply` of gradients that are summed already; called in `once`, or on one device."""
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1:
        optimizer.apply(gradients, variables)
        return
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    # Keras clips the gradients of each replica and then sums them: clipping, like skipping, is for the sum.
    inner._all_reduce_sum_gradients = list
    strategy.extended.call_for_each_replica(optimizer.apply, args=(gradients, variables))
