"""Restoration from the neighbourhood of each pixel: noise, holes, scratches, stains, marks."""

from typing import ClassVar

import keras
import tensorflow as tf
from keras import ops

from tfvae.distributions import bernoulli_log_prob, float32
from tfvae.layers.biharmonic import MARGIN, interpolate
from tfvae.layers.padding import pad_to_multiple
from tfvae.layers.starlet import shaped
from tfvae.layers.window import window_mean
from tfvae.models.base import only_spatial_resnet
from tfvae.models.restoration_model import RestorationModel
from tfvae.networks.residual_latent import FACTOR, ResidualDecoder, ResidualPosterior
from tfvae.networks.unet import UNet
from tfvae.objectives import FLOOR, sum_per_example

MASKS = ("none", "given", "found")
LEVELS = 3  # of the U-Net: its coarsest places are those of the latent
WINDOWS = (3, 9, 33)  # pixels a side: of what the size of an error is told from
LEAST_ENERGY = 1e-6  # a quarter of a grey level, squared
LEAST_SHARE = 0.01  # of known pixels, in logarithms
LOG_STD = -3.0  # where the decoder starts: a standard deviation of a twentieth of the range


@keras.saving.register_keras_serializable(package="tfvae")
class Restorer(RestorationModel):
    """A U-Net estimates the original, and spatial latents at two scales say what the estimate leaves open.

    The estimate is a function of y alone, trained to be the mean of all originals that y allows: the picture of the
    least squared error. Its error, of which it knows nothing, is what the VAE explains: the posterior sees
    `x - estimate`, the decoder adds to the estimate what z says, and emits a standard deviation for every pixel.
    Both look at the U-Net's features, and neither changes them: what is known of the uncertainty costs no decibel.

    Samples are `estimate + std * e`, the normal approximation of p(x|y), with e noise of unit variance that has in each
    octave the covariance of the errors; std and octaves are those of the calibration. They are not decoded from z:
    early in a training N(0, I) draws what no posterior holds, noisier than the noise; later z carries hardly anything.

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
        uncertainty: What `tfvae.applications.calibrate_uncertainty` returned; None before, when std is the network's
            own guess, and e white.

    Raises:
        ValueError: If `mask` is none of these, or `widths` are not three.
    """

    usual: ClassVar = {"network": "resnet", "widths": (32, 64, 96), "likelihood": "bernoulli"}
    residual_units = 32  # filters of what explains the residual
    correlates = True

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
        uncertainty=None,
        **kwargs,
    ):
        if mask not in MASKS:
            raise ValueError(f"`mask` must be one of {', '.join(MASKS)}. Received: mask={mask!r}")
        if len(widths) != LEVELS:
            raise ValueError(f"`widths` must be of {LEVELS} levels. Received: widths={widths}")
        parts = (channels, latent_dim, self.residual_units)
        encoder, decoder = ResidualPosterior(*parts), ResidualDecoder(*parts)
        options = {"beta": beta, "free_bits": free_bits, "seed": seed, "uncertainty": uncertainty}
        super().__init__(encoder, decoder, corruptions, floor, **options, **kwargs)
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

    @property
    def noise_units(self):
        return FACTOR**2 * self.channels  # one for each value of a picture

    def estimate(self, degraded, known):
        """Features of the U-Net, the estimate and the log-odds of damage (None unless it is found), padded to 8."""
        return self._estimated(_padded(degraded), _padded(known))[1:]

    def _estimated(self, degraded, known):
        """What the network starts from, then what `estimate` returns, of what is padded already."""
        # A lost pixel starts from its known neighbours, whatever it holds.
        started = interpolate(degraded, known) if self.takes_mask else degraded
        inputs = started - 0.5  # centred
        features = self.unet(ops.concatenate([inputs, known], axis=-1) if self.takes_mask else inputs)
        out = tf.nn.depth_to_space(float32(self.exit(features)), 2)
        estimate = inputs + 0.5 + out[..., : self.channels]
        if self.takes_mask:
            estimate = ops.where(known > 0, degraded, estimate)
        return started, features, estimate, out[..., self.channels :] if self.finds_damage else None

    def parameters(self, z, features, estimate, known):
        """Of the likelihood, all padded: the estimate changed by z, the log-standard deviation, and what counts."""
        change, log_std = ops.split(self.decoder(z, features), 2, axis=-1)
        counts = self._counts(known, change)
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
        estimate, std, log_odds = self._restored(degraded, known)
        maps = {"image": ops.clip(estimate, 0.0, 1.0), "std": std}
        if log_odds is not None:
            maps["damage"] = ops.sigmoid(log_odds)
        return {name: self.crop(value, degraded) for name, value in maps.items()}

    def sample(self, degraded, noise, known=None, context=None):
        degraded, known = self._inputs(degraded, known)
        estimate, std, _ = self._restored(degraded, known)
        noise = tf.nn.depth_to_space(float32(noise), FACTOR)
        amplitudes = (self.uncertainty or {}).get("amplitudes")
        error = std * (noise if amplitudes is None else shaped(noise, amplitudes))
        return {"image": self.crop(ops.clip(estimate + error, 0.0, 1.0), degraded)}

    def predictors(self, degraded, known=None, context=None):
        degraded, known = self._inputs(degraded, known)
        started, estimate, log_std, _ = self._computed(degraded, known)
        found = self.crop(self._predictors(started, estimate, log_std, _padded(known)), degraded)
        return ops.repeat(ops.expand_dims(found, 3), self.channels, axis=3)

    def _restored(self, degraded, known):
        """Estimate, its standard deviation, and the log-odds of damage, padded to 8."""
        started, estimate, log_std, log_odds = self._computed(degraded, known)
        if self.uncertainty is None:  # its predictors would be computed for nothing, and stay float in an int8 file
            std = ops.exp(log_std)
        else:
            found = self._predictors(started, estimate, log_std, _padded(known))
            std = ops.repeat(ops.expand_dims(self.calibrated(found), -1), self.channels, axis=-1)
        # Where all pixels count nothing is multiplied: the ones would stay float in an int8 file.
        return estimate, self._counts(_padded(known), std) * std if self.takes_mask else std, log_odds

    def _computed(self, degraded, known):
        """What the network starts from, the estimate, the log-standard deviation and the log-odds, padded to 8."""
        known = _padded(known)
        started, features, estimate, log_odds = self._estimated(_padded(degraded), known)
        shape = ops.shape(features)
        typical = ops.zeros((shape[0], shape[1] // 4, shape[2] // 4, self.latent_shape[-1]))
        _, log_std, _ = self.likelihood.parts(self.parameters(typical, features, estimate, known))
        return started, estimate, log_std, log_odds

    def _predictors(self, started, estimate, log_std, known):
        """The predictors `(b, h, w, k)` of what is padded already."""
        found = [ops.mean(log_std, axis=-1, keepdims=True)]
        found += [_log_energy(estimate - started, window) for window in WINDOWS]
        found += [_log_energy(_differences(estimate), window) for window in WINDOWS]
        if self.takes_mask:
            found += [ops.log(window_mean(known, window) + LEAST_SHARE) for window in WINDOWS]
        return ops.concatenate(found, axis=-1)

    def _counts(self, known, values):
        """1 where the likelihood asks for a value, else 0."""
        return (1.0 - known if self.takes_mask else ops.ones_like(known)) * ops.ones_like(values)

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


def _differences(images):
    """To the next pixel below and on the right, side by side as channels."""
    below = images[:, 1:] - images[:, :-1]
    right = images[:, :, 1:] - images[:, :, :-1]
    sides = ops.pad(below, ((0, 0), (0, 1), (0, 0), (0, 0))), ops.pad(right, ((0, 0), (0, 0), (0, 1), (0, 0)))
    return ops.concatenate(sides, axis=-1)


def _log_energy(maps, window):
    """Logarithm of the root mean square over the channels and a square about each pixel, `(b, h, w, 1)`."""
    return 0.5 * ops.log(window_mean(ops.mean(ops.square(maps), axis=-1, keepdims=True), window) + LEAST_ENERGY)
