"""Rounding in training: noise that stands in for it, and gradients that pass it."""

import keras
import tensorflow as tf
from keras import ops

from tfvae.distributions import float32
from tfvae.layers.seeded import SavesSeedState
from tfvae.replicas import own_rows


def straight_through(value, rounded):
    """`rounded`, with the gradient of `value`."""
    return value + tf.stop_gradient(rounded - value)


@keras.saving.register_keras_serializable(package="tfvae")
class Uniform(SavesSeedState):
    """Uniform random numbers in [-0.5, 0.5), which continue after a resume.

    Added to a latent, they make its posterior uniform, with a density of 1: its KL divergence from a prior
    is `-log` of the prior's mass in a bin of width 1 around the draw, which is what a rounded latent will cost.

    Args:
        seed: Integer that starts the generator, or None for an arbitrary one.

    Call arguments:
        like: A tensor whose first axis is the examples; a replica draws what one device would for its examples.

    Returns:
        float32 of the shape of `like`.

    Reference:
        Ballé, Laparra and Simoncelli (2017), section 3, https://arxiv.org/abs/1611.01704
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        self.built = True

    def call(self, like):
        seed = tf.cast(self.seed_generator.next(), "int32")
        return own_rows(lambda shape: tf.random.stateless_uniform(shape, seed, -0.5, 0.5), ops.shape(float32(like)))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}
