"""The VAE with two layers of latents of the IWAE paper, the upper one inferred from the lower one."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfvae.bounds import Bound
from tfvae.distributions import float32
from tfvae.layers.composite import fixed
from tfvae.layers.conditional_gaussian import ConditionalGaussian
from tfvae.models.base import BoundedModel, DecodesCodes
from tfvae.networks.own import coders
from tfvae.priors.base import gaussian_log_prob
from tfvae.priors.two_layer import TwoLayerPrior
from tfvae.schedules import BetaSchedule


@keras.saving.register_keras_serializable(package="tfvae")
class TwoLayerVAE(BoundedModel, DecodesCodes):
    """Maximises a bound of `log p(x)` under `p(h2) p(h1|h2) p(x|h1)`, by draws from `q(h1|x) q(h2|h1)`.

    | symbol | meaning | name in the code |
    | --- | --- | --- |
    | h1, h2 | lower and upper layer of latents; (h1, h2) is a code | `z` |
    | q(h1\\|x) | posterior of the lower layer | `encoder` |
    | q(h2\\|h1) | posterior of the upper layer | `top_encoder` |
    | p(h2) p(h1\\|h2) | prior, N(0, I) on top | `prior` |
    | p(x\\|h1) | likelihood | `decoder` |
    | beta | weight of the rate | `beta` |
    | k | draws for each image of a step | `bound.samples` |

    Its inference goes up, from picture to h1 to h2; that of a `HierarchicalVAE` comes down. The rate,
    `log q(h1|x) + log q(h2|h1) - log p(h1, h2)` of a draw, has no closed form. `encode` gives q(h2|h1) at the mean of
    q(h1|x), so active units of the upper layer are those of a picture's most typical h1.

    Args:
        encoder: Of q(h1|x), an `Encoder` to a vector.
        decoder: Of p(x|h1), a `Decoder` of the same shapes.
        top_dim: Units of h2.
        top_widths: Units of the tanh layers between h1 and h2; p(h1|h2) mirrors them.
        beta, seed, bound: As in `VAE`.

    Call arguments:
        images, samples, path: As in `VAE`.

    Returns:
        `{"mean", "log_var", "z", "parameters"}`, all float32; the posterior of h2 is that given the h1 that was drawn.

    Raises:
        ValueError: If the latent is spatial, or a size is not positive; and as `VAE`.

    Reference:
        Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders, https://arxiv.org/abs/1509.00519
    """

    def __init__(
        self,
        encoder: keras.layers.Layer,
        decoder: keras.layers.Layer,
        top_dim: int = 50,
        top_widths: Sequence[int] = (100, 100),
        beta: float | BetaSchedule = 1.0,
        seed: int | None = None,
        bound: Bound | str = "elbo",
        **kwargs: Any,
    ) -> None:
        encoder, decoder = coders(encoder, decoder, None, stochastic=True)
        if len(encoder.latent_shape) > 1:
            raise ValueError(f"`encoder` must emit a vector. Received: latent shape {encoder.latent_shape}")
        if top_dim < 1 or not all(width > 0 for width in top_widths):
            raise ValueError(
                f"`top_dim` and `top_widths` must be positive. Received: top_dim={top_dim}, top_widths={top_widths}"
            )
        self.units, self.top_dim, self.top_widths = encoder.latent_shape[0], top_dim, tuple(top_widths)
        prior = TwoLayerPrior(self.units, top_dim, self.top_widths[::-1])
        super().__init__(encoder, decoder, beta, 0.0, seed, prior, bound, **kwargs)
        self.top_encoder = ConditionalGaussian(top_dim, self.top_widths)
        self.top_encoder.build((None, self.units))

    @classmethod
    def networks(cls, spatial):
        return [] if spatial else super().networks(spatial)

    @property
    def latent_shape(self):
        return (self.units + self.top_dim,)

    @property
    def unit_groups(self):
        """Units of each layer of latents, by its name."""
        return {"h1": slice(0, self.units), "h2": slice(self.units, None)}

    def call(self, images, training=False, samples=1, path=None):
        mean, log_var = self.encoder(images, training=training)
        mean, log_var, z = self.drawn(ops.repeat(mean, samples, axis=0), ops.repeat(log_var, samples, axis=0))
        z = path(z) if path else z
        parameters = self.parameters_of(z, images, training=training)
        return {"mean": mean, "log_var": log_var, "z": z, "parameters": parameters}

    def drawn(self, mean, log_var, noise=None):
        """Mean, log-variance and a draw `(h1, h2)` of the posterior, from the parameters of q(h1|x), the first units.

        Args:
            mean, log_var, noise: As of `VariationalModel.drawn`.
        """
        mean, log_var = mean[:, : self.units], log_var[:, : self.units]
        own, above = (None, None) if noise is None else (noise[:, : self.units], noise[:, self.units :])
        _, _, lower = super().drawn(mean, log_var, own)
        top_mean, top_log_var = self.top_encoder(lower)
        _, _, top = super().drawn(top_mean, top_log_var, above)
        parts = (mean, top_mean), (log_var, top_log_var), (lower, top)
        return tuple(_joined(first, second) for first, second in parts)

    def log_posterior(self, outputs, path):
        if not path:
            return super().log_posterior(outputs, path)
        # log q(h2|h1) depends on z through both layers: the gradient that is left out is that of the weights alone.
        lower, top = outputs["z"][:, : self.units], outputs["z"][:, self.units :]
        mean, log_var = (ops.stop_gradient(outputs[name][:, : self.units]) for name in ("mean", "log_var"))
        return gaussian_log_prob(lower, mean, log_var) + gaussian_log_prob(top, *fixed(self.top_encoder, lower))

    def encode(self, images):
        """`{"mean", "log_var"}` of q(h1|x), and of q(h2|h1) at its mean: `(batch, units)`, float32."""
        mean, log_var = self.encoder(self.as_images(images))
        top_mean, top_log_var = self.top_encoder(mean)
        return {"mean": _joined(mean, top_mean), "log_var": _joined(log_var, top_log_var)}

    def draw(self, images, noise):
        """Codes drawn from q(h1, h2|x): of standard normal `noise`, `(batch, *latent_shape)`, one for each image."""
        mean, log_var = self.encoder(self.as_images(images))
        return self.drawn(mean, log_var, noise)[2]

    def parameters_of(self, z, images, training=False, labels=None):
        return super().parameters_of(z[:, : self.units], images, training)

    def decode(self, z):
        """`{"image": E[x|h1]}` in [0, 1], float32, of codes `(batch, *latent_shape)`: h2 says nothing beyond h1."""
        return super().decode(float32(z)[:, : self.units])

    def generate(self, noise, temperature=1.0, *, seed=None, size=None):
        """`{"image"}` of standard normal `noise`, or of so many draws, as `VAE.generate`: of h2, and h1 given it."""
        return self.decode(self.prior.sample(self.noise(noise, seed, size), temperature))

    def endpoints(self, image, latent):
        generate = self.drawing({"noise": latent}, lambda noise: self.generate(noise))
        return {**super().endpoints(image, latent), "generate": generate}

    def get_config(self):
        bound = keras.saving.serialize_keras_object(self.bound)
        config = {**super().get_config(), "top_dim": self.top_dim, "top_widths": self.top_widths, "bound": bound}
        del config["free_bits"]  # its rate has no closed form
        return config


def _joined(lower, top):
    """`(h1, h2)` side by side; one row of the former is for all rows of the latter."""
    lower = ops.broadcast_to(lower, (ops.shape(top)[0], lower.shape[-1]))
    return ops.concatenate([lower, top], axis=-1)
