"""The normal likelihood of some values of a picture: those that are known have no probability."""

import math

import keras
from keras import ops

from tfvae.distributions import clip_with_gradient, float32, normal_log_prob
from tfvae.likelihoods.base import Likelihood
from tfvae.objectives import sum_per_example

# No estimate is surer than one grey level: where most pixels are as they were, a single wrong one would else weigh more
# than all others.
MIN_COUNTED_LOG_STD = -math.log(255.0)


@keras.saving.register_keras_serializable(package="tfvae")
class CountedGaussian(Likelihood):
    """A normal with a mean and a standard deviation for every value; only the values that are asked for count.

    Parameters are three parts of the channels: the mean, the log-standard deviation, and 1 where the value counts,
    else 0: pixels that are known have no probability.
    """

    parameters_per_channel = 3

    def log_prob(self, x, parameters, training=False):
        mean, log_std, counts = self.parts(parameters)
        return sum_per_example(counts * normal_log_prob(x, mean, log_std))

    def mean(self, parameters):
        return ops.clip(self.parts(parameters)[0], 0.0, 1.0)

    def std(self, parameters):
        """1, the whole range, where a value does not count."""
        _, log_std, counts = self.parts(parameters)
        return ops.where(counts > 0, ops.exp(log_std), 1.0)

    def sample(self, parameters, seed=None):
        mean, log_std, counts = self.parts(parameters)
        noise = keras.random.normal(ops.shape(mean), seed=seed)
        return ops.clip(mean + counts * ops.exp(log_std) * noise, 0.0, 1.0)

    def parts(self, parameters):
        """Mean, log-standard deviation within bounds, and whether it counts, each of the picture's channels."""
        parameters = float32(parameters)
        size = parameters.shape[-1] // 3
        mean, log_std, counts = (parameters[..., part * size : (part + 1) * size] for part in range(3))
        return mean, clip_with_gradient(log_std, MIN_COUNTED_LOG_STD, 0.0), counts
