"""The variational autoencoder."""

from typing import Any

import keras

from tfvae.likelihoods import Likelihood
from tfvae.models.base import DecodesCodes, VariationalModel
from tfvae.priors import Prior
from tfvae.schedules import BetaSchedule


@keras.saving.register_keras_serializable(package="tfvae")
class VAE(VariationalModel, DecodesCodes):
    """Maximises `E_q[log p(x|z)] - beta * KL(q(z|x) || p(z))`.

    | symbol | meaning | name in the code |
    | --- | --- | --- |
    | q(z\\|x) | posterior | `mean`, `log_var` |
    | z | a draw from the posterior | `z` |
    | p(z) | prior | `prior` |
    | p(x\\|z) | likelihood | `parameters`, read by `likelihood` |
    | beta | weight of the rate | `beta` |
    | lambda | floor under each latent channel's rate | `free_bits` |

    Args:
        encoder: An `Encoder` with `stochastic=True`; or any built Keras model from images to mean and log-variance, as
            `tfvae.networks.OwnEncoder` says.
        decoder: A `Decoder` of the same image and latent shape; or any built Keras model from codes to the parameters
            of `likelihood`, as `tfvae.networks.OwnDecoder` says.
        beta: A non-negative number (beta-VAE), or a `BetaSchedule` of the optimiser's step (warm-up, cycles).
        free_bits: Nats per latent channel below which the rate costs nothing.
        seed: Starts the posterior's noise.
        prior: A `tfvae.priors.Prior`; None: the standard normal.
        likelihood: Of a decoder that has none: a `tfvae.likelihoods.Likelihood`, or its name; None: Bernoulli.

    Call arguments:
        images: Shape `(batch, height, width, channels)`, in [0, 1].

    Returns:
        `{"mean", "log_var", "z", "parameters"}`, all float32.

    Raises:
        ValueError: If `beta` or `free_bits` is negative, the encoder emits no posterior, or there are free bits for a
            prior without a KL divergence of each unit.

    Reference:
        Kingma and Welling (2014), https://arxiv.org/abs/1312.6114; Higgins et al. (2017) for beta;
        Kingma et al. (2016), https://arxiv.org/abs/1606.04934, for free bits
    """

    def __init__(
        self,
        encoder: keras.layers.Layer,
        decoder: keras.layers.Layer,
        beta: float | BetaSchedule = 1.0,
        free_bits: float = 0.0,
        seed: int | None = None,
        prior: Prior | None = None,
        likelihood: Likelihood | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder, decoder, beta, free_bits, seed, prior, likelihood=likelihood, **kwargs)

    def call(self, images, training=False):
        mean, log_var = self.encoder(images, training=training)
        z = self.sampler(mean, log_var)
        parameters = self.parameters_of(z, images, training=training)
        return {"mean": mean, "log_var": log_var, "z": z, "parameters": parameters}

    def generate(
        self, noise: Any, temperature: Any = 1.0, *, seed: int | None = None, size: tuple[int, int] | None = None
    ) -> dict[str, Any]:
        """`{"image"}` of standard normal `noise`, `(batch, *latent_shape)`: a code drawn from the prior, decoded.

        Args:
            noise: Noise; or how many images to draw.
            temperature: Of the prior: below 1 nearer to what is typical.
            seed, size: As in `noise`, where this is a count.
        """
        return self.decode(self.prior.sample(self.noise(noise, seed, size), temperature))

    def endpoints(self, image, latent):
        generate = ({"noise": latent}, lambda noise: self.generate(noise))
        return {**super().endpoints(image, latent), "generate": generate}

    def get_config(self):
        prior = keras.saving.serialize_keras_object(self.prior)
        return {**super().get_config(), "prior": prior, "likelihood": None}  # which the decoder holds
