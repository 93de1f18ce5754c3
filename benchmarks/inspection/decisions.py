"""Whether the files of a bundle decide as the run's model does, on pictures that the export has not seen."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import header, line
from tfvae.errors import UserError

SIGNATURE = "inspect"


def of_bundle(folder: Path, images: Sequence[np.ndarray], scores: np.ndarray, model: Any) -> dict[str, dict[str, Any]]:
    """What each file in the bundle at `folder` that inspects makes of pictures, beside what `model` does.

    Args:
        folder: Of `python -m export` of the run of `model`.
        images: uint8, `(height, width, channels)` each, of the size of the `.tflite` files.
        scores: Those of `model`, in the same order.

    Raises:
        UserError: For what is no such bundle, and where a file takes no picture of that size.
    """
    from export import evidence
    from export.formats.onnx import ONNXFile
    from export.formats.saved_model import Request, run_in_fresh_process
    from export.formats.tflite_runtime import TFLiteFile
    from tfvae.applications.channels import floats

    try:
        kept = evidence.read(folder).artefacts
    except (UserError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"--bundle: {folder} is no bundle of python -m export ({error}).") from None
    requests = [{"image": floats(image)[None]} for image in images]

    def answers(name: str) -> list[Any]:
        if name.startswith("saved_model/"):
            return run_in_fresh_process(folder / name, [Request(SIGNATURE, each) for each in requests])[0]
        content = (folder / name).read_bytes()
        file = ONNXFile(content) if name.endswith(".onnx") else TFLiteFile(content)
        try:
            return [file.run(each) for each in requests]
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"--bundle: {name} cannot take these pictures, see export --size ({reason}).") from None

    names = [name for name, signatures in kept.items() if SIGNATURE in signatures]
    if not names:
        raise UserError(f"--bundle: {folder} holds no file that inspects.")
    return {name: compared(scores, np.array([each["score"][0, 0] for each in answers(name)]), model) for name in names}


def compared(scores: np.ndarray, found: np.ndarray, model: Any) -> dict[str, Any]:
    """How many of the scores that a file found decide otherwise than those of the model, and how far they lie apart."""
    threshold = model.threshold
    return {
        "pictures": len(scores),
        "otherwise": int(((scores > threshold) != (found > threshold)).sum()),
        "largest": float(np.abs(scores - found).max()),
        "nearest": float(np.abs(scores - threshold).min()),
    }


def table(rows: dict[str, dict[str, Any]]) -> list[str]:
    """The rows of `of_bundle` as lines of text."""
    lines = header(["file", "pictures", "decided otherwise", "largest difference of a score"], 1)
    for name, row in rows.items():
        lines.append(line([name, str(row["pictures"]), str(row["otherwise"]), f"{row['largest']:.1e}"]))
    nearest = next(iter(rows.values()))["nearest"]
    return [*lines, "", f"The score nearest to the threshold is {nearest:.1e} from it."]
