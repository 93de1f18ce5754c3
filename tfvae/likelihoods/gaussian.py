"""Normal likelihoods: a standard deviation that is learnt, at its optimum, or of every pixel."""

import keras
from keras import ops

from tfvae.distributions import clip_with_gradient, float32, normal_log_prob
from tfvae.example_weights import batch_statistic
from tfvae.likelihoods.base import MIN_LOG_STD, GaussianFamily, parts
from tfvae.objectives import sum_per_example


@keras.saving.register_keras_serializable(package="tfvae")
class Gaussian(GaussianFamily):
    """One standard deviation for every pixel of every image, learnt by gradient.

    Args:
        initial_std: Where it starts, in units of the pixel range.

    Raises:
        ValueError: If `initial_std` is not positive.
    """

    def __init__(self, initial_std=0.1, **kwargs):
        super().__init__(**kwargs)
        if initial_std <= 0:
            raise ValueError(f"`initial_std` must be positive. Received: initial_std={initial_std}")
        self.initial_std = initial_std
        self.log_std = self.add_weight(name="log_std", shape=(), initializer="zeros")
        self.log_std.assign(ops.log(initial_std))

    def location_and_log_std(self, parameters):
        return 0.5 + float32(parameters), clip_with_gradient(self.log_std, MIN_LOG_STD)

    def get_config(self):
        return {**super().get_config(), "initial_std": self.initial_std}


@keras.saving.register_keras_serializable(package="tfvae")
class OptimalGaussian(GaussianFamily):
    """One standard deviation, always at its closed-form optimum `std**2 = mean((x - location)**2)`.

    While training it is the optimum of the batch; a debiased moving average of it, with weight `momentum`, is kept
    for evaluation, so that the log-probability of one image does not depend on its neighbours.

    Raises:
        ValueError: If `momentum` is not in [0, 1).

    Reference:
        Rybkin et al. (2021), Simple and effective VAE training with calibrated decoders, equation 5,
        https://arxiv.org/abs/2006.13202
    """

    def __init__(self, momentum=0.99, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= momentum < 1:
            raise ValueError(f"`momentum` must be in [0, 1). Received: momentum={momentum}")
        self.momentum = momentum
        options = {"shape": (), "initializer": "zeros", "trainable": False, "aggregation": "only_first_replica"}
        self.average = self.add_weight(name="average_variance", **options)
        self.weight = self.add_weight(name="average_weight", **options)

    def location_and_log_std(self, parameters):
        # Before the first step there is no average: a tenth of the range stands in for it.
        variance = ops.where(self.weight > 0, self.average / ops.maximum(self.weight, 1e-6), 0.01)
        return 0.5 + float32(parameters), _log_std(variance)

    def log_prob(self, x, parameters, training=False):
        if not training:
            return super().log_prob(x, parameters)
        location = 0.5 + float32(parameters)
        # At its optimum the derivative of the loss in std is zero, so the gradient may be stopped without changing it.
        # The batch is the global one: replicas that each took their own optimum would learn with several.
        squares = ops.square(float32(x) - location)
        variance = batch_statistic(ops.mean(squares, axis=tuple(range(1, len(squares.shape)))))
        # A batch with a broken image would make the average infinite for ever.
        share = ops.where(ops.isfinite(variance), 1 - self.momentum, 0.0)
        self.average.assign((1 - share) * self.average + share * ops.where(share > 0, variance, 0.0))
        self.weight.assign((1 - share) * self.weight + share)
        return sum_per_example(normal_log_prob(x, location, _log_std(variance)))

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}


@keras.saving.register_keras_serializable(package="tfvae")
class PixelGaussian(GaussianFamily):
    """A standard deviation for every pixel, emitted by the decoder together with the location."""

    parameters_per_channel = 2

    def location_and_log_std(self, parameters):
        location, log_std = parts(float32(parameters), 2)
        return 0.5 + location, clip_with_gradient(log_std - 2.0, MIN_LOG_STD)  # exp(-2): a usual residual at the start.


def _log_std(variance):
    return ops.maximum(0.5 * ops.log(ops.maximum(variance, 1e-12)), MIN_LOG_STD)
