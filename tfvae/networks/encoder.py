"""q(z|x): from a picture to the parameters of its posterior, or to one code."""

from collections.abc import Sequence
from typing import Any

import keras

from tfvae import networks
from tfvae.distributions import float32
from tfvae.inputs import as_images
from tfvae.layers.padding import pad_to_multiple
from tfvae.networks.coder import Coder


@keras.saving.register_keras_serializable(package="tfvae")
class Encoder(Coder):
    """Maps images to the mean and log-variance of a diagonal Gaussian posterior.

    Args:
        image_shape: `(height, width, channels)`; height and width None for a spatial latent.
        latent_dim: Units of a vector latent, channels of a spatial one.
        network: `"mlp"`, `"tanh_mlp"`, `"gated_mlp"`, `"conv"`, `"inception"` or `"resnet"`.
        widths: Units (of an mlp) or filters (the others) of each level; each level of a convolutional network halves
            the resolution, rounded up.
        hidden: Units of the dense layer between a convolutional network and a vector latent.
        dropout: Fraction dropped after each level while training.
        stochastic: False for an encoder that emits one code instead of a posterior.
        seed: Starts the dropout noise.

    Call arguments:
        images: Shape `(batch, height, width, channels)`, in [0, 1].

    Returns:
        `(mean, log_var)`, each `(batch, *latent_shape)` and float32; or the code alone when not `stochastic`.

    Raises:
        ValueError: If a size is not positive, `dropout` is not in [0, 1), the network is unknown, or it has no
            spatial form and the latent is spatial.
    """

    def __init__(
        self,
        image_shape: Sequence[int | None],
        latent_dim: int,
        network: str = "conv",
        widths: Sequence[int] = (32, 64),
        hidden: int = 256,
        dropout: float = 0.0,
        stochastic: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_shape, latent_dim, network, widths, hidden, dropout, seed, **kwargs)
        self.stochastic = stochastic
        chosen = networks.get(network, spatial=self.spatial)
        self.trunk = chosen.down(
            widths=self.widths,
            hidden=0 if self.spatial else hidden,
            dropout=dropout,
            seed=seed,
            dtype=self.dtype_policy,
        )
        units = 2 * latent_dim if stochastic else latent_dim
        # float32 under every policy: exp(log_var) overflows half precision.
        head, size = (keras.layers.Conv2D, {"kernel_size": 1}) if self.spatial else (keras.layers.Dense, {})
        self.head = head(units, **size, dtype="float32")
        self.build((None, *self.image_shape))

    def build(self, input_shape):
        if self.built:
            return
        self.trunk.build(tuple(input_shape))
        self.head.build(self.trunk.compute_output_shape(input_shape))
        self.built = True

    def call(self, images, training=False):
        images = as_images(images, self.image_shape, type(self).__name__)
        if self.spatial:
            images = pad_to_multiple(images, self.factor)
        # Centred pixels: a network fed values that are all positive starts with a bias to unlearn.
        head = float32(self.head(self.trunk(images - 0.5, training=training)))
        if not self.stochastic:
            return head
        # Slices, not a split: where only the mean is used, TFLite's quantiser may leave a split in float.
        return head[..., : self.latent_dim], head[..., self.latent_dim :]

    def compute_output_shape(self, input_shape):
        places = [None if side is None else -(-side // self.factor) for side in input_shape[1:3]]
        code = (input_shape[0], *(places if self.spatial else ()), self.latent_dim)
        return (code, code) if self.stochastic else code

    def get_config(self):
        return {**super().get_config(), "stochastic": self.stochastic}
