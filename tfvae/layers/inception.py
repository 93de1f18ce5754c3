"""The inception block of GoogLeNet."""

import keras
from keras import ops

from tfvae.layers.composite import build_chain


@keras.saving.register_keras_serializable(package="tfvae")
class InceptionBlock(keras.layers.Layer):
    """Four views of the same place side by side: 1×1, 3×3, 5×5 and pooled, in the proportions 2 : 4 : 1 : 1.

    Args:
        filters: Channels of the output, a multiple of 8.

    Raises:
        ValueError: If `filters` is not a positive multiple of 8.

    Reference:
        Szegedy et al. (2015), figure 2b and table 1, https://arxiv.org/abs/1409.4842
    """

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        if filters <= 0 or filters % 8:
            raise ValueError(f"`filters` must be a positive multiple of 8. Received: filters={filters}")
        self.filters = filters
        eighth = filters // 8

        def convolution(count, size):
            return keras.layers.Conv2D(count, size, padding="same", activation="relu", dtype=self.dtype_policy)

        pool = keras.layers.MaxPooling2D(3, strides=1, padding="same", dtype=self.dtype_policy)
        self.branches = [
            [convolution(2 * eighth, 1)],
            [convolution(3 * eighth, 1), convolution(4 * eighth, 3)],
            [convolution(eighth, 1), convolution(eighth, 5)],
            [pool, convolution(eighth, 1)],
        ]

    def build(self, input_shape):
        for branch in self.branches:
            build_chain(branch, tuple(input_shape))
        self.built = True

    def call(self, inputs):
        outputs = []
        for branch in self.branches:
            x = inputs
            for layer in branch:
                x = layer(x)
            outputs.append(x)
        return ops.concatenate(outputs, axis=-1)

    def compute_output_shape(self, input_shape):
        return *input_shape[:-1], self.filters

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}
