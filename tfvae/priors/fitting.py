"""A prior fitted after training: gradient ascent of `E_q(z)[log p(z)]`, q(z) the aggregate posterior."""

import inspect

import keras
import numpy as np
import tensorflow as tf

PATIENCE = 0.25  # of all epochs: how long it goes on for nothing


def ascend(
    prior, mean, log_var, held_out=None, *, steps=3000, batch_size=64, learning_rate=1e-3, seed=0, progress=None
):
    """Adam under a cosine schedule; codes are drawn afresh in every epoch, and the best epoch is kept.

    It ends before its last step where the best epoch lies further back than `PATIENCE` of all of them: a small set of
    codes is learnt by heart soon.

    Args:
        prior: A built `Prior` with trainable weights; they are changed in place.
        mean, log_var: Of the posteriors of the training images, NumPy, `(n, *latent)`.
        held_out: `(mean, log_var)` of other images: the epoch under which their codes, a draw each, are likeliest is
            kept; None: the last.
        steps: At most so many, to the next whole pass over the codes.
        batch_size: Codes in a step, at most as many as there are.
        learning_rate: At the start.
        seed: Of the order and of the draws.
        progress: Called with (epoch, epochs, log p(z)) after each epoch.

    Returns:
        Mean `log p(z)` of each epoch, nats per example: of what is held out, else of the epoch's own draws.

    Raises:
        ValueError: If the prior has nothing to learn.
    """
    weights = prior.trainable_variables
    if not weights:
        raise ValueError(f"`prior` must have weights to learn. Received: {type(prior).__name__}")
    if hasattr(prior, "start_at"):
        prior.start_at(mean, log_var)
    batch_size = min(batch_size, len(mean))
    per_epoch = len(mean) // batch_size
    epochs = -(-steps // per_epoch)
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(learning_rate, epochs * per_epoch, alpha=0.01), global_clipnorm=10.0
    )
    optimizer.build(weights)
    drops_out = {"training": True} if "training" in inspect.signature(prior.log_prob).parameters else {}

    @tf.function(reduce_retracing=True)
    def step(z):
        with tf.GradientTape() as tape:
            log_prob = tf.reduce_mean(prior.log_prob(z, **drops_out))
            loss = -log_prob
        optimizer.apply(tape.gradient(loss, weights), weights)
        return log_prob

    @tf.function(reduce_retracing=True)
    def measure(z):
        return prior.log_prob(z)

    rng = np.random.default_rng(seed)
    aside = None if held_out is None else drawn(held_out[0], held_out[1], rng)
    course, best, kept = [], -np.inf, []
    for epoch in range(epochs):
        order = rng.permutation(len(mean))[: per_epoch * batch_size].reshape(per_epoch, batch_size)
        codes = (drawn(mean[picks], log_var[picks], rng) for picks in order)
        log_probs = [float(step(z)) for z in codes]
        if aside is not None:
            parts = range(0, len(aside), batch_size)
            log_probs = [float(np.mean(np.concatenate([measure(aside[at : at + batch_size]) for at in parts])))]
        course.append(float(np.mean(log_probs)))
        if aside is None or course[-1] > best:
            best, kept = course[-1], [weight.numpy() for weight in weights]
        if progress:
            progress(epoch + 1, epochs, course[-1])
        if aside is not None and epoch - int(np.argmax(course)) > PATIENCE * epochs:
            break
    for weight, value in zip(weights, kept, strict=True):
        weight.assign(value)
    return course


def drawn(mean, log_var, rng):
    """A code of each posterior, float32."""
    return (mean + np.exp(0.5 * log_var) * rng.standard_normal(mean.shape)).astype(np.float32)
