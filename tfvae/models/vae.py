"""The variational autoencoder."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfvae import regularisers
from tfvae.bounds import Bound
from tfvae.distributions import float32
from tfvae.endpoint import Endpoint
from tfvae.inputs import as_label_weights, in_turn
from tfvae.layers.label_embedding import LabelEmbedding
from tfvae.likelihoods import Likelihood
from tfvae.models.base import BoundedModel, FitsPrior
from tfvae.priors import Prior, StandardNormal
from tfvae.regularisers import Regulariser
from tfvae.schedules import BetaSchedule, final_of

# What labels are multiplied by on their way into the networks. Adam moves all weights alike, so that otherwise the code
# has learnt to say what the label says before the networks listen to it. Of draws of MNIST after five epochs 78 % are
# read as the label that was asked for without it (34 % where the encoder sees no label, either), and 94 % with it.
LOUD = 16.0


@keras.saving.register_keras_serializable(package="tfvae")
class VAE(BoundedModel, FitsPrior):
    """Maximises `E_q[log p(x|z)] - beta * KL(q(z|x) || p(z))`.

    | symbol | meaning | name in the code |
    | --- | --- | --- |
    | q(z\\|x) | posterior | `mean`, `log_var` |
    | z | a draw from the posterior | `z` |
    | p(z) | prior | `prior` |
    | p(x\\|z) | likelihood | `parameters`, read by `likelihood` |
    | beta | weight of the rate | `beta` |
    | lambda | floor under each latent channel's rate | `free_bits` |
    | y | label, of a conditional VAE: p(x\\|z, y) | `labels` |
    | C | rate that the loss asks for, `beta * abs(rate - C)` | `capacity` |
    | k | draws from the posterior for each image of a step | `bound.samples` |

    A conditional VAE bounds `log p(x|y)`. Its decoder takes codes with the label behind them, so its latent shape is
    that of the encoder with one unit more for each class; its encoder, of q(z|x, y), sees the picture with one added to
    it that is learnt for each label. Where a method is given no labels, it takes those that explain the pictures best
    (`likeliest_labels`).

    Args:
        encoder: An `Encoder` with `stochastic=True`; or any built Keras model from images to mean and log-variance, as
            `tfvae.networks.OwnEncoder` says.
        decoder: A `Decoder` of the same image and latent shape; or any built Keras model from codes to the parameters
            of `likelihood`, as `tfvae.networks.OwnDecoder` says.
        beta: A non-negative number (beta-VAE), or a `BetaSchedule` of the optimiser's step (warm-up, cycles).
        free_bits: Nats per latent channel below which the rate costs nothing.
        seed: Starts the posterior's noise.
        prior: A `tfvae.priors.Prior`, or its name in `tfvae.priors.PRIORS`; None: the standard normal.
        likelihood: Of a decoder that has none: a `tfvae.likelihoods.Likelihood`, or its name; None: Bernoulli.
        label_names: Of a conditional VAE: the classes, in the order of their labels, such as `range(10)`.
        bound: A `tfvae.bounds.Bound` that is maximised, or its name in `tfvae.bounds.BOUNDS`: `"elbo"`, or `"iwae"` of
            several draws. Its log-weights are `log p(x|z) + beta * log(p(z) / q(z|x))`.
        regulariser: A `tfvae.regularisers.Regulariser`, or its name in `tfvae.regularisers.REGULARISERS`, whose term is
            added to the loss.
        capacity: Nats of rate that are asked for, a number or a `BetaSchedule`; 0: as few as the bound allows.

    Call arguments:
        images: Shape `(batch, height, width, channels)`, in [0, 1].
        labels: Of a conditional VAE: class indices `(batch,)`, or weights of the classes `(batch, classes)`, float.
        samples: Draws from each posterior: every output has so many rows for each image, one after the other.
        path: A function of the draws, such as `tfvae.bounds.PathWeights`, through which they go to the decoder.

    Returns:
        `{"mean", "log_var", "z", "parameters"}`, all float32; and `labels`, weights, of a conditional VAE.

    Raises:
        ValueError: If `beta`, `free_bits` or `capacity` is negative, the encoder emits no posterior, there are free
            bits for a prior without a KL divergence of each unit, free bits or a capacity for another bound than the
            ELBO of one draw, a regulariser does not suit latent and prior, or the decoder does not take the labels.

    Reference:
        Kingma and Welling (2014), https://arxiv.org/abs/1312.6114; Higgins et al. (2017) for beta;
        Kingma et al. (2016), https://arxiv.org/abs/1606.04934, for free bits; Burgess et al. (2018), equation 8,
        https://arxiv.org/abs/1804.03599, for the capacity; Kingma et al. (2014), https://arxiv.org/abs/1406.5298, and
        Sohn, Lee and Yan (2015) for labels
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
        label_names: Sequence[Any] = (),
        bound: Bound | str = "elbo",
        regulariser: Regulariser | str | None = None,
        capacity: float | BetaSchedule = 0.0,
        **kwargs: Any,
    ) -> None:
        settings = {"likelihood": likelihood, "label_names": label_names, **kwargs}
        super().__init__(encoder, decoder, beta, free_bits, seed, prior, bound, **settings)
        self.regulariser, self.capacity = regularisers.get(regulariser), capacity
        self._check_objective()
        if isinstance(self.regulariser, keras.layers.Layer) and not self.regulariser.built:  # a network that learns
            self.regulariser.build((None, *self.latent_shape))
        if self.conditional:
            self.label_embedding = LabelEmbedding(len(self.label_names), LOUD)
            self.label_embedding.build((None, *self.image_shape))

    def _check_objective(self):
        asked = final_of(self.capacity)
        if asked < 0:
            raise ValueError(f"`capacity` must be non-negative. Received: capacity={self.capacity}")
        self.require_plain_bound("capacity", asked)
        if self.regulariser and (len(self.latent_shape) > 1 or None in self.latent_shape):
            raise ValueError(f"`regulariser` must be None for a spatial latent. Received: {self.regulariser}")
        if self.regulariser and self.regulariser.normal and type(self.prior) is not StandardNormal:
            raise ValueError(
                f"`regulariser` compares codes with the standard normal prior. Received: {type(self.prior).__name__}"
            )

    def call(self, images, training=False, labels=None, samples=1, path=None):
        given = self._given(labels, images)
        mean, log_var = self.encoder(self._labelled(images, **given), training=training)
        if samples > 1:
            mean, log_var, images = (ops.repeat(rows, samples, axis=0) for rows in (mean, log_var, images))
            given = {name: ops.repeat(rows, samples, axis=0) for name, rows in given.items()}
        mean, log_var, z = self.drawn(mean, log_var)
        z = path(z) if path else z
        parameters = self.parameters_of(z, images, training=training, **given)
        return {"mean": mean, "log_var": log_var, "z": z, "parameters": parameters, **given}

    def rate_cost(self, rate, training):
        final = final_of(self.capacity)
        if not final:
            return rate
        return ops.abs(rate - (self.scheduled(self.capacity, final) if training else final))

    def auxiliary_loss(self, outputs, images):
        """The regulariser's term, a scalar."""
        if self.regulariser is None:
            return 0.0
        return ops.mean(self.regulariser(outputs["mean"], outputs["log_var"], outputs["z"]))

    def conditioned(self, z, labels=None):
        """Codes as the decoder takes them: of a conditional VAE with the weights of the labels behind them.

        Args:
            z: Codes `(batch, *latent_shape)`.
            labels: As in `call`, of `batch` pictures or of one.

        Raises:
            ValueError: If labels are missing, or there are some and the model is not conditional.
        """
        if self.conditional != (labels is not None):
            wanted = f"labels of {', '.join(self.label_names[:12])}" if self.conditional else "no labels"
            raise ValueError(f"{type(self).__name__} takes {wanted} with its codes. Received: labels={labels!r}")
        if labels is None:
            return z
        z, weights = float32(z), LOUD * as_label_weights(labels, self.label_names)
        if len(z.shape) > 2 or weights.shape[0] != z.shape[0]:
            places = ops.shape(z)[:-1]
            weights = ops.reshape(weights, (-1, *[1] * (len(places) - 1), weights.shape[-1]))
            weights = ops.broadcast_to(weights, (*places, weights.shape[-1]))
        return ops.concatenate([z, weights], axis=-1)

    def likeliest_labels(self, images):
        """The label with the highest bound at the posterior's mean, class indices `(batch,)`: what a picture shows."""
        images, classes = self.as_images(images), len(self.label_names)
        rows = ops.shape(images)[0]
        labels = ops.repeat(ops.eye(classes, dtype="float32"), rows, axis=0)
        pictures = ops.tile(images, (classes, 1, 1, 1))  # every picture under every label, at once
        mean, log_var = self.encoder(self._labelled(pictures, labels))
        bound = self.likelihood.log_prob(pictures, self.parameters_of(mean, pictures, labels=labels))
        bound -= self.prior.rate(mean, log_var, mean)
        return ops.argmax(ops.reshape(bound, (classes, rows)), axis=0)

    def _labelled(self, images, labels=None):
        """Pictures as the encoder of q(z|x, y) sees them."""
        return images if labels is None else self.label_embedding(images, labels)

    def _given(self, labels, images):
        """`{"labels"}`, weights, of a conditional VAE; those that explain the pictures best where none are given."""
        if not self.conditional:
            return {} if labels is None else {"labels": labels}
        labels = self.likeliest_labels(images) if labels is None else labels
        return {"labels": as_label_weights(labels, self.label_names)}

    def encode(self, images, labels=None):
        images = self.as_images(images)
        mean, log_var = self.encoder(self._labelled(images, **self._given(labels, images)))
        return {"mean": mean, "log_var": log_var}

    def codes(self, images, labels=None):
        return self.encode(images, labels)["mean"]

    def chosen_code(self, images, choose):
        """The code of images, `(batch, *latent_shape)`, whose groups of latents are `choose(mean, log_var)` in turn.

        Args:
            images: Shape `(batch, height, width, channels)`.
            choose: From the posterior of a group, given those before it as chosen, to its code, of the same shape; here
                there is one group. Bits-back coding takes it from a stream.
        """
        encoded = self.encode(images)
        return choose(encoded["mean"], encoded["log_var"])

    def parameters_of(self, z, images, training=False, labels=None):
        return self.crop(self.decoder(self.conditioned(z, labels), training=training), images)

    def elbo_terms(self, images, training=False, outputs=None, labels=None):
        """Distortion and rate of each example, both shape `(batch,)`, in nats, float32.

        The bound is that of `log p(x|y)`; without labels that of `log p(x)` under a uniform p(y), whose rate also has
        the divergence of q(y|x), which is sure of one of K labels, from p(y): log K nats.
        """
        distortion, rate = super().elbo_terms(images, training, outputs, labels=labels)
        inferred = self.conditional and labels is None and outputs is None
        return distortion, rate + math.log(len(self.label_names)) if inferred else rate

    def log_weights(self, images, encoded, noise, labels=None):
        """As `VariationalModel.log_weights`, of `log p(x|y)`; without labels of `log p(x)`, as in `elbo_terms`."""
        given = self._given(labels, images)
        weights = super().log_weights(images, encoded, noise, **given)
        inferred = self.conditional and labels is None
        return weights - math.log(len(self.label_names)) if inferred else weights

    def decode(self, z, labels=None):
        """`{"image": E[x|z]}`, of a conditional VAE `E[x|z, y]`, in [0, 1], float32; as `DecodesCodes.decode`."""
        return super().decode(self.conditioned(z, labels))

    def decode_with_context(self, outputs, z):
        return self.decode(z, outputs.get("labels"))["image"]

    def reconstruct(self, images, labels=None):
        """`{"image": decode(codes(images))}` at the size of `images`, under their labels; deterministic."""
        images = self.as_images(images)
        given = self._given(labels, images)
        return {"image": self.crop(self.decode(self.codes(images, **given), **given)["image"], images)}

    def generate(
        self,
        noise: Any,
        temperature: Any = 1.0,
        *,
        labels: Any = None,
        seed: int | None = None,
        size: tuple[int, int] | None = None,
    ) -> dict[str, Any]:
        """`{"image"}` of standard normal `noise`, `(batch, *latent_shape)`: a code drawn from the prior, decoded.

        Args:
            noise: Noise; or how many images to draw.
            temperature: Of the prior: below 1 nearer to what is typical.
            labels: Of a conditional VAE: of each picture or of all, as in `call`, or names; None: every class in turn.
            seed, size: As in `noise`, where this is a count.
        """
        noise = self.noise(noise, seed, size)
        if self.conditional and labels is None:
            labels = in_turn(noise, self.label_names)
        return self.decode(self.prior.sample(noise, temperature), labels)

    def endpoints(self, image, latent):
        weights = {"labels": (image[0], len(self.label_names))} if self.conditional else {}
        generate = self.drawing({"noise": latent, **weights}, lambda noise, **labels: self.generate(noise, **labels))
        made = {**super().endpoints(image, latent), "generate": generate}
        if not self.conditional:
            return made
        pictures = {"image": image, **weights}
        return made | {
            "encode": Endpoint(pictures, lambda image, labels: self.encode(image, labels), "encoder"),
            "decode": Endpoint({"z": latent, **weights}, self.decode, "decoder"),
            "reconstruct": Endpoint(pictures, lambda image, labels: self.reconstruct(image, labels), "autoencoder"),
        }

    def examples(self, images, rng):
        found = super().examples(images, rng)
        if not self.conditional:
            return found
        weights = ops.convert_to_numpy(as_label_weights(self.likeliest_labels(images), self.label_names))
        return {**found, "labels": [weights]}

    def get_config(self):
        prior = keras.saving.serialize_keras_object(self.prior)
        settings = {"prior": prior, "likelihood": None, "label_names": list(self.label_names)}  # the decoder's own
        parts = {"bound": self.bound, "regulariser": self.regulariser, "capacity": self.capacity}
        serialised = {name: keras.saving.serialize_keras_object(part) for name, part in parts.items()}
        return {**super().get_config(), **settings, **serialised}
