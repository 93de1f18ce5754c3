"""What an encoder and a decoder have in common: the shapes of the picture and of the code between them."""

import keras

from tfvae.inputs import check_keras_settings


class Coder(keras.Model):
    """An encoder or a decoder: between pictures of `image_shape` and codes of `latent_shape`.

    A subclass calls `self.build` at the end of its constructor: a model that knows its shapes is never met unbuilt.

    Raises:
        ValueError: If a size is not positive, or `dropout` is not in [0, 1).
    """

    built: bool

    def __init__(self, image_shape, latent_dim, network, widths, hidden, dropout, seed, **kwargs):
        check_keras_settings()
        super().__init__(**kwargs)
        self.image_shape = _check(image_shape, latent_dim, widths, dropout)
        if hidden < 1 and network != "mlp" and not self.spatial:
            raise ValueError(
                f"`hidden` must be at least 1 between a convolutional network and a vector latent. Received: {hidden}"
            )
        self.latent_dim, self.network, self.widths = latent_dim, network, tuple(widths)
        self.hidden, self.dropout, self.seed = hidden, dropout, seed

    @classmethod
    def from_config(cls, config, custom_objects=None):
        coder = super().from_config(config, custom_objects)
        if not coder.trainable:  # One that was frozen and saved: its parts are frozen again. Keras passes on changes.
            coder.trainable = True
            coder.trainable = False
        return coder

    @property
    def spatial(self):
        """Whether the code is a map, and the picture of any size."""
        return self.image_shape[0] is None

    @property
    def factor(self):
        """Pixels of the picture per place of the latent, in each direction; 1 for a vector latent."""
        return 2 ** len(self.widths) if self.spatial else 1

    @property
    def latent_shape(self):
        return (None, None, self.latent_dim) if self.spatial else (self.latent_dim,)

    def get_config(self):
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "latent_dim": self.latent_dim,
            "network": self.network,
            "widths": self.widths,
            "hidden": self.hidden,
            "dropout": self.dropout,
            "seed": self.seed,
        }


def _check(image_shape, latent_dim, widths, dropout):
    """`image_shape` as a tuple; raises `ValueError` for sizes that no network can have."""
    shape = tuple(image_shape)
    half_open = len(shape) == 3 and (shape[0] is None) != (shape[1] is None)
    if len(shape) != 3 or half_open or any(side is not None and side < 1 for side in shape):
        raise ValueError(
            "`image_shape` must be (height, width, channels), or (None, None, channels) for a spatial latent. "
            f"Received: image_shape={image_shape}"
        )
    if latent_dim < 1:
        raise ValueError(f"`latent_dim` must be at least 1. Received: latent_dim={latent_dim}")
    if not widths or any(width < 1 for width in widths):
        raise ValueError(f"`widths` must be one or more positive integers. Received: widths={widths}")
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` must be in [0, 1). Received: dropout={dropout}")
    return shape
