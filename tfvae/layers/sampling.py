"""The reparameterised draw from a diagonal Gaussian posterior."""

import keras
import tensorflow as tf
from keras import ops

from tfvae.distributions import float32
from tfvae.layers.seeded import SavesSeedState
from tfvae.replicas import own_rows


@keras.saving.register_keras_serializable(package="tfvae")
class GaussianSampler(SavesSeedState):
    """`z = mean + exp(0.5 * log_var) * noise`, with `noise` standard normal.

    The state of the generator is saved with the weights. A replica of a distributed step draws the noise that its
    examples would get on one device. The same seed gives other noise under XLA.

    Args:
        seed: Integer that starts the generator, or None for an arbitrary one.

    Call arguments:
        mean: Posterior means, shape `(batch, …)`.
        log_var: Posterior log-variances, same shape.

    Returns:
        Samples of the same shape, float32.

    Reference:
        Kingma and Welling (2014), section 2.4, https://arxiv.org/abs/1312.6114
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, mean_shape, log_var_shape=None):
        self.built = True

    def call(self, mean, log_var):
        mean, log_var = float32(mean), float32(log_var)
        seed = tf.cast(self.seed_generator.next(), "int32")
        noise = own_rows(lambda shape: tf.random.stateless_normal(shape, seed), ops.shape(mean))
        return mean + ops.exp(0.5 * log_var) * noise

    def compute_output_shape(self, mean_shape, log_var_shape=None):
        return mean_shape

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}
