"""Restoration from the neighbourhood of each pixel: noise, holes, scratches, stains, marks."""

from typing import ClassVar

import keras
import tensorflow as tf
from keras import ops

from tfvae.distributions import bernoulli_log_prob, float32
from tfvae.layers.biharmonic import MARGIN, interpolate
from tfvae.layers.padding import pad_to_multiple
from tfvae.models.base import only_spatial_resnet
from tfvae.models.restoration_model import RestorationModel
from tfvae.networks.residual_latent import FACTOR, ResidualDecoder, ResidualPosterior
from tfvae.networks.unet import UNet
from tfvae.objectives import FLOOR, sum_per_example

MASKS = ("none", "given", "found")
LEVELS = 3  # of the U-Net: its coarsest places are those of the latent
LOG_STD = -3.0  # where the decoder starts: a standard deviation of a twentieth of the range


@keras.saving.register_keras_serializable(package="tfvae")
class Restorer(RestorationModel):
    """A U-Net estimates the original, and spatial latents at two scales say what the estimate leaves open.

    The estimate is a function of y alone, trained to be the mean of all originals that y allows: the picture of the
    least squared error. Its error, of which it knows nothing, is what the VAE explains: the posterior sees
    `x - estimate`, the decoder adds to the estimate what z says, and emits a standard deviation for every pixel.
    Both look at the U-Net's features, and neither changes them: what is known of the uncertainty costs no decibel.

    Args:
        channels: 1 or 3.
        widths: Filters of the U-Net's three levels, fine to coarse.
        latent_dim: Units of a latent place at each scale.
        blocks: Residual blocks of a level, in each direction.
        mask: `"none"`: nothing is said of where the damage lies, or it lies everywhere; `"given"`: lost pixels are
            named (inpainting), interpolated first, and only they are changed; `"found"`: the model says where it lies.
        corruptions: What degrades the pictures while training: tables as `tfvae.corruptions.from_tables` takes.
        floor: Of the mean squared error whose logarithm is the estimate's loss: see `estimate_loss`.
        beta, free_bits, seed: As in `VAE`.

    Raises:
        ValueError: If `mask` is none of these, or `widths` are not three.
    """

    usual: ClassVar = {"network": "resnet", "widths": (32, 64, 96), "likelihood": "bernoulli"}
    residual_units = 32  # filters of what explains the residual

    def __init__(
        self,
        channels,
        widths,
        latent_dim,
        blocks=2,
        mask="none",
        corruptions=(),
        floor=FLOOR,
        beta=1.0,
        free_bits=0.0,
        seed=None,
        **kwargs,
    ):
        if mask not in MASKS:
            raise ValueError(f"`mask` must be one of {', '.join(MASKS)}. Received: mask={mask!r}")
        if len(widths) != LEVELS:
            raise ValueError(f"`widths` must be of {LEVELS} levels. Received: widths={widths}")
        parts = (channels, latent_dim, self.residual_units)
        encoder, decoder = ResidualPosterior(*parts), ResidualDecoder(*parts)
        super().__init__(encoder, decoder, corruptions, floor, beta=beta, free_bits=free_bits, seed=seed, **kwargs)
        self.channels, self.widths, self.latent_dim = channels, tuple(widths), latent_dim
        self.blocks, self.mask = blocks, mask
        self.unet = UNet(self.widths, blocks)
        # It starts at zero: the first estimate is the degraded picture itself.
        self.exit = keras.layers.Conv2D(
            4 * (channels + self.finds_damage), 3, padding="same", kernel_initializer="zeros", dtype="float32"
        )
        features = (None, None, None, self.widths[0])
        self.unet.build((None, None, None, channels + self.takes_mask))
        self.exit.build(features)
        encoder.build((None, None, None, channels), features)
        decoder.build((None, *self.latent_shape), features)

    @classmethod
    def assemble(cls, image_shape, latent_dim, *, network, widths, hidden, dropout, likelihood, seed, **options):
        only_spatial_resnet("a restorer", image_shape, network, dropout)
        return cls(image_shape[-1], widths, latent_dim, seed=seed, **options)

    @property
    def takes_mask(self):
        return self.mask == "given"

    @property
    def finds_damage(self):
        return self.mask == "found"

    @property
    def without_int8(self):
        sentence = "int8 is left out: lost pixels are interpolated first, by solving equations that 8 bits cannot hold."
        return sentence if self.takes_mask else ""

    @property
    def margin(self):
        radius = self.unet.margin + self.decoder.margin + 2  # and the exit's own convolution
        radius += MARGIN if self.takes_mask else 0
        return -(-radius // FACTOR) * FACTOR

    def estimate(self, degraded, known):
        """Features of the U-Net, the estimate and the log-odds of damage (None unless it is found), padded to 8."""
        degraded, known = _padded(degraded), _padded(known)
        # Centred pixels; a lost one starts from its known neighbours, whatever it holds.
        inputs = (interpolate(degraded, known) if self.takes_mask else degraded) - 0.5
        features = self.unet(ops.concatenate([inputs, known], axis=-1) if self.takes_mask else inputs)
        out = tf.nn.depth_to_space(float32(self.exit(features)), 2)
        estimate = inputs + 0.5 + out[..., : self.channels]
        if self.takes_mask:
            estimate = ops.where(known > 0, degraded, estimate)
        return features, estimate, out[..., self.channels :] if self.finds_damage else None

    def parameters(self, z, features, estimate, known):
        """Of the likelihood, all padded: the estimate changed by z, the log-standard deviation, and what counts."""
        change, log_std = ops.split(self.decoder(z, features), 2, axis=-1)
        counts = (1.0 - known if self.takes_mask else ops.ones_like(known)) * ops.ones_like(change)
        return ops.concatenate([estimate + counts * change, log_std + LOG_STD, counts], axis=-1)

    def infer(self, images, degraded, known, training=False):
        features, estimate, log_odds = self.estimate(degraded, known)
        # What the VAE looks at, and does not change.
        context = {
            "features": tf.stop_gradient(features),
            "estimate": tf.stop_gradient(estimate),
            "known": _padded(known),
        }
        residual = _padded(float32(images)) - context["estimate"]
        mean, log_var = self.encoder(residual, context["features"])
        z = self.sampler(mean, log_var)
        outputs = {"mean": mean, "log_var": log_var, "z": z, "context": context}
        outputs["estimate"] = self.crop(estimate, images)
        outputs["parameters"] = self.crop(self.parameters(z, **context), images)
        return outputs if log_odds is None else {**outputs, "log_odds": self.crop(log_odds, images)}

    def auxiliary_loss(self, outputs, images):
        loss = super().auxiliary_loss(outputs, images)
        if self.finds_damage:
            loss -= sum_per_example(bernoulli_log_prob(outputs["damage"], outputs["log_odds"]))
        return loss

    def decode_with_context(self, outputs, z):
        return self.likelihood.mean(self.parameters(z, **outputs["context"]))

    def restore(self, degraded, known=None, context=None):
        degraded, known = self._inputs(degraded, known)
        features, estimate, log_odds = self.estimate(degraded, known)
        shape = ops.shape(features)
        typical = ops.zeros((shape[0], shape[1] // 4, shape[2] // 4, self.latent_shape[-1]))
        parameters = self.parameters(typical, features, estimate, _padded(known))
        _, log_std, counts = self.likelihood.parts(parameters)
        std = ops.exp(log_std)
        # Where all pixels count nothing is multiplied: the ones would stay float in an int8 file.
        maps = {"image": ops.clip(estimate, 0.0, 1.0), "std": counts * std if self.takes_mask else std}
        if log_odds is not None:
            maps["damage"] = ops.sigmoid(log_odds)
        return {name: self.crop(value, degraded) for name, value in maps.items()}

    def sample(self, degraded, noise, known=None, context=None):
        degraded, known = self._inputs(degraded, known)
        features, estimate, _ = self.estimate(degraded, known)
        parameters = self.parameters(float32(noise), features, estimate, _padded(known))
        return {"image": self.crop(self.likelihood.mean(parameters), degraded)}

    def _inputs(self, degraded, known):
        degraded = float32(degraded)
        return degraded, ops.ones_like(degraded[..., :1]) if known is None else float32(known)

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "widths": self.widths,
            "latent_dim": self.latent_dim,
            "blocks": self.blocks,
            "mask": self.mask,
        }


def _padded(maps):
    return pad_to_multiple(maps, FACTOR, mirror=True)
