"""How far an artefact is from the Keras model, and how far it may be."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tfvae.metrics.image_quality import psnr

Tensors = dict[str, np.ndarray]


@dataclass(frozen=True)
class Bound:
    """The largest admitted value of a measure.

    `max_abs`: largest absolute difference of any element of any output, over all held-out images.
    `psnr_drop_db`: how much lower the mean PSNR against the held-out images themselves is than that of Keras.
    `chosen_otherwise`: share of the images (or draws) of whose answers any element is further than `SAME` from Keras's.
    """

    measure: str
    limit: float


MEASURES = ("max_abs", "psnr_drop_db", "chosen_otherwise")
SAME = 1e-4
# The numbers of the project's targets.
BOUNDS = {
    "saved_model": Bound("max_abs", 1e-5),
    "float32": Bound("max_abs", 1e-4),
    "float16": Bound("max_abs", 5e-3),
    "dynamic_range": Bound("psnr_drop_db", 0.3),
    "int8": Bound("psnr_drop_db", 0.5),
    "onnx": Bound("max_abs", 1e-4),
}
# Where the nearest of a codebook is taken or an index drawn, the last digit can decide between two that are equally
# good, and the answer to that image is then another one throughout: what counts is how rare this is, and for weights
# of fewer bits what it costs.
BOUNDS_OF_CHOICES = {
    "saved_model": Bound("chosen_otherwise", 0.1),
    "float32": Bound("chosen_otherwise", 0.1),
    "float16": Bound("psnr_drop_db", 0.1),
    "onnx": Bound("chosen_otherwise", 0.1),
}

# int8 bytes per float32 byte, and time per float32 time on one thread. Targets, not conditions: a tiny file is mostly
# graph, which no quantisation shrinks, and times are those of one machine.
INT8_SIZE_TARGET = 0.30
INT8_LATENCY_TARGET = 0.60


@dataclass(frozen=True)
class Verdict:
    """What was measured on one artefact.

    Attributes:
        measure: As in `Bound`.
        value: The figure that is held to the bound; NaN when an output was not finite.
        bound: The limit.
        passed: `value <= bound`, and every output finite.
        figures: Everything else that was measured, by name.
    """

    measure: str
    value: float
    bound: float
    passed: bool
    figures: dict[str, Any] = field(default_factory=dict)

    def severity(self) -> tuple[bool, float]:
        """Verdicts in this order are the worse, the further they are towards their bounds or beyond."""
        return not self.passed, self.value / self.bound if self.bound > 0 else self.value

    def as_json(self) -> dict[str, Any]:
        """The verdict with numbers that JSON has: what is not finite becomes null."""
        return _finite(asdict(self))

    def __str__(self) -> str:
        if self.measure == "psnr_drop_db":
            return f"PSNR drop {self.value:.3f} dB (bound {self.bound:g})"
        if self.measure == "chosen_otherwise":
            return f"chosen otherwise in {self.value:.1%} of the images (bound {self.bound:.0%})"
        return f"max error {self.value:.1e} (bound {self.bound:g})"


def judge(bound: Bound, references: list[Tensors], outputs: list[Tensors], psnr_pair: tuple[float, float]) -> Verdict:
    """The verdict on an artefact.

    Args:
        bound: What it is held to.
        references: What Keras answered to each request.
        outputs: What the artefact answered.
        psnr_pair: Mean PSNR against the held-out images, dB: that of Keras, and that of the artefact.
    """
    errors = [row_errors(reference, output) for reference, output in zip(references, outputs, strict=True)]
    error = float(np.concatenate(errors).max())  # NaN where one is
    drop = psnr_pair[0] - psnr_pair[1]
    otherwise = [np.flatnonzero(~(each <= SAME)).tolist() for each in errors]
    share = max(len(rows) / len(each) for rows, each in zip(otherwise, errors, strict=True))
    value = {"max_abs": error, "psnr_drop_db": drop, "chosen_otherwise": share}[bound.measure]
    chosen = {"rows_chosen_otherwise": otherwise} if bound.measure == "chosen_otherwise" else {}
    figures = {
        "max_abs": error,
        **chosen,
        "largest_reference": max(float(np.abs(t).max()) for reference in references for t in reference.values()),
        "psnr_keras_db": psnr_pair[0],
        "psnr_db": psnr_pair[1],
        "psnr_drop_db": drop,
    }
    # `error` is NaN when any output is, and NaN is below no bound.
    passed = bool(value <= bound.limit and np.isfinite(error))
    return Verdict(bound.measure, value, bound.limit, passed, figures)


def max_abs(reference: Tensors, output: Tensors) -> float:
    """Largest absolute difference over all tensors; NaN when one is not finite. Names and shapes must agree."""
    return float(row_errors(reference, output).max())


def row_errors(reference: Tensors, output: Tensors) -> np.ndarray:
    """For each row, `(n,)`, the largest absolute difference over all tensors; NaN where one is not finite.

    Raises:
        ValueError: Unless names and shapes agree.
    """
    if set(reference) != set(output):
        raise ValueError(f"outputs are named {sorted(output)}, Keras's {sorted(reference)}")
    errors = []
    for name, expected in reference.items():
        if expected.shape != output[name].shape:
            raise ValueError(f"output '{name}' has shape {output[name].shape}, Keras's {expected.shape}")
        difference = np.abs(expected.astype(np.float64) - output[name])
        errors.append(difference.reshape(len(difference), -1).max(axis=1))
    return np.max(errors, axis=0)  # NaN where one is


def mean_psnr(originals: np.ndarray, images: np.ndarray) -> float:
    """Mean over the images of their PSNR, dB; decoded images of a padded size are compared where originals are."""
    height, width = originals.shape[1:3]
    return float(np.mean(psnr(originals, images[:, :height, :width])))


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
