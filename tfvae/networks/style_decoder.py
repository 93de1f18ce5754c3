"""A decoder that says the same content in several styles: every level scaled and shifted as the style asks."""

import keras
import tensorflow as tf
from keras import ops

from tfvae import likelihoods
from tfvae.distributions import float32

INITIAL = 0.1  # standard deviation of the affine parameters: styles differ from the first step on


@keras.saving.register_keras_serializable(package="tfvae")
class StyleModulation(keras.layers.Layer):
    """`x * (1 + weights @ scale) + weights @ shift`, with a learnt scale and shift of each channel for each style.

    The affine parameters are linear in the weights: a mixture of styles has the mixture of their parameters, whether
    its weights lie within [0, 1] and add up to 1 or not. Nothing is normalised by statistics of the picture, so a
    picture may be computed in tiles.

    Args:
        styles: How many.

    Call arguments:
        x: Shape `(batch, height, width, channels)`.
        weights: Of each style, `(batch, styles)` or `(1, styles)`, float32.

    Reference:
        Dumoulin, Shlens and Kudlur (2017), A learned representation for artistic style, equation 5,
        https://arxiv.org/abs/1610.07629; Perez et al. (2018), FiLM, https://arxiv.org/abs/1709.07871
    """

    def __init__(self, styles, **kwargs):
        super().__init__(**kwargs)
        self.styles = styles

    def build(self, input_shape):
        shape = (self.styles, input_shape[-1])
        self.scale, self.shift = (
            # An initialiser of its own for each: one draws the same numbers whenever it is asked.
            self.add_weight(shape=shape, initializer=keras.initializers.RandomNormal(0.0, INITIAL), name=name)
            for name in ("scale", "shift")
        )
        self.built = True

    def affine(self, weights):
        """What is multiplied and what is added, each `(batch, 1, 1, channels)`, float32."""
        scale, shift = (ops.matmul(weights, float32(table)) for table in (self.scale, self.shift))
        return 1.0 + scale[:, None, None], shift[:, None, None]

    def call(self, x, weights):
        scale, shift = (ops.cast(value, x.dtype) for value in self.affine(weights))
        return x * scale + shift

    def get_config(self):
        return {**super().get_config(), "styles": self.styles}


@keras.saving.register_keras_serializable(package="tfvae")
class StyledBlock(keras.layers.Layer):
    """`x + conv(act(modulate(conv(act(x)))))`: a residual block in a style; it starts as the identity.

    Args:
        styles: How many.
    """

    def __init__(self, styles, **kwargs):
        super().__init__(**kwargs)
        self.styles = styles
        self.modulate = StyleModulation(styles, dtype=self.dtype_policy)

    def build(self, input_shape):
        common = {"filters": input_shape[-1], "kernel_size": 3, "padding": "same", "dtype": self.dtype_policy}
        self.first = keras.layers.Conv2D(**common)
        # Not quite zero: else the style of a block would have no gradient at first.
        self.second = keras.layers.Conv2D(kernel_initializer=keras.initializers.RandomNormal(0.0, 0.01), **common)
        for layer in (self.first, self.modulate, self.second):
            layer.build(input_shape)
        self.built = True

    def call(self, x, weights):
        inner = self.modulate(self.first(ops.leaky_relu(x, negative_slope=0.1)), weights)
        return x + self.second(ops.leaky_relu(inner, negative_slope=0.1))

    def get_config(self):
        return {**super().get_config(), "styles": self.styles}


@keras.saving.register_keras_serializable(package="tfvae")
class StyleDecoder(keras.layers.Layer):
    """p(x|z, s): from a spatial code and the weights of the styles to the likelihood's parameters.

    `blocks` styled blocks at the resolution of the code and at each finer level, sub-pixel convolutions between them.
    The last of these emits pixels: no map is as large as the picture.

    Args:
        channels: Of the picture.
        widths: Filters of each level, coarse to fine; each doubles the resolution.
        latent_dim: Channels of the code.
        styles: How many.
        likelihood: A `Likelihood`, or its name.
        blocks: Of each level.

    Call arguments:
        z: Shape `(batch, h, w, latent_dim)`.
        weights: Of each style, `(batch, styles)` or `(1, styles)`; equal ones by default.

    Returns:
        Parameters, `(batch, h * factor, w * factor, channels * likelihood.parameters_per_channel)`, float32.
    """

    built: bool

    def __init__(self, channels, widths, latent_dim, styles, likelihood="gaussian", blocks=3, **kwargs):
        super().__init__(**kwargs)
        self.channels, self.widths, self.latent_dim = channels, tuple(widths), latent_dim
        self.styles, self.blocks = styles, blocks
        self.likelihood = likelihoods.get(likelihood)
        self.image_shape, self.latent_shape = (None, None, channels), (None, None, latent_dim)
        self.entrance = self._convolution(self.widths[0])
        self.levels = [[StyledBlock(styles, dtype=self.dtype_policy) for _ in range(blocks)] for _ in self.widths]
        self.rise = [self._convolution(4 * width) for width in self.widths[1:]]
        self.modulate = StyleModulation(styles, dtype=self.dtype_policy)
        self.exit = self._convolution(4 * channels * self.likelihood.parameters_per_channel, dtype="float32")
        self.build((None, *self.latent_shape))

    def _convolution(self, filters, **options):
        return keras.layers.Conv2D(filters, 3, padding="same", **{"dtype": self.dtype_policy, **options})

    @property
    def factor(self):
        """Pixels of the picture for each place of the code, in each direction."""
        return 2 ** len(self.widths)

    @property
    def margin(self):
        """Radius of the receptive field in pixels of the picture, from the places of the code."""
        sides = [self.factor // 2**level for level in range(len(self.widths))]  # of a level's places, in pixels
        # A convolution into each level and out of the last, two of each block; and the place itself.
        return sum(side * (2 * self.blocks + 1) for side in sides) + sides[-1] + self.factor

    def build(self, input_shape):
        if self.built:
            return
        self.entrance.build((None, None, None, self.latent_dim))
        for level, width in enumerate(self.widths):
            shape = (None, None, None, width)
            for block in self.levels[level]:
                block.build(shape)
            (self.rise[level] if level + 1 < len(self.widths) else self.exit).build(shape)
        self.modulate.build(shape)
        self.likelihood.built = True
        self.built = True

    def call(self, z, weights=None, training=False):
        weights = ops.full((1, self.styles), 1.0 / self.styles) if weights is None else float32(weights)
        x = self.entrance(z)
        for level, blocks in enumerate(self.levels):
            for block in blocks:
                x = block(x, weights)
            if level < len(self.rise):
                x = tf.nn.depth_to_space(self.rise[level](x), 2)
        x = ops.leaky_relu(self.modulate(x, weights), negative_slope=0.1)
        return tf.nn.depth_to_space(float32(self.exit(x)), 2)

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "widths": self.widths,
            "latent_dim": self.latent_dim,
            "styles": self.styles,
            "likelihood": keras.saving.serialize_keras_object(self.likelihood),
            "blocks": self.blocks,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "likelihood": keras.saving.deserialize_keras_object(config["likelihood"])})
