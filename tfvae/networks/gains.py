"""One model for all qualities: how much each channel of the latents is enlarged before it is rounded."""

import keras
import numpy as np
from keras import ops

from tfvae.distributions import float32

KNOTS = 6  # qualities 0, 20, 40, 60, 80, 100; in between the logarithm is interpolated
HIGHEST = 100.0


@keras.saving.register_keras_serializable(package="tfvae")
class Gains(keras.layers.Layer):
    """`y * exp(a_c(q))`, and back `y * exp(-b_c(q))`: both piecewise linear in the quality q, for each channel c.

    A large gain makes steps of rounding small: more bits, less error. The way back is learnt by itself, because the
    best value for a bin is not always its middle.

    Args:
        channels: Of the latents.

    Call arguments:
        latents: `(b, h, w, channels)`.
        quality: `(b, 1)`, from 0 to 100.
        back: Whether to undo it.

    Reference:
        Cui et al. (2021), Asymmetric gained deep image compression, https://arxiv.org/abs/2003.02012
    """

    def __init__(self, channels, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.channels = channels

    def build(self, input_shape):
        common = {"shape": (KNOTS, self.channels), "initializer": "zeros"}
        self.log_forth, self.log_back = (self.add_weight(name=name, **common) for name in ("forth", "back"))
        self.built = True

    def start(self, gains):
        """Begins with `gains` at the knots, `(KNOTS, channels)`, and their inverses on the way back."""
        for weight in (self.log_forth, self.log_back):
            weight.assign(np.log(gains))

    def call(self, latents, quality, back=False):
        # Hat functions around the knots: their weights sum to one, and one of them is 1 at a knot.
        place = float32(quality) * ((KNOTS - 1) / HIGHEST)
        hats = ops.relu(1.0 - ops.abs(place - np.arange(KNOTS, dtype=np.float32)))
        log_gain = ops.matmul(hats, -self.log_back if back else self.log_forth)
        return float32(latents) * ops.exp(log_gain)[:, None, None, :]

    def compute_output_shape(self, input_shape, quality_shape=None):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "channels": self.channels}
