"""The VAE with a discrete latent: a map of indices into a codebook, and an autoregressive prior over it."""

from dataclasses import replace

import keras
from keras import ops

from tfvae.distributions import float32
from tfvae.endpoint import VARIANTS, Endpoint
from tfvae.example_weights import batch_mean
from tfvae.layers.finite_scalar_quantiser import FiniteScalarQuantiser
from tfvae.layers.quantiser import VectorQuantiser
from tfvae.models.base import LatentModel
from tfvae.priors import CausalTransformer
from tfvae.priors.choice import normal_cdf

COARSE = (
    "int8 is left out where the nearest code is looked for: in 8 bits many are equally near, and about half of the "
    "choices were others, which cost 1 dB."
)
# The largest float32 below 1: where the normal distribution function rounds to 1, no index would be drawn.
BELOW_ONE = 1.0 - 2.0**-24
CODEBOOK = (512, 0.25, 0.99, 0.1)  # codes, commitment, momentum and revival, unless they are given


@keras.saving.register_keras_serializable(package="tfvae")
class VQVAE(LatentModel):
    """Maximises `log p(x|z_q(x)) + log p(k(x))`: the posterior has all its mass on one map of indices.

    | symbol | meaning | name in the code |
    | --- | --- | --- |
    | z_e(x) | the encoder's vector at each place | `encoded` |
    | e_1 … e_K | codebook | `quantiser.codebook` |
    | k | index of the code nearest to z_e, at each place | `indices` |
    | z_q = e_k | the code | `z` |
    | q(k\\|x) | posterior: 1 at k(x), so its entropy is 0 | — |
    | p(k) | prior: a causal Transformer over the places, row by row | `prior` |
    | p(x\\|z_q) | likelihood | `parameters`, read by `likelihood` |
    | -log p(k) | rate, `KL(q(k\\|x) \\|\\| p(k))` | `rate` |
    | beta | weight of the commitment `sum((z_e - sg(z_q))**2)` | `commitment` |

    Codebook and prior are learnt together: the prior is fitted to the indices of the codebook as it is at each step,
    and as no gradient leaves an index, it changes nothing of the autoencoder (beyond its part in a clipped global
    gradient norm). So the bound is a true one after every epoch, where the paper has a uniform prior while training
    and a second model after it. The gradient of the likelihood passes the quantiser unchanged; the codebook follows the
    encoder by moving averages (see `VectorQuantiser`).

    The latent is a map at `1 / encoder.factor` of the resolution. With `size` the model is one of whole pictures of
    that size; without, encoder and decoder take pictures of any size, and the prior maps of at most `window` places.

    Args:
        encoder: An `Encoder` of `(None, None, channels)` pictures with `stochastic=False`.
        decoder: A `Decoder` of the same image and latent shape.
        size: `(height, width)` of all pictures, pixels; None where they differ.
        window: `(rows, columns)` of the largest map that the prior knows; that of `size`, where it is given.
        codes: Vectors in the codebook.
        levels: Of a `FiniteScalarQuantiser` in place of a codebook, one for each number of a code; then `codes`,
            `commitment`, `momentum` and `revival` mean nothing and must be left as they are.
        commitment: Weight of the squared distance from the encoder's vectors to their codes, in the loss. The paper's
            0.25 is for a mean squared error; with nats of a narrow likelihood it takes tens.
        momentum, revival: Of the `VectorQuantiser`.
        prior_width, prior_depth, prior_heads, prior_dropout: `width`, `depth`, `heads` and `dropout` of the
            `CausalTransformer`.
        seed: Starts the noise of revival and dropout.

    Call arguments:
        images: Shape `(batch, height, width, channels)`, in [0, 1].

    Returns:
        `{"encoded", "indices", "z", "parameters", "log_prior"}`; `indices` int32 `(batch, rows, columns)`, `log_prior`
        `(batch,)` in nats, all but the indices float32.

    Raises:
        ValueError: If the encoder is stochastic or its latent is no map, `commitment` is negative, or as the parts do.

    Reference:
        van den Oord, Vinyals and Kavukcuoglu (2017), https://arxiv.org/abs/1711.00937; Mentzer et al. (2024),
        https://arxiv.org/abs/2309.15505, for the finite scalar quantiser
    """

    def __init__(
        self,
        encoder,
        decoder,
        size=None,
        window=(16, 16),
        codes=512,
        levels=(),
        commitment=0.25,
        momentum=0.99,
        revival=0.1,
        prior_width=128,
        prior_depth=4,
        prior_heads=4,
        prior_dropout=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(encoder, decoder, **kwargs)
        encoder = self.encoder
        if encoder.stochastic or not encoder.spatial:
            raise ValueError(
                "`encoder` must emit one map of vectors: image_shape=(None, None, channels), stochastic=False. "
                f"Received: image_shape={encoder.image_shape}, stochastic={encoder.stochastic}"
            )
        if commitment < 0:
            raise ValueError(f"`commitment` must be non-negative. Received: commitment={commitment}")
        self.size = None if size is None else tuple(size)
        self.window = tuple(window) if size is None else tuple(-(-side // self.factor) for side in size)
        self.commitment, self.seed = commitment, seed
        self.codes_of_codebook, self.momentum, self.revival = codes, momentum, revival
        if levels and (codes, commitment, momentum, revival) != CODEBOOK:
            raise ValueError(
                "`codes`, `commitment`, `momentum` and `revival` are of a codebook, which `levels` stand in for. "
                f"Received: codes={codes}, commitment={commitment}, momentum={momentum}, revival={revival}"
            )
        self.levels = tuple(levels)
        self.quantiser = FiniteScalarQuantiser(levels) if levels else VectorQuantiser(codes, momentum, revival, seed)
        self.prior = CausalTransformer(
            self.quantiser.codes,
            self.window,
            prior_width,
            prior_depth,
            prior_heads,
            prior_dropout,
            None if seed is None else seed + 1,
            dtype=self.dtype_policy,
        )
        self.quantiser.build((None, None, None, encoder.latent_dim))
        self.prior.build((None, None, None))

    @classmethod
    def assemble(cls, image_shape, latent_dim, **settings):
        # `latent = "vector"` in a recipe says that the pictures have one size, `"spatial"` that it is open: either way
        # the latent is a map, of the size of which the prior is.
        height, width, channels = image_shape
        size = None if height is None else (height, width)
        return super().assemble((None, None, channels), latent_dim, size=size, **settings)

    @property
    def image_shape(self):
        return (*(self.size or (None, None)), self.encoder.image_shape[-1])

    @property
    def latent_shape(self):
        return (*(self.window if self.size else (None, None)), self.encoder.latent_dim)

    def crop(self, maps, images):
        shape = ops.shape(images)
        return maps[:, : shape[1], : shape[2], :]

    def call(self, images, training=False):
        encoded = self.encoder(images, training=training)
        indices, z = self.quantiser(encoded, training=training)
        return {
            "encoded": encoded,
            "indices": indices,
            "z": z,
            "parameters": self.crop(self.decoder(z, training=training), images),
            "log_prior": self.prior.log_prob(indices, training=training),
        }

    def encode(self, images):
        """`{"indices", "code"}`: the map of indices, int32 `(batch, rows, columns)`, and their codes, float32."""
        indices, code = self.quantiser(self.encoder(images))
        return {"indices": indices, "code": code}

    def codes(self, images):
        return self.encode(images)["code"]

    def generate(self, noise, temperature=1.0, *, seed=None, size=None):
        """`{"image"}` of standard normal `noise`, `(batch, *latent_shape)`: a map drawn from the prior, decoded.

        Where `noise` is a count, so many are drawn; `seed` and `size` as in `noise`.

        The first channel of the noise decides: its distribution function is uniform, and one uniform number draws one
        index. The others are there because noise has the shape of a code. `temperature` divides the prior's logits.
        """
        noise = self.noise(noise, seed, size)
        uniform = ops.minimum(normal_cdf(float32(noise)[..., 0]), BELOW_ONE)
        indices = self.prior.sample(uniform, temperature)
        return self.decode_quantised(self.quantiser.look_up(indices))

    def decode_quantised(self, z):
        """`{"image": E[x|z]}` of a map of vectors, each one of the codebook's; float32."""
        return {"image": self.likelihood.mean(self.decoder(float32(z)))}

    def reconstruct(self, images):
        """`{"image"}` of the map of codes, at the size of `images`; deterministic."""
        return {"image": self.crop(self.decode_quantised(self.codes(images))["image"], images)}

    def decode_with_context(self, outputs, z):
        return self.decode_quantised(z)["image"]

    def elbo_terms(self, images, training=False, outputs=None):
        outputs = self(images, training=training) if outputs is None else outputs
        return -self.likelihood.log_prob(images, outputs["parameters"], training=training), -outputs["log_prior"]

    def auxiliary_loss(self, outputs, images):
        """The commitment."""
        return self.commitment * self.quantiser.distance(outputs["encoded"], outputs["z"])

    def loss_terms(self, images, training=False):
        outputs = self(images, training=training)
        distortion, rate = self.elbo_terms(images, training=training, outputs=outputs)
        return batch_mean(distortion + rate + self.auxiliary_loss(outputs, images)), distortion, rate

    def endpoints(self, image, latent):
        """As `LatentModel.endpoints`; `indices` are whole numbers in float32, as all that is served."""

        def encode(image):
            found = self.encode(image)
            return {**found, "indices": float32(found["indices"])}

        # The prior knows no larger map than its window.
        places = (side and min(side, most) for side, most in zip(latent[1:3], self.window, strict=True))
        noise = (latent[0], *places, latent[-1])
        choosing = {
            "encode": Endpoint({"image": image}, encode, "encoder", VARIANTS[:-1], note=COARSE),
            "reconstruct": Endpoint(
                {"image": image}, lambda image: self.reconstruct(image), "autoencoder", VARIANTS[:-1]
            ),
            "generate": Endpoint({"noise": noise}, lambda noise: self.generate(noise), "generator", VARIANTS[:1]),
        }
        decode = Endpoint({"z": latent}, lambda z: self.decode_quantised(z), "decoder")
        return {**{name: replace(one, chooses=True) for name, one in choosing.items()}, "decode": decode}

    @property
    def in_words(self):
        codes = f"{self.quantiser.codes} vectors of {self.latent_shape[-1]} numbers"
        does = f"it turns an image into a map, at 1/{self.factor} of the resolution, of indices into {codes}"
        return "vector-quantised autoencoder", f"{does}, and such maps into images"

    def examples(self, images, rng):
        """As `LatentModel.examples`; codes are those of pictures alone, and noise is of a map that the prior knows."""
        found = super().examples(images, rng)
        rows, columns = self.window
        return {**found, "z": found["z"][:1], "noise": [noise[:, :rows, :columns] for noise in found["noise"]]}

    def get_config(self):
        return {
            **super().get_config(),
            "size": self.size,
            "window": self.window,
            "codes": self.codes_of_codebook,
            "levels": self.levels,
            "commitment": self.commitment,
            "momentum": self.momentum,
            "revival": self.revival,
            "prior_width": self.prior.width,
            "prior_depth": self.prior.depth,
            "prior_heads": self.prior.heads,
            "prior_dropout": self.prior.dropout,
            "seed": self.seed,
        }
