"""Discretised logistics: a mass for each of the 256 values of an 8-bit picture."""

import keras
import numpy as np
from keras import ops
from scipy.special import expit, softmax

from tfvae.distributions import (
    LEVELS,
    clip_with_gradient,
    clipped_logistic_mean,
    clipped_logistic_moments,
    discretized_logistic_log_prob,
    float32,
    mixture_log_prob,
)
from tfvae.likelihoods.base import Likelihood, parts
from tfvae.objectives import sum_per_example


@keras.saving.register_keras_serializable(package="tfvae")
class DiscretizedLogistic(Likelihood):
    """A mass for each of the 256 values of an 8-bit picture, from a logistic per pixel and channel.

    Parameters are location and log-scale, in units of the pixel range, offset so that zeros are a fair start.

    Reference:
        Salimans et al. (2017), https://arxiv.org/abs/1701.05517; Kingma et al. (2016), appendix C
    """

    parameters_per_channel = 2
    discrete = True

    def log_prob(self, x, parameters, training=False):
        return sum_per_example(discretized_logistic_log_prob(x, *_logistic(parameters)))

    def mean(self, parameters):
        return clipped_logistic_mean(*_logistic(parameters))

    def std(self, parameters):
        return ops.sqrt(clipped_logistic_moments(*_logistic(parameters))[1])

    def sample(self, parameters, seed=None):
        location, log_scale = _logistic(parameters)
        return _sample_logistic(location, log_scale, seed)

    def cumulative(self, parameters):
        """The function `F(k) = P(level < k)` of integers k from 0 to 256, of each value of a picture: float64, NumPy.

        Args:
            parameters: Of `(batch, height, width, channels)` values, the shape of k.
        """
        location, log_scale = (_float64(part) for part in _logistic(parameters))
        return lambda k: _mass_below(k, location, log_scale)


@keras.saving.register_keras_serializable(package="tfvae")
class DiscretizedLogisticMixture(Likelihood):
    """A mixture of `components` discretised logistics per pixel and channel; channels independent given z.

    Raises:
        ValueError: If `components` is less than one.
    """

    discrete = True

    def __init__(self, components=5, **kwargs):
        super().__init__(**kwargs)
        if components < 1:
            raise ValueError(f"`components` must be at least 1. Received: components={components}")
        self.components = components
        self.parameters_per_channel = 3 * components

    def split(self, parameters):
        """Mixture logits, locations and log-scales, each `(batch, height, width, channels, components)`."""
        parameters = float32(parameters)
        channels = parameters.shape[-1] // self.parameters_per_channel
        shape = ops.shape(parameters)
        parameters = ops.reshape(parameters, (*shape[:3], channels, self.parameters_per_channel))
        logits, location, log_scale = parts(parameters, 3)
        # Spread the components over the range: equal ones would receive equal gradients for ever.
        spread = (ops.arange(self.components, dtype="float32") + 0.5) / self.components - 0.5
        return logits, *_logistic(ops.concatenate([location + spread, log_scale], axis=-1))

    def log_prob(self, x, parameters, training=False):
        logits, location, log_scale = self.split(parameters)
        component = discretized_logistic_log_prob(ops.expand_dims(float32(x), -1), location, log_scale)
        return sum_per_example(mixture_log_prob(component, logits))

    def mean(self, parameters):
        logits, location, log_scale = self.split(parameters)
        means = clipped_logistic_mean(location, log_scale)
        return ops.sum(ops.softmax(logits, axis=-1) * means, axis=-1)

    def std(self, parameters):
        logits, location, log_scale = self.split(parameters)
        weights = ops.softmax(logits, axis=-1)
        means, variances = clipped_logistic_moments(location, log_scale)
        mean = ops.sum(weights * means, axis=-1, keepdims=True)
        # Law of total variance: within the components, and between them.
        return ops.sqrt(ops.sum(weights * (variances + ops.square(means - mean)), axis=-1))

    def sample(self, parameters, seed=None):
        logits, location, log_scale = self.split(parameters)
        seed = seed if seed is None or not isinstance(seed, int) else keras.random.SeedGenerator(seed)
        gumbel = -ops.log(-ops.log(_open_uniform(ops.shape(logits), seed)))
        choice = ops.one_hot(ops.argmax(logits + gumbel, axis=-1), self.components, dtype="float32")
        return _sample_logistic(ops.sum(choice * location, -1), ops.sum(choice * log_scale, -1), seed)

    def cumulative(self, parameters):
        """As `DiscretizedLogistic.cumulative`."""
        logits, location, log_scale = (_float64(part) for part in self.split(parameters))
        weights = softmax(logits, axis=-1)
        return lambda k: (weights * _mass_below(k[..., None], location, log_scale)).sum(axis=-1)

    def get_config(self):
        return {**super().get_config(), "components": self.components}


def _logistic(parameters):
    location, log_scale = parts(float32(parameters), 2)
    # exp(-7) is a fifth of a grey level: sharper says nothing more and overflows. Far beyond exp(7), where the range is
    # flat to a millionth, the mass of a grey level is a difference of equals, and its gradient is not a number.
    return 0.5 + location, clip_with_gradient(log_scale - 3.0, -7.0, 7.0, most=1e3)


def _mass_below(k, location, log_scale):
    """`P(level < k)`: of the edge between the bins of the levels k - 1 and k; float64, NumPy."""
    below = expit(((k - 0.5) / (LEVELS - 1) - location) * np.exp(-log_scale))
    return np.where(k <= 0, 0.0, np.where(k >= LEVELS, 1.0, below))


def _float64(tensor):
    return np.asarray(ops.convert_to_numpy(tensor), np.float64)


def _sample_logistic(location, log_scale, seed):
    u = _open_uniform(ops.shape(location), seed)
    value = location + ops.exp(log_scale) * (ops.log(u) - ops.log1p(-u))
    return ops.round(ops.clip(value, 0.0, 1.0) * (LEVELS - 1)) / (LEVELS - 1)


def _open_uniform(shape, seed):
    """Uniform on the open interval: the logarithms of both ends would be infinite."""
    return keras.random.uniform(shape, minval=1e-6, maxval=1 - 1e-6, seed=seed)
