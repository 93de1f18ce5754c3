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
    """

    measure: str
    limit: float


MEASURES = ("max_abs", "psnr_drop_db")
# The numbers of the project's targets.
BOUNDS = {
    "saved_model": Bound("max_abs", 1e-5),
    "float32": Bound("max_abs", 1e-4),
    "float16": Bound("max_abs", 5e-3),
    "dynamic_range": Bound("psnr_drop_db", 0.3),
    "int8": Bound("psnr_drop_db", 0.5),
    "onnx": Bound("max_abs", 1e-4),
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

    def as_json(self) -> dict[str, Any]:
        """The verdict with numbers that JSON has: what is not finite becomes null."""
        return _finite(asdict(self))

    def __str__(self) -> str:
        if self.measure == "psnr_drop_db":
            return f"PSNR drop {self.value:.3f} dB (bound {self.bound:g})"
        return f"max error {self.value:.1e} (bound {self.bound:g})"


def judge(bound: Bound, references: list[Tensors], outputs: list[Tensors], psnr_pair: tuple[float, float]) -> Verdict:
    """The verdict on an artefact.

    Args:
        bound: What it is held to.
        references: What Keras answered to each request.
        outputs: What the artefact answered.
        psnr_pair: Mean PSNR against the held-out images, dB: that of Keras, and that of the artefact.
    """
    error = max(max_abs(reference, output) for reference, output in zip(references, outputs, strict=True))
    drop = psnr_pair[0] - psnr_pair[1]
    value = error if bound.measure == "max_abs" else drop
    figures = {
        "max_abs": error,
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
    if set(reference) != set(output):
        raise ValueError(f"outputs are named {sorted(output)}, Keras's {sorted(reference)}")
    worst = 0.0
    for name, expected in reference.items():
        if expected.shape != output[name].shape:
            raise ValueError(f"output '{name}' has shape {output[name].shape}, Keras's {expected.shape}")
        difference = float(np.abs(expected.astype(np.float64) - output[name]).max())
        worst = float(np.maximum(worst, difference))  # np.maximum keeps NaN, max() would not
    return worst


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
