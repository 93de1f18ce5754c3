"""The latent variables of a residual: what a restored picture leaves open, at two scales, given features of it."""

import keras
import tensorflow as tf
from keras import ops

from tfvae.distributions import float32
from tfvae.layers.residual import ResidualBlock
from tfvae.likelihoods.counted import CountedGaussian

# Places of the latent are 8 pixels wide: one fine unit for each 4×4 pixels, one coarse for each 8×8.
FACTOR = 8
FINE = 4  # fine places in a latent place
POSTERIOR_BOUND = 8.0  # bound of a posterior's mean and log-variance: the prior's are 0


def latent_channels(latent_dim):
    """Channels of the packed latent: `latent_dim` coarse ones, and as many for each of the four fine places."""
    return (1 + FINE) * latent_dim


class _Part(keras.layers.Layer):
    """`units` filters at half the resolution, as many again at a quarter and an eighth."""

    def __init__(self, channels, latent_dim, units, **kwargs):
        super().__init__(**kwargs)
        self.channels, self.latent_dim, self.units = channels, latent_dim, units
        self.image_shape = (None, None, channels)
        self.latent_shape = (None, None, latent_channels(latent_dim))

    stochastic = True
    factor = FACTOR

    def _convolution(self, filters, size, **options):
        return keras.layers.Conv2D(
            filters, size, padding="same", **{"dtype": self.dtype_policy, "activation": "leaky_relu", **options}
        )

    def _build(self, **shapes):
        for name, filters in shapes.items():
            getattr(self, name).build((None, None, None, filters))

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "latent_dim": self.latent_dim,
            "units": self.units,
        }


@keras.saving.register_keras_serializable(package="tfvae")
class ResidualPosterior(_Part):
    """q(z|x, y) from the residual `x - estimate` and the features of y.

    Args:
        channels: Of the picture.
        latent_dim: Units of a place at each of the two scales.
        units: Filters.

    Call arguments:
        residual: `(b, h, w, channels)`, sides multiples of 8.
        features: `(b, h / 2, w / 2, f)`.

    Returns:
        `(mean, log_var)`, each `(b, h / 8, w / 8, latent_channels(latent_dim))`, float32: the coarse units, then the
        fine ones of the four places laid side by side.
    """

    def __init__(self, channels, latent_dim, units=32, **kwargs):
        super().__init__(channels, latent_dim, units, **kwargs)
        self.entrance = self._convolution(units, 3)
        self.features = self._convolution(units, 1, activation=None)
        self.quarter, self.eighth = (self._convolution(units, 2, strides=2) for _ in range(2))
        self.at_quarter, self.at_eighth = (ResidualBlock(dtype=self.dtype_policy) for _ in range(2))
        head = {"activation": None, "dtype": "float32"}
        self.fine, self.coarse = (self._convolution(2 * latent_dim, 1, **head) for _ in range(2))

    def build(self, residual_shape, features_shape):
        self._build(entrance=4 * self.channels, features=features_shape[-1])
        self._build(**dict.fromkeys(("quarter", "at_quarter", "fine", "eighth", "at_eighth", "coarse"), self.units))
        self.built = True

    def call(self, residual, features):
        x = self.entrance(tf.nn.space_to_depth(residual, 2)) + self.features(features)
        quarter = self.at_quarter(self.quarter(x))
        coarse = float32(self.coarse(self.at_eighth(self.eighth(quarter))))
        fine = float32(self.fine(quarter))
        pairs = ((coarse[..., part], tf.nn.space_to_depth(fine[..., part], 2)) for part in self._parts())
        mean, log_var = (ops.concatenate(pair, axis=-1) for pair in pairs)
        # Most residuals are near zero, and a few are large: unbounded, an answer to one of those overflows.
        return POSTERIOR_BOUND * ops.tanh(mean / POSTERIOR_BOUND), POSTERIOR_BOUND * ops.tanh(log_var / POSTERIOR_BOUND)

    def _parts(self):
        return slice(None, self.latent_dim), slice(self.latent_dim, None)


@keras.saving.register_keras_serializable(package="tfvae")
class ResidualDecoder(_Part):
    """From z and the features of y to what z adds to the estimate, and how sure it then is.

    Args:
        channels, latent_dim, units: As in `ResidualPosterior`.

    Call arguments:
        z: `(b, h / 8, w / 8, latent_channels(latent_dim))`.
        features: `(b, h / 2, w / 2, f)`.

    Returns:
        `(b, h, w, 2 * channels)`, float32: the change of the estimate, within (-1, 1), then log-standard deviations.
    """

    margin = 8 * 2 + 4 * 2 + 2 * 4  # pixels: its blocks at 1/8, 1/4 and 1/2, and two convolutions at 1/2

    def __init__(self, channels, latent_dim, units=32, **kwargs):
        super().__init__(channels, latent_dim, units, **kwargs)
        self.likelihood = CountedGaussian()
        self.likelihood.built = True
        self.coarse, self.fine = (self._convolution(units, 1) for _ in range(2))
        self.at_eighth, self.at_quarter, self.at_half = (ResidualBlock(dtype=self.dtype_policy) for _ in range(3))
        self.quarter, self.half = (self._convolution(4 * units, 1, activation=None) for _ in range(2))
        self.features = self._convolution(units, 3, activation=None)
        self.exit = self._convolution(8 * channels, 3, activation=None, dtype="float32")

    def build(self, z_shape, features_shape):
        self._build(coarse=self.latent_dim, fine=self.latent_dim, features=features_shape[-1])
        names = ("at_eighth", "quarter", "at_quarter", "half", "at_half", "exit")
        self._build(**dict.fromkeys(names, self.units))
        self.built = True

    def call(self, z, features):
        x = self.at_eighth(self.coarse(z[..., : self.latent_dim]))
        fine = tf.nn.depth_to_space(z[..., self.latent_dim :], 2)
        x = self.at_quarter(tf.nn.depth_to_space(self.quarter(x), 2) + self.fine(fine))
        x = self.at_half(tf.nn.depth_to_space(self.half(x), 2) + self.features(features))
        change, log_std = ops.split(tf.nn.depth_to_space(float32(self.exit(x)), 2), 2, axis=-1)
        # No pixel can change by more than the range.
        return ops.concatenate([ops.tanh(change), log_std], axis=-1)
