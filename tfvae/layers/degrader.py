"""Where the random damage of training pictures comes from."""

import keras
import tensorflow as tf

from tfvae.distributions import float32
from tfvae.layers.seeded import SavesSeedState
from tfvae.replicas import several


@keras.saving.register_keras_serializable(package="tfvae")
class Degrader(SavesSeedState):
    """Seeds of corruptions: the next of its generator while training, else one that the pictures determine."""

    def __init__(self, seed=None, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        self.built = True

    def call(self, images, training=False):
        if training:
            seed = tf.cast(self.seed_generator.next(), "int32")
            replica = several()  # each degrades its own rows in its own way
            return seed if replica is None else seed + tf.stack([0, replica.replica_id_in_sync_group])
        # Whole numbers, whose sum does not depend on the order: the same pictures, the same draw.
        levels = tf.reduce_sum(tf.cast(tf.round(float32(images) * 255.0), "int32"))
        return tf.stack([levels, tf.constant(self.seed or 0, "int32")])

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}
