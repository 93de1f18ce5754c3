"""The Bernoulli likelihood, for pictures of two values and for greys taken as probabilities."""

import keras
import numpy as np
from keras import ops
from scipy.special import expit

from tfvae.distributions import bernoulli_log_prob, float32
from tfvae.likelihoods.base import Likelihood
from tfvae.objectives import sum_per_example


@keras.saving.register_keras_serializable(package="tfvae")
class Bernoulli(Likelihood):
    """Independent binary pixels; parameters are log-odds."""

    discrete = True
    binary = True

    def log_prob(self, x, parameters, training=False):
        return sum_per_example(bernoulli_log_prob(x, parameters))

    def mean(self, parameters):
        return ops.sigmoid(float32(parameters))

    def sample(self, parameters, seed=None):
        probability = self.mean(parameters)
        return float32(keras.random.uniform(ops.shape(probability), seed=seed) < probability)

    def cumulative(self, parameters):
        """The function `F(k) = P(value < k)` of integers k from 0 to 2, of each pixel: float64, NumPy.

        Args:
            parameters: Shape `(batch, height, width, channels)`; k has that shape as well.
        """
        zero = expit(-np.asarray(parameters, np.float64))
        return lambda k: np.where(k <= 0, 0.0, np.where(k >= 2, 1.0, zero))
