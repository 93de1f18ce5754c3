"""One corruption out of several for each image."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import tensorflow as tf

from tfvae.corruptions.base import Corrupted, Corruption, is_number
from tfvae.corruptions.draws import Draws


@dataclass(frozen=True)
class OneOf(Corruption):
    """Each image gets one of the corruptions `of`, with chances as `weights` (equal by default; any scale).

    All are computed for the whole batch and one is taken, so it costs as much as their sum.

    Raises:
        ValueError: When `of` is empty, or there are not as many weights, or they are negative or all zero.
    """

    kind: ClassVar[str] = "one_of"
    of: tuple[Corruption, ...] = ()
    weights: tuple[float, ...] | None = None

    def __post_init__(self):
        super().__post_init__()
        sequence = isinstance(self.of, list | tuple) and len(self.of) > 0
        if not sequence or not all(isinstance(choice, Corruption) for choice in self.of):
            raise ValueError(f"`of` of the corruption 'one_of' must hold corruptions. Received: of={self.of!r}")
        object.__setattr__(self, "of", tuple(self.of))
        received = self.weights
        if received is None:
            return
        weights = tuple(received) if isinstance(received, list | tuple) else ()
        object.__setattr__(self, "weights", weights)
        numbers = all(map(is_number, weights)) and len(weights) == len(self.of)
        if not numbers or not min(weights) >= 0 or not 0 < sum(weights) < math.inf:
            raise ValueError(
                "`weights` of the corruption 'one_of' must be as many as `of`, none negative, not all zero. "
                f"Received: {len(self.of)} corruptions and weights={received!r}"
            )

    @property
    def allows_xla(self) -> bool:  # type: ignore[override]  # of these corruptions, not of the class
        return all(choice.allows_xla for choice in self.of)

    def apply(self, image: tf.Tensor, damage: tf.Tensor, draws: Draws) -> Corrupted:
        weights = self.weights or (1.0,) * len(self.of)
        u = draws.uniform(1, 1, 1) * sum(weights)
        seeds = tf.random.split(draws.next_seed(), len(self.of))
        outcome, upper = Corrupted(image, damage), 0.0
        for i, choice in enumerate(self.of):
            lower, upper = upper, upper + weights[i]
            mine = (u >= lower) & ((u < upper) | (i == len(self.of) - 1))
            ours = choice(image, damage, seeds[i])
            outcome = Corrupted(*(tf.where(mine, new, old) for new, old in zip(ours, outcome, strict=True)))
        return outcome

    def table(self) -> dict[str, Any]:
        table = super().table() | {"of": [choice.table() for choice in self.of]}
        return table if self.weights else {key: value for key, value in table.items() if key != "weights"}
