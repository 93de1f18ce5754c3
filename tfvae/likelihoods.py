"""p(x|z): what a decoder's output means. Each likelihood turns `parameters` into log-probabilities, a mean and samples.

`parameters` is the decoder's output, shape `(batch, height, width, channels * parameters_per_channel)`, float32.
Images are in [0, 1]. Log-probabilities are nats per example, summed over the pixels of an image.
"""

import math

import keras
from keras import ops

from tfvae import replicas
from tfvae.distributions import (
    LEVELS,
    bernoulli_log_prob,
    discretized_logistic_log_prob,
    float32,
    mixture_log_prob,
    normal_log_prob,
)
from tfvae.errors import did_you_mean
from tfvae.likelihood_base import MIN_LOG_STD, GaussianFamily, Likelihood
from tfvae.noise_model import NoiseModel
from tfvae.objectives import sum_per_example

LOGISTIC_STD = math.pi / math.sqrt(3)  # standard deviation of a logistic of scale one


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
        return 0.5 + float32(parameters), ops.maximum(self.log_std, MIN_LOG_STD)

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
        variance = replicas.mean(ops.mean(ops.square(float32(x) - location)))
        # A batch with a broken image would make the average infinite for ever.
        share = ops.where(ops.isfinite(variance), 1 - self.momentum, 0.0)
        self.average.assign((1 - share) * self.average + share * ops.where(share > 0, variance, 0.0))
        self.weight.assign((1 - share) * self.weight + share)
        return sum_per_example(normal_log_prob(x, location, _log_std(variance)))

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}


@keras.saving.register_keras_serializable(package="tfvae")
class PixelGaussian(GaussianFamily):
    """A standard deviation for every pixel, emitted by the decoder beside the location."""

    parameters_per_channel = 2

    def location_and_log_std(self, parameters):
        location, log_std = _parts(float32(parameters), 2)
        return 0.5 + location, ops.maximum(log_std - 2.0, MIN_LOG_STD)  # exp(-2): a usual residual at the start.


def _log_std(variance):
    return ops.maximum(0.5 * ops.log(ops.maximum(variance, 1e-12)), MIN_LOG_STD)


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
        return ops.clip(_logistic(parameters)[0], 0.0, 1.0)

    def std(self, parameters):
        return LOGISTIC_STD * ops.exp(_logistic(parameters)[1])

    def sample(self, parameters, seed=None):
        location, log_scale = _logistic(parameters)
        return _sample_logistic(location, log_scale, seed)


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
        logits, location, log_scale = _parts(parameters, 3)
        # Spread the components over the range: equal ones would receive equal gradients for ever.
        spread = (ops.arange(self.components, dtype="float32") + 0.5) / self.components - 0.5
        return logits, *_logistic(ops.concatenate([location + spread, log_scale], axis=-1))

    def log_prob(self, x, parameters, training=False):
        logits, location, log_scale = self.split(parameters)
        component = discretized_logistic_log_prob(ops.expand_dims(float32(x), -1), location, log_scale)
        return sum_per_example(mixture_log_prob(component, logits))

    def mean(self, parameters):
        logits, location, _ = self.split(parameters)
        return ops.sum(ops.softmax(logits, axis=-1) * ops.clip(location, 0.0, 1.0), axis=-1)

    def std(self, parameters):
        logits, location, log_scale = self.split(parameters)
        weights = ops.softmax(logits, axis=-1)
        mean = ops.sum(weights * location, axis=-1, keepdims=True)
        # Law of total variance: within the components, and between them.
        variance = ops.square(LOGISTIC_STD * ops.exp(log_scale)) + ops.square(location - mean)
        return ops.sqrt(ops.sum(weights * variance, axis=-1))

    def sample(self, parameters, seed=None):
        logits, location, log_scale = self.split(parameters)
        seed = seed if seed is None or not isinstance(seed, int) else keras.random.SeedGenerator(seed)
        gumbel = -ops.log(-ops.log(_open_uniform(ops.shape(logits), seed)))
        choice = ops.one_hot(ops.argmax(logits + gumbel, axis=-1), self.components, dtype="float32")
        return _sample_logistic(ops.sum(choice * location, -1), ops.sum(choice * log_scale, -1), seed)

    def get_config(self):
        return {**super().get_config(), "components": self.components}


def _logistic(parameters):
    location, log_scale = _parts(float32(parameters), 2)
    # exp(-7) is a fifth of a grey level: sharper says nothing more and overflows. Far beyond exp(7), where the range is
    # flat to a millionth, the mass of a grey level is a difference of equals, and its gradient is not a number.
    return 0.5 + location, ops.clip(log_scale - 3.0, -7.0, 7.0)


def _parts(parameters, count):
    """The last axis cut into `count` equal parts.

    Slices, not a split: where only one part is used, TFLite's quantiser may leave a split in float.
    """
    size = parameters.shape[-1] // count
    return [parameters[..., index * size : (index + 1) * size] for index in range(count)]


def _sample_logistic(location, log_scale, seed):
    u = _open_uniform(ops.shape(location), seed)
    value = location + ops.exp(log_scale) * (ops.log(u) - ops.log1p(-u))
    return ops.round(ops.clip(value, 0.0, 1.0) * (LEVELS - 1)) / (LEVELS - 1)


def _open_uniform(shape, seed):
    """Uniform on the open interval: the logarithms of both ends would be infinite."""
    return keras.random.uniform(shape, minval=1e-6, maxval=1 - 1e-6, seed=seed)


LIKELIHOODS = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
    "optimal_gaussian": OptimalGaussian,
    "pixel_gaussian": PixelGaussian,
    "noise_model": NoiseModel,
    "logistic": DiscretizedLogistic,
    "logistic_mixture": DiscretizedLogisticMixture,
}


def get(likelihood, **options):
    """A likelihood from its name and the arguments of its constructor, or itself.

    Raises:
        ValueError: For an unknown name, saying the known ones; or as the constructor does.
    """
    if isinstance(likelihood, Likelihood):
        return likelihood
    if likelihood not in LIKELIHOODS:
        raise ValueError(
            f"`likelihood` must be one of {', '.join(LIKELIHOODS)}.{did_you_mean(str(likelihood), LIKELIHOODS)} "
            f"Received: likelihood={likelihood!r}"
        )
    return LIKELIHOODS[likelihood](**options)
