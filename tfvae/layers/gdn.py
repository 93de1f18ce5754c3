"""Generalised divisive normalisation: each response relative to those of its neighbours among the channels."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfvae")
class GDN(keras.layers.Layer):
    """`y_i = x_i / (beta_i + sum_j gamma_ij * abs(x_j))` at each place; the inverse multiplies instead.

    What natural images leave dependent after a linear transform is the size of neighbouring responses: to divide by it
    makes them nearly independent and normal. The absolute value in place of the paper's squares and root is as good and
    cheaper (Johnston et al.). `beta = b**2 + 1e-6` and `gamma = g**2` are positive whatever is learnt.

    Args:
        inverse: Multiply: what a synthesis does.

    Reference:
        Ballé, Laparra and Simoncelli (2016), https://arxiv.org/abs/1511.06281; Johnston et al. (2019),
        https://arxiv.org/abs/1912.08771
    """

    def __init__(self, inverse=False, **kwargs):
        super().__init__(**kwargs)
        self.inverse = inverse

    def build(self, input_shape):
        channels = input_shape[-1]
        self.root_beta = self.add_weight(name="root_beta", shape=(channels,), initializer="ones")
        self.root_gamma = self.add_weight(name="root_gamma", shape=(channels, channels), initializer="zeros")
        # A gradient of gamma passes through its root: it would never leave zero.
        self.root_gamma.assign(0.01 + (0.1**0.5 - 0.01) * ops.eye(channels))
        self.built = True

    def call(self, inputs):
        gamma = ops.expand_dims(ops.expand_dims(ops.square(self.root_gamma), 0), 0)
        beta = ops.square(self.root_beta) + 1e-6
        norm = ops.conv(ops.abs(inputs), ops.cast(gamma, inputs.dtype)) + ops.cast(beta, inputs.dtype)
        return inputs * norm if self.inverse else inputs / norm

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "inverse": self.inverse}
