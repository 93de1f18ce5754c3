"""p(x|z): from a code to the parameters of the likelihood of a picture."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfvae import likelihoods, networks
from tfvae.distributions import float32
from tfvae.networks.coder import Coder


@keras.saving.register_keras_serializable(package="tfvae")
class Decoder(Coder):
    """Maps codes to the parameters of `p(x|z)`; `likelihood` says what they mean.

    Args:
        image_shape: `(height, width, channels)`; height and width None for a spatial latent.
        latent_dim: Units of a vector latent, channels of a spatial one.
        likelihood: A `Likelihood`, or its name.
        network: `"mlp"`, `"tanh_mlp"`, `"gated_mlp"`, `"conv"`, `"inception"` or `"resnet"`.
        widths: Units or filters of each level, from the code to the picture.
        hidden: Units of the dense layer between a vector latent and a convolutional network.
        dropout: Fraction dropped after each level while training.
        seed: Starts the dropout noise.

    Call arguments:
        z: Codes, shape `(batch, latent_dim)`, or `(batch, h, w, latent_dim)` for a spatial latent.

    Returns:
        Parameters, shape `(batch, height, width, channels * likelihood.parameters_per_channel)`, float32; for a
        spatial latent the height is `h * factor`.

    Raises:
        ValueError: As `Encoder`.
    """

    def __init__(
        self,
        image_shape: Sequence[int | None],
        latent_dim: int,
        likelihood: likelihoods.Likelihood | str = "bernoulli",
        network: str = "conv",
        widths: Sequence[int] = (64, 32),
        hidden: int = 256,
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_shape, latent_dim, network, widths, hidden, dropout, seed, **kwargs)
        self.likelihood = likelihoods.get(likelihood)
        height, width, channels = self.image_shape
        self.trunk = networks.get(network, spatial=self.spatial).up(
            output_shape=(height, width, channels * self.likelihood.parameters_per_channel),
            widths=self.widths,
            hidden=0 if self.spatial else hidden,
            dropout=dropout,
            seed=seed,
            dtype=self.dtype_policy,
        )
        self.build((None, *self.latent_shape))

    def build(self, input_shape):
        if self.built:
            return
        self.trunk.build(tuple(input_shape))
        if not self.likelihood.built:
            self.likelihood.build(self.compute_output_shape(input_shape))
        self.built = True

    @property
    def starts_at_mean(self):
        """Whether the network has a bias for each pixel, and the likelihood is one of probabilities."""
        return hasattr(self.trunk, "start_at") and self.likelihood.binary

    def start_at_mean(self, images):
        """Starts a `"tanh_mlp"` or `"gated_mlp"` at the log-odds of the mean of `images`.

        These are `(n, height, width, channels)` in [0, 1].
        """
        mean = np.clip(np.mean(images, axis=0, dtype=np.float64), 0.001, 0.999)
        self.trunk.start_at(np.log(mean / (1.0 - mean)))

    def call(self, z, training=False):
        return float32(self.trunk(z, training=training))

    def compute_output_shape(self, input_shape):
        sides = [None if side is None else side * self.factor for side in input_shape[1:3]]
        height, width, channels = self.image_shape
        size = sides if self.spatial else (height, width)
        return (input_shape[0], *size, channels * self.likelihood.parameters_per_channel)

    def get_config(self):
        return {**super().get_config(), "likelihood": keras.saving.serialize_keras_object(self.likelihood)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        likelihood = keras.saving.deserialize_keras_object(config["likelihood"])
        return super().from_config({**config, "likelihood": likelihood}, custom_objects)
