"""The standard normal prior."""

import math

import keras
from keras import ops

from tfvae.distributions import float32
from tfvae.objectives import gaussian_kl_per_unit, sum_per_example
from tfvae.priors.base import Prior


@keras.saving.register_keras_serializable(package="tfvae")
class StandardNormal(Prior):
    """`p(z) = N(0, I)`: the prior of a `VAE` unless it is given another.

    Reference:
        Kingma and Welling (2014), https://arxiv.org/abs/1312.6114
    """

    def log_prob(self, z):
        """`-0.5 * sum(z**2 + log(2 pi))`, shape `(batch,)`, nats, float32."""
        return -0.5 * sum_per_example(ops.square(float32(z)) + math.log(2 * math.pi))

    def sample(self, noise, temperature=1.0):
        """`temperature * noise`."""
        return temperature * float32(noise)

    def kl(self, mean, log_var):
        """KL divergence of each latent unit, in closed form: `gaussian_kl_per_unit`."""
        return gaussian_kl_per_unit(mean, log_var)

    def rate(self, mean, log_var, z):
        """The closed form, summed over the latent axes; `z` is not used."""
        return sum_per_example(self.kl(mean, log_var))
