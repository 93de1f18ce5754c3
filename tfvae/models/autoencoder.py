"""The deterministic autoencoder: a code without a distribution."""

from typing import Any

import keras
from keras import ops

from tfvae.errors import did_you_mean
from tfvae.likelihoods import Bernoulli
from tfvae.models.base import DecodesCodes
from tfvae.objectives import sum_per_example

DISTORTIONS = {
    # Squared error summed over the picture: twice the nats of a normal of unit variance, up to a constant.
    "mse": lambda likelihood, images, logits: sum_per_example(ops.square(images - likelihood.mean(logits))),
    "cross_entropy": lambda likelihood, images, logits: -likelihood.log_prob(images, logits),
}


@keras.saving.register_keras_serializable(package="tfvae")
class Autoencoder(DecodesCodes):
    """Minimises the distance between a picture and what its code brings back.

    Args:
        encoder: An `Encoder` with `stochastic=False`, or any Keras model from images to codes.
        decoder: A `Decoder` of the same shapes with the `Bernoulli` likelihood, or any Keras model from codes to
            log-odds: the picture is `sigmoid(outputs)`.
        distortion: `"mse"` (squared error summed over the picture) or `"cross_entropy"` (nats).

    Call arguments:
        images: Shape `(batch, height, width, channels)`, in [0, 1].

    Returns:
        `{"code", "parameters"}`, float32.

    Raises:
        ValueError: If the encoder is stochastic, the decoder has another likelihood, or the distortion is unknown.
    """

    tracked = ("loss", "distortion")  # a code without a distribution has no bound

    def __init__(
        self,
        encoder: keras.layers.Layer,
        decoder: keras.layers.Layer,
        distortion: str = "mse",
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder, decoder, **kwargs)
        encoder, decoder = self.encoder, self.decoder
        if encoder.stochastic:
            raise ValueError("`encoder` must emit one code. Received: an Encoder with stochastic=True")
        if not isinstance(decoder.likelihood, Bernoulli):
            raise ValueError(
                f"`decoder` must have the bernoulli likelihood. Received: {type(decoder.likelihood).__name__}"
            )
        if distortion not in DISTORTIONS:
            raise ValueError(
                f"`distortion` must be one of {', '.join(DISTORTIONS)}.{did_you_mean(str(distortion), DISTORTIONS)} "
                f"Received: distortion={distortion!r}"
            )
        self.distortion = distortion

    def call(self, images, training=False):
        code = self.encoder(images, training=training)
        return {"code": code, "parameters": self.crop(self.decoder(code, training=training), images)}

    def encode(self, images):
        return {"code": self.codes(images)}

    def codes(self, images):
        return self.encoder(self.as_images(images))

    def elbo_terms(self, images, training=False):
        """Distortion of each example, and zeros: a code without a distribution has no rate."""
        outputs = self(images, training=training)
        distortion = DISTORTIONS[self.distortion](self.likelihood, images, outputs["parameters"])
        return distortion, ops.zeros_like(distortion)

    def get_config(self):
        return {**super().get_config(), "distortion": self.distortion}
