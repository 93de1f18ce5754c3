"""Every `.tflite` file of a bundle: converted, run by the real runtime, judged, and written if within its bound."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from export.artefacts import Artefact, Export
from export.decisions import decided_otherwise
from export.formats.bias_correction import bias_corrected
from export.formats.tflite import OPEN_BATCH, VARIANTS, convert, file_name
from export.formats.tflite_runtime import TFLiteFile
from export.parity import INT8_LATENCY_TARGET, INT8_SIZE_TARGET, judge
from tfvae.quiet import native_messages_held
from tfvae.serving import write_saved_model

Inputs = list[dict[str, np.ndarray]]


def write(work: Export, folder: Path, say: Callable[[str], None]) -> list[Artefact]:
    """Convert, run and judge every file that an endpoint asks for, with a batch of one and with an open batch."""
    artefacts: list[Artefact] = []
    calibration = _calibration(work)
    files = {name: found.endpoint for name, found in work.reference.signatures.items() if found.endpoint.file}
    (folder / OPEN_BATCH).mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        for open_batch in (False, True):
            source = Path(scratch, "open" if open_batch else "one")
            with native_messages_held():
                write_saved_model(work.model, source, None if open_batch else 1, work.size, to_convert=True)
            for signature, endpoint in files.items():
                if open_batch and endpoint.single:
                    continue
                mine: dict[str, Artefact] = {}
                contents: dict[str, bytes] = {}
                for variant in (variant for variant in VARIANTS if variant in endpoint.variants):
                    name = file_name(endpoint.file, variant, open_batch)
                    content = convert(source, signature, variant, calibration[signature])
                    artefact = _measured(work, content, name, variant)
                    if variant == "int8" and artefact.verdicts and not artefact.written:
                        content, artefact = _corrected(work, contents["float32"], content, artefact, calibration)
                    contents[variant] = content
                    artefact.facts |= {"part": endpoint.file, "variant": variant, "bytes": len(content)}
                    mine[variant] = artefact
                    _compare(artefact, mine["float32"])
                    if artefact.written:
                        (folder / artefact.name).write_bytes(content)
                    if not open_batch or not artefact.written:
                        say(_line(artefact))
                artefacts += mine.values()
    written = [artefact for artefact in artefacts if artefact.name.startswith(OPEN_BATCH) and artefact.written]
    say(f"{OPEN_BATCH}/: the same {len(written)} files with an open batch, each run with batches of one and of many")
    return artefacts


def _measured(work: Export, content: bytes, name: str, variant: str) -> Artefact:
    try:
        file = TFLiteFile(content)
    except RuntimeError as error:
        # XNNPACK refuses ranges that are too unequal, such as those of a layer whose outputs are all zero.
        return Artefact(name, {}, defects=[f"the runtime cannot prepare it: {error}"])
    requests = work.reference.requests[file.signature]
    outputs = [file.run(request) for request in requests]
    pair = work.reference.psnr_pair(file.signature, outputs)
    verdict = judge(work.bound(variant, file.signature), work.reference.answers[file.signature], outputs, pair)
    ops = file.ops()
    facts: dict[str, Any] = {"signature": file.signature, **file.tensors(), "ops": ops}
    if not file.open_batch:
        facts["latency_ms_one_thread"] = round(file.latency_ms(requests[0]), 4)
        facts["latency_ms_two_threads"] = round(TFLiteFile(content, threads=2).latency_ms(requests[0]), 4)
    defects = [f"{op} is no builtin op" for op in ops if op.startswith("custom:")]
    defects += decided_otherwise(work, file.signature, outputs)
    if variant == "int8":
        defects += [f"{op} computes in float" for op in file.float_ops()]
    return Artefact(name, {file.signature: verdict}, facts, defects, outputs[0])


def _corrected(
    work: Export, float32: bytes, content: bytes, artefact: Artefact, calibration: dict[str, Inputs]
) -> tuple[bytes, Artefact]:
    """An int8 file that missed its bound, with corrected biases where that brings it nearer; else as it was."""
    mended = bias_corrected(float32, content, calibration[artefact.facts["signature"]])
    if mended is not None:
        again = _measured(work, mended, artefact.name, "int8")
        if again.verdicts and again.worst.value < artefact.worst.value:
            again.facts["bias_corrected"] = {"uncorrected": artefact.worst.value}
            return mended, again
    return content, artefact


def _compare(artefact: Artefact, float32: Artefact) -> None:
    """Adds size and time beside the float32 file's, and whether int8 meets its targets."""
    facts, base = artefact.facts, float32.facts
    facts["size_ratio"] = round(facts["bytes"] / base["bytes"], 4)
    if "latency_ms_one_thread" in facts and "latency_ms_one_thread" in base:
        facts["latency_ratio"] = round(facts["latency_ms_one_thread"] / base["latency_ms_one_thread"], 4)
    if facts["variant"] == "int8":
        facts["size_target"] = _target(INT8_SIZE_TARGET, facts["size_ratio"])
        if "latency_ratio" in facts:
            facts["latency_target"] = _target(INT8_LATENCY_TARGET, facts["latency_ratio"])


def _target(limit: float, value: float) -> dict[str, Any]:
    return {"limit": limit, "met": value <= limit}


def _calibration(work: Export) -> dict[str, Inputs]:
    """Inputs of each signature that int8 ranges are taken from, made of training images."""
    requests = work.reference.requests_of(work.samples.calibration, work.run.seed + 1)
    return {name: [row for request in calls for row in _one_by_one(request)] for name, calls in requests.items()}


def _one_by_one(inputs: dict[str, np.ndarray]) -> Inputs:
    """Requests of one row each."""
    rows = range(len(next(iter(inputs.values()))))
    return [{name: value[i : i + 1] for name, value in inputs.items()} for i in rows]


def _line(artefact: Artefact) -> str:
    facts = artefact.facts
    if not artefact.verdicts:
        return "; ".join([artefact.outcome, *artefact.defects])
    line = f"{artefact.outcome}, {artefact.worst}"
    if "latency_ms_one_thread" in facts:
        line += f", {facts['latency_ms_one_thread']:.3g} ms on one thread"
    if "bias_corrected" in facts:
        line += f", biases corrected (drop before: {facts['bias_corrected']['uncorrected']:.3f} dB)"
    if facts["variant"] != "float32":
        line += f", {facts['size_ratio']:.2f} of float32's size"
    return "; ".join([line, *artefact.defects])
