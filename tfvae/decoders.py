"""p(x|z): from a code to the parameters of the likelihood of a picture."""

import keras

from tfvae import likelihoods, networks
from tfvae.distributions import float32
from tfvae.encoders import check_shape


@keras.saving.register_keras_serializable(package="tfvae")
class Decoder(keras.Model):
    """Maps codes to the parameters of `p(x|z)`; `likelihood` says what they mean.

    Args:
        image_shape: `(height, width, channels)`; height and width None for a spatial latent.
        latent_dim: Units of a vector latent, channels of a spatial one.
        likelihood: A `Likelihood`, or its name.
        network: `"mlp"`, `"conv"`, `"inception"` or `"resnet"`.
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

    built: bool

    def __init__(
        self,
        image_shape,
        latent_dim,
        likelihood="bernoulli",
        network="conv",
        widths=(64, 32),
        hidden=256,
        dropout=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape = check_shape(image_shape, latent_dim, widths, dropout)
        self.latent_dim, self.network, self.widths = latent_dim, network, tuple(widths)
        self.hidden, self.dropout, self.seed = hidden, dropout, seed
        self.likelihood = likelihoods.get(likelihood)
        self.spatial = self.image_shape[0] is None
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

    @property
    def factor(self):
        """Pixels of the picture per place of the latent, in each direction; 1 for a vector latent."""
        return 2 ** len(self.widths) if self.spatial else 1

    @property
    def latent_shape(self):
        return (None, None, self.latent_dim) if self.spatial else (self.latent_dim,)

    def build(self, input_shape):
        if self.built:
            return
        self.trunk.build(tuple(input_shape))
        self.likelihood.built = True
        self.built = True

    def call(self, z, training=False):
        return float32(self.trunk(z, training=training))

    def get_config(self):
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "latent_dim": self.latent_dim,
            "likelihood": keras.saving.serialize_keras_object(self.likelihood),
            "network": self.network,
            "widths": self.widths,
            "hidden": self.hidden,
            "dropout": self.dropout,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        likelihood = keras.saving.deserialize_keras_object(config["likelihood"])
        return cls(**{**config, "likelihood": likelihood})
