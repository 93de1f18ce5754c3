"""What all likelihoods p(x|z) share, and the part of it that belongs to normal pixels."""

import keras
from keras import ops

from tfvae.distributions import normal_log_prob
from tfvae.objectives import sum_per_example

# Standard deviations below half a grey level of an 8-bit picture model the rounding, not the picture.
MIN_LOG_STD = -6.25


class Likelihood(keras.layers.Layer):
    """Base of all likelihoods; float32 under every dtype policy.

    Attributes:
        parameters_per_channel: How many numbers the decoder emits for each channel of a pixel.
        discrete: Whether `log_prob` is the logarithm of a mass of 8-bit (or binary) values, so that bits per dim
            is a code length.
        binary: Whether the mass is one of values in {0, 1}.

    A discrete likelihood has a method `cumulative(parameters)` too, by which pixels are coded without loss.
    """

    parameters_per_channel = 1
    discrete = False
    binary = False

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def build(self, input_shape):
        self.built = True

    def compute_output_shape(self, input_shape):
        """Shape of `mean`, from that of the parameters."""
        return (*input_shape[:-1], None if input_shape[-1] is None else input_shape[-1] // self.parameters_per_channel)

    def log_prob(self, x, parameters, training=False):
        """`log p(x|z)` of each example, shape `(batch,)`, nats, float32."""
        raise NotImplementedError

    def mean(self, parameters):
        """`E[x|z]`, shape `(batch, height, width, channels)`, in [0, 1]."""
        raise NotImplementedError

    def std(self, parameters):
        """Standard deviation of `p(x|z)`, broadcasts to the shape of `mean`; None where the mean fixes it."""
        return None

    def sample(self, parameters, seed=None):
        """A draw from `p(x|z)`, shape of `mean`; `seed` is an integer or a `keras.random.SeedGenerator`."""
        raise NotImplementedError


class GaussianFamily(Likelihood):
    """Normal pixels. The location is `0.5 + output`, so an untrained decoder paints mid-grey."""

    def location_and_log_std(self, parameters):
        raise NotImplementedError

    def log_prob(self, x, parameters, training=False):
        location, log_std = self.location_and_log_std(parameters)
        return sum_per_example(normal_log_prob(x, location, log_std))

    def mean(self, parameters):
        return ops.clip(self.location_and_log_std(parameters)[0], 0.0, 1.0)

    def std(self, parameters):
        return ops.exp(self.location_and_log_std(parameters)[1])

    def sample(self, parameters, seed=None):
        location, log_std = self.location_and_log_std(parameters)
        noise = keras.random.normal(ops.shape(location), seed=seed)
        return ops.clip(location + ops.exp(log_std) * noise, 0.0, 1.0)


def parts(parameters, count):
    """The last axis cut into `count` equal parts.

    Slices, not a split: where only one part is used, TFLite's quantiser may leave a split in float.
    """
    size = parameters.shape[-1] // count
    return [parameters[..., index * size : (index + 1) * size] for index in range(count)]
