"""A prior fitted after training: gradient ascent of `E_q(z)[log p(z)]`, q(z) the aggregate posterior."""

import inspect

import keras
import numpy as np
import tensorflow as tf


def ascend(
    prior, mean, log_var, held_out=None, *, epochs=100, batch_size=256, learning_rate=1e-3, seed=0, progress=None
):
    """Adam under a cosine schedule; codes are drawn afresh in every epoch, and the best epoch is kept.

    Args:
        prior: A built `Prior` with trainable weights; they are changed in place.
        mean, log_var: Of the posteriors of the training images, NumPy, `(n, *latent)`.
        held_out: `(mean, log_var)` of other images: the epoch under which their codes, a draw each, are likeliest is
            kept; None: the last.
        epochs: Passes over the codes.
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
    steps = len(mean) // batch_size
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(learning_rate, epochs * steps, alpha=0.01), global_clipnorm=10.0
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
    aside = None if held_out is None else drawn(*held_out, rng)
    course, best, kept = [], -np.inf, None
    for epoch in range(epochs):
        order = rng.permutation(len(mean))[: steps * batch_size].reshape(steps, batch_size)
        codes = (drawn(mean[picks], log_var[picks], rng) for picks in order)
        log_probs = [float(step(z)) for z in codes]
        if aside is not None:
            parts = range(0, len(aside), batch_size)
            log_probs = np.concatenate([measure(aside[start : start + batch_size]) for start in parts])
        course.append(float(np.mean(log_probs)))
        if aside is None or course[-1] > best:
            best, kept = course[-1], [weight.numpy() for weight in weights]
        if progress:
            progress(epoch + 1, epochs, course[-1])
    for weight, value in zip(weights, kept, strict=True):
        weight.assign(value)
    return course


def drawn(mean, log_var, rng):
    """A code of each posterior, float32."""
    return (mean + np.exp(0.5 * log_var) * rng.standard_normal(mean.shape)).astype(np.float32)
