"""A VAE whose rate is the bits of a file: lossy compression of pictures of any size, at any quality, with one model."""

import math
from typing import ClassVar

import keras
import numpy as np
from keras import ops

from tfvae.applications.compression.compress import compress, decompress
from tfvae.distributions import float32, normal_log_prob
from tfvae.endpoint import VARIANTS, Endpoint
from tfvae.example_weights import batch_mean
from tfvae.integer_tables import SCALES, STEP
from tfvae.layers.rounding import Uniform, straight_through
from tfvae.models.base import LatentModel, only_spatial_resnet
from tfvae.networks.cosines import cosines
from tfvae.networks.gains import HIGHEST, KNOTS, Gains
from tfvae.networks.hyperprior import (
    FactorisedPrior,
    HyperAnalysis,
    rate_distortion_round,
    rounded_normal_log_prob,
)
from tfvae.networks.integer_decoder import IntegerHyperDecoder
from tfvae.networks.transforms import Analysis, Synthesis
from tfvae.objectives import sum_per_example

QUALITY = 50.0  # at which models are measured
DIVIDES = "int8 is left out: a normalisation divides each latent by its neighbours, and 8 bits hold no quotients."
ROUNDS = "float32 alone: latents are rounded to whole numbers, and half precision rounds many of them to others."


@keras.saving.register_keras_serializable(package="tfvae")
class Codec(LatentModel):
    """Minimises bits and error together: `-log p(ŷ|ẑ) - log p(ẑ) - log p(x|ŷ)`, at all qualities.

    | symbol | meaning | name in the code |
    | --- | --- | --- |
    | q | quality, 0 … 100 | `quality` |
    | y = g(q) f(x) | latents, enlarged by the gains of the quality | `latents` |
    | z | hyper-latents | `hyper` |
    | mu, sigma | means and scales of y, functions of the rounded z and q | `mean`, `SCALES[index]` |
    | ŷ = mu + round(y - mu) | the code; rounded to the smaller number where its bits are worth it | `z` |
    | q(y\\|x) | posterior: uniform, of width 1, around y while training; all on ŷ where bits are counted | — |
    | p(x\\|ŷ) | likelihood: normal, of a standard deviation that the quality sets | `std(quality)` |
    | -log p(ŷ\\|ẑ) - log p(ẑ) | rate, nats: the length of a file is that over log 2, in bits | `rate` |

    As a normal likelihood is `|x - x̂|**2 / (2 std**2)` and a constant, the quality sets the trade of rate for squared
    error, `lambda = 1 / (2 std**2)`, on a logarithmic scale. While training each example has a quality of its own,
    drawn uniformly and evenly spread over a batch, and `std(quality) / std(50)` weighs its loss, so that all qualities
    count about alike. Models are measured at quality 50. The rate is that of noisy latents, the decoder is given
    rounded ones, and the gradient passes the rounding straight through.

    What a decoder of files needs, means and scales, is computed in whole numbers (`IntegerHyperDecoder`), and tables
    are made once (`FactorisedPrior`): files open bit for bit alike on every machine.

    Args:
        channels: 1 or 3.
        widths: Filters of the levels of both transforms, fine to coarse.
        latent_dim: Latents of a place of 2 ** (levels + 1) pixels.
        hyper_dim: Hyper-latents of a place of four times as many.
        hyper_width: Filters of the networks between latents and hyper-latents.
        stds: Standard deviations of the likelihood at qualities 0 and 100, in units of the pixel range.
        seed: Starts the noise and the draw of qualities.

    Call arguments:
        images: `(b, h, w, channels)`, in [0, 1], of any size.
        quality: `(b, 1)`; None: drawn while training, else 50.

    Returns:
        `{"quality", "latents", "hyper", "log_prob", "z", "parameters"}`, float32; `log_prob` is `-rate`, `(b,)`.

    Raises:
        ValueError: As the parts, or if `stds` are not two positive numbers, the first of them the larger.

    Reference:
        Ballé et al. (2018), https://arxiv.org/abs/1802.01436; Minnen, Ballé and Toderici (2018),
        https://arxiv.org/abs/1809.02736; Cui et al. (2021), https://arxiv.org/abs/2003.02012
    """

    usual: ClassVar = {"network": "resnet", "widths": (32, 64, 128), "likelihood": "bernoulli"}

    def __init__(
        self,
        channels,
        widths,
        latent_dim,
        hyper_dim=64,
        hyper_width=96,
        stds=(40 / 255, 4 / 255),
        seed=None,
        **kwargs,
    ):
        if len(stds) != 2 or not stds[0] > stds[1] > 0:
            raise ValueError(f"`stds` must be two positive numbers, the larger one first. Received: stds={stds}")
        parts = (channels, widths, latent_dim, math.sqrt(stds[0] * stds[1]))
        super().__init__(Analysis(*parts), Synthesis(*parts), **kwargs)
        self.channels, self.widths, self.latent_dim, self.hyper_dim = channels, tuple(widths), latent_dim, hyper_dim
        self.hyper_width, self.stds, self.seed = hyper_width, tuple(stds), seed
        self.encoder.build((None, None, None, channels))
        self.decoder.build((None, *self.latent_shape))
        self.gains = Gains(latent_dim)
        self.gains.build((None, *self.latent_shape))
        self.hyper_encoder = HyperAnalysis(hyper_dim, hyper_width)
        self.hyper_encoder.build((None, *self.latent_shape))
        self.hyper_decoder = IntegerHyperDecoder(hyper_dim, latent_dim, hyper_width)
        self.hyper_decoder.build((None, None, None, hyper_dim))
        # Where the bits and errors of a step of rounding balance, its error is that of the likelihood: step**2 / 12.
        steps = math.sqrt(12) * ops.convert_to_numpy(self.std(np.linspace(0, HIGHEST, KNOTS)))
        usual = cosines(channels, self.factor, latent_dim)[1] / steps[:, None]
        self.gains.start(usual)
        self.hyper_decoder.start(usual[0], usual[-1])
        self.prior = FactorisedPrior(hyper_dim)
        self.prior.build((None, None, None, hyper_dim))
        self.uniform = Uniform(seed)
        self.uniform.build(None)

    @classmethod
    def assemble(cls, image_shape, latent_dim, *, network, widths, hidden, dropout, likelihood, seed, **options):
        only_spatial_resnet("a codec", image_shape, network, dropout)
        return cls(image_shape[-1], widths, latent_dim, seed=seed, **options)

    def std(self, quality):
        """Standard deviation of the likelihood: `stds[0]` at quality 0, `stds[1]` at 100, in between geometric."""
        coarse, fine = self.stds
        return coarse * ops.exp(float32(quality) * (math.log(fine / coarse) / HIGHEST))

    def qualities(self, images, quality=QUALITY):
        """`(b, 1)`: one quality for all examples."""
        return ops.full((ops.shape(images)[0], 1), quality, dtype="float32")

    def drawn_qualities(self, images):
        """`(b, 1)`: of each example a uniform draw, and of a batch together evenly spread, so that losses compare."""
        first = self.uniform(self.qualities(images))[:1] + 0.5
        count = ops.shape(images)[0]
        return HIGHEST * ops.mod(first + float32(ops.arange(count)[:, None]) / float32(count), 1.0)

    def analyse(self, images, quality):
        """Latents `(b, h, w, latent_dim)` before they are rounded, and hyper-latents, float32.

        Args:
            images: `(b, height, width, channels)`, in [0, 1].
            quality: `(b, 1)`.
        """
        latents = self.gains(self.encoder(images), quality)
        return latents, self.hyper_encoder(latents)

    def predict_latents(self, hyper, quality, like):
        """Means and indices of scales of the latents `like`, from rounded hyper-latents."""
        shape = ops.shape(like)
        return (part[:, : shape[1], : shape[2]] for part in self.hyper_decoder(hyper, quality))

    def transform(self, images):
        """Latents before a quality enlarges them, float32: what is the same for all qualities."""
        return self.encoder(images)

    def picture(self, z, quality, inside=None):
        """`E[x|ŷ]` of codes ŷ, in [0, 1], `(b, h * factor, w * factor, channels)`; `inside` as of `Synthesis`."""
        return self.likelihood.mean(self.synthesise(z, quality, inside))

    def synthesise(self, z, quality, inside=None):
        """Parameters of the likelihood for codes ŷ, `(b, h * factor, w * factor, channels)`, float32."""
        return self.decoder(self.gains(z, quality, back=True), inside=inside)

    def call(self, images, training=False, quality=None):
        if quality is None:
            quality = self.drawn_qualities(images) if training else self.qualities(images)
        latents, hyper = self.analyse(images, quality)
        rounded = straight_through(hyper, ops.round(hyper))
        mean, index = self.predict_latents(rounded, quality, latents)
        scale = SCALES[0] * ops.exp(STEP * index)
        distance = latents - mean
        symbols = straight_through(distance, rate_distortion_round(distance, index))
        # The rate of noisy latents has a gradient of its own; that of rounded ones is the length of a file.
        counted = [value + self.uniform(value) for value in (distance, hyper)] if training else [symbols, rounded]
        log_prob = sum_per_example(rounded_normal_log_prob(counted[0], scale))
        log_prob += sum_per_example(self.prior(counted[1]))
        z = mean + symbols
        return {
            "quality": quality,
            "latents": latents,
            "hyper": hyper,
            "log_prob": log_prob,
            "z": z,
            "parameters": self.crop(self.synthesise(z, quality), images),
        }

    def encode(self, images):
        """`{"latents"}` before a quality enlarges them and they are rounded."""
        return {"latents": self.transform(self.as_images(images))}

    def codes(self, images):
        return self(images)["z"]

    def reconstruct(self, images, quality=QUALITY):
        """`{"image"}`: what a file of that quality would open as; deterministic."""
        images = self.as_images(images)
        return {"image": self.likelihood.mean(self(images, quality=self.qualities(images, quality))["parameters"])}

    def decode_with_context(self, outputs, z):
        return self.picture(z, outputs["quality"])

    def terms(self, images, outputs):
        """Distortion and rate of each example, nats, at the qualities of the `outputs`."""
        location, log_std = 0.5 + outputs["parameters"], ops.log(self.std(outputs["quality"]))[:, :, None, None]
        return -sum_per_example(normal_log_prob(images, location, log_std)), -outputs["log_prob"]

    def elbo_terms(self, images, training=False):
        return self.terms(images, self(images, training=training))

    def loss_terms(self, images, training=False):
        outputs = self(images, training=training)
        distortion, rate = self.terms(images, outputs)
        weight = self.std(outputs["quality"])[:, 0] / self.std(QUALITY)
        return batch_mean(weight * (distortion + rate)), distortion, rate

    def compress(self, image: np.ndarray, quality: float = QUALITY, coder: str = "ans") -> bytes:
        """A file of one picture, uint8 `(height, width, channels)`; see `tfvae.applications.compression`."""
        return compress(self, image, quality, coder)

    def decompress(self, content: bytes) -> np.ndarray:
        """The picture of a file, uint8; see `tfvae.applications.compression`."""
        return decompress(self, content).pixels

    def endpoints(self, image, latent):
        """As `LatentModel.endpoints`: latents of all qualities, a picture of a code at one, and both in one."""
        codes = {"z": latent, "quality": (latent[0], 1), "inside": (*latent[:3], 1)}

        def decode(z, quality, inside):
            return {"image": self.picture(z, quality, inside)}

        exact = VARIANTS[:1]
        rebuild = Endpoint(
            {"image": image}, lambda image: self.reconstruct(image), "autoencoder", exact, chooses=True, note=ROUNDS
        )
        return {
            "encode": Endpoint({"image": image}, lambda image: self.encode(image), "encoder", exact, True, ROUNDS),
            "decode": Endpoint(codes, decode, "decoder", VARIANTS[:-1], note=DIVIDES),
            "reconstruct": rebuild,
        }

    @property
    def in_words(self):
        does = f"it turns an image into a map of {self.latent_dim} whole numbers for each {self.factor}×{self.factor} "
        return "codec", f"{does}pixels, which take few bits in a file, and such maps into images"

    def examples(self, images, rng):
        """As `LatentModel.examples`, a quality for each picture, and which of its places count: all, or fewer."""
        found, quality = super().examples(images, rng), np.full((len(images), 1), QUALITY, np.float32)
        whole = np.ones_like(found["z"][0][..., :1])
        smaller = whole.copy()
        smaller[:, -1:], smaller[:, :, -1:] = 0, 0
        return {**found, "quality": [quality, np.full_like(quality, 80.0)], "inside": [whole, smaller]}

    def get_config(self):
        config = super().get_config()
        del config["encoder"], config["decoder"]  # made from the settings
        return {
            **config,
            "channels": self.channels,
            "widths": self.widths,
            "latent_dim": self.latent_dim,
            "hyper_dim": self.hyper_dim,
            "hyper_width": self.hyper_width,
            "stds": self.stds,
            "seed": self.seed,
        }
