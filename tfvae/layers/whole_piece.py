"""Gaussians of the light of whole pieces: how likely a piece is, by its tone and by each of its parts."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfvae.layers.area import area_means, area_shares

SIDE = 32  # places a side that a piece is averaged to, whatever its size
TONE = 4  # places a side of what is looked at as its tone
PARTS = 8  # parts a side of what is looked at part by part
COMPONENTS = 64  # principal components of whole pieces, at most a quarter as many as there are pieces
DARKEST = 0.02  # of the light: below it the logarithm is nearly flat
LEAST_STD = 1e-3  # of a place, in logarithms of light, where good pieces are all alike
LEAST_DISTANCE = 1e-3  # below which a distance counts as this


@keras.saving.register_keras_serializable(package="tfvae")
class WholePiece(keras.layers.Layer):
    """Two Gaussians of the logarithm y of a piece's light, in coarse places; float32, fitted by `fit`, never trained.

    | evidence | model of good pieces | distance |
    | --- | --- | --- |
    | tone | `y ~ N(m, S)`, 4×4 places | Mahalanobis, of the piece |
    | parts | `y = m + V z + e`, 32×32 places, `e ~ N(0, S_ij)` in each of 8×8 parts | Mahalanobis of e, of each part |

    V are the principal components: what kind of piece it is, and from where it is lit. What they leave of a part is
    measured by what they usually leave there. Logarithms, since light is taken away in proportion: half of it is as
    much in a bright piece as in a dark one. The pieces must lie alike in their pictures; for others both say little.

    Args:
        channels: Of the pieces.

    Call arguments:
        pieces: `(b, h, w, channels)` in [0, 1], whole ones of any size.

    Returns:
        Logarithms of both distances, tone and parts, at every pixel: `(b, h, w, 2)`.

    Reference:
        Tipping and Bishop (1999), Probabilistic principal component analysis; Defard et al. (2021), PaDiM,
        https://arxiv.org/abs/2011.08785; covariances after Ledoit and Wolf (2004)
    """

    def __init__(self, channels, **kwargs):
        super().__init__(**{"dtype": "float32", "trainable": False, **kwargs})
        self.channels = channels

    def build(self, input_shape=None):
        places, tone = SIDE**2 * self.channels, TONE**2 * self.channels
        part = places // PARTS**2
        shapes = {
            "tone_mean": (tone,),
            "tone_whitening": (tone, tone),
            "mean": (places,),
            "components": (places, COMPONENTS),
            "whitening": (PARTS**2, part, part),
            "pieces": (),
        }
        for name, shape in shapes.items():
            weight = self.add_weight(shape=shape, initializer="zeros", trainable=False, name=name)
            setattr(self, name, weight)
        self.built = True

    @property
    def fitted(self):
        """Whether it has seen pieces."""
        return bool(self.pieces > 0)

    def thumbnail(self, pieces):
        """Mean light of the places of pieces, `(b, SIDE, SIDE, channels)`."""
        return area_means(ops.cast(pieces, "float32"), SIDE)

    def fit(self, thumbnails):
        """Fits both Gaussians to thumbnails of good pieces, `(n, SIDE, SIDE, channels)`.

        Raises:
            ValueError: When there are fewer than two.
        """
        light = np.asarray(thumbnails, np.float32)
        if len(light) < 2:
            raise ValueError(f"`thumbnails` must be of two good pieces or more. Received: {len(light)}")
        tone = np.asarray(_flat(_tone(light)))
        self.tone_mean.assign(tone.mean(axis=0))
        self.tone_whitening.assign(_whitening(tone - tone.mean(axis=0)))
        places = np.asarray(_flat(_log(light)))
        centred = places - places.mean(axis=0)
        count = min(COMPONENTS, len(light) // 4)
        components = np.zeros(self.components.shape, np.float32)
        components[:, :count] = np.linalg.svd(centred, full_matrices=False)[2][:count].T
        self.mean.assign(places.mean(axis=0))
        self.components.assign(components)
        parts = np.asarray(self._unexplained(ops.convert_to_tensor(places)))
        self.whitening.assign(np.stack([_whitening(parts[:, k] - parts[:, k].mean(axis=0)) for k in range(PARTS**2)]))
        self.pieces.assign(len(light))

    def call(self, pieces):
        light = self.thumbnail(pieces)
        tone = ops.matmul(_flat(_tone(light)) - self.tone_mean, self.tone_whitening)
        # Part by part: (parts, b, part) times (parts, part, part).
        left = ops.transpose(self._unexplained(_flat(_log(light))), (1, 0, 2))
        parts = ops.transpose(_distance(ops.matmul(left, self.whitening)), (1, 0))
        height, width = ops.shape(pieces)[1], ops.shape(pieces)[2]
        x = ops.reshape(parts, (-1, PARTS, PARTS))
        x = _spread(_spread(x, width), height)
        return ops.stack([ops.zeros_like(x) + _distance(tone)[:, None, None], x], axis=-1)

    def _unexplained(self, places):
        """What the components leave of each part, `(b, PARTS**2, places of a part)`."""
        centred = places - self.mean
        left = centred - ops.matmul(ops.matmul(centred, self.components), ops.transpose(self.components))
        x = tf.nn.space_to_depth(ops.reshape(left, (-1, SIDE, SIDE, self.channels)), SIDE // PARTS)
        return ops.reshape(x, (-1, PARTS**2, x.shape[-1]))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:3], 2)

    def get_config(self):
        config = {**super().get_config(), "channels": self.channels}
        del config["trainable"]  # never
        return config


def _log(light):
    return ops.log(light + DARKEST)


def _tone(light):
    return _log(tf.nn.avg_pool2d(light, SIDE // TONE, SIDE // TONE, "VALID"))


def _flat(x):
    return ops.reshape(x, (-1, x.shape[1] * x.shape[2] * x.shape[3]))


def _distance(whitened):
    """Logarithm of the Mahalanobis distance."""
    return 0.5 * ops.log(ops.sum(ops.square(whitened), axis=-1) + LEAST_DISTANCE**2)


def _whitening(centred):
    """W with `norm(x @ W)` the Mahalanobis distance of x, for the shrunk covariance of `centred` ones."""
    from sklearn.covariance import ledoit_wolf

    covariance, _ = ledoit_wolf(centred.astype(np.float64), assume_centered=True)
    covariance += LEAST_STD**2 * np.eye(len(covariance))
    return np.linalg.inv(np.linalg.cholesky(covariance)).T


def _spread(x, size):
    """`(b, p, q)` with each of the q parts of a line laid over the `size` pixels that it has: `(b, size, p)`."""
    return ops.transpose(ops.matmul(x, area_shares(size, PARTS)), (0, 2, 1))
