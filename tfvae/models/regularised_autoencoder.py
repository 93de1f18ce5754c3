"""The regularised autoencoder: deterministic, smooth by its decoder, and drawn from by a density of its codes."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfvae.distributions import float32
from tfvae.endpoint import VARIANTS, Endpoint
from tfvae.example_weights import batch_mean
from tfvae.layers.sampling import GaussianSampler
from tfvae.models.autoencoder import DISTORTIONS, Autoencoder
from tfvae.models.base import FitsPrior
from tfvae.objectives import sum_per_example
from tfvae.priors import Prior


@keras.saving.register_keras_serializable(package="tfvae")
class RegularisedAutoencoder(Autoencoder, FitsPrior):
    """Minimises `distortion + code_norm * |z|**2 / 2 + gradient_penalty * |dD/dz|**2 + weight_decay * |theta|**2`.

    | symbol | meaning | name in the code |
    | --- | --- | --- |
    | z = E(x) | code | `codes` |
    | D(z) | picture of a code, and theta, the weights of the decoder | `decode`, `decoder` |
    | \\|dD/dz\\|**2 | squared Frobenius norm of the decoder's Jacobian at the code | `gradient_penalty` |
    | p(z) | density of the codes, for draws | `density` |

    What the noise of a VAE does, smooth pictures between the codes, the decoder's regularisation does here, and the
    code is no distribution: there is no bound. `fit_prior` fits the density when the model is trained; until then it
    is N(0, I), from which draws are seldom pictures.

    Args:
        encoder, decoder, distortion: As of `Autoencoder`, of a vector.
        code_norm: Weight of half the squared norm of codes, which keeps them near zero.
        weight_decay: Of all weights of the decoder (the paper's RAE-L2).
        gradient_penalty: Weight of the Jacobian's squared norm (RAE-GP), estimated without bias by one random
            projection: twice the cost of a step.
        seed: Of the projections.
        density: A `tfvae.priors.Prior`, or its name; None: N(0, I).

    Raises:
        ValueError: If a weight is negative, or the latent is spatial; and as `Autoencoder`.

    Reference:
        Ghosh et al. (2020), From variational to deterministic autoencoders, equations 9 to 12,
        https://arxiv.org/abs/1903.12436; Hutchinson (1990) for the projection
    """

    prior_name = "density"

    def __init__(
        self,
        encoder: keras.layers.Layer,
        decoder: keras.layers.Layer,
        distortion: str = "mse",
        code_norm: float = 0.01,
        weight_decay: float = 1e-5,
        gradient_penalty: float = 0.0,
        seed: int | None = None,
        density: Prior | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder, decoder, distortion, **kwargs)
        weights = {"code_norm": code_norm, "weight_decay": weight_decay, "gradient_penalty": gradient_penalty}
        for name, value in weights.items():
            if value < 0:
                raise ValueError(f"`{name}` must be non-negative. Received: {name}={value}")
        if len(self.latent_shape) > 1:
            raise ValueError(f"`encoder` must emit a vector. Received: latent shape {self.latent_shape}")
        self.code_norm, self.weight_decay, self.gradient_penalty = map(float, weights.values())
        self.seed = seed
        self.sampler = GaussianSampler(seed=seed)
        self.sampler.build(None)
        self.density = self.built_prior(density)

    @classmethod
    def networks(cls, spatial):
        return [] if spatial else super().networks(spatial)

    def call(self, images, training=False, watch=None):
        code = self.encoder(images, training=training)
        if watch:
            watch(code)
        return {"code": code, "parameters": self.crop(self.decoder(code, training=training), images)}

    def loss_terms(self, images, training=False):
        """The loss with its regularisers, a scalar; distortion of each example, and zeros for a rate."""
        outputs, slope = self._outputs(images, training)
        distortion = DISTORTIONS[self.distortion](self.likelihood, images, outputs["parameters"])
        norm = 0.5 * sum_per_example(ops.square(float32(outputs["code"])))
        decay = sum(ops.sum(ops.square(float32(weight))) for weight in self.decoder.trainable_variables)
        loss = batch_mean(distortion + self.code_norm * norm + self.gradient_penalty * slope)
        return loss + self.weight_decay * decay, distortion, ops.zeros_like(distortion)

    def _outputs(self, images, training):
        """Outputs of `call`, and `|v dD/dz|**2` of each example for standard normal v; zero where it has no weight."""
        if not self.gradient_penalty:
            return self(images, training=training), 0.0
        with tf.GradientTape() as tape:
            outputs = self(images, training=training, watch=tape.watch)
            picture = self.likelihood.mean(outputs["parameters"])
            zeros = ops.zeros_like(picture)
            projected = ops.sum(self.sampler(zeros, zeros) * picture)
        return outputs, sum_per_example(ops.square(float32(tape.gradient(projected, outputs["code"]))))

    def generate(self, noise, temperature=1.0, *, seed=None, size=None):
        """`{"image"}` of standard normal `noise`, or of so many draws, as `VAE.generate`: a code of the density."""
        return self.decode(self.density.sample(self.noise(noise, seed, size), temperature))

    def endpoints(self, image, latent):
        generate = Endpoint({"noise": latent}, lambda noise: self.generate(noise), "generator", VARIANTS[:1])
        return {**super().endpoints(image, latent), "generate": generate}

    def examples(self, images, rng):
        found = super().examples(images, rng)
        return {**found, "noise": [rng.standard_normal(found["z"][0].shape).astype("float32")]}

    @property
    def in_words(self):
        _, does = super().in_words
        return "regularised autoencoder", does

    def get_config(self):
        return {
            **super().get_config(),
            "code_norm": self.code_norm,
            "weight_decay": self.weight_decay,
            "gradient_penalty": self.gradient_penalty,
            "seed": self.seed,
            "density": keras.saving.serialize_keras_object(self.density),
        }
