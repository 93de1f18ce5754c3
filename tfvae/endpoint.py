"""What a model says of a function that it serves: its tensors, and what of it becomes a file for phones."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# float16: weights are stored in half precision, arithmetic is float32 (or half, where the phone's GPU chooses so).
# dynamic_range: weights are 8-bit integers; activations are float32, and quantised for each call where a kernel gains.
# int8: weights (one scale per channel) and activations are 8-bit integers; the file takes and gives float32.
VARIANTS = ("float32", "float16", "dynamic_range", "int8")


@dataclass(frozen=True)
class Endpoint:
    """One function of a model that leaves Python.

    Attributes:
        inputs: Shape of each float32 input by name, the batch first; None is a side known only when the function runs.
        function: Takes the inputs as keyword arguments, returns a dict of float32 tensors. Deterministic.
        file: Name, without suffix, of the `.tflite` files that a bundle has of it; "": it is in the SavedModel alone.
        variants: Those of `VARIANTS` that the files come in. What comes in float32 alone is one file of batch 1.
        chooses: Whether it takes the nearest of a codebook or draws an index: where two are equally good, runtimes that
            differ in the last digit choose differently, and the answers are then far apart.
        note: For people, what is left out and why: a sentence; "" where nothing is.
    """

    inputs: dict[str, tuple[int | None, ...]]
    function: Callable[..., dict[str, Any]]
    file: str = ""
    variants: tuple[str, ...] = VARIANTS
    chooses: bool = False
    note: str = ""

    @property
    def single(self) -> bool:
        """Whether there is one file only, of float32 and batch 1."""
        return self.variants == VARIANTS[:1]
