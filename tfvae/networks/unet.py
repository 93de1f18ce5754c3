"""A U-Net over pictures of any size: features at half the resolution that have seen a wide neighbourhood."""

import keras
import tensorflow as tf

from tfvae.layers.composite import Chain
from tfvae.layers.residual import ResidualBlock


@keras.saving.register_keras_serializable(package="tfvae")
class UNet(keras.layers.Layer):
    """`(b, h, w, c) -> (b, h / 2, w / 2, widths[0])`; height and width are multiples of `factor`.

    Pixels are first laid side by side as 2×2 channels, where a convolution costs a quarter (Shi et al. 2016; FFDNet,
    Zhang et al. 2018). Then a level per width, each with residual blocks on the way down and, but for the last, on the
    way up, where the finer features of the way down are added. No normalisation and no transposed convolution: what a
    place becomes depends on its neighbourhood alone, so that a picture may be computed in tiles.

    Args:
        widths: Filters of each level, fine to coarse.
        blocks: Residual blocks of each level, in each direction.

    Reference:
        Ronneberger et al. (2015), https://arxiv.org/abs/1505.04597; Zhang et al. (2021), DRUNet,
        https://arxiv.org/abs/2008.13751
    """

    def __init__(self, widths, blocks=2, **kwargs):
        super().__init__(**kwargs)
        self.widths, self.blocks = tuple(widths), blocks
        self.entrance = self._convolution(self.widths[0], 3)
        self.down = [self._level() for _ in self.widths]
        self.halve = [self._convolution(width, 2, strides=2) for width in self.widths[1:]]
        self.double = [self._convolution(4 * width, 1) for width in self.widths[:-1]]
        self.up = [self._level() for _ in self.widths[:-1]]

    def _convolution(self, filters, size, **options):
        return keras.layers.Conv2D(filters, size, padding="same", dtype=self.dtype_policy, **options)

    def _level(self):
        return Blocks(self.blocks, dtype=self.dtype_policy)

    @property
    def factor(self):
        """Pixels of the picture for each place of the coarsest level, in each direction."""
        return 2 ** len(self.widths)

    @property
    def margin(self):
        """Pixels, in each direction, beyond which nothing can change an output: the radius of the receptive field."""
        # The convolution of the entrance, two of each block; a level's places are 2, 4, 8, … pixels wide.
        levels = range(len(self.widths))
        passes = [2] * (len(self.widths) - 1) + [1]
        return 2 + sum(2 * self.blocks * passes[level] * 2 ** (level + 1) for level in levels) + self.factor

    def build(self, input_shape):
        batch, channels = input_shape[0], input_shape[-1]
        self.entrance.build((batch, None, None, 4 * channels))
        for level, width in enumerate(self.widths):
            self.down[level].build((batch, None, None, width))
            if level + 1 < len(self.widths):
                self.halve[level].build((batch, None, None, width))
                self.double[level].build((batch, None, None, self.widths[level + 1]))
                self.up[level].build((batch, None, None, width))
        self.built = True

    def call(self, inputs):
        x = self.entrance(tf.nn.space_to_depth(inputs, 2))
        passed = []
        for level in range(len(self.widths) - 1):
            x = self.down[level](x)
            passed.append(x)
            x = self.halve[level](x)
        x = self.down[-1](x)
        for level in reversed(range(len(self.widths) - 1)):
            x = self.up[level](passed[level] + tf.nn.depth_to_space(self.double[level](x), 2))
        return x

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return batch, height and height // 2, width and width // 2, self.widths[0]

    def get_config(self):
        return {**super().get_config(), "widths": self.widths, "blocks": self.blocks}


@keras.saving.register_keras_serializable(package="tfvae")
class Blocks(Chain):
    """Residual blocks one after the other, the shape unchanged."""

    def __init__(self, count, **kwargs):
        super().__init__(**kwargs)
        self.count = count
        self.chain = [ResidualBlock(dtype=self.dtype_policy) for _ in range(count)]

    def get_config(self):
        return {**super().get_config(), "count": self.count}
