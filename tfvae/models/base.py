"""What every model with a code shares: the training step, the trackers, and the ways in and out of the latent space."""

import inspect
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfvae import replicas
from tfvae.decoders import Decoder
from tfvae.distributions import float32
from tfvae.encoders import Encoder
from tfvae.objectives import elbo
from tfvae.pixels import out_of_range
from tfvae.serving import write_saved_model, write_tflite
from tfvae.trackers import FirstSkip, GradientNorm, GradientPeak, Mean

SOME = 256  # images whose range is looked at before a training


def only_spatial_resnet(whose, image_shape, network, dropout):
    """Raises `ValueError` for a recipe's parts that a model of its own convolutions, for any size, does not have."""
    if image_shape[0] is not None:
        raise ValueError(f"`latent` must be 'spatial' for {whose}. Received: pictures of {image_shape[:2]} only")
    if network != "resnet" or dropout:
        raise ValueError(f"`network` of {whose} must be 'resnet', without dropout. Received: {network}, {dropout}")


class LatentModel(keras.Model):
    """An encoder, a decoder with its likelihood, and an objective made of a distortion and a rate.

    | symbol | meaning | name in the code |
    | --- | --- | --- |
    | -log p(x\\|z) | distortion, nats per example | `distortion` |
    | KL(q(z\\|x) \\|\\| p(z)) | rate, nats per example | `rate` |
    | -(distortion + rate) | evidence lower bound, higher is better | `elbo` |
    | distortion + beta * rate | what the optimiser sees | `loss` |

    A subclass defines `call`, `encode`, `codes` and `elbo_terms`, and calls `self.build` at the end of its
    constructor. Images are float32 in [0, 1], shape `(batch, height, width, channels)`.
    """

    has_prior = False  # whether codes have a distribution, so that there is a bound
    decodes = True  # whether any `z` of the latent's shape is a code that `decode` needs nothing beside
    generates = False  # whether `generate(noise)` draws pictures from noise alone
    default_endpoint = "reconstruct"  # what a server runs when a request names none
    stochastic = False  # whether the encoder emits a posterior
    frames = 1  # frames of a film in one example, one below the other
    conditional = False  # whether batches come with labels; the constructor then takes their names, `label_names`
    keeps_last = False  # whether no figure of the validation images tells the best epoch, so that the last is kept
    train_function: Any  # made by Keras, or for several devices by `replicas.step_function`
    test_function: Any

    def __init__(self, encoder, decoder, **kwargs):
        # Inputs are not cast to half precision here: the likelihood is that of the picture, not of a rounded one.
        super().__init__(autocast=False, **kwargs)
        if encoder.latent_shape != decoder.latent_shape or encoder.image_shape != decoder.image_shape:
            raise ValueError(
                "`encoder` and `decoder` must agree on image and latent shape. "
                f"Received: encoder {encoder.image_shape} -> {encoder.latent_shape}, "
                f"decoder {decoder.latent_shape} -> {decoder.image_shape}"
            )
        if encoder.factor != decoder.factor:
            raise ValueError(
                "`encoder` and `decoder` must have as many levels. "
                f"Received: widths={encoder.widths} and widths={decoder.widths}"
            )
        self.encoder = encoder
        self.decoder = decoder
        self.trackers: list[keras.metrics.Metric] = [Mean(name=name) for name in ("loss", "elbo", "distortion", "rate")]
        self.gradient_trackers: list[keras.metrics.Metric] = [GradientNorm(), GradientPeak()]
        self.more_trackers: list[keras.metrics.Metric] = []  # of what `gradients_and_terms` returns beyond the rate
        self.first_skip = FirstSkip()
        # Steps whose gradients were not finite: they change nothing but these two counts.
        counter = {"shape": (), "initializer": "zeros", "dtype": "int32", "trainable": False}
        counter["aggregation"] = "only_first_replica"
        self.skipped_steps = self.add_weight(name="skipped_steps", **counter)
        self.skipped_in_a_row = self.add_weight(name="skipped_in_a_row", **counter)

    @classmethod
    def assemble(cls, image_shape, latent_dim, *, network, widths, hidden, dropout, likelihood, seed, **options):
        """The model of a recipe: its parts from `[model]`, its other arguments from `[objective]`.

        Args:
            image_shape, latent_dim, network, widths, hidden, dropout, likelihood: As `Encoder` and `Decoder` take
                them; `widths` from fine to coarse.
            seed: Of the encoder; parts that also draw numbers get the ones after it.
            options: Of the constructor.

        Raises:
            ValueError: When the parts cannot be put together.
        """
        shared: dict[str, Any] = {
            "image_shape": image_shape,
            "latent_dim": latent_dim,
            "network": network,
            "hidden": hidden,
            "dropout": dropout,
        }
        encoder = Encoder(**shared, widths=widths, stochastic=cls.stochastic, seed=seed)
        decoder = Decoder(**shared, widths=widths[::-1], likelihood=likelihood, seed=seed + 1)
        seeded = {"seed": seed + 2} if "seed" in inspect.signature(cls).parameters else {}
        return cls(encoder, decoder, **options, **seeded)

    def build(self, input_shape):
        self.built = True  # The children arrive built: they know their shapes.

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
    def likelihood(self):
        return self.decoder.likelihood

    @property
    def metrics(self):
        # Keras also owns a tracker named `loss`; left alone, it would report 0.0.
        return [*self.trackers, *self.gradient_trackers, self.first_skip, *self.more_trackers]

    def get_metrics_result(self):
        """What `train_step` returns, so that an epoch's figures are the same wherever they are read."""
        shown = (*self.trackers, *self.gradient_trackers, *self.more_trackers)
        return {tracker.name: tracker.result() for tracker in shown}

    def encode(self, images):
        """The posterior's parameters (or the code) by name, each `(batch, *latent_shape)`, float32."""
        raise NotImplementedError

    def codes(self, images):
        """One deterministic code per image, shape `(batch, *latent_shape)`, float32."""
        raise NotImplementedError

    def elbo_terms(self, images, training=False):
        """Distortion and rate of each example, both shape `(batch,)`, in nats, float32."""
        raise NotImplementedError

    def beside_the_bound(self, outputs, images):
        """What the loss has beside distortion and weighed rate, nats per example; `outputs` are of `self(images)`."""
        return 0.0

    def decode(self, z):
        """`{"image": E[x|z]}` in [0, 1], float32; for a spatial latent `factor` times its height and width."""
        return {"image": self.likelihood.mean(self.decoder(float32(z)))}

    def reconstruct(self, images):
        """`{"image": decode(codes(images))}` at the size of `images`; deterministic."""
        return {"image": self.crop(self.decode(self.codes(images))["image"], images)}

    def rebuilt(self, images):
        """What PSNR and SSIM compare with `images`, at their size: the reconstruction, deterministic."""
        return self.reconstruct(images)["image"]

    def trial(self, images):
        """A trial of a model that restores: `degraded`, `image` and perhaps `std`; None for one that rebuilds."""
        return None

    def decode_beside(self, outputs, z):
        """`E[x|z]` of another `z` for the pictures that `self(images)` gave `outputs` of; float32."""
        return self.decode(z)["image"]

    def crop(self, maps, images):
        """`maps` at the height and width of `images`: a spatial decoder returns a multiple of `factor`."""
        if self.image_shape[0] is not None:
            return maps
        shape = ops.shape(images)
        return maps[:, : shape[1], : shape[2], :]

    def endpoints(self, image, latent):
        """What the model does when it leaves Python: by name, its inputs' shapes by name, and the function of them.

        Args:
            image: Shape of a batch of pictures.
            latent: Shape of a batch of codes.
        """
        table = {
            "encode": ({"image": image}, lambda image: self.encode(image)),
            "decode": ({"z": latent}, lambda z: self.decode(z)),
            "reconstruct": ({"image": image}, lambda image: self.reconstruct(image)),
        }
        if self.generates:
            table["generate"] = ({"noise": latent}, lambda noise: self.generate(noise))
        return table

    def served(self):
        """The model that leaves Python: without the parts that only training needs."""
        return self

    def loss_and_terms(self, images, training=False):
        """The scalar loss, and distortion and rate per example."""
        distortion, rate = self.elbo_terms(images, training=training)
        return ops.mean(distortion + rate), distortion, rate

    def compile(self, optimizer="adam", jit_compile="auto", **kwargs):
        """As `keras.Model.compile`, without a loss; `"auto"` uses XLA on a GPU only: it halves the speed on a CPU."""
        if jit_compile == "auto":
            jit_compile = bool(tf.config.list_logical_devices("GPU"))
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)

    def fit(self, x=None, *args, **kwargs):
        """As `keras.Model.fit`; warns where the images of an array are not in [0, 1]."""
        if isinstance(x, np.ndarray) and len(x):
            some = x[:SOME]
            if finding := out_of_range(float(np.nanmin(some)), float(np.nanmax(some))):
                seen, remedy = finding
                warnings.warn(f"data outside the likelihood's range: {seen}. Remedy: {remedy}.", stacklevel=2)
        return super().fit(x, *args, **kwargs)

    def compile_from_config(self, config):
        # Keras leaves this to models with a `compile` of their own.
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def export(self, filepath, format="tf_saved_model", **kwargs):
        """As `keras.Model.export`, with this model's named signatures, in float32 and for any batch size.

        Args:
            filepath: Directory (SavedModel) or file (TFLite) to write.
            format: `"tf_saved_model"` or `"litert"`; any other goes to Keras as it is.
            kwargs: For these two formats `batch` and `size`, as in `tfvae.serving.write_saved_model` and
                `write_tflite`; a TFLite file of a model with spatial latents needs `size`.
        """
        writers = {"tf_saved_model": write_saved_model, "litert": write_tflite}
        if format in writers and kwargs.keys() <= {"batch", "size"}:
            writers[format](self, filepath, **kwargs)
        else:
            super().export(filepath, format=format, **kwargs)

    def make_train_function(self, force=False):
        if not replicas.distributed(self):
            return super().make_train_function(force)
        if force or self.train_function is None:
            self.train_function = replicas.step_function(self, self.train_step, self.steps_per_execution)
        return self.train_function

    def make_test_function(self, force=False):
        if not replicas.distributed(self):
            return super().make_test_function(force)
        if force or self.test_function is None:
            self.test_function = replicas.step_function(self, self.test_step, self.steps_per_execution)
        return self.test_function

    def train_step(self, data):
        images, labels = self.batch_of(data)
        # From here on every replica knows the whole batch, and all do together what one device would.
        replicas.once(self.finish_step, *replicas.share(*self.gradients_and_terms(images, **labels)))
        return self.get_metrics_result()

    def batch_of(self, data):
        """Images, and the further arguments of `loss_and_terms`: `labels` of a conditional model."""
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        return images, {"labels": labels} if self.conditional else {}

    def gradients_and_terms(self, images, **labels):
        """Gradients of all `trainable_variables`, the loss, and distortion and rate per example.

        A model of several losses gives each variable the gradient of its own: Adam takes each variable by itself.
        """
        with tf.GradientTape() as tape:
            loss, distortion, rate = self.loss_and_terms(images, training=True, **labels)
            share = self.share_of(loss)
        return tape.gradient(share, self.trainable_variables), loss, distortion, rate

    def share_of(self, loss):
        """What is differentiated of a loss, with the regularisers: this replica's share, scaled for half precision."""
        # Gradients are summed over the replicas: their losses are shares of one mean.
        return self.optimizer.scale_loss((loss + sum(self.losses)) / replicas.count())

    def gradients_of_each(self, tape, taught):
        """Gradients of all `trainable_variables`, in order; `taught`: pairs of a share and the variables it teaches."""
        found: dict[int, tf.Tensor | None] = {}
        for share, weights in taught:
            found |= zip(map(id, weights), tape.gradient(share, weights), strict=True)
        return [found[id(weight)] for weight in self.trainable_variables]

    def finish_step(self, gradients, loss, distortion, rate, *more):
        """What follows the gradients of a batch: the optimiser's step, if they are finite, and the trackers."""
        self.apply_if_finite(gradients, distortion, rate)
        self.track(loss, distortion, rate, skipping=True)
        for tracker, value in zip(self.more_trackers, more, strict=True):
            counted = ops.isfinite(value)
            tracker.update_state(ops.where(counted, value, 0.0), sample_weight=counted)

    def test_step(self, data):
        images, labels = self.batch_of(data)
        _, *values = replicas.share([], *self.loss_and_terms(images, **labels))
        replicas.once(lambda _, *values: self.track(*values), [], *values)
        return {tracker.name: tracker.result() for tracker in self.trackers}

    def track(self, loss, distortion, rate, skipping=False):
        """Adds a batch to the means; `skipping` leaves out what is not finite, as the step it belongs to was."""
        values = (ops.broadcast_to(loss, ops.shape(distortion)), elbo(distortion, rate), distortion, rate)
        for tracker, value in zip(self.trackers, values, strict=True):
            counted = ops.isfinite(value) if skipping else ops.ones_like(value, dtype="bool")
            tracker.update_state(ops.where(counted, value, 0.0), sample_weight=counted)

    def apply_if_finite(self, gradients, distortion, rate):
        """One optimiser step, unless a gradient is not finite: then weights and moments stay, and it is counted.

        The norm that is tracked is of the unscaled gradients of the whole batch, before clipping.
        """
        norm = tf.linalg.global_norm(replicas.local(gradients)) / self.optimizer.scale_loss(1.0)
        bad = [~tf.reduce_all(tf.math.is_finite(value)) for value in (norm, distortion, rate)]
        if not self.optimizer.built:
            with tf.init_scope():
                self.optimizer.build(self.trainable_variables)
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            # It skips by itself, and must see the overflow to lower its scale.
            replicas.apply(self.optimizer, gradients, self.trainable_variables)
        else:
            tf.cond(bad[0], lambda: None, lambda: self._apply(gradients))
        for tracker in self.gradient_trackers:
            tracker.update_state(norm, ~bad[0])
        self.first_skip.update_state(*bad)
        skipped = tf.cast(bad[0], tf.int32)
        self.skipped_steps.assign_add(skipped)
        self.skipped_in_a_row.assign((self.skipped_in_a_row + 1) * skipped)

    def _apply(self, gradients):
        replicas.apply(self.optimizer, gradients, self.trainable_variables)

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
