"""What the replicas of a distributed step must share, so that n of them take the step of one device.

`tf.distribute` hands every replica its rows of the global batch, sums gradients, and leaves the rest to the model:
noise (every replica holds the same generator), statistics of the batch, clipping, and steps that must be skipped. These
functions are the rest. On one device they change nothing.
"""

import keras
import tensorflow as tf

# Also of one device or worker: their steps, too, may assign variables in a conditional only where there is no replica.
STRATEGIES = (tf.distribute.MirroredStrategy, tf.distribute.MultiWorkerMirroredStrategy)


def several():
    """The context of this replica, where a strategy shares the step; None on one device and outside `strategy.run`."""
    context = tf.distribute.get_replica_context()
    return context if context is not None and isinstance(context.strategy, STRATEGIES) else None


def count():
    """How many replicas share a step."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def distributed(model):
    """Whether `model` was made in the scope of a strategy that shares its steps."""
    return isinstance(model.distribute_strategy, STRATEGIES)


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


def summed(*values):
    """The sums of `values` over the replicas, a list; no gradient flows through them."""
    replica = several()
    stopped = [tf.stop_gradient(value) for value in values]
    return stopped if replica is None else replica.all_reduce(tf.distribute.ReduceOp.SUM, stopped)


def share(gradients, loss, *per_example):
    """Gradients summed, the loss averaged, and values per example gathered over the replicas, in one collective.

    Args:
        gradients: List, of this replica's share of the loss.
        loss: Mean over this replica's examples.
        per_example: Tensors of shape `(batch,)`, float32; the replicas' batches are equal.

    Returns:
        `(gradients, loss, *per_example)` of the global batch, the same numbers on every replica.
    """
    replica = several()
    if replica is None:
        return (gradients, loss, *per_example)
    rows = tf.shape(per_example[0])[0]
    # To gather is to sum what is zero elsewhere: so it travels in the gradients' message, not in one of its own.
    own = tf.equal(tf.range(count()), replica.replica_id_in_sync_group)
    placed = tf.where(own[:, None, None], tf.stack(per_example)[None], 0.0)
    known = [gradient for gradient in gradients if gradient is not None]
    *known, loss, placed = replica.all_reduce(tf.distribute.ReduceOp.SUM, [*known, loss / count(), placed])
    known = iter(known)
    gradients = [gradient if gradient is None else next(known) for gradient in gradients]
    values = tf.reshape(tf.transpose(placed, (1, 0, 2)), (len(per_example), count() * rows))
    return (gradients, loss, *tf.unstack(values))


def once(update, gradients, *tensors):
    """`update(gradients, *tensors)`, where all replicas hold the same: each variable is written once, not by each.

    Within, there is no replica: variables are assigned on all devices, and nothing is summed. `gradients` stay where
    they are, for `apply`; `local` looks at them.
    """
    replica = several()
    if replica is None:
        update(gradients, *tensors)
    else:
        replica.merge_call(lambda _, gradients, *values: update(gradients, *local(values)), args=(gradients, *tensors))


def local(values):
    """One of the equal copies that the replicas hold of each of `values`, a sequence."""
    return [tf.distribute.get_strategy().experimental_local_results(value)[0] for value in values]


def apply(optimizer, gradients, variables):
    """`optimizer.apply` of gradients that are summed already; called in `once`."""
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, STRATEGIES):
        optimizer.apply(gradients, variables)
        return
    # Keras clips the gradients of each replica and then sums them: clipping, like skipping, is for the sum.
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if not hasattr(inner, "_all_reduce_sum_gradients"):
        raise NotImplementedError(
            f"Keras {keras.__version__} sums gradients over devices in another way than tfvae knows, and would sum "
            "them twice: use a Keras release of this tfvae's `pyproject.toml`, or one device."
        )
    inner._all_reduce_sum_gradients = list
    try:
        strategy.extended.call_for_each_replica(optimizer.apply, args=(gradients, variables))
    finally:
        del inner._all_reduce_sum_gradients


def equal_rows(x, y, weights):
    """This replica's rows of a batch, filled up with rows of weight 0 to as many as the longest replica has.

    Args:
        x: Images, `(rows, …)`.
        y: Labels, likewise; or None.
        weights: Of the examples, `(rows,)`; or None.

    Returns:
        `((x, y, weights), means)`; `means` are two floats, the examples of the global batch and the sum of its weights,
        both per replica; None where the number of rows is known beforehand, and the same for all.
    """
    replica = several()
    if replica is None or (weights is None and x.shape[0] is not None):
        return (x, y, weights), None
    rows = tf.shape(x)[0]
    weights = tf.ones((rows,)) if weights is None else tf.reshape(tf.cast(weights, tf.float32), (-1,))
    own = tf.equal(tf.range(count()), replica.replica_id_in_sync_group)
    both = tf.stack([tf.cast(rows, tf.float32), tf.reduce_sum(weights)])
    # One message: collectives that do not wait for each other may start in another order on each device, and hang.
    every = replica.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(own[:, None], both[None], 0.0))
    missing = tf.cast(tf.reduce_max(every[:, 0]), tf.int32) - rows

    def filled(values):
        return tf.pad(values, [(0, missing), *[(0, 0)] * (len(values.shape) - 1)])

    return (filled(x), None if y is None else filled(y), filled(weights)), tuple(tf.unstack(tf.reduce_mean(every, 0)))


def step_function(model, step, steps):
    """What Keras makes of a `train_step` or `test_step`, for several replicas and several workers.

    Keras's own fails with several steps an execution (Keras 20582), and spends a message between the workers on every
    number a step returns, though the trackers hold the same everywhere: here they are read, not reduced.

    Args:
        model: Made in the scope of the strategy.
        step: Its `train_step` or `test_step`.
        steps: How many an execution makes.

    Returns:
        A function of a distributed iterator that makes an execution's steps and returns the means so far.
        It raises `ValueError` where the data end between two steps of an execution.
    """
    strategy = model.distribute_strategy
    names: list[str] = []  # of what a step returns

    def one(iterator):
        def noted(data):
            logs = step(data)
            names[:] = logs
            return logs

        strategy.run(noted, args=(next(iterator),))

    @tf.function(reduce_retracing=True, autograph=False)
    def execution(iterator):
        if steps == 1:
            one(iterator)
        else:
            tf.while_loop(lambda done: done < steps, lambda done: _after(one(iterator), done + 1), [tf.constant(0)])
        results = model.get_metrics_result()
        return {name: results[name] for name in names}

    def function(iterator):
        try:
            return execution(iterator)
        except tf.errors.OutOfRangeError as end:
            if steps == 1:
                raise StopIteration from end
            raise ValueError(
                "`steps_per_execution` must divide the batches of an epoch on several devices. "
                f"Received: steps_per_execution={steps}"
            ) from end

    return function


def _after(_, value):
    return (value,)
