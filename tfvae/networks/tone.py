"""The two sides of the enhancer: what a picture's light and colours look like, and a curve through colour space."""

import keras
import tensorflow as tf
from keras import ops

from tfvae import likelihoods, networks
from tfvae.distributions import float32
from tfvae.layers.area import area_means

THUMBNAIL = 64  # side of what is looked at, in pixels
LEAST_RANGE = 0.1  # between black and white of a picture: a blank page is not stretched to noise
QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


@keras.saving.register_keras_serializable(package="tfvae")
class ToneFeatures(keras.layers.Layer):
    """What is seen of a whole picture, of any size: `(b, h, w, c) -> (b, hidden + 2 c)`, float32.

    A thumbnail's convolutional features averaged over their places, with the quantiles of each channel, which say how
    its values are spread wherever they lie; the last 2 c values are the outermost quantiles, black and white.
    """

    def __init__(self, channels, network, widths, hidden, **kwargs):
        super().__init__(**kwargs)
        self.channels, self.network, self.widths, self.hidden = channels, network, tuple(widths), hidden
        self.trunk = networks.get(network, spatial=True).down(widths=self.widths, dtype=self.dtype_policy)
        self.top = keras.layers.Dense(hidden, activation="leaky_relu", dtype="float32")

    def build(self, input_shape):
        self.trunk.build((None, THUMBNAIL, THUMBNAIL, self.channels))
        self.top.build((None, self.widths[-1] + len(QUANTILES) * self.channels))
        self.built = True

    def call(self, images):
        small = area_means(float32(images), THUMBNAIL)
        maps = ops.mean(float32(self.trunk(small - 0.5)), axis=(1, 2))
        values = tf.sort(tf.reshape(small, (-1, THUMBNAIL**2, self.channels)), axis=1)
        places = [round(q * (THUMBNAIL**2 - 1)) for q in QUANTILES]
        spread = tf.reshape(tf.gather(values, places, axis=1), (-1, len(places) * self.channels))
        seen = self.top(ops.concatenate([maps, spread - 0.5], axis=-1))
        return ops.concatenate([seen, spread[:, : self.channels], spread[:, -self.channels :]], axis=-1)

    def compute_output_shape(self, input_shape):
        return input_shape[0], self.hidden + 2 * self.channels

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "network": self.network,
            "widths": self.widths,
            "hidden": self.hidden,
        }


@keras.saving.register_keras_serializable(package="tfvae")
class TonePosterior(keras.layers.Layer):
    """q(z|x, y) from the features of both pictures: `(mean, log_var)`, each `(b, latent_dim)`, float32."""

    stochastic = True
    factor = 1

    def __init__(self, channels, latent_dim, hidden, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.channels, self.latent_dim, self.hidden = channels, latent_dim, hidden
        self.image_shape, self.latent_shape, self.widths = (None, None, channels), (latent_dim,), (hidden,)
        self.middle = keras.layers.Dense(hidden, activation="leaky_relu", dtype="float32")
        self.head = keras.layers.Dense(2 * latent_dim, dtype="float32")

    def build(self, features_shape):
        self.middle.build((None, 2 * (self.hidden + 2 * self.channels)))
        self.head.build((None, self.hidden))
        self.built = True

    def call(self, features):
        head = self.head(self.middle(features))
        return head[..., : self.latent_dim], head[..., self.latent_dim :]

    def get_config(self):
        settings = {"channels": self.channels, "latent_dim": self.latent_dim, "hidden": self.hidden}
        return {**super().get_config(), **settings}


@keras.saving.register_keras_serializable(package="tfvae")
class ToneCurve(keras.layers.Layer):
    """The same function for every pixel, from colour to colour, chosen by z and the features of the whole picture.

    Two hidden layers over the channels of one pixel, whose units are scaled and shifted by `(features, z)` (FiLM, Perez
    et al. 2018, https://arxiv.org/abs/1709.07871). They see a colour as it is and between the picture's own black and
    white, so that stretching each channel to the whole range, the classical remedy, is one number of the features. As
    no pixel sees another, edges stay where they are, and any size and any tile may be computed.

    Call arguments:
        images: `(b, h, w, channels)`.
        features: Of `ToneFeatures`, `(b, hidden + 2 channels)`.
        z: `(b, latent_dim)`.

    Returns:
        `(b, h, w, channels)`, float32: the enhanced picture less 0.5, not clipped.
    """

    factor = 1

    def __init__(self, channels, latent_dim, hidden, units=32, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.channels, self.latent_dim, self.hidden, self.units = channels, latent_dim, hidden, units
        self.image_shape, self.latent_shape, self.widths = (None, None, channels), (latent_dim,), (hidden,)
        self.likelihood = likelihoods.OptimalGaussian()
        self.likelihood.built = True
        dense = {"activation": "leaky_relu", "dtype": "float32"}
        self.condition = keras.layers.Dense(hidden, **dense)
        self.film_params = keras.layers.Dense(4 * units, kernel_initializer="zeros", dtype="float32")
        self.gains = keras.layers.Dense(3 * channels, kernel_initializer="zeros", dtype="float32")
        self.first, self.second = (keras.layers.Conv2D(units, 1, dtype="float32") for _ in range(2))
        self.last = keras.layers.Conv2D(channels, 1, kernel_initializer="zeros", dtype="float32")

    def build(self, images_shape, features_shape, z_shape):
        self.condition.build((None, self.hidden + 2 * self.channels + self.latent_dim))
        for layer, inputs in (
            (self.film_params, self.hidden),
            (self.gains, self.hidden),
            (self.first, 2 * self.channels),
            (self.second, self.units),
            (self.last, self.units),
        ):
            layer.build((None, inputs) if layer in (self.film_params, self.gains) else (None, None, None, inputs))
        self.built = True

    def call(self, images, features, z):
        condition = self.condition(ops.concatenate([features, z], axis=-1))
        scale, shift, *others = (
            param[:, None, None, :] for param in ops.split(self.film_params(condition), 4, axis=-1)
        )
        ends = features[:, None, None, -2 * self.channels :]
        black, white = ends[..., : self.channels], ends[..., self.channels :]
        levels = ops.clip((images - black) / ops.maximum(white - black, LEAST_RANGE), -0.25, 1.25)
        x = ops.leaky_relu(self.first(ops.concatenate([images, levels], axis=-1) - 0.5) * (1.0 + scale) + shift)
        x = ops.leaky_relu(self.second(x) * (1.0 + others[0]) + others[1])
        gain, offset, share = (part[:, None, None, :] for part in ops.split(self.gains(condition), 3, axis=-1))
        return (images - 0.5) * (1.0 + gain) + offset + share * (levels - images) + self.last(x)

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "latent_dim": self.latent_dim,
            "hidden": self.hidden,
            "units": self.units,
        }
