"""The residual block."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfvae")
class ResidualBlock(keras.layers.Layer):
    """`x + conv(relu(conv(relu(x))))`, 3×3 convolutions, no normalisation.

    The last convolution starts at zero, so the block starts as the identity and depth costs nothing at first; and
    without batch statistics, training, serving and a quantised file compute the same function.

    Args:
        filters: Channels of input and output.

    Reference:
        He et al. (2016), https://arxiv.org/abs/1603.05027; Zhang et al. (2019), Fixup, https://arxiv.org/abs/1901.09321
    """

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        common = {"padding": "same", "dtype": self.dtype_policy}
        self.first = keras.layers.Conv2D(filters, 3, **common)
        self.second = keras.layers.Conv2D(filters, 3, kernel_initializer="zeros", **common)

    def build(self, input_shape):
        for layer in (self.first, self.second):
            if not layer.built:
                layer.build((*input_shape[:-1], self.filters))
        self.built = True

    def call(self, inputs):
        return inputs + self.second(ops.relu(self.first(ops.relu(inputs))))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}
