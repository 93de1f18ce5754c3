"""Adam with an average of the weights that short trainings can use, too."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfvae")
class AveragedAdam(keras.optimizers.Adam):
    """Adam whose exponential moving average of the weights has a warm-up.

    The momentum of step t = 0, 1, … is `min(ema_momentum, t / (9 + t))`. Until `ema_momentum` takes over the average
    spans about the last ninth of the steps. With a constant 0.999, half of the average after 700 steps is still what
    the training began with.

    Args:
        learning_rate, ...: As of `keras.optimizers.Adam`, `use_ema=True` and `ema_momentum` included.

    Reference:
        The schedule is that of `tf.train.ExponentialMovingAverage` with `num_updates`, begun by a copy.
    """

    def _update_model_variables_moving_average(self, trainable_variables):
        step = ops.cast(self.iterations, "float32")
        momentum = ops.minimum(self.ema_momentum, step / (9.0 + step))
        for variable, average in zip(trainable_variables, self._model_variables_moving_average, strict=True):
            if average is not None:
                kept = ops.cast(momentum, variable.dtype)
                average.assign(kept * average + (1 - kept) * variable)
