"""Restoration with any trained VAE, not retrained: what it believes of a picture, given what is left of it."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfvae.applications.restoration.langevin import choose, langevin
from tfvae.applications.restoration.observation import Observation
from tfvae.applications.restoration.restore import Restored
from tfvae.data.array_batches import largest_batch
from tfvae.objectives import sum_per_example

METHODS = ("map", "langevin", "gibbs", "metropolis_gibbs")
LEARNING_RATE = 0.05  # of the ascent, in standard deviations of the prior


def restore_with_prior(
    model: Any,
    image: np.ndarray,
    known: np.ndarray | None = None,
    noise_std: float | None = None,
    operator: Callable | None = None,
    method: str = "map",
    steps: int = 300,
    samples: int = 16,
    restarts: int = 1,
    thin: int = 10,
    size: tuple[int, int] | None = None,
    label: int | None = None,
    seed: int = 0,
) -> Restored:
    """The picture x behind an observation `y = A(x) + n`, of which some values may be lost, by the model's p(x, z).

    | method | what it does |
    | --- | --- |
    | `"map"` | ascends `log p(y_known\\|z) + log p(z)` with Adam: the picture at its top |
    | `"langevin"` | draws from `p(z\\|y_known)`, starting at that top, by chains that are exact in the limit |
    | `"gibbs"` | draws in turn `z ~ q(z\\|x)` and `x_missing ~ p(x\\|z)`: as good as the encoder |
    | `"metropolis_gibbs"` | the same, `z` accepted or not: exact in the limit, but only small latents ever move |

    Args:
        model: A `tfvae.VAE`, with vector latents (pictures of its own size) or spatial ones (any size), or a
            `tfvae.HierarchicalVAE`.
        image: The observation y, `(height, width, channels)`; uint8, uint16, or float in [0, 1]. What stands in its
            holes is of no account.
        known: Where y is to be trusted, `(height, width)` or `(height, width, 1)`; None is everywhere.
        noise_std: Standard deviation of n, in units of the pixel range; None leaves it to the model's likelihood.
        operator: A as a differentiable function of TensorFlow, `(b, h, w, c) -> (b, height, width, channels of y)`:
            blur, grey, fewer pixels. It needs `noise_std`.
        method: See the table.
        steps: Of the ascent, and again of the chains' burn-in.
        samples: How many pictures are drawn from the posterior; of no use to `"map"`.
        restarts: Starts of the ascent: the posterior mean of the picture with its holes filled, then draws of the
            prior; the highest top wins.
        thin: Steps of a chain between two of its draws.
        size: Height and width of the picture x where `operator` changes them; only for spatial latents.
        label: Of a conditional model, a class index; None: the likeliest of the picture with its holes filled.
        seed: Equal seeds, equal pictures.

    Returns:
        `image` in [0, 1], where known pixels are y itself, bit for bit, unless there is a `noise_std`; `std`, the
        standard deviation of the clean picture over the posterior, None after `"map"`; `samples`, pictures that the
        model holds possible. All float32, `(h, w, c)`.

    Raises:
        ValueError: For a model that is no VAE, a picture that is not of its size, a mask of another shape, an unknown
            method, numbers out of range, a noise or an operator with the methods of Gibbs, which take y as it is, or
            `"metropolis_gibbs"` for a `HierarchicalVAE`, whose posterior is known only of codes that it draws.

    Reference:
        Rezende, Mohamed and Wierstra (2014), appendix F, https://arxiv.org/abs/1401.4082, for pseudo-Gibbs;
        Mattei and Frellsen (2018), https://arxiv.org/abs/1802.04826, for its correction
    """
    _check(model, method=method, steps=steps, samples=samples, restarts=restarts, thin=thin)
    observed = Observation(model, image, known, noise_std, operator, size, label)
    if "gibbs" in method:
        if noise_std is not None or operator is not None:
            raise ValueError(
                f"`method` must be map or langevin where there is a `noise_std` or an `operator`. Received: {method!r}"
            )
        return _summary(observed, _gibbs(observed, steps, samples, thin, seed, corrected=method != "gibbs"))
    mean, log_var = observed.encode(observed.guess[None])
    rng = np.random.default_rng(seed)
    others = model.prior.sample(rng.standard_normal((restarts - 1, *mean.shape[1:]), dtype=np.float32))
    top = ascend(observed.log_joint, tf.concat([mean, others], axis=0), steps)
    if method == "map":
        return Restored(observed.clamp(observed.decode(top))[0])
    start = tf.repeat(top, _chains(observed, samples), axis=0)
    draws = langevin(observed.log_joint, start, tf.exp(0.5 * log_var), steps, samples, thin, seed)
    return _summary(observed, draws.states)


def denoise(model: Any, image: np.ndarray, samples: int = 64, keep: int = 8, seed: int = 0) -> Restored:
    """The clean picture behind a noisy one, by a VAE trained on noisy pictures with the `noise_model` likelihood.

    `E[s(z)]` over draws of q(z|y): of all estimates the one of least mean squared error, as far as q is the posterior.
    Its error falls with `1 / sqrt(samples)`; 64 are within some hundredths of a decibel of many.

    Args:
        model: A `tfvae.VAE` or `HierarchicalVAE`; with another likelihood this is a mean of reconstructions, which
            keeps the noise.
        image: Noisy picture, `(height, width, channels)`; uint8, uint16, or float in [0, 1].
        samples: How many draws.
        keep: How many of them are returned in addition to their mean.
        seed: Equal seeds, equal draws.

    Returns:
        `image`, the mean; `std`, the standard deviation of the signal over the draws; `samples`, some of them. float32.

    Raises:
        ValueError: For a model that is no VAE, a picture that is not of its size, or numbers out of range.

    Reference:
        Prakash, Krull and Jug (2021), https://arxiv.org/abs/2006.06072
    """
    _check(model, samples=samples)
    observed = Observation(model, image)
    draw, shape = _draws(observed)
    rng = np.random.default_rng(seed)
    kept: list[np.ndarray] = []
    total, squares = np.zeros((2, *observed.shape))
    portion = _chains(observed, samples)
    for start in range(0, samples, portion):
        count = min(portion, samples - start)
        decoded = observed.decode(draw(rng.standard_normal((count, *shape), dtype=np.float32)))
        total, squares = total + decoded.sum(0, dtype="float64"), squares + np.square(decoded, dtype="float64").sum(0)
        kept.extend(decoded[: max(0, keep - len(kept))])
    average = total / samples
    variance = np.maximum(squares / samples - average**2, 0.0)
    return Restored(average.astype("float32"), np.sqrt(variance).astype("float32"), samples=kept)


def _draws(observed: Observation) -> tuple[Callable, tuple[int, ...]]:
    """A function from standard normal noise to codes drawn from q(z|x), and the shape of one code."""
    model, image = observed.model, observed.guess[None]
    mean, log_var = (np.asarray(part) for part in observed.encode(image))
    std = np.exp(0.5 * log_var)
    if hasattr(model, "draw"):  # group by group
        return lambda noise: model.draw(np.repeat(image, len(noise), axis=0), noise), mean.shape[1:]
    return lambda noise: mean + std * noise, mean.shape[1:]


def ascend(log_joint: Callable, starts: Any, steps: int) -> Any:
    """The highest of the tops that Adam reaches from `starts`, `(1, *latent)`; its step falls to zero."""
    z = keras.Variable(starts, dtype="float32")
    adam = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps))
    adam.build([z])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_sum(log_joint(z.value))
        adam.apply([tape.gradient(loss, z.value)], [z])

    for _ in range(steps):
        step()
    best = int(tf.argmax(log_joint(z.value)))
    return z.value[best : best + 1]


def _gibbs(observed: Observation, steps: int, samples: int, thin: int, seed: int, corrected: bool) -> np.ndarray:
    """States z of chains that fill the holes in turn with their codes, `(samples, *latent)`."""
    model, chains = observed.model, _chains(observed, samples)
    generator = keras.random.SeedGenerator(seed)

    def log_weight(x, z, mean, log_var):
        """`log p(x|z) + log p(z) - log q(z|x)` up to constants, `(chains,)`."""
        log_q = -0.5 * sum_per_example(tf.square(z - mean) * tf.exp(-log_var) + log_var)
        return model.likelihood.log_prob(x, observed.parameters(z)) + model.prior.log_prob(z) - log_q

    @tf.function
    def advance(x, z, free):
        noise = keras.random.normal(tf.shape(z), seed=generator)
        if hasattr(model, "draw"):
            proposal = model.draw(x, noise)
        else:
            mean, log_var = observed.encode(x)
            proposal = mean + tf.exp(0.5 * log_var) * noise
        if corrected:
            ratio = log_weight(x, proposal, mean, log_var) - log_weight(x, z, mean, log_var)
            uniform = keras.random.uniform(tf.shape(ratio), minval=1e-12, seed=generator)
            z = choose(free | (tf.math.log(uniform) < ratio), proposal, z)
        else:
            z = proposal
        drawn = model.likelihood.sample(observed.parameters(z), seed=generator)
        return tf.where(observed.known, observed.image, drawn), z

    x = tf.repeat(tf.convert_to_tensor(observed.guess[None]), chains, axis=0)
    z = observed.encode(x)[0]
    states: list[np.ndarray] = []
    step = 0
    while len(states) * chains < samples:
        # Codes of the first, poor fillings would hardly ever be left again: a quarter of the burn-in moves freely.
        x, z = advance(x, z, tf.constant(4 * step < steps))
        step += 1
        if step >= steps and (step - steps) % thin == 0:
            states.append(z.numpy())
    return np.concatenate(states)[:samples]


def _summary(observed: Observation, states: np.ndarray) -> Restored:
    portion = largest_batch(len(states), *observed.shape[:2])
    parts = [observed.decode(states[start : start + portion]) for start in range(0, len(states), portion)]
    drawn = observed.clamp(np.concatenate(parts))
    # In double precision equal values have themselves as mean, and no deviation, to the last bit.
    mean, std = drawn.mean(0, dtype="float64"), drawn.std(0, dtype="float64")
    return Restored(mean.astype("float32"), std.astype("float32"), samples=list(drawn))


def _chains(observed: Observation, samples: int) -> int:
    return largest_batch(samples, *observed.shape[:2])


def _check(model: Any, method: str = "map", **counts: int) -> None:
    if not hasattr(model, "log_weights"):
        raise ValueError(f"`model` must be a tfvae.VAE. Received: {type(model).__name__}")
    if method == "metropolis_gibbs" and hasattr(model, "draw"):
        raise ValueError(f"`method` must be map, langevin or gibbs for a {type(model).__name__}. Received: {method!r}")
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {', '.join(METHODS)}. Received: method={method!r}")
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"`{name}` must be positive. Received: {name}={value}")
