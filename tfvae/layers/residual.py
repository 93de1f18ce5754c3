"""The residual block."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfvae")
class ResidualBlock(keras.layers.Layer):
    """`x + conv(act(conv(act(x))))`, 3×3 convolutions, a leaky ReLU, no normalisation.

    The last convolution starts at zero, so the block starts as the identity and depth costs nothing at first; and
    without batch statistics, training, serving and a quantised file compute the same function. The activation leaks
    because a branch that is all zeros has no range that int8 could divide.

    Reference:
        He et al. (2016), https://arxiv.org/abs/1603.05027; Zhang et al. (2019), Fixup, https://arxiv.org/abs/1901.09321
    """

    def build(self, input_shape):
        # As many channels as the input has: they are known here only.
        common = {"filters": input_shape[-1], "kernel_size": 3, "padding": "same", "dtype": self.dtype_policy}
        self.first = keras.layers.Conv2D(**common)
        self.second = keras.layers.Conv2D(kernel_initializer="zeros", **common)
        for layer in (self.first, self.second):
            layer.build(input_shape)
        self.built = True

    def call(self, inputs):
        return inputs + self.second(_activation(self.first(_activation(inputs))))

    def compute_output_shape(self, input_shape):
        return input_shape


def _activation(x):
    return ops.leaky_relu(x, negative_slope=0.1)
