"""The Bernoulli likelihood, for pictures of two values and for greys taken as probabilities."""

import keras
from keras import ops

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
