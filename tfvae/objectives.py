"""The terms of the evidence lower bound as pure functions: nats per example, float32.

| symbol | meaning | name in the code |
| --- | --- | --- |
| q(z\\|x) | posterior, a diagonal Gaussian | `mean`, `log_var` |
| p(z) | prior, standard normal | — |
| KL(q \\|\\| p) | rate | `rate` |
| -log p(x\\|z) | distortion | `distortion` |
| beta | weight of the rate in the loss | `beta` |
| w = p(x\\|z) p(z) / q(z\\|x) | importance weight of a draw z from q | `log_weights` |
| log 1/k sum w | importance-weighted bound of k draws | `importance_bound` |
"""

import math
from typing import Any, NamedTuple

from keras import ops

from tfvae.distributions import bernoulli_log_prob, float32
from tfvae.example_weights import batch_mean, batch_statistic

FLOOR = 1e-5  # of a mean squared error whose logarithm is taken: 50 dB, beyond which 8 bits hold no difference


def gaussian_kl_per_unit(mean, log_var):
    """KL divergence of every latent unit from the standard normal prior.

    `KL = 0.5 * (mean**2 + exp(log_var) - 1 - log_var)`.

    Args:
        mean: Posterior means, shape `(batch, …)`.
        log_var: Posterior log-variances, same shape.

    Returns:
        Nats per unit, same shape, float32, never negative.

    Reference:
        Kingma and Welling (2014), appendix B, https://arxiv.org/abs/1312.6114
    """
    # exp overflows float16 at log_var = 11.1, so this never runs in half precision.
    mean, log_var = float32(mean), float32(log_var)
    # expm1 keeps the digits that exp(log_var) - 1 loses once the posterior collapses.
    return 0.5 * (ops.square(mean) + ops.expm1(log_var) - log_var)


def gaussian_kl(mean, log_var):
    """Rate: `gaussian_kl_per_unit` summed over all latent axes, shape `(batch,)`, nats per example."""
    return sum_per_example(gaussian_kl_per_unit(mean, log_var))


def sum_per_example(x):
    """Sum over every axis but the first, shape `(batch,)`, float32."""
    x = float32(x)
    return ops.sum(x, axis=tuple(range(1, len(x.shape))))


def free_bits_rate(kl_per_unit, free_bits):
    """Rate with a floor under each latent channel: `sum_c max(mean_batch(KL_c), free_bits)`.

    KL is first summed over the places of a spatial latent, then averaged over the batch (with the weights of its
    examples, where `fit` has any), so the floor holds for what a channel carries on average, not for each image. Below
    the floor the gradient is zero: the optimiser gains nothing by emptying a unit that is nearly empty.

    Args:
        kl_per_unit: KL per unit, shape `(batch, …, channels)`, nats.
        free_bits: The floor, in nats per channel (the paper's lambda); 0 gives the plain mean rate.

    Returns:
        A scalar: nats per example, float32.

    Raises:
        ValueError: If `free_bits` is negative.

    Reference:
        Kingma et al. (2016), equation 15, https://arxiv.org/abs/1606.04934
    """
    if free_bits < 0:
        raise ValueError(f"`free_bits` must be non-negative. Received: free_bits={free_bits}")
    kl = float32(kl_per_unit)
    per_channel = ops.maximum(ops.sum(kl, axis=tuple(range(1, len(kl.shape) - 1))), 0.0)
    if free_bits:
        # The batch is the global one of all replicas. A NaN is below no floor, so it is not hidden.
        per_channel = ops.where(batch_statistic(per_channel) < free_bits, free_bits, per_channel)
    return batch_mean(ops.sum(per_channel, axis=-1))


def elbo(distortion, rate):
    """Evidence lower bound `-(distortion + rate)`, nats per example; higher is better."""
    return -(float32(distortion) + float32(rate))


def bits_per_dim(distortion, rate, num_dims):
    """`(distortion + rate) / (num_dims * log 2)`: a code length, so for discrete likelihoods only.

    Args:
        distortion: Nats per example, shape `(batch,)` or scalar.
        rate: Nats per example, same shape.
        num_dims: Values in one example (height * width * channels).

    Returns:
        Bits per dimension, same shape, float32.
    """
    return -elbo(distortion, rate) / (num_dims * math.log(2))


class WeightSums(NamedTuple):
    """Sums of importance weights that never leave the range of floats: what a stream of draws is reduced to.

    Attributes:
        log_max: The largest log-weight so far, nats.
        total: Sum of `w / max(w)`, so between 1 and the number of draws.
        squares: Sum of `(w / max(w))**2`.
    """

    log_max: Any
    total: Any
    squares: Any


def weight_sums(log_weights, axis=-1):
    """The `WeightSums` of the log-weights along `axis`, each with that axis taken out, float32.

    A weight of zero (log-weight -inf) counts as the draw it is, also where all weights are zero.
    """
    log_weights = float32(log_weights)
    log_max = ops.max(log_weights, axis=axis)
    scaled = ops.exp(log_weights - ops.expand_dims(_finite(log_max), axis))
    return WeightSums(log_max, ops.sum(scaled, axis=axis), ops.sum(ops.square(scaled), axis=axis))


def merged_sums(first, second):
    """The `WeightSums` of two sets of draws together; associative, so a stream may be cut anywhere."""
    log_max = ops.maximum(first.log_max, second.log_max)
    a, b = (ops.exp(sums.log_max - _finite(log_max)) for sums in (first, second))
    return WeightSums(
        log_max,
        first.total * a + second.total * b,
        first.squares * ops.square(a) + second.squares * ops.square(b),
    )


def _finite(log_max):
    """Zero in place of -inf, whose difference from itself is not a number."""
    return ops.where(log_max == -math.inf, ops.zeros_like(log_max), log_max)


def bound_from_sums(sums, k):
    """`log(1/k * sum w)` of `k` draws, nats, float32."""
    return sums.log_max + ops.log(sums.total) - math.log(k)


def effective_samples(sums):
    """`(sum w)**2 / sum w**2`, between 1 and k: how many draws of equal weight the bound is worth.

    Near 1 the bound hangs on one lucky draw and is far from tight.
    """
    return ops.square(sums.total) / sums.squares


def importance_bound(log_weights, axis=-1):
    """Importance-weighted bound `L_k = log(1/k * sum_i w_i)` of k draws from the posterior.

    `E[L_1]` is the ELBO, `E[L_k] <= E[L_k+1] <= log p(x)`, and the bound is tight as k grows, or at once where the
    posterior is exact, because then all weights are `p(x)`.

    Args:
        log_weights: `log p(x|z_i) + log p(z_i) - log q(z_i|x)`, nats, with k along `axis`.
        axis: Of the draws.

    Returns:
        Nats, the shape without `axis`, float32; -inf where all weights are zero.

    Reference:
        Burda, Grosse and Salakhutdinov (2016), equation 8 and theorem 1, https://arxiv.org/abs/1509.00519
    """
    return bound_from_sums(weight_sums(log_weights, axis), log_weights.shape[axis])


def estimate_loss(images, estimate, floor=FLOOR):
    """`0.5 * n * log(mean((x - estimate)**2) + floor)` of each example with n values, nats, `(b,)`.

    The negative log-likelihood of a normal whose variance is the best for each picture, up to a constant, and the
    negative PSNR in other units. The lower the floor, the more the pictures count that are nearly right already.

    Reference:
        Rybkin et al. (2021), equation 5, https://arxiv.org/abs/2006.13202
    """
    squares = ops.square(float32(images) - float32(estimate))
    count = ops.cast(ops.prod(ops.shape(squares)[1:]), "float32")
    return 0.5 * count * ops.log(ops.mean(squares, axis=(1, 2, 3)) + floor)


def patch_cross_entropy(real, scores):
    """`-log D` of patches that are `real` (1), `-log(1 - D)` of those that are not (0): means over patches, `(b,)`.

    Args:
        real: 1.0 or 0.0.
        scores: Log-odds that a patch is real, `(b, h, w, 1)`.
    """
    return -ops.mean(bernoulli_log_prob(real * ops.ones_like(scores), scores), axis=(1, 2, 3))
