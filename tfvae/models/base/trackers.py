"""What a training step notes about its gradients; part of a checkpoint, never of a model file."""

import math

import keras
import tensorflow as tf
from keras import ops


class Mean(keras.metrics.Mean):
    """`keras.metrics.Mean` of values that every replica knows whole: Keras's own asks all workers when it is read.

    A mean of nothing is not a number: where all steps of an epoch were skipped, Keras's 0 would be the best loss ever.
    """

    def result(self):
        return _ratio(self.total, self.count)

    def add_variable(self, *args, **kwargs):
        return super().add_variable(*args, **{**kwargs, "aggregation": "only_first_replica"})


def _ratio(total, count):
    count = ops.convert_to_tensor(count)
    return ops.where(count > 0, total / ops.where(count > 0, count, 1.0), math.nan)


class _Tracker(keras.metrics.Metric):
    """A metric that model files leave out: a model is what it computes, not how its last epoch went."""

    def save_own_variables(self, store):
        pass

    def load_own_variables(self, store):
        pass


class GradientNorm(_Tracker):
    """Global norm of the gradients before clipping: the mean over the finite steps since the epoch began."""

    def __init__(self, name="gradient_norm", **kwargs):
        super().__init__(name=name, **kwargs)
        # Every replica is given the same values: the first one's are all there is to know.
        options = {"shape": (), "initializer": "zeros", "aggregation": "only_first_replica"}
        self.total = self.add_variable(name="total", **options)
        self.count = self.add_variable(name="count", **options)

    def update_state(self, norm, finite):
        self.total.assign(self.total + ops.where(finite, norm, 0.0))
        self.count.assign(self.count + ops.cast(finite, "float32"))

    def result(self):
        return _ratio(self.total, self.count)


class GradientPeak(_Tracker):
    """The largest gradient norm among the finite steps since the epoch began."""

    def __init__(self, name="gradient_peak", **kwargs):
        super().__init__(name=name, **kwargs)
        self.peak = self.add_variable((), "zeros", aggregation="only_first_replica", name="peak")

    def update_state(self, norm, finite):
        self.peak.assign(ops.maximum(self.peak, ops.where(finite, norm, 0.0)))

    def result(self):
        return self.peak + 0.0  # a tensor: the variable itself would change after it was returned


class FirstSkip(_Tracker):
    """The first step of the whole training whose gradients were not finite, and which term was not.

    A new epoch does not reset it. Steps are counted from 0, as the batches of `tfvae.data.training_batches` are.
    """

    def __init__(self, name="first_skip", **kwargs):
        super().__init__(name=name, **kwargs)
        options = {"shape": (), "initializer": "zeros", "dtype": "int32", "aggregation": "only_first_replica"}
        self.steps = self.add_variable(name="steps", **options)
        self.first = self.add_variable(name="first", **options)  # 0 = none yet, else the step's number plus one
        self.distortion = self.add_variable(name="distortion", **options)
        self.rate = self.add_variable(name="rate", **options)

    def update_state(self, skipped, distortion, rate):
        """Notes one step: whether it was skipped, and whether its distortion and its rate were not finite."""
        new = tf.logical_and(skipped, ops.equal(self.first, 0))
        self.steps.assign(self.steps + 1)
        self.first.assign(ops.where(new, self.steps, self.first))
        for variable, bad in ((self.distortion, distortion), (self.rate, rate)):
            variable.assign(ops.where(new, ops.cast(bad, "int32"), variable))

    def result(self):
        return self.first.value - 1

    def reset_state(self):
        pass
