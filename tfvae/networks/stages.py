"""One level of a convolutional pyramid, in three styles: half the resolution on the way down, twice on the way up."""

import keras

from tfvae.layers.composite import Chain
from tfvae.layers.inception import InceptionBlock
from tfvae.layers.resampling import ResizeUpsample, SubPixelUpsample
from tfvae.layers.residual import ResidualBlock


class Stage(Chain):
    """`(b, h, w, c) -> (b, ceil(h / 2), ceil(w / 2), filters)` going down, `(b, 2h, 2w, filters)` going up."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.chain = self.layers_of(filters)

    def layers_of(self, filters):
        raise NotImplementedError

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable(package="tfvae")
class ConvDown(Stage):
    """LeNet's 5×5 convolution, with its sub-sampling done by the stride.

    Reference:
        LeCun et al. (1998), Gradient-based learning applied to document recognition, figure 2
    """

    def layers_of(self, filters):
        return [keras.layers.Conv2D(filters, 5, strides=2, padding="same", activation="relu", dtype=self.dtype_policy)]


@keras.saving.register_keras_serializable(package="tfvae")
class ConvUp(Stage):
    """Sub-pixel convolution."""

    def layers_of(self, filters):
        return [SubPixelUpsample(filters, dtype=self.dtype_policy)]


@keras.saving.register_keras_serializable(package="tfvae")
class InceptionDown(Stage):
    """An inception block, then GoogLeNet's 3×3 pooling with stride two."""

    def layers_of(self, filters):
        return [
            InceptionBlock(filters, dtype=self.dtype_policy),
            keras.layers.MaxPooling2D(3, strides=2, padding="same", dtype=self.dtype_policy),
        ]


@keras.saving.register_keras_serializable(package="tfvae")
class InceptionUp(Stage):
    """Resize-then-convolve, then an inception block."""

    def layers_of(self, filters):
        return [
            ResizeUpsample(filters, dtype=self.dtype_policy),
            InceptionBlock(filters, dtype=self.dtype_policy),
        ]


@keras.saving.register_keras_serializable(package="tfvae")
class ResidualDown(Stage):
    """A convolution of stride two, then a residual block."""

    def layers_of(self, filters):
        return [
            keras.layers.Conv2D(filters, 4, strides=2, padding="same", dtype=self.dtype_policy),
            ResidualBlock(dtype=self.dtype_policy),
        ]


@keras.saving.register_keras_serializable(package="tfvae")
class ResidualUp(Stage):
    """A residual block at the lower resolution, where it costs a quarter; then a sub-pixel convolution."""

    def layers_of(self, filters):
        return [
            ResidualBlock(dtype=self.dtype_policy),
            SubPixelUpsample(filters, activation="linear", dtype=self.dtype_policy),
        ]
