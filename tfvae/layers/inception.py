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

        # One attribute each: Keras 3.13 does not save layers in lists of lists.
        self.one = convolution(2 * eighth, 1)
        self.three_reduce, self.three = convolution(3 * eighth, 1), convolution(4 * eighth, 3)
        self.five_reduce, self.five = convolution(eighth, 1), convolution(eighth, 5)
        self.pool = keras.layers.MaxPooling2D(3, strides=1, padding="same", dtype=self.dtype_policy)
        self.pool_project = convolution(eighth, 1)

    def branches(self):
        """The layers of the four views, each a chain. A method: Keras 3.15 would save a property's layers under it."""
        return (
            (self.one,),
            (self.three_reduce, self.three),
            (self.five_reduce, self.five),
            (self.pool, self.pool_project),
        )

    def build(self, input_shape):
        for branch in self.branches():
            build_chain(branch, tuple(input_shape))
        self.built = True

    def call(self, inputs):
        outputs = []
        for branch in self.branches():
            x = inputs
            for layer in branch:
                x = layer(x)
            outputs.append(x)
        return ops.concatenate(outputs, axis=-1)

    def compute_output_shape(self, input_shape):
        return *input_shape[:-1], self.filters

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}
