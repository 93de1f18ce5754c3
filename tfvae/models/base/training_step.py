"""One step of training or evaluation: loss, gradients, what is skipped, and what is tracked."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfvae.distributions import float32
from tfvae.example_weights import as_weighted_mean, batch_mean, weighted
from tfvae.inputs import as_labels
from tfvae.models.base.keras_interface import KerasInterface
from tfvae.models.base.trackers import FirstSkip, GradientNorm, GradientPeak, Mean
from tfvae.objectives import elbo


class TrainingStep(KerasInterface):
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

    tracked: tuple[str, ...] = ("loss", "elbo", "distortion", "rate")

    def __init__(self, **kwargs):
        # Inputs are not cast to half precision here: the likelihood is that of the picture, not of a rounded one.
        super().__init__(autocast=False, **kwargs)
        self.trackers: list[keras.metrics.Metric] = [Mean(name=name) for name in self.tracked]
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
        own = (*self.trackers, *self.gradient_trackers, self.first_skip, *self.more_trackers)
        # Keras also owns a tracker named `loss`; left alone, it would report 0.0.
        further = [one for one in super().metrics if one is not self._loss_tracker]
        return [*own, *(one for one in further if not any(one is tracker for tracker in own))]

    def get_metrics_result(self):
        """What `train_step` returns, so that an epoch's figures are the same wherever they are read."""
        return {**self._results(self.metrics), "skipped_steps": self.skipped_steps + 0}

    def _results(self, metrics):
        shown = [one for one in metrics if one is not self.first_skip]
        results = {one.name: one.result() for one in shown}
        named = [result if isinstance(result, dict) else {name: result} for name, result in results.items()]
        return {name: value for result in named for name, value in result.items()}

    def train_step(self, data):
        images, labels, weights = self.batch_of(data)
        with weighted(weights):
            gradients, loss, *terms = self.gradient_terms(images, **labels)
            loss = as_weighted_mean(loss)
        self.finish_train_step(gradients, loss, *terms, weights=weights)
        self.update_compiled_metrics(images, weights, **labels)
        return self.get_metrics_result()

    def test_step(self, data):
        images, labels, weights = self.batch_of(data)
        with weighted(weights):
            loss, distortion, rate = self.loss_terms(images, **labels)
            loss = as_weighted_mean(loss)
        self.finish_test_step(loss, distortion, rate, weights)
        self.update_compiled_metrics(images, weights, **labels)
        unseen = {id(one) for one in (*self.gradient_trackers, *self.more_trackers)}
        return self._results(one for one in self.metrics if id(one) not in unseen)

    def batch_of(self, data):
        """Images, the further arguments of `loss_terms` (`labels` of a conditional model), and weights or None.

        An image of weight 0 is replaced by black: whatever it holds, it changes nothing.
        """
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        images = self.as_images(images)
        if weights is not None:
            weights = float32(ops.reshape(weights, (-1,)))
            images = ops.where(weights[:, None, None, None] != 0, images, 0.0)
        return images, {"labels": as_labels(labels)} if self.conditional else {}, weights

    def update_compiled_metrics(self, images, weights, **labels):
        """Updates `compile(metrics=…)` with the images and their reconstructions."""
        if self._compile_metrics is not None:
            pictures = self.reconstruction_for_metrics(images, **labels)
            self._compile_metrics.update_state(images, pictures, sample_weight=weights)

    def elbo_terms(self, images, training=False):
        """Distortion and rate of each example, both shape `(batch,)`, in nats, float32."""
        raise NotImplementedError

    def loss_terms(self, images, training=False):
        """The scalar loss, and distortion and rate of each example."""
        distortion, rate = self.elbo_terms(images, training=training)
        return batch_mean(distortion + rate), distortion, rate

    def selection_loss(self, means):
        """What the epoch that is kept has least of: distortion and rate, at the final beta; None: the last is kept.

        During a warm-up of beta the loss itself rises while the model improves.

        Args:
            means: What an evaluation of the validation images returned, floats by name.
        """
        beta = float(self.beta.value.numpy()) if hasattr(self, "beta") else 1.0
        return means["distortion"] + beta * means.get("rate", 0.0)

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

    def finish_train_step(self, gradients, loss, distortion, rate, *more, weights=None):
        """What follows the gradients of a batch: the optimiser's step, if they are finite, and the trackers."""
        self.apply_if_finite(gradients, distortion, rate)
        self.track(loss, distortion, rate, weights, skipping=True)
        for tracker, value in zip(self.more_trackers, more, strict=True):
            counted = ops.isfinite(value)
            tracker.update_state(ops.where(counted, value, 0.0), sample_weight=_counted(counted, weights))

    def finish_test_step(self, loss, distortion, rate, weights=None):
        self.track(loss, distortion, rate, weights)

    def track(self, loss, distortion, rate, weights=None, skipping=False):
        """Adds a batch to the means; `skipping` leaves out what is not finite, as the step it belongs to was."""
        values = {"loss": ops.broadcast_to(loss, ops.shape(distortion)), "elbo": elbo(distortion, rate)}
        values |= {"distortion": distortion, "rate": rate}
        for tracker in self.trackers:
            value = values[tracker.name]
            counted = ops.isfinite(value) if skipping else ops.ones_like(value, dtype="bool")
            tracker.update_state(ops.where(counted, value, 0.0), sample_weight=_counted(counted, weights))

    def apply_if_finite(self, gradients, distortion, rate):
        """One optimiser step, unless a gradient is not finite: then weights and moments stay, and it is counted.

        The norm that is tracked is of the unscaled gradients of the whole batch, before clipping.
        """
        norm = self.gradient_norm(gradients) / self.optimizer.scale_loss(1.0)
        bad = [~tf.reduce_all(tf.math.is_finite(value)) for value in (norm, distortion, rate)]
        if not self.optimizer.built:  # of a step that no `fit` made
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


def _counted(counted, weights):
    """The weight of each example in a mean: 0 where it does not count."""
    return counted if weights is None else float32(counted) * weights
