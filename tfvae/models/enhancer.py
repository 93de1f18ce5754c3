"""Enhancement of light and colour: one curve for the whole picture."""

import keras
from keras import ops

from tfvae.distributions import float32
from tfvae.models.restoration_model import RestorationModel
from tfvae.networks.tone import ToneCurve, ToneFeatures, TonePosterior
from tfvae.objectives import FLOOR


@keras.saving.register_keras_serializable(package="tfvae")
class Enhancer(RestorationModel):
    """A curve through colour space for the whole picture, chosen by what the picture looks like and by a vector z.

    Exposure, contrast, gamma, colour balance and saturation change every pixel by the same function of its colour, so
    one such function takes them back. A dull picture may be of a dull day: what cannot be seen in y is what z holds,
    and draws of it are other ways to enhance the picture. The estimate is the curve of `z = 0`, which the loss trains
    in addition to the bound.

    Args:
        channels: 1 or 3.
        widths: Filters of the levels that look at the thumbnail.
        latent_dim: Units of z.
        network: Of those levels: `"conv"`, `"inception"` or `"resnet"`.
        hidden: Units of the features of a picture.
        corruptions: What degrades the pictures while training: tables as `tfvae.corruptions.from_tables` takes.
        floor: Of the mean squared error whose logarithm is the estimate's loss: see `estimate_loss`.
        beta, free_bits, seed: As in `VAE`.
    """

    def __init__(
        self,
        channels,
        widths,
        latent_dim,
        network,
        hidden,
        corruptions=(),
        floor=FLOOR,
        beta=1.0,
        free_bits=0.0,
        seed=None,
        **kwargs,
    ):
        encoder, decoder = TonePosterior(channels, latent_dim, hidden), ToneCurve(channels, latent_dim, hidden)
        super().__init__(encoder, decoder, corruptions, floor, beta=beta, free_bits=free_bits, seed=seed, **kwargs)
        self.channels, self.widths, self.latent_dim = channels, tuple(widths), latent_dim
        self.network, self.hidden = network, hidden
        self.features = ToneFeatures(channels, network, self.widths, hidden)
        images = (None, None, None, channels)
        self.features.build(images)
        features = self.features.compute_output_shape(images)
        encoder.build((None, 2 * features[-1]))
        decoder.build(images, features, (None, latent_dim))

    @classmethod
    def assemble(cls, image_shape, latent_dim, *, network, widths, hidden, dropout, likelihood, seed, **options):
        if dropout:
            raise ValueError(f"`dropout` must be 0 for an enhancer. Received: dropout={dropout}")
        return cls(image_shape[-1], widths, latent_dim, network=network, hidden=hidden, seed=seed, **options)

    def infer(self, images, degraded, known, training=False):
        seen = self.features(degraded)
        mean, log_var = self.encoder(ops.concatenate([seen, self.features(images)], axis=-1))
        z = self.sampler(mean, log_var)
        outputs = {"mean": mean, "log_var": log_var, "z": z, "degraded": degraded, "features": seen}
        outputs["estimate"] = 0.5 + self.decoder(degraded, seen, ops.zeros_like(z))
        return {**outputs, "parameters": self.decoder(degraded, seen, z)}

    def decode_with_context(self, outputs, z):
        return self.likelihood.mean(self.decoder(outputs["degraded"], outputs["features"], z))

    @property
    def without_int8(self):
        return "int8 is left out: a curve through colours of 8 bits costs about 2 dB."

    def context(self, degraded, like=None):
        """What the tiles of a whole picture must know of it: its features, and the code of its curve, side by side.

        The code is 0; or with `like`, pictures of any size, the posterior's mean as if those were the originals.
        """
        seen = self.features(degraded)
        if like is None:
            return ops.concatenate([seen, ops.zeros((ops.shape(seen)[0], self.latent_dim))], axis=-1)
        return ops.concatenate([seen, self.encoder(ops.concatenate([seen, self.features(like)], axis=-1))[0]], axis=-1)

    def restore(self, degraded, known=None, context=None):
        parameters = self._curve(degraded, self.context(degraded) if context is None else context)
        return {"image": self.likelihood.mean(parameters), "std": self.calibrated(self._predictors(parameters))}

    def predictors(self, degraded, known=None, context=None):
        return self._predictors(self._curve(degraded, self.context(degraded) if context is None else context))

    def _predictors(self, parameters):
        shape = ops.shape(self.likelihood.mean(parameters))
        return ops.expand_dims(ops.broadcast_to(ops.log(self.likelihood.std(parameters)), shape), -1)

    def restoration_example(self, images):
        example = super().restoration_example(images)
        del example["std"]  # one number for the whole picture is no picture
        return example

    def sample(self, degraded, noise, known=None, context=None):
        context = self.context(degraded) if context is None else context
        drawn = ops.concatenate([context[:, : -self.latent_dim], float32(noise)], axis=-1)
        return {"image": self.likelihood.mean(self._curve(degraded, drawn))}

    def _curve(self, degraded, context):
        return self.decoder(float32(degraded), context[:, : -self.latent_dim], context[:, -self.latent_dim :])

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "widths": self.widths,
            "latent_dim": self.latent_dim,
            "network": self.network,
            "hidden": self.hidden,
        }
