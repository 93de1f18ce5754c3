"""The same step on several devices: the replicas of a `tf.distribute` strategy take together what one device would."""

from typing import Any

import keras

from tfvae import replicas
from tfvae.example_weights import filled_up
from tfvae.models.base.training_step import TrainingStep


class ReplicatedStep(TrainingStep):
    """A `TrainingStep` whose gradients are summed and whose terms are gathered; on one device it changes nothing."""

    train_function: Any  # made by Keras, or for several devices by `replicas.step_function`
    test_function: Any

    def make_train_function(self, force=False):
        # A step that makes variables is traced a second time without them, which takes as long again.
        if not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)
        if not replicas.distributed(self):
            return super().make_train_function(force)
        if force or self.train_function is None:
            self.train_function = replicas.step_function(self, even(self.train_step), self.steps_per_execution)
        return self.train_function

    def make_test_function(self, force=False):
        if not replicas.distributed(self):
            return super().make_test_function(force)
        if force or self.test_function is None:
            self.test_function = replicas.step_function(self, even(self.test_step), self.steps_per_execution)
        return self.test_function

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # On several devices Keras averages their first batches, which may differ in length, to learn the shapes that a
        # model is built for: ours are built.
        if not replicas.distributed(self):
            super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)

    def scaled_loss(self, loss):
        # Gradients are summed over the replicas: their losses are shares of one mean.
        return super().scaled_loss(loss) / replicas.count()

    def finish_train_step(self, gradients, loss, *terms, weights=None):
        # From here on every replica knows the whole batch, and all do together what one device would.
        finish, further = super().finish_train_step, [] if weights is None else [weights]

        def once(gradients, loss, *terms):
            finish(gradients, loss, *terms[: len(terms) - len(further)], weights=terms[-1] if further else None)

        replicas.once(once, *replicas.share(gradients, loss, *terms, *further))

    def finish_test_step(self, loss, distortion, rate, weights=None):
        finish, further = super().finish_test_step, [] if weights is None else [weights]
        _, *terms = replicas.share([], loss, distortion, rate, *further)
        replicas.once(lambda _, loss, distortion, rate, *further: finish(loss, distortion, rate, *further), [], *terms)

    def gradient_norm(self, gradients):
        return super().gradient_norm(replicas.local(gradients))

    def apply_gradients(self, gradients):
        replicas.apply(self.optimizer, gradients, self.trainable_variables)


def even(step):
    """`step` on batches that all replicas have as many rows of: the last one of an array seldom divides."""

    def on_equal_rows(data):
        data, means = replicas.equal_rows(*keras.utils.unpack_x_y_sample_weight(data))
        with filled_up(means):
            return step(data)

    return on_equal_rows
