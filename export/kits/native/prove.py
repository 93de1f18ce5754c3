"""Runs the C program on a bundle's SavedModel and judges what it reports."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from export.artefacts import Artefact, Export
from export.kits.native import REQUESTS
from export.kits.native.build import build
from export.kits.serving import kit, warmup
from export.kits.serving.files import predict_messages as messages
from export.reference import Reference
from export.samples import cut
from tfvae.serving import SERVING_DEFAULT

MOST_BATCH = 256
TIMED = (1, 8, 32, 128, 256)
# Where every size would take long: the powers of two, where blocked kernels change, and their neighbours.
EDGES = sorted({n + d for n in (1, 2, 4, 8, 16, 32, 64, 128, 256) for d in (-1, 0, 1) if 1 <= n + d <= MOST_BATCH})
EVERY_SIZE_UP_TO = 4096  # numbers in an image
MOST_SIDE = 64  # of the images of a model that takes any size
# Growth of resident memory from the first tenth of the requests to the last, KiB. One leaked answer of an 8×8 image
# would be 256 bytes of tensor and more of bookkeeping for each request: over 20 MB in 90,000 requests.
MOST_GROWTH_KIB = 4096
# Of fewer requests the first tenth is start-up: allocators fill their pools, threads touch their stacks.
FEWEST_FOR_GROWTH = 10_000


def write(work: Export, artefacts: list[Artefact], folder: Path, requests: int = REQUESTS) -> str:
    """Prove the SavedModel of the bundle at `folder`; what was measured becomes its fact `c_api`.

    Missed bounds become its defects, and it is then withheld, with the folder that serves it.

    Returns:
        One line for the person who exports.
    """
    saved_model = next((a for a in artefacts if a.name.startswith("saved_model/") and a.written), None)
    if saved_model is None:
        return "no SavedModel was written, so there is none for the C program"
    path, limit = folder / saved_model.name, work.bounds["saved_model"].limit
    facts, missed = prove(work.reference, path, work.samples.held_out, limit, requests)
    saved_model.facts["c_api"] = facts
    saved_model.defects += missed
    if missed:
        shutil.rmtree(path.parent)
        shutil.rmtree(folder / kit.FOLDER)
        return f"WITHHELD {saved_model.name}: {'; '.join(missed)}"
    worst = max(signature["max_abs"] for signature in facts["signatures"].values())
    return (
        f"{saved_model.name} without Python: {facts['requests_in_a_row']:,} requests through TensorFlow's C API, "
        f"max error {worst:.1e} (bound {limit:g}), memory grew by {facts['resident_kib']['growth']} KiB"
    )


def prove(
    reference: Reference,
    saved_model: Path,
    images: np.ndarray,
    limit: float,
    requests: int = REQUESTS,
    timed: Sequence[int] = TIMED,
    program: Path | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """What the C program measured, and what is wrong with it.

    Args:
        reference: Answers as the Keras model in the SavedModel.
        saved_model: Its folder, with a warm-up file.
        images: Float32 `(n, height, width, channels)` in [0, 1], that requests are made of.
        limit: Largest admitted absolute difference from them.
        requests: How many to answer in a row while memory is watched.
        timed: Batch sizes whose speed is measured.
        program: The compiled program; built when there is none yet.

    Returns:
        Facts, ready for JSON, and one line for each bound that is missed.

    Raises:
        UserError: When there is no compiler.
        RuntimeError: When the program does not compile, or fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        program = program or build(Path(folder))
        cases, answers = Path(folder, "cases"), Path(folder, "answers")
        # Of a model of any size no larger ones than need be.
        rows = mixtures(cut(images, MOST_SIDE, MOST_SIDE, reference.model.frames), MOST_BATCH)
        _write_records(cases, _cases(reference, rows))
        _write_records(answers, _warmup_answers(reference, saved_model))
        every = rows[0].size <= EVERY_SIZE_UP_TO
        batches = range(1, MOST_BATCH + 1) if every else EDGES
        measured = run(program, saved_model, cases, answers, batches, timed, requests)
    facts = _facts(measured, rows.shape[1:], "1 to 256, every size" if every else ", ".join(map(str, batches)))
    # What the last digit may decide has its bound where all images are looked at (`parity.BOUNDS_OF_CHOICES`).
    choosing = {name for name in facts["signatures"] if reference.endpoint(name).chooses}
    return facts, defects(facts, limit, choosing)


def run(
    program: Path, saved_model: Path, cases: Path, answers: Path, batches: Iterable[int], timed, requests: int
) -> dict[str, Any]:
    """What `serve` prints.

    Raises:
        RuntimeError: With what it said, when it fails.
    """
    # No GPU, as elsewhere in an export: its convolutions are further from Keras on the CPU than the bound.
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    sizes = [",".join(map(str, each)) for each in (batches, timed)]
    command = [str(program), str(saved_model), str(cases), str(answers), *sizes, str(requests)]
    process = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment)
    if process.returncode != 0:
        said = [line for line in process.stderr.splitlines() if line.startswith("serve: ")] or [process.stderr]
        raise RuntimeError(f"the C program failed (code {process.returncode}): {said[-1]}")
    return json.loads(process.stdout)


def defects(facts: dict[str, Any], limit: float, choosing: Collection[str] = ()) -> list[str]:
    """One line for each bound that `facts` miss; signatures in `choosing` are held to finite answers alone."""
    found = []
    for name, signature in facts["signatures"].items():
        error = signature["max_abs"]
        if error is None or not (error <= limit or name in choosing):
            found.append(f"{name} through the C API: error {signature['max_abs']} (bound {limit:g})")
        if not signature["requests"]:
            found.append(f"{name} was not asked through the C API")
    growth = facts["resident_kib"]["growth"]
    if facts["requests_in_a_row"] >= FEWEST_FOR_GROWTH and growth > MOST_GROWTH_KIB:
        found.append(f"memory grew by {growth} KiB in {facts['requests_in_a_row']} requests (bound {MOST_GROWTH_KIB})")
    return found


def mixtures(images: np.ndarray, count: int) -> np.ndarray:
    """`count` different images in [0, 1], each a mixture of two of `images`, so that no row can stand for another."""
    rng = np.random.default_rng(0)
    images = np.concatenate([images, images[:, :, ::-1]])  # mirrored, too: there may be a single image
    first = rng.integers(0, len(images), count)
    second = (first + rng.integers(1, len(images), count)) % len(images)
    weight = rng.random((count, 1, 1, 1), np.float32)
    return weight * images[first] + (1.0 - weight) * images[second]


def _cases(reference: Reference, images: np.ndarray):
    asked = {signature: calls[0] for signature, calls in reference.requests_of(images, 1).items()}
    answers = {signature: reference.answer(signature, inputs) for signature, inputs in asked.items()}
    for signature in (*asked, SERVING_DEFAULT):
        method = reference.method(signature)
        yield signature, asked[method], answers[method]


def _warmup_answers(reference: Reference, saved_model: Path):
    for request in warmup.read(saved_model):
        inputs = {name: messages.read_tensor(proto) for name, proto in request.inputs.items()}
        signature = request.model_spec.signature_name
        yield signature, inputs, reference.answer(signature, inputs)


def _write_records(path: Path, cases) -> None:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs, outputs in cases:
            log = messages.PredictionLog()
            log.predict_log.request.model_spec.signature_name = signature
            for name, value in inputs.items():
                messages.write_tensor(log.predict_log.request.inputs[name], value)
            for name, value in outputs.items():
                messages.write_tensor(log.predict_log.response.outputs[name], value)
            writer.write(log.SerializeToString(deterministic=True))


def _facts(measured: dict[str, Any], image_shape, batches: str) -> dict[str, Any]:
    soak = measured["soak"]
    resident = soak["resident_kib"]
    return {
        "program": "export/kits/native/serve.c through TF_LoadSessionFromSavedModel, no Python in the process",
        "tensorflow": measured["tensorflow"],
        "image_shape": list(image_shape),
        "batches": batches,
        "signatures": measured["signatures"],
        "warmup_records_replayed": measured["warmup_records"],
        "requests_in_a_row": soak["requests"],
        "requests_per_second": round(soak["requests"] / max(soak["seconds"], 1e-9), 1),
        "resident_kib": {"by_tenths": resident, "growth": resident[-1] - resident[0], "bound": MOST_GROWTH_KIB},
        "images_per_second": measured["images_per_second"],
        "load_seconds": measured["load_seconds"],
        "processors": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),  # what else ran: a busy machine's speeds are its own
    }
