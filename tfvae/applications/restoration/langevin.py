"""Markov chains that follow the gradient of a log-density: draws from a posterior that is known up to a constant."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from keras import ops

from tfvae.objectives import sum_per_example

# Share of proposals that an ideal chain accepts in many dimensions (Roberts and Rosenthal 1998).
ACCEPTANCE = 0.574


class Draws(NamedTuple):
    """States of the chains, `(draws, *state)`, and the share of proposals accepted after the burn-in."""

    states: np.ndarray
    acceptance: float


class Place(NamedTuple):
    """Where the chains are: `(chains, *state)`, the log-density there, `(chains,)`, and its gradient."""

    state: Any
    log_density: Any
    gradient: Any


def langevin(
    log_density: Callable, start: Any, scale: Any = 1.0, steps: int = 300, draws: int = 1, thin: int = 10, seed: int = 0
) -> Draws:
    """Draws from `exp(log_density)` by Metropolis-adjusted Langevin chains, side by side.

    A proposal of step size `e` and scale `s` is `x' = x + e**2 / 2 * s**2 * gradient(x) + e * s * noise`; it is
    accepted with probability `min(1, p(x') q(x|x') / (p(x) q(x'|x)))`, which makes the stationary distribution exact
    at any step size. During the burn-in `e` is tuned towards `ACCEPTANCE` and then left alone.

    Args:
        log_density: Function `(chains, *state) -> (chains,)` of TensorFlow operations, up to a constant, nats.
        start: Where the chains start, `(chains, *state)`.
        scale: Expected standard deviation of each coordinate, broadcasts to `start`: coordinates of unlike widths
            then mix at one rate.
        steps: Length of the burn-in.
        draws: How many states are wanted: one of each chain after the burn-in, and again every `thin` steps.
        thin: Steps between two states of a chain.
        seed: Equal seeds, equal chains.

    Raises:
        ValueError: If `steps`, `draws` or `thin` is below one.

    Reference:
        Roberts and Tweedie (1996), Exponential convergence of Langevin distributions; Roberts and Rosenthal (1998)
    """
    for name, value in (("steps", steps), ("draws", draws), ("thin", thin)):
        if value < 1:
            raise ValueError(f"`{name}` must be positive. Received: {name}={value}")
    start = tf.convert_to_tensor(start, tf.float32)
    scale = tf.broadcast_to(tf.convert_to_tensor(scale, tf.float32), start.shape)

    def place_of(state):
        with tf.GradientTape() as tape:
            tape.watch(state)
            value = log_density(state)
        return Place(state, value, tape.gradient(value, state))

    @tf.function
    def advance(place, size, number):
        seeds = tf.random.split(tf.stack([tf.constant(seed), number]), 2)
        noise = tf.random.stateless_normal(tf.shape(place.state), seeds[0])
        proposal = place_of(place.state + drift(place, scale, size) + size * scale * noise)
        forward = -0.5 * sum_per_example(ops.square(noise))
        back = (place.state - proposal.state - drift(proposal, scale, size)) / (size * scale)
        ratio = proposal.log_density - place.log_density - 0.5 * sum_per_example(ops.square(back)) - forward
        # A proposal where the density is not a number is no place to go.
        probability = tf.where(tf.math.is_finite(ratio), tf.exp(tf.minimum(ratio, 0.0)), 0.0)
        accepted = tf.random.stateless_uniform(tf.shape(ratio), seeds[1]) < probability
        return tf.nest.map_structure(lambda new, old: choose(accepted, new, old), proposal, place), probability

    place = tf.function(place_of)(start)
    size = (np.prod(start.shape[1:]) or 1) ** (-1 / 6)  # the ideal one shrinks so with the count of coordinates
    states: list[np.ndarray] = []
    accepted: list[float] = []
    step = 0
    while sum(map(len, states)) < draws:
        place, probability = advance(place, tf.constant(size, tf.float32), tf.constant(step))
        step += 1
        if step < steps:
            # Robbins-Monro: steps that sum to infinity, while their squares do not.
            size *= np.exp((float(tf.reduce_mean(probability)) - ACCEPTANCE) / step**0.6)
        else:
            accepted.append(float(tf.reduce_mean(probability)))
            if (step - steps) % thin == 0:
                states.append(place.state.numpy())
    return Draws(np.concatenate(states)[:draws], float(np.mean(accepted)))


def drift(place: Place, scale: Any, size: Any) -> Any:
    """The part of a proposal that the gradient decides: `size**2 / 2 * scale**2 * gradient`."""
    return 0.5 * ops.square(size * scale) * place.gradient


def choose(which: Any, new: Any, old: Any) -> Any:
    """Rows of `new` where `which`, shape `(batch,)`, is true, else of `old`."""
    return tf.where(tf.reshape(which, (-1, *[1] * (len(new.shape) - 1))), new, old)
