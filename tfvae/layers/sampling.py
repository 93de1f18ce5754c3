"""The reparameterised draw from a diagonal Gaussian posterior."""

import keras
import tensorflow as tf
from keras import ops

from tfvae.distributions import float32
from tfvae.layers.seeded import SavesSeedState


@keras.saving.register_keras_serializable(package="tfvae")
class GaussianSampler(SavesSeedState):
    """`z = mean + exp(0.5 * log_var) * noise`, with `noise` standard normal.

    The state of the generator is saved with the weights. Replicas of a distributed step draw different noise.

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
        seed = self.seed_generator.next()
        replica = tf.distribute.get_replica_context()
        if replica is not None and replica.num_replicas_in_sync > 1:
            # Every replica holds the same generator; its own number keeps their noise apart.
            seed = seed + tf.stack([tf.cast(replica.replica_id_in_sync_group, seed.dtype) * 1_000_003, 0])
        noise = tf.random.stateless_normal(ops.shape(mean), tf.cast(seed, "int32"))
        return mean + ops.exp(0.5 * log_var) * noise

    def compute_output_shape(self, mean_shape, log_var_shape=None):
        return mean_shape

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}
