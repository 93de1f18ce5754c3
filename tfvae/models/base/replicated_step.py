"""The same step on several devices: the replicas of a `tf.distribute` strategy take together what one device would."""

from typing import Any

from tfvae import replicas
from tfvae.models.base.training_step import TrainingStep


class ReplicatedStep(TrainingStep):
    """A `TrainingStep` whose gradients are summed and whose terms are gathered; on one device it changes nothing."""

    train_function: Any  # made by Keras, or for several devices by `replicas.step_function`
    test_function: Any

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

    def scaled_loss(self, loss):
        # Gradients are summed over the replicas: their losses are shares of one mean.
        return super().scaled_loss(loss) / replicas.count()

    def finish_train_step(self, gradients, *terms):
        # From here on every replica knows the whole batch, and all do together what one device would.
        replicas.once(super().finish_train_step, *replicas.share(gradients, *terms))

    def finish_test_step(self, *terms):
        finish = super().finish_test_step
        _, *terms = replicas.share([], *terms)
        replicas.once(lambda _, *terms: finish(*terms), [], *terms)

    def gradient_norm(self, gradients):
        return super().gradient_norm(replicas.local(gradients))

    def apply_gradients(self, gradients):
        replicas.apply(self.optimizer, gradients, self.trainable_variables)
