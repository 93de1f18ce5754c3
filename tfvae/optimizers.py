"""Adam in one pass over each weight, with an average of the weights that short trainings can use, too."""

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable(package="tfvae")
class AveragedAdam(keras.optimizers.Adam):
    """Adam whose step is one pass over each weight, and whose moving average of the weights has a warm-up.

    The step is Keras's up to rounding. Keras makes it of a dozen operations, each a pass over memory of its own: of a
    small dense network that is a third of the training step.

    The momentum of step t = 0, 1, … is `min(ema_momentum, t / (9 + t))`. Until `ema_momentum` takes over the average
    spans about the last ninth of the steps. With a constant 0.999, half of the average after 700 steps is still what
    the training began with.

    Args:
        learning_rate, ...: As of `keras.optimizers.Adam`, `use_ema=True` and `ema_momentum` included.

    Reference:
        The schedule is that of `tf.train.ExponentialMovingAverage` with `num_updates`, begun by a copy.
    """

    def update_step(self, gradient, variable, learning_rate):
        if self.amsgrad or variable.dtype != tf.float32 or not isinstance(gradient, tf.Tensor):
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, tf.float32),
        )

    def _update_model_variables_moving_average(self, trainable_variables):
        step = ops.cast(self.iterations, "float32")
        momentum = ops.minimum(self.ema_momentum, step / (9.0 + step))
        for variable, average in zip(trainable_variables, self._model_variables_moving_average, strict=True):
            if average is not None:
                kept = ops.cast(momentum, variable.dtype)
                average.assign(kept * average + (1 - kept) * variable)
