"""`export_report.json`: every fact about a bundle, for programs."""

import hashlib
import importlib.metadata
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from export.artefacts import Artefact, Export
from export.atomic_folder import REPORT
from export.parity import BOUNDS_OF_CHOICES
from tfvae.evaluation.protocol import versions

RUNTIME = "ai-edge-litert"


def write(work: Export, artefacts: list[Artefact], folder: Path) -> None:
    """Write the report into `folder`, which holds the files it lists."""
    text = json.dumps(contents(work, artefacts, folder), indent=2, allow_nan=False)
    (folder / REPORT).write_text(text + "\n", encoding="utf-8")


def contents(work: Export, artefacts: list[Artefact], folder: Path) -> dict[str, Any]:
    """The report as JSON-ready tables."""
    model, samples = work.model, work.samples
    return {
        "verdict": "every artefact is within its bound" if all(a.written for a in artefacts) else "artefacts withheld",
        "withheld": [artefact.name for artefact in artefacts if not artefact.written],
        "model": {
            "class": type(model).__name__,
            "image_shape": list(model.image_shape),
            "latent_shape": list(model.latent_shape),
            "factor": model.factor,
            "weights": work.weights,
            "trained_under": work.run.precision,
        },
        "run": work.run.path.resolve().name,
        "date": work.day.isoformat(),
        "licence": work.licence,
        "tflite_image_size": list(work.size),
        "held_out": {"split": samples.split, "images": len(samples.held_out), "names": samples.names},
        "calibration": {"split": "train", "images": len(samples.calibration), "prior_samples": prior_samples(work)},
        "bounds": {name: asdict(bound) for name, bound in work.bounds.items()},
        **_bounds_of_choices(work),
        "tensors": tensors(work),
        "artefacts": [_entry(artefact) for artefact in artefacts],
        "files": {
            file.relative_to(folder).as_posix(): {
                "bytes": file.stat().st_size,
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            }
            for file in sorted(folder.rglob("*"))
            if file.is_file() and file.name != REPORT
        },
        "versions": {**versions(), RUNTIME: _version(RUNTIME)},
    }


def _bounds_of_choices(work: Export) -> dict[str, Any]:
    """The bounds of signatures that choose, where the model has any, with their names."""
    choosing = [name for name, signature in work.reference.signatures.items() if signature.endpoint.chooses]
    bounds = {name: asdict(bound) for name, bound in BOUNDS_OF_CHOICES.items()}
    return {"bounds_of_choices": {"signatures": choosing, **bounds}} if choosing else {}


def tensors(work: Export) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
    """For each signature its inputs and outputs: what they mean, and the values seen on the held-out images."""
    found: dict[str, Any] = {}
    for signature, requests in work.reference.requests.items():
        answers = work.reference.answers[signature]
        found[signature] = {"inputs": _ranges(requests), "outputs": _ranges(answers)}
    return found


def prior_samples(work: Export) -> bool:
    """Whether int8 files are also calibrated on standard normal noise."""
    return any("noise" in request for calls in work.reference.requests.values() for request in calls)


PICTURES = ("image", "std", "damage", "known", "map")  # tensors of the height and width of the images

MEANING = {
    "image": "pixels, 0 (black) to 1 (white), rows from the top, channels last",
    "std": "how sure each pixel is: its standard deviation, in units of 0 (black) to 1 (white)",
    "damage": "probability that a pixel is damaged, 0 to 1",
    "map": "how unlike a good piece each pixel is, 0 to 1; 0.5 as the most suspicious pixel of a usual good piece",
    "score": "the map's maximum: a piece whose score is above the threshold fails",
    "known": "1 where a pixel can be trusted, 0 where it is lost",
    "indices": "number of the codebook's vector at each place, a whole number",
    "mean": "mean of the posterior q(z|x): the deterministic code",
    "log_var": "log-variance of the posterior q(z|x), natural logarithm",
    "code": "the deterministic code",
    "latents": "a codec's latents before a quality enlarges them and they are rounded",
    "quality": "of a codec, from 0 (smallest) to 100 (best)",
    "inside": "1 at places of the picture, 0 beyond its border where it is smaller than the file's size",
    "z": "a code",
    "labels": "weights of the classes: 1 at the wanted one, 0 elsewhere",
    "noise": "standard normal numbers, drawn by the caller",
}


def _ranges(calls) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "meaning": MEANING[name],
            "range": [0.0, 1.0] if name in ("image", "labels", "damage", "known", "map", "score", "inside") else None,
            "shape": list(calls[0][name].shape[1:]),
            "observed": [float(min(c[name].min() for c in calls)), float(max(c[name].max() for c in calls))],
        }
        for name in calls[0]
    }


def _entry(artefact: Artefact) -> dict[str, Any]:
    parity = {signature: verdict.as_json() for signature, verdict in artefact.verdicts.items()}
    verdict = {"name": artefact.name, "written": artefact.written, "defects": artefact.defects, "parity": parity}
    return {**verdict, **artefact.facts}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
