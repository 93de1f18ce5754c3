"""What every model with a code shares: its parts, and the ways in and out of the latent space."""

import inspect
import numbers
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import keras
import numpy as np
from keras import ops

from tfvae.applications.latent.embed import embed
from tfvae.applications.latent.generate import largest_size, noise_shape
from tfvae.applications.latent.interpolate import interpolate
from tfvae.distributions import float32
from tfvae.endpoint import Endpoint
from tfvae.inputs import given
from tfvae.likelihoods import Likelihood
from tfvae.models.base.replicated_step import ReplicatedStep
from tfvae.networks import NETWORKS
from tfvae.networks.decoder import Decoder
from tfvae.networks.encoder import Encoder
from tfvae.networks.own import coders
from tfvae.priors import get as prior_of
from tfvae.serving import write_saved_model, write_tflite

# What to do for a file of a kind that is asked for under another name.
REMEDIES = {
    "tflite": " Remedy: format='litert', TFLite's name now",
    "onnx": " Remedy: `python -m export RUN --onnx` in a clone of tfvae, which compares the file with the model",
    "keras": " Remedy: model.save(filepath)",
    "h5": " Remedy: model.save('model.keras')",
}


def only_spatial_resnet(whose, image_shape, network, dropout):
    """Raises `ValueError` for a recipe's parts that a model of its own convolutions, for any size, does not have."""
    if image_shape[0] is not None:
        raise ValueError(f"`latent` must be 'spatial' for {whose}. Received: pictures of {image_shape[:2]} only")
    if network != "resnet" or dropout:
        raise ValueError(f"`network` of {whose} must be 'resnet', without dropout. Received: {network}, {dropout}")


def after(seed, steps):
    """The seed `steps` after `seed`; None after None."""
    return None if seed is None else seed + steps


class LatentModel(ReplicatedStep):
    """An encoder, a decoder with its likelihood, perhaps a prior, and an objective of a distortion and a rate.

    A subclass defines `call`, `encode`, `codes`, `reconstruct` and `elbo_terms`. What a model can do it has a method
    for, and no other: `decode(z)` where any `z` of the latent's shape is a code (`DecodesCodes`), `generate(noise)`
    where noise alone draws a picture, `restore` where it takes damage out of pictures, `render` where it knows styles.
    Images are float32 in [0, 1], shape `(batch, height, width, channels)`.
    """

    prior: Any = None  # a `Prior` of the code; None where a code has no distribution, so that there is no bound
    frames = 1  # frames of a film in one example, one below the other
    embedded: Any = slice(None)  # units of a code that `embed` gives
    stochastic = False  # whether the encoder of `assemble` emits a posterior
    usual: ClassVar[dict[str, Any]] = {"network": "conv", "widths": (32, 64), "likelihood": "bernoulli"}

    def __init__(self, encoder, decoder, likelihood=None, label_names=(), **kwargs):
        super().__init__(**kwargs)
        encoder, decoder = coders(encoder, decoder, likelihood, self.stochastic)
        *places, units = encoder.latent_shape
        taken = (*places, units + len(label_names))  # the decoder of a conditional model also takes the label
        if taken != decoder.latent_shape or encoder.image_shape != decoder.image_shape:
            raise ValueError(
                "`encoder` and `decoder` must agree on image and latent shape"
                f"{f', the latter with {len(label_names)} labels' if label_names else ''}. "
                f"Received: encoder {encoder.image_shape} -> {encoder.latent_shape}, "
                f"decoder {decoder.latent_shape} -> {decoder.image_shape}"
            )
        if encoder.factor != decoder.factor:
            raise ValueError(
                "`encoder` and `decoder` must reduce and enlarge the picture as much. "
                f"Received: factors {encoder.factor} and {decoder.factor}"
            )
        self.encoder = encoder
        self.decoder = decoder
        if label_names:
            self.conditional, self.label_names = True, [str(name) for name in label_names]
        # The parts arrive built: they know their shapes. To say so here, rather than to call `build`, leaves Keras's
        # state open, so that a subclass can add layers and weights of its own after `super().__init__`.
        self.built = True

    @classmethod
    def from_shape(
        cls,
        image_shape: Sequence[int | None],
        latent_dim: int = 16,
        *,
        network: str | None = None,
        widths: Sequence[int] | None = None,
        hidden: int = 256,
        dropout: float = 0.0,
        likelihood: Likelihood | str | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> Self:
        """A model of an encoder and a decoder that mirror each other, for images of one shape.

            vae = tfvae.VAE.from_shape((28, 28, 1), latent_dim=16)

        Args:
            image_shape, latent_dim, network, widths, hidden, dropout, likelihood: As `Encoder` and `Decoder` take
                them; `widths` from fine to coarse. None: what is usual of this class, `cls.usual`.
            seed: Of the encoder; parts that also draw numbers get the ones after it.
            options: Of the constructor.

        Raises:
            ValueError: When the parts cannot be put together.
        """
        asked = {"network": network, "widths": widths, "likelihood": likelihood}
        settings = cls.usual | {name: value for name, value in asked.items() if value is not None}
        return cls.assemble(image_shape, latent_dim, hidden=hidden, dropout=dropout, seed=seed, **settings, **options)

    @classmethod
    def assemble(cls, image_shape, latent_dim, *, network, widths, hidden, dropout, likelihood, seed, **options):
        """The model of the settings of `from_shape`, none of which is None."""
        shared: dict[str, Any] = {
            "image_shape": image_shape,
            "latent_dim": latent_dim,
            "network": network,
            "hidden": hidden,
            "dropout": dropout,
        }
        encoder = Encoder(**shared, widths=widths, stochastic=cls.stochastic, seed=seed)
        shared["latent_dim"] += len(options.get("label_names", ()))
        decoder = Decoder(**shared, widths=widths[::-1], likelihood=likelihood, seed=after(seed, 1))
        seeded = {"seed": after(seed, 2)} if "seed" in inspect.signature(cls).parameters else {}
        return cls(encoder, decoder, **options, **seeded)

    @classmethod
    def networks(cls, spatial: bool) -> list[str]:
        """Names of the networks that it can be made of, for a spatial latent or a vector."""
        return [name for name, network in NETWORKS.items() if network.pyramid or not spatial]

    def built_prior(self, prior, latent_shape=None):
        """A prior of this model's codes, from itself or its name; `latent_shape` of those that it will know."""
        prior = prior_of(prior)
        prior.connect(self.encoder, latent_shape or self.latent_shape)
        if not prior.trainable:  # One that was frozen and saved: its layers are frozen again. Keras passes on changes.
            prior.trainable = True
            prior.trainable = False
        return prior

    def __call__(self, images, *args, **kwargs):
        return super().__call__(self.as_images(images), *args, **kwargs)

    def build_from_config(self, config):
        """Nothing: the constructor has built the parts."""

    @property
    def image_shape(self):
        return self.encoder.image_shape

    @property
    def latent_shape(self):
        return self.encoder.latent_shape

    @property
    def factor(self):
        return self.encoder.factor

    @property
    def unit_groups(self):
        """Slices of a code that are layers of latents, by name; none where there is one layer."""
        return {}

    @property
    def likelihood(self):
        return self.decoder.likelihood

    def encode(self, images):
        """The posterior's parameters (or the code) by name, each `(batch, *latent_shape)`, float32."""
        raise NotImplementedError

    def codes(self, images):
        """One deterministic code per image, shape `(batch, *latent_shape)`, float32."""
        raise NotImplementedError

    def reconstruct(self, images):
        """`{"image"}` at the size of `images`: what the model makes of their codes; deterministic."""
        raise NotImplementedError

    def reconstruction_for_metrics(self, images, labels=None):
        """What PSNR and SSIM compare with `images`, at their size; deterministic."""
        return self.reconstruct(images, **given(labels))["image"]

    def decode_with_context(self, outputs, z):
        """`E[x|z]` of another `z` for the pictures that `self(images)` gave `outputs` of; float32."""
        raise NotImplementedError

    def embed(self, images: Any, batch_size: int = 64) -> np.ndarray:
        """Codes `(n, latent_dim)` of arrays of any length, NumPy; see `tfvae.applications.embed`."""
        return embed(self, images, batch_size)

    def noise(self, noise: Any, seed: int | None = None, size: tuple[int, int] | None = None) -> Any:
        """Standard normal noise `(count, *latent_shape)`, where `noise` is a count; else `noise` itself.

        Args:
            noise: How many draws; or noise.
            seed: Of the draws; None: others at every call.
            size: `(height, width)` of the pictures in pixels, where the latent is spatial; None: the largest that the
                prior knows.

        Raises:
            ValueError: If a size is missing, and for a count below 1.
        """
        if not isinstance(noise, numbers.Number):
            return noise
        if not isinstance(noise, (int, np.integer)) or noise < 1:
            raise ValueError(f"`noise` must be a count of 1 or more, or the noise itself. Received: {noise}")
        size = largest_size(self) if size is None else size
        if size is None and self.latent_shape[0] is None:
            raise ValueError("`size` must be (height, width) for a model with a spatial latent. Received: size=None")
        shape = self.latent_shape if size is None else noise_shape(self, *size)
        return np.random.default_rng(seed).standard_normal((noise, *shape), dtype=np.float32)

    def crop(self, maps, images):
        """`maps` at the height and width of `images`: a spatial decoder returns a multiple of `factor`."""
        if self.image_shape[0] is not None:
            return maps
        shape = ops.shape(images)
        return maps[:, : shape[1], : shape[2], :]

    def endpoints(self, image, latent):
        """What the model does when it leaves Python: an `Endpoint` by the name of its signature.

        Args:
            image: Shape of a batch of pictures.
            latent: Shape of a batch of codes.
        """
        return {
            "encode": Endpoint({"image": image}, lambda image: self.encode(image), "encoder"),
            "reconstruct": Endpoint({"image": image}, lambda image: self.reconstruct(image), "autoencoder"),
        }

    def examples(self, images: np.ndarray, rng: np.random.Generator) -> dict[str, list[np.ndarray]]:
        """Values for the inputs of all `endpoints`: exports are calibrated, and compared with Keras, on them.

        Args:
            images: Originals, float32 `(n, height, width, channels)` in [0, 1].
            rng: Of the noise.

        Returns:
            For each input by name float32 arrays of n rows: the first such that the answer shows the originals (noise
            aside), then others that the function is to be tried with as well.
        """
        codes = ops.convert_to_numpy(self.codes(images))
        if self.prior is None:
            return {"image": [images], "z": [codes]}
        noise = rng.standard_normal(codes.shape).astype(np.float32)
        # The decoder is given both: codes of pictures, and draws.
        return {"image": [images], "z": [codes, noise], "noise": [noise]}

    @property
    def in_words(self) -> tuple[str, str]:
        """What the model is, and what it does with an image: for model cards."""
        if self.image_shape[0] is None:
            latent = f"a feature map of {self.latent_shape[-1]} channels at 1/{self.factor} of the resolution"
        else:
            latent = f"{self.latent_shape[0]} numbers"
        kind = "autoencoder" if self.prior is None else "variational autoencoder"
        return kind, f"it turns an image into {latent}, and such codes into images"

    def code_shape(self, height: int, width: int) -> tuple[int, ...]:
        """Shape of the code of one picture of that size, in pixels; of a film's frames one below the other."""
        return noise_shape(self, height, width)

    def served(self):
        """The model that leaves Python: without the parts that only training needs."""
        return self

    def export(self, filepath, format="tf_saved_model", verbose=None, input_signature=None, **kwargs):
        """As `keras.Model.export`, with this model's named signatures, in float32 and for any batch size.

        Args:
            filepath: Directory (SavedModel) or file (TFLite) to write.
            format: `"tf_saved_model"` or `"litert"`.
            verbose: Whether to print what was written.
            input_signature: None: the signatures are the model's own; `batch` and `size` fix their shapes.
            kwargs: `batch` and `size`, and for TFLite `quantize` and `representative`, as in
                `tfvae.serving.write_saved_model` and `write_tflite`; a TFLite file of a model with a spatial latent
                needs `size`.

        Raises:
            ValueError: For another format, a file's name for a directory, or an `input_signature`; and as the writers.
            TypeError: For an argument that the format has not.
        """
        writers: dict[str, Callable[..., Any]] = {"tf_saved_model": write_saved_model, "litert": write_tflite}
        named = Path(filepath).suffix.removeprefix(".") if format == "tf_saved_model" else format
        if named in REMEDIES or format not in writers:
            raise ValueError(
                f"`format` must be one of {', '.join(writers)}, the first of which writes a directory. "
                f"Received: format={format!r}, filepath={str(filepath)!r}.{REMEDIES.get(named, '')}"
            )
        if input_signature is not None:
            raise ValueError(
                "`input_signature` must be None: the signatures are the model's own, and `batch` and `size` fix their "
                f"shapes. Received: input_signature={input_signature}"
            )
        found = writers[format](self, filepath, **kwargs)
        if verbose:
            print(f"{filepath}: {format} with the signatures {', '.join(found)}")

    def get_config(self):
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
        }

    @classmethod
    def from_config(cls, config):
        # Objects of a config (parts, schedules) arrive serialised; plain values pass through unchanged.
        return cls(**{name: keras.saving.deserialize_keras_object(value) for name, value in config.items()})


class DecodesCodes(LatentModel):
    """A `LatentModel` for which any `z` of the latent's shape is the code of a picture."""

    def decode(self, z):
        """`{"image": E[x|z]}` in [0, 1], float32; for a spatial latent `factor` times its height and width."""
        return {"image": self.likelihood.mean(self.decoder(float32(z)))}

    def reconstruct(self, images):
        """`{"image": decode(codes(images))}` at the size of `images`; deterministic."""
        return {"image": self.crop(self.decode(self.codes(images))["image"], images)}

    def interpolate(self, first: np.ndarray, second: np.ndarray, steps: int = 10, method: str = "linear") -> np.ndarray:
        """Images decoded between the codes of two; see `tfvae.applications.interpolate`."""
        return interpolate(self, first, second, steps, method)

    def decode_with_context(self, outputs, z):
        return self.decode(z)["image"]

    def endpoints(self, image, latent):
        decode = Endpoint({"z": latent}, lambda z: self.decode(z), "decoder")
        found = super().endpoints(image, latent)
        return {"encode": found["encode"], "decode": decode, **found}
