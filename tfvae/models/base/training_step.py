"""One step of training or evaluation: loss, gradients, what is skipped, and what is tracked."""

import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfvae.models.base.trackers import FirstSkip, GradientNorm, GradientPeak, Mean
from tfvae.objectives import elbo
from tfvae.pixels import out_of_range

SOME = 256  # images whose range is looked at before a training


class TrainingStep(keras.Model):
    """A Keras model with a `train_step` of its own, as one device takes it (`ReplicatedStep`: as several do).

    | symbol | meaning | name in the code |
    | --- | --- | --- |
    | -log p(x\\|z) | distortion, nats per example | `distortion` |
    | KL(q(z\\|x) \\|\\| p(z)) | rate, nats per example | `rate` |
    | -(distortion + rate) | evidence lower bound, higher is better | `elbo` |
    | distortion + beta * rate + auxiliary loss | what the optimiser sees | `loss` |

    A subclass defines `elbo_terms`; where its loss is not their sum, `loss_terms`; where its parts have losses of
    their own, `gradient_terms` (see `per_loss_gradients`). Images are float32 in [0, 1].
    """

    conditional = False  # whether batches come with labels; the constructor then takes their names, `label_names`
    keep_last_epoch = False  # whether no figure of the validation images shows the best epoch

    def __init__(self, **kwargs):
        # Inputs are not cast to half precision here: the likelihood is that of the picture, not of a rounded one.
        super().__init__(autocast=False, **kwargs)
        self.trackers: list[keras.metrics.Metric] = [Mean(name=name) for name in ("loss", "elbo", "distortion", "rate")]
        self.gradient_trackers: list[keras.metrics.Metric] = [GradientNorm(), GradientPeak()]
        self.more_trackers: list[keras.metrics.Metric] = []  # of what `gradient_terms` returns beyond the rate
        self.first_skip = FirstSkip()
        # Steps whose gradients were not finite: they change nothing but these two counts.
        counter: dict[str, Any] = {"shape": (), "initializer": "zeros", "dtype": "int32", "trainable": False}
        counter["aggregation"] = "only_first_replica"
        self.skipped_steps = self.add_weight(name="skipped_steps", **counter)
        self.skipped_in_a_row = self.add_weight(name="skipped_in_a_row", **counter)

    @property
    def metrics(self):
        # Keras also owns a tracker named `loss`; left alone, it would report 0.0.
        return [*self.trackers, *self.gradient_trackers, self.first_skip, *self.more_trackers]

    def get_metrics_result(self):
        """What `train_step` returns, so that an epoch's figures are the same wherever they are read."""
        shown = (*self.trackers, *self.gradient_trackers, *self.more_trackers)
        return {tracker.name: tracker.result() for tracker in shown}

    def compile(self, optimizer="adam", jit_compile="auto", **kwargs):
        """As `keras.Model.compile`, without a loss; `"auto"` uses XLA on a GPU only: it halves the speed on a CPU."""
        if jit_compile == "auto":
            jit_compile = bool(tf.config.list_logical_devices("GPU"))
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)

    def compile_from_config(self, config):
        # Keras leaves this to models with a `compile` of their own.
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def fit(self, x=None, *args, **kwargs):
        """As `keras.Model.fit`; warns where the images of an array are not in [0, 1]."""
        if isinstance(x, np.ndarray) and len(x):
            some = x[:SOME]
            if found := out_of_range(float(np.nanmin(some)), float(np.nanmax(some))):
                seen, remedy = found
                warnings.warn(f"data outside the likelihood's range: {seen}. Remedy: {remedy}.", stacklevel=2)
        return super().fit(x, *args, **kwargs)

    def train_step(self, data):
        images, labels = self.batch_of(data)
        self.finish_train_step(*self.gradient_terms(images, **labels))
        return self.get_metrics_result()

    def test_step(self, data):
        images, labels = self.batch_of(data)
        self.finish_test_step(*self.loss_terms(images, **labels))
        return {tracker.name: tracker.result() for tracker in self.trackers}

    def batch_of(self, data):
        """Images, and the further arguments of `loss_terms`: `labels` of a conditional model."""
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        return images, {"labels": labels} if self.conditional else {}

    def elbo_terms(self, images, training=False):
        """Distortion and rate of each example, both shape `(batch,)`, in nats, float32."""
        raise NotImplementedError

    def loss_terms(self, images, training=False):
        """The scalar loss, and distortion and rate of each example."""
        distortion, rate = self.elbo_terms(images, training=training)
        return ops.mean(distortion + rate), distortion, rate

    def gradient_terms(self, images, **labels):
        """Gradients of all `trainable_variables`, the loss, distortion and rate of each example, and further terms."""
        with tf.GradientTape() as tape:
            loss, *terms = self.loss_terms(images, training=True, **labels)
            scaled = self.scaled_loss(loss)
        return tape.gradient(scaled, self.trainable_variables), loss, *terms

    def scaled_loss(self, loss):
        """What is differentiated: a loss with the regularisers, scaled for half precision."""
        return self.optimizer.scale_loss(loss + sum(self.losses))

    def per_loss_gradients(self, tape, scaled_losses):
        """Gradients of all `trainable_variables`, in order, where each part of a model has a loss of its own.

        Adam takes each variable by itself, so one optimiser serves all parts.

        Args:
            tape: A persistent `tf.GradientTape`.
            scaled_losses: Pairs of a scaled loss and the variables that it trains; together all of them.
        """
        found: dict[int, tf.Tensor | None] = {}
        for scaled, weights in scaled_losses:
            found |= zip(map(id, weights), tape.gradient(scaled, weights), strict=True)
        return [found[id(weight)] for weight in self.trainable_variables]

    def finish_train_step(self, gradients, loss, distortion, rate, *more):
        """What follows the gradients of a batch: the optimiser's step, if they are finite, and the trackers."""
        self.apply_if_finite(gradients, distortion, rate)
        self.track(loss, distortion, rate, skipping=True)
        for tracker, value in zip(self.more_trackers, more, strict=True):
            counted = ops.isfinite(value)
            tracker.update_state(ops.where(counted, value, 0.0), sample_weight=counted)

    def finish_test_step(self, loss, distortion, rate):
        self.track(loss, distortion, rate)

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
        norm = self.gradient_norm(gradients) / self.optimizer.scale_loss(1.0)
        bad = [~tf.reduce_all(tf.math.is_finite(value)) for value in (norm, distortion, rate)]
        if not self.optimizer.built:
            with tf.init_scope():
                self.optimizer.build(self.trainable_variables)
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            # It skips by itself, and must see the overflow to lower its scale.
            self.apply_gradients(gradients)
        else:
            tf.cond(bad[0], lambda: None, lambda: self.apply_gradients(gradients))
        for tracker in self.gradient_trackers:
            tracker.update_state(norm, ~bad[0])
        self.first_skip.update_state(*bad)
        skipped = tf.cast(bad[0], tf.int32)
        self.skipped_steps.assign_add(skipped)
        self.skipped_in_a_row.assign((self.skipped_in_a_row + 1) * skipped)

    def gradient_norm(self, gradients):
        """Global norm of the gradients."""
        return tf.linalg.global_norm(gradients)

    def apply_gradients(self, gradients):
        """The optimiser's step."""
        self.optimizer.apply(gradients, self.trainable_variables)
