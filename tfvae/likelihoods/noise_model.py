"""The likelihood of noisy observations of a clean signal: a VAE with it learns to denoise from noisy pictures alone."""

import math

import keras
import tensorflow as tf
from keras import ops

from tfvae.distributions import float32
from tfvae.likelihoods.base import MIN_LOG_STD, GaussianFamily
from tfvae.objectives import sum_per_example

TAIL = -5.0  # where the normal's lower tail is taken from its series: float32 erfc is zero from -14 on


@keras.saving.register_keras_serializable(package="tfvae")
class NoiseModel(GaussianFamily):
    """`p(y|z) = N(y; s(z), std**2 + gain * s(z))`: the decoder emits the clean signal s, the noise is known beforehand.

    Because the noise is in the likelihood, encoding it would cost rate and gain nothing that the next picture shares:
    the decoder's `s` is free of it. `mean` is the signal, `sample` a noisy picture.

    | symbol | meaning | name in the code |
    | --- | --- | --- |
    | s | clean signal, in units of the pixel range | `mean` |
    | sigma | standard deviation of the noise that is everywhere (read-out, film grain) | `std` |
    | a | variance per unit of signal (photons): 1 / the count of photons that makes white | `gain` |

    Args:
        std: Of the constant part, in units of the pixel range: 25 grey levels of 255 are 0.098.
        gain: Of the part that grows with the signal.
        clipped: Whether values of 0 and 1 stand for everything beyond them, as in files of 8 bits, where the noise of
            dark and bright places is cut off: these get the mass of the tail, `log Phi((0 - s) / std)` and
            `log Phi((s - 1) / std)`, instead of a density. Without it black comes out too bright by `0.4 * std`.

    Raises:
        ValueError: If `std` or `gain` is negative, or both are zero.

    Reference:
        Prakash, Krull and Jug (2021), Fully unsupervised diversity denoising, https://arxiv.org/abs/2006.06072;
        Foi et al. (2008), https://doi.org/10.1109/TIP.2008.2001399, for the variance; Foi (2009), Clipped noisy images
    """

    def __init__(self, std=0.1, gain=0.0, clipped=True, **kwargs):
        super().__init__(**kwargs)
        if std < 0 or gain < 0 or std + gain == 0:
            raise ValueError(
                f"`std` and `gain` must be non-negative, and one of them positive. Received: std={std}, gain={gain}"
            )
        self.noise_std, self.gain, self.clipped = std, gain, clipped

    def location_and_log_std(self, parameters):
        signal = 0.5 + float32(parameters)
        variance = self.noise_std**2 + self.gain * ops.relu(signal)
        return signal, 0.5 * ops.log(ops.maximum(variance, math.exp(2 * MIN_LOG_STD)))

    def log_prob(self, x, parameters, training=False):
        if not self.clipped:
            return super().log_prob(x, parameters, training)
        signal, log_std = self.location_and_log_std(parameters)
        return sum_per_example(clipped_normal_log_prob(x, signal, log_std))

    def get_config(self):
        return {**super().get_config(), "std": self.noise_std, "gain": self.gain, "clipped": self.clipped}


def clipped_normal_log_prob(x, mean, log_std):
    """`log p` of a normal value cut off at 0 and 1: a density between them, the mass of each tail at its end.

    Args:
        x: Values in [0, 1].
        mean: Of the normal before it is cut off, broadcasts with `x`.
        log_std: Logarithm of its standard deviation.

    Returns:
        Nats, broadcast shape, float32: `integral over (0, 1) of exp + exp(at 0) + exp(at 1) = 1`.
    """
    x, mean, log_std = float32(x), float32(mean), float32(log_std)
    precision = ops.exp(-log_std)
    inside = -0.5 * ops.square((x - mean) * precision) - log_std - 0.5 * math.log(2 * math.pi)
    value = ops.where(x <= 0.0, log_normal_cdf(-mean * precision), inside)
    return ops.where(x >= 1.0, log_normal_cdf((mean - 1.0) * precision), value)


def log_normal_cdf(u):
    """`log Phi(u)`, float32, with finite gradients at every finite `u`.

    Below `TAIL` it is `-u**2 / 2 - log(-u) - log(2 pi) / 2 + log(1 - 1/u**2 + 3/u**4 - 15/u**6)`.
    """
    u = float32(u)
    # Each branch sees only arguments that it is good for: the gradient of the other would be 0 * inf.
    middle = ops.log(0.5 * tf.math.erfc(-ops.maximum(u, TAIL) / math.sqrt(2)))
    low = ops.minimum(u, TAIL)
    inverse = 1 / ops.square(low)
    series = ops.log1p(-inverse * (1 - 3 * inverse * (1 - 5 * inverse)))
    tail = -0.5 * ops.square(low) - ops.log(-low) - 0.5 * math.log(2 * math.pi) + series
    return ops.where(u < TAIL, tail, middle)
