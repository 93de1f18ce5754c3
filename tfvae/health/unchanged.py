"""Looking without touching."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np


@contextlib.contextmanager
def unchanged(model: Any, seed: int) -> Iterator[None]:
    """Within, the model draws its noise from `seed`; afterwards its random state is as before.

    Random states, running averages and counts are put back. Weights that are trained are not: nothing here trains.
    """
    kept = [(variable, np.array(variable.value.numpy())) for variable in model.variables if not variable.trainable]
    states = [variable for variable, _ in kept if variable.name == "seed_generator_state"]
    try:
        for place, state in enumerate(states):
            # A state is (key, counter): neighbouring keys are independent streams.
            state.assign(np.array([(seed + place) % 2**32, 0], dtype=np.uint32))
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)
