"""The terms of the evidence lower bound as pure functions: nats per example, float32.

| symbol | meaning | name in the code |
| --- | --- | --- |
| q(z\\|x) | posterior, a diagonal Gaussian | `mean`, `log_var` |
| p(z) | prior, standard normal | — |
| KL(q \\|\\| p) | rate | `rate` |
| -log p(x\\|z) | distortion | `distortion` |
| beta | weight of the rate in the loss | `beta` |
"""

import math

from keras import ops

from tfvae.distributions import float32


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

    KL is first summed over the places of a spatial latent, then averaged over the batch, so the floor holds for
    what a channel carries on average, not for each image. Below the floor the gradient is zero: the optimiser gains
    nothing by emptying a unit that is nearly empty.

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
    per_channel = ops.mean(ops.sum(kl, axis=tuple(range(1, len(kl.shape) - 1))), axis=0)
    return ops.sum(ops.maximum(per_channel, free_bits))


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
