"""The prior of a vector that depends on another, `p(h1, h2) = p(h2) p(h1|h2)`."""

import math

import keras
from keras import ops

from tfvae.distributions import float32
from tfvae.layers.conditional_gaussian import ConditionalGaussian
from tfvae.priors.base import Prior, gaussian_log_prob


@keras.saving.register_keras_serializable(package="tfvae")
class TwoLayerPrior(Prior):
    """`p(h2) = N(0, I)` and `p(h1|h2) = N(mu(h2), diag(sigma(h2)**2))` of codes `(h1, h2)`, h1 first.

    Args:
        units: Of h1.
        top_dim: Units of h2.
        widths: Units of the tanh layers between h2 and the parameters of h1.

    Reference:
        Burda, Grosse and Salakhutdinov (2016), equation 1 and section 5, https://arxiv.org/abs/1509.00519
    """

    def __init__(self, units, top_dim, widths, **kwargs):
        super().__init__(**kwargs)
        self.units, self.top_dim, self.widths = units, top_dim, tuple(widths)
        self.below = ConditionalGaussian(units, self.widths)

    def build(self, input_shape):
        self.below.build((None, self.top_dim))
        self.built = True

    def log_prob(self, z):
        """`log N(h2; 0, I) + log N(h1; mu(h2), sigma(h2)**2)`, shape `(batch,)`, nats, float32."""
        lower, top = z[:, : self.units], float32(z[:, self.units :])
        log_top = -0.5 * ops.sum(ops.square(top) + math.log(2 * math.pi), axis=1)
        return log_top + gaussian_log_prob(lower, *self.below(top))

    def sample(self, noise, temperature=1.0):
        """h2 of the noise behind, then h1 of that before it; the temperature multiplies both deviations."""
        noise = temperature * float32(noise)
        top = noise[:, self.units :]
        mean, log_var = self.below(top)
        return ops.concatenate([mean + ops.exp(0.5 * log_var) * noise[:, : self.units], top], axis=1)

    def get_config(self):
        return {**super().get_config(), "units": self.units, "top_dim": self.top_dim, "widths": self.widths}
