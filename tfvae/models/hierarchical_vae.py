"""The VAE with several groups of latents, each drawn given those above it."""

import keras
import numpy as np
from keras import ops

from tfvae.applications.latent.embed import embed
from tfvae.distributions import float32
from tfvae.example_weights import batch_mean
from tfvae.models.base import DecodesCodes, VariationalModel
from tfvae.networks.ladder_coders import LadderDecoder, LadderEncoder
from tfvae.objectives import free_bits_rate
from tfvae.priors.base import gaussian_log_prob


@keras.saving.register_keras_serializable(package="tfvae")
class HierarchicalVAE(VariationalModel, DecodesCodes):
    def __init__(
        self,
        image_shape,
        latent_dim,
        network,
        widths,
        hidden,
        likelihood,
        groups=(1,),
        blocks=1,
        embed_levels=1,
        beta=1.0,
        free_bits=0.0,
        seed=None,
        **kwargs,
    ):
        shared = {
            "image_shape": image_shape,
            "latent_dim": latent_dim,
            "network": network,
            "widths": widths,
            "hidden": hidden,
            "groups": groups,
            "blocks": blocks,
        }
        super().__init__(
            LadderEncoder(**shared), LadderDecoder(**shared, likelihood=likelihood), beta, free_bits, seed, **kwargs
        )
        self.embed_levels = embed_levels

    @classmethod
    def assemble(cls, image_shape, latent_dim, *, network, widths, hidden, dropout, likelihood, seed, **options):
        if dropout:
            raise ValueError(f"`dropout` of a {cls.__name__} must be 0. Received: dropout={dropout}")
        return cls(image_shape, latent_dim, network, widths, hidden, likelihood, seed=seed, **options)

    def call(self, images, training=False):
        features = self.encoder(images, training=training)
        flat = ops.zeros((ops.shape(images)[0], *self.latent_shape))
        # The sampler's noise, saved seed and all, without a posterior: this one is known only group by group.
        z, mean, log_var, parameters, _ = self.decoder.posterior(features, self.sampler(flat, flat))
        return {"mean": mean, "log_var": log_var, "z": z, "parameters": parameters}

    def bound_loss(self, outputs, distortion, rate, training=True):
        beta = self.current_beta() if training else self.beta
        kl = self.prior.kl(outputs["mean"], outputs["log_var"])
        groups = [ops.sum(part, axis=(1, 2, 3)) for part in self.decoder.split(kl)]
        return batch_mean(distortion) + beta * free_bits_rate(ops.stack(groups, axis=-1), self.free_bits)
