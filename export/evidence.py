"""The folder `parity/` of a bundle: held-out inputs, Keras's answers, and the bound that each file is held to.

`reference.npz` holds float32 arrays; `parity.json` says which of them each signature is given and has to answer. With
these, `python -m export verify` repeats the comparison where there is no run, no Keras model and no training data.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from export.artefacts import Artefact, Export
from export.parity import MEASURES, Bound, Tensors, Verdict, mean_psnr
from export.samples import spread
from tfvae.serving import SERVING_DEFAULT
from tfvae.whole_files import read_arrays, read_json

FOLDER = "parity"
ARRAYS, INDEX = "reference.npz", "parity.json"

VALUES = 50_000  # pixels times channels of the images that are kept: a few hundred kB; small images are all kept
FEWEST = 2  # an open batch is proved by more than one image
ODD_SIZE = "odd size"  # a case that only files with an open height and width are given

# PSNR is a mean over images, and fewer are kept than were measured: a file within its bound on all of them may be above
# it on these. It is then held to what it lost on these when it was exported. The margin, in dB, is for the integer and
# half-precision kernels of other processors, which round differently.
MARGIN_DB = 0.1


class Case(NamedTuple):
    """One call: its inputs and the outputs Keras gave, by name."""

    name: str
    inputs: Tensors
    outputs: Tensors


class Evidence(NamedTuple):
    """What `parity/` holds.

    Attributes:
        images: The kept held-out images, `(n, height, width, channels)`.
        default: The signature that `serving_default` is a second name of.
        cases: The calls of each signature.
        artefacts: For each model file the bound that it is held to in each signature that it answers.
    """

    images: np.ndarray
    default: str
    cases: dict[str, list[Case]]
    artefacts: dict[str, dict[str, Bound]]


def write(work: Export, artefacts: list[Artefact], folder: Path) -> None:
    """Write the evidence for the artefacts in the bundle at `folder`."""
    images = work.samples.held_out
    count = min(len(images), max(FEWEST, VALUES // images[0].size))
    kept = spread(len(images), count)
    reference = work.reference
    cases = {
        signature: [
            Case(str(i), _rows(inputs, kept), _rows(outputs, kept))
            for i, (inputs, outputs) in enumerate(zip(requests, reference.answers[signature], strict=True))
        ]
        for signature, requests in reference.requests.items()
    }
    if odd := reference.odd_size():
        cases[reference.default].append(Case(ODD_SIZE, *odd))
    held_to = {
        artefact.name: {
            signature: asdict(_bound(work, artefact, signature, verdict, kept))
            for signature, verdict in artefact.verdicts.items()
        }
        for artefact in artefacts
        if artefact.written
    }
    arrays: dict[str, np.ndarray] = {}
    index = {
        "images": _store(arrays, images[kept]),
        "default": reference.default,
        "cases": {
            signature: [
                {
                    "case": case.name,
                    "inputs": {name: _store(arrays, value) for name, value in case.inputs.items()},
                    "outputs": {name: _store(arrays, value) for name, value in case.outputs.items()},
                }
                for case in calls
            ]
            for signature, calls in cases.items()
        },
        "artefacts": held_to,
    }
    (folder / FOLDER).mkdir()
    np.savez_compressed(folder / FOLDER / ARRAYS, **arrays)  # type: ignore[arg-type]
    (folder / FOLDER / INDEX).write_text(json.dumps(index, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read(folder: Path) -> Evidence:
    """The evidence in the bundle at `folder`. Raises `ValueError`, `KeyError`, … for what is none."""
    index, arrays = read_json(folder / FOLDER / INDEX), read_arrays(folder / FOLDER / ARRAYS)
    cases = {
        signature: [
            Case(
                call["case"],
                {name: arrays[key] for name, key in call["inputs"].items()},
                {name: arrays[key] for name, key in call["outputs"].items()},
            )
            for call in calls
        ]
        for signature, calls in index["cases"].items()
    }
    artefacts = {
        name: {signature: Bound(entry["measure"], float(entry["limit"])) for signature, entry in bounds.items()}
        for name, bounds in index["artefacts"].items()
    }
    images, default = arrays[index["images"]], index["default"]
    asked = {signature for bounds in artefacts.values() for signature in bounds} - {SERVING_DEFAULT}
    if images.ndim != 4 or any(array.dtype != np.float32 or not array.size for array in arrays.values()):
        raise ValueError("its arrays are no images and no answers")
    if not asked | {default} <= cases.keys() or not all(cases.values()):
        raise ValueError("it has no case for a signature")
    if not all(bounds and all(bound.measure in MEASURES for bound in bounds.values()) for bounds in artefacts.values()):
        raise ValueError("a bound is none of " + ", ".join(MEASURES))
    return Evidence(images, default, cases, artefacts)


def _rows(tensors: Tensors, kept: list[int]) -> Tensors:
    return {name: value[kept] for name, value in tensors.items()}


def _store(arrays: dict[str, np.ndarray], value: np.ndarray) -> str:
    """Keep `value` under a name of its content: what several signatures are given or answer is stored once."""
    value = np.ascontiguousarray(value, np.float32)
    key = hashlib.sha256(repr(value.shape).encode() + value.tobytes()).hexdigest()[:16]
    arrays[key] = value
    return key


def _bound(work: Export, artefact: Artefact, signature: str, verdict: Verdict, kept: list[int]) -> Bound:
    """The bound of an artefact in a signature, on the images that are kept."""
    if verdict.measure == "max_abs":
        return Bound(verdict.measure, verdict.bound)
    if verdict.measure == "chosen_otherwise":
        # One image of those kept may always be near a tie, on this processor or another.
        count, kept_rows = len(kept), verdict.figures["rows_chosen_otherwise"]
        found = max(sum(row in rows for row in kept) for rows in kept_rows)
        return Bound(verdict.measure, max(verdict.bound, max(1, found) / count))
    keras = work.reference.answers[signature][0]
    drop = _psnr(work, signature, keras, kept) - _psnr(work, signature, artefact.outputs, kept)
    return Bound(verdict.measure, verdict.bound if drop <= verdict.bound else round(drop + MARGIN_DB, 3))


def _psnr(work: Export, signature: str, outputs: dict[str, Any], kept: list[int]) -> float:
    images = work.reference.pictures_of(signature, outputs)
    return float("nan") if images is None else mean_psnr(work.samples.held_out[kept], images[kept])
