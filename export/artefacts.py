"""What an export works on, and what comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from export.parity import Bound, Verdict
from export.reference import Reference
from export.samples import Samples
from tfvae.runs import Run


@dataclass
class Artefact:
    """One thing the bundle may hold.

    Attributes:
        name: Its path within the bundle.
        verdicts: What was measured, by signature.
        facts: What the report says about it besides.
        written: Whether every verdict was within its bound; what is not is withheld.
    """

    name: str
    verdicts: dict[str, Verdict]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def written(self) -> bool:
        return all(verdict.passed for verdict in self.verdicts.values())


@dataclass(frozen=True)
class Export:
    """What an export works on: the run, its model in float32, the images, and Keras's answers."""

    run: Run
    model: Any
    policy: str
    samples: Samples
    size: tuple[int, int]
    reference: Reference
    bounds: Mapping[str, Bound]
