"""beta(step): how much the rate weighs at each training step. Pure functions held by small serialisable objects."""

import inspect

import keras
from keras import ops


def linear(step, steps, start=0.0, end=1.0):
    """From `start` to `end` in `steps` steps, then `end`. `step` may be a number or a tensor; float32."""
    progress = ops.clip(ops.cast(step, "float32") / steps, 0.0, 1.0)
    return start + (end - start) * progress


def cyclical(step, period, ratio=0.5, start=0.0, end=1.0):
    """In each `period`, rise linearly during the first `ratio` of it, then stay at `end`.

    Reference:
        Fu et al. (2019), equation 6, https://arxiv.org/abs/1903.10145
    """
    position = ops.mod(ops.cast(step, "float32"), period)
    return linear(position, period * ratio, start, end)


class BetaSchedule:
    """A function of the step that can be saved.

    Attributes:
        final: Its limit, at which models are evaluated.
        warm_up: Steps before it first reaches `final`: until then no figure of a model says how good it will be.
    """

    final: float
    warm_up: float = 0

    def __call__(self, step):
        raise NotImplementedError

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def final_of(value):
    """The value at which models are evaluated: a schedule's last one, or the number itself."""
    return float(value.final if isinstance(value, BetaSchedule) else value)


@keras.saving.register_keras_serializable(package="tfvae")
class LinearBeta(BetaSchedule):
    """`linear(step, steps, start, end)`: KL warm-up (Bowman et al. 2016, Sønderby et al. 2016).

    Raises:
        ValueError: If `steps` is not positive, or `start` or `end` is negative.
    """

    def __init__(self, steps, start=0.0, end=1.0):
        if steps <= 0 or start < 0 or end < 0:
            raise ValueError(
                "`steps` must be positive, `start` and `end` non-negative. "
                f"Received: steps={steps}, start={start}, end={end}"
            )
        self.steps, self.start, self.end = steps, start, end
        self.final, self.warm_up = end, steps

    def __call__(self, step):
        return linear(step, self.steps, self.start, self.end)

    def get_config(self):
        return {"steps": self.steps, "start": self.start, "end": self.end}


@keras.saving.register_keras_serializable(package="tfvae")
class CyclicalBeta(BetaSchedule):
    """`cyclical(step, period, ratio, start, end)`.

    Raises:
        ValueError: If `period` is not positive, `ratio` not in (0, 1], or `start` or `end` negative.
    """

    def __init__(self, period, ratio=0.5, start=0.0, end=1.0):
        if period <= 0 or not 0 < ratio <= 1 or start < 0 or end < 0:
            raise ValueError(
                "`period` must be positive, `ratio` in (0, 1], `start` and `end` non-negative. "
                f"Received: period={period}, ratio={ratio}, start={start}, end={end}"
            )
        self.period, self.ratio, self.start, self.end = period, ratio, start, end
        self.final, self.warm_up = end, period * ratio

    def __call__(self, step):
        return cyclical(step, self.period, self.ratio, self.start, self.end)

    def get_config(self):
        return {"period": self.period, "ratio": self.ratio, "start": self.start, "end": self.end}


SCHEDULES = {"linear": LinearBeta, "cyclical": CyclicalBeta}


def from_table(table):
    """A schedule from `{"schedule": "linear", "steps": 1000, …}`, as recipes write it.

    Raises:
        ValueError: If the schedule is unknown, or takes no such setting.
    """
    options = dict(table)
    name = options.pop("schedule", None)
    if name not in SCHEDULES:
        raise ValueError(f"`schedule` must be one of {', '.join(SCHEDULES)}. Received: schedule={name!r}")
    known = inspect.signature(SCHEDULES[name]).parameters
    for key, value in options.items():
        if key not in known or isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"`{name}` takes the numbers {', '.join(known)}. Received: {key}={value!r}")
    if missing := [key for key, one in known.items() if one.default is one.empty and key not in options]:
        raise ValueError(f"`{name}` needs {', '.join(missing)}. Received: {options}")
    return SCHEDULES[name](**options)
