"""What an export works on, and what comes out of it."""

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from export import NO_LICENCE
from export.parity import BOUNDS_OF_CHOICES, Bound, Verdict
from export.reference import Reference
from export.samples import Samples
from tfvae.runs import Run


def today() -> datetime.date:
    """The day, in UTC."""
    return datetime.datetime.now(datetime.UTC).date()


@dataclass
class Artefact:
    """One thing the bundle may hold.

    Attributes:
        name: Its path within the bundle.
        verdicts: What was measured, by signature.
        facts: What the report says about it besides.
        defects: What else it must not have: custom ops, float ops in an int8 file.
        outputs: What it made of the held-out images, for the picture.
    """

    name: str
    verdicts: dict[str, Verdict]
    facts: dict[str, Any] = field(default_factory=dict)
    defects: list[str] = field(default_factory=list)
    outputs: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def written(self) -> bool:
        """Whether every verdict was within its bound and there are no defects; what is not is withheld."""
        return not self.defects and all(verdict.passed for verdict in self.verdicts.values())

    @property
    def outcome(self) -> str:
        """Its name and size, and whether it was withheld."""
        size = f"{self.facts['bytes'] / 1000:,.0f} kB"
        return f"{self.name}: {size}" if self.written else f"WITHHELD {self.name}: {size}"

    @property
    def worst(self) -> Verdict:
        """The verdict that is nearest to, or furthest out of, its bound."""
        return max(self.verdicts.values(), key=Verdict.severity)


@dataclass(frozen=True)
class Export:
    """What an export works on: the run, its model in float32, the images, and Keras's answers."""

    run: Run
    model: Any
    splits: Any  # all images of the run, as `tfvae.data.load` gives them
    samples: Samples
    size: tuple[int, int]
    reference: Reference
    bounds: Mapping[str, Bound]
    licence: str = NO_LICENCE
    day: datetime.date = field(default_factory=today)

    def bound(self, variant: str, signature: str) -> Bound:
        """What an artefact of a variant (`saved_model` and `onnx` included) is held to in a signature."""
        chooses = self.reference.endpoint(signature).chooses
        return BOUNDS_OF_CHOICES.get(variant, self.bounds[variant]) if chooses else self.bounds[variant]

    @property
    def weights(self) -> int:
        """How many numbers were learnt."""
        return sum(math.prod(weight.shape) for weight in self.model.trainable_weights)
