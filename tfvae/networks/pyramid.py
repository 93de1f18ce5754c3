"""Convolutional networks: a stage per level, and dense layers at the top where the latent is a vector."""

import keras

from tfvae.layers.composite import Chain
from tfvae.layers.resampling import CropTo
from tfvae.layers.seeded import Dropout


class PyramidDown(Chain):
    """A stage per width, each halving the resolution; then, for a vector latent, one dense layer.

    Shapes: `(b, h, w, c) -> (b, hidden)`, or `(b, ceil(h / 2**levels), ceil(w / 2**levels), widths[-1])` when
    `hidden` is 0.

    Args:
        widths: Filters of each level, fine to coarse.
        hidden: Units of the dense layer on top; 0 keeps the map.
        dropout: Fraction dropped after each stage while training.
        seed: Starts the dropout noise.
    """

    stage: type[keras.layers.Layer]

    def __init__(self, widths, hidden=0, dropout=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.widths, self.hidden, self.dropout, self.seed = tuple(widths), hidden, dropout, seed
        policy = self.dtype_policy
        self.chain = []
        for width in self.widths:
            self.chain.append(self.stage(width, dtype=policy))
            if dropout:
                self.chain.append(Dropout(dropout, seed=seed, dtype=policy))
        self.chain.append(keras.layers.ReLU(dtype=policy))
        if hidden:
            self.chain.append(keras.layers.Flatten(dtype=policy))
            self.chain.append(keras.layers.Dense(hidden, activation="relu", dtype=policy))

    def get_config(self):
        return {
            **super().get_config(),
            "widths": self.widths,
            "hidden": self.hidden,
            "dropout": self.dropout,
            "seed": self.seed,
        }


class PyramidUp(Chain):
    """The mirror of `PyramidDown`, ending in a 3×3 convolution in float32.

    Shapes: `(b, latent_dim) -> (b, *output_shape)`, or `(b, h, w, latent_dim) -> (b, h * 2**levels, w * 2**levels,
    channels)` when the height and width in `output_shape` are None.

    Args:
        output_shape: Height, width (both None for a spatial latent) and channels of the output.
        widths: Filters of each level, coarse to fine.
        hidden: Units of the dense layer under a vector latent; 0 for a spatial one.
        dropout, seed: As in `PyramidDown`.
    """

    stage: type[keras.layers.Layer]

    def __init__(self, output_shape, widths, hidden=0, dropout=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.picture_shape, self.widths = tuple(output_shape), tuple(widths)
        self.hidden, self.dropout, self.seed = hidden, dropout, seed
        policy = self.dtype_policy
        height, width, channels = self.picture_shape
        sizes = _halved(height, width, len(self.widths))
        if height is None:
            self.chain = [keras.layers.Conv2D(self.widths[0], 3, padding="same", activation="relu", dtype=policy)]
        else:
            top = (*sizes[-1], self.widths[0])
            self.chain = [
                keras.layers.Dense(hidden, activation="relu", dtype=policy),
                keras.layers.Dense(top[0] * top[1] * top[2], activation="relu", dtype=policy),
                keras.layers.Reshape(top, dtype=policy),
            ]
        filters = (*self.widths[1:], self.widths[-1])
        for count, smaller, larger in zip(filters, sizes[:0:-1], sizes[-2::-1], strict=True):
            self.chain.append(self.stage(count, dtype=policy))
            if height is not None and larger != (2 * smaller[0], 2 * smaller[1]):
                self.chain.append(CropTo(*larger, dtype=policy))
            if dropout:
                self.chain.append(Dropout(dropout, seed=seed, dtype=policy))
        self.chain.append(keras.layers.ReLU(dtype=policy))
        self.chain.append(keras.layers.Conv2D(channels, 3, padding="same", dtype="float32"))

    def get_config(self):
        return {
            **super().get_config(),
            "output_shape": self.picture_shape,
            "widths": self.widths,
            "hidden": self.hidden,
            "dropout": self.dropout,
            "seed": self.seed,
        }


def _halved(height, width, levels):
    """Sizes from the picture to the top: each the half of the last, rounded up as strided convolutions do."""
    sizes = [(height, width)]
    for _ in range(levels):
        height, width = (None if side is None else -(-side // 2) for side in sizes[-1])
        sizes.append((height, width))
    return sizes
