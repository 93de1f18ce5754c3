"""Twice as many pixels in each direction, without transposed convolutions: these quantise and export well."""

import keras
import tensorflow as tf
from keras import ops


class _Upsample(keras.layers.Layer):
    """`(b, h, w, c) -> (b, 2h, 2w, filters)`, with a configuration of filters and activation."""

    def __init__(self, filters, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.filters, self.activation = filters, activation

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return batch, _twice(height), _twice(width), self.filters

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "activation": self.activation}


@keras.saving.register_keras_serializable(package="tfvae")
class SubPixelUpsample(_Upsample):
    """A 3×3 convolution to `4 * filters` channels, laid out as 2×2 pixels: `(b, h, w, c) -> (b, 2h, 2w, filters)`.

    The kernel starts as nearest-neighbour up-sampling of a convolution (all four sub-pixels equal), which keeps
    checkerboards out of the first epochs (Aitken et al. 2017, https://arxiv.org/abs/1707.02937).

    Args:
        filters: Channels of the output.
        activation: Applied to the output.

    Reference:
        Shi et al. (2016), https://arxiv.org/abs/1609.05158
    """

    def __init__(self, filters, activation="relu", **kwargs):
        super().__init__(filters, activation, **kwargs)
        self.convolution = keras.layers.Conv2D(
            4 * filters, 3, padding="same", activation=activation, dtype=self.dtype_policy
        )

    def build(self, input_shape):
        if not self.convolution.built:
            self.convolution.build(input_shape)
            kernel, _ = self.convolution.weights
            # depth_to_space reads channels as (row, column, filter): repeat one filter bank over the four places.
            kernel.assign(ops.tile(kernel[..., : self.filters], (1, 1, 1, 4)))
        self.built = True

    def call(self, inputs):
        return tf.nn.depth_to_space(self.convolution(inputs), 2)


@keras.saving.register_keras_serializable(package="tfvae")
class ResizeUpsample(_Upsample):
    """Nearest-neighbour up-sampling by two, then a 3×3 convolution: `(b, h, w, c) -> (b, 2h, 2w, filters)`.

    Reference:
        Odena et al. (2016), https://distill.pub/2016/deconv-checkerboard
    """

    def __init__(self, filters, activation="relu", **kwargs):
        super().__init__(filters, activation, **kwargs)
        self.convolution = keras.layers.Conv2D(
            filters, 3, padding="same", activation=activation, dtype=self.dtype_policy
        )

    def build(self, input_shape):
        if not self.convolution.built:
            self.convolution.build(input_shape)
        self.built = True

    def call(self, inputs):
        # Each pixel four times: nearest-neighbour in ops that TFLite has for an open batch, unlike those of a resize.
        return self.convolution(tf.nn.depth_to_space(tf.concat([inputs] * 4, axis=-1), 2))


@keras.saving.register_keras_serializable(package="tfvae")
class CropTo(keras.layers.Layer):
    """The top left `height` × `width` of a map: how a decoder meets odd sizes after up-sampling by two."""

    def __init__(self, height, width, **kwargs):
        super().__init__(**kwargs)
        self.height, self.width = height, width

    def build(self, input_shape):
        self.built = True

    def call(self, inputs):
        return inputs[:, : self.height, : self.width, :]

    def compute_output_shape(self, input_shape):
        return input_shape[0], self.height, self.width, input_shape[3]

    def get_config(self):
        return {**super().get_config(), "height": self.height, "width": self.width}


def _twice(size):
    return None if size is None else 2 * size
