"""`python -m export verify BUNDLE`: every file is what was exported, and every model still answers like Keras.

First the checksums (`export/checksums.py`), then parity: each `.tflite` file in the LiteRT runtime, the SavedModel in a
process that has TensorFlow alone, each `.onnx` file in ONNX Runtime, on the inputs and against the answers and bounds
that the bundle carries. Nothing else is read: no run directory, no Keras model, no training data.

A SavedModel is a program. The sums say that a bundle is unchanged, not that whoever made it meant well: verify what
you would run anyway.
"""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from export import checksums, evidence
from export.evidence import ODD_SIZE, Case, Evidence
from export.formats.saved_model import Request, run_in_fresh_process
from export.formats.tflite import OPEN_BATCH
from export.formats.tflite_runtime import TFLiteFile
from export.parity import Bound, Tensors, Verdict, judge, mean_psnr
from export.reference import code_of, pictures_of
from tfvae.errors import UserError
from tfvae.serving import SERVING_DEFAULT

Say = Callable[[str], None]
OK, MISSED, NOT_RUN = "ok", "MISSED", "not run"


class Row(NamedTuple):
    """One line of the table: a model file, `OK`, `MISSED` or `NOT_RUN`, and the figure or the reason."""

    name: str
    outcome: str
    note: str


def verify(bundle: str | Path, say: Say = print) -> list[str]:
    """Check the sums of the bundle at `bundle`, then parity of every model file in it.

    Args:
        bundle: Folder of a bundle.
        say: Is given the lines of a table.

    Returns:
        The files that missed their bound.

    Raises:
        UserError: When a file was changed, is missing or does not belong to the bundle.
    """
    folder = Path(bundle)
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder.")
    count = checksums.check(folder)
    kept = _evidence(folder)
    say(f"{folder}: {count} files, each what {checksums.SUMS} says; now on {len(kept.images)} held-out images")
    wide = max(map(len, kept.artefacts), default=0)
    rows = []
    for row in _rows(folder, kept):
        rows.append(row)
        say(f"{row.outcome:8}{row.name:{wide}}  {row.note}")
    missed, skipped = ([row.name for row in rows if row.outcome == outcome] for outcome in (MISSED, NOT_RUN))
    run = len(rows) - len(skipped)
    outcome = f"{len(missed)} of {run} model files are out of bound" if missed else f"{run} model files are in bound"
    say(f"{outcome}{'; not run: ' + ', '.join(skipped) if skipped else ''}")
    return missed


def _evidence(folder: Path) -> Evidence:
    try:
        kept = evidence.read(folder)
    except (UserError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{folder}: incomplete: {evidence.FOLDER}/ cannot be read ({reason}).") from None
    models = (*folder.glob("*.tflite"), *folder.glob(f"{OPEN_BATCH}/*"), *folder.glob("*.onnx"))
    present = {path.relative_to(folder).as_posix() for path in (*models, *folder.glob("saved_model/*"))}
    if present != set(kept.artefacts):
        names = ", ".join(sorted(present ^ set(kept.artefacts)))
        raise UserError(f"{folder}: incomplete: {evidence.FOLDER}/{evidence.INDEX} and the folder differ in {names}.")
    return kept


def _rows(folder: Path, kept: Evidence) -> Iterator[Row]:
    """What came of each model file."""
    saved_model = next((name for name in kept.artefacts if name.startswith("saved_model/")), None)
    outputs: dict[str, list[Tensors] | Exception] = {}
    for name in kept.artefacts:
        if name.endswith(".tflite"):
            outputs[name] = _attempt(_answers, TFLiteFile, folder / name, kept, name, True)
    # Integer codes are judged by the images decoded from them; the SavedModel does that, which is within 1e-5 of Keras.
    codes = {
        name: code
        for name, answers in outputs.items()
        if not isinstance(answers, Exception)
        and any(bound.measure == "psnr_drop_db" for bound in kept.artefacts[name].values())
        and "image" not in answers[0]
        and (code := code_of(answers[0])) is not None
        and "decode" in kept.cases
    }
    # Of a conditional model the labels, too.
    given = next((case.inputs for case in kept.cases.get("decode", [])), {})
    decoded: dict[str, np.ndarray] = {}
    if saved_model:
        signatures = list(kept.artefacts[saved_model])
        calls = [(signature, case) for signature in signatures for case in _cases(kept, signature)]
        requests = [Request(signature, case.inputs) for signature, case in calls]
        requests += [Request("decode", {**given, "z": code}) for code in codes.values()]
        answered = _attempt(lambda: run_in_fresh_process(folder / saved_model, requests)[0])
        if isinstance(answered, Exception):
            yield Row(saved_model, MISSED, _reason(answered))
        else:
            images = zip(codes, answered[len(calls) :], strict=True)
            decoded = {name: answer["image"] for name, answer in images if "image" in answer}
            table: dict[str, list[Tensors]] = {signature: [] for signature in signatures}
            for (signature, _), answer in zip(calls, answered, strict=False):
                table[signature].append(answer)
            yield _row(kept, saved_model, table)
    if not decoded and isinstance(outputs.get("decoder.tflite"), list):  # the SavedModel was withheld, or has failed
        decoder = TFLiteFile((folder / "decoder.tflite").read_bytes())
        found = {
            name: _attempt(lambda code: decoder.run({**given, "z": code})["image"], code)
            for name, code in codes.items()
        }
        decoded = {name: image for name, image in found.items() if not isinstance(image, Exception)}
    for name, answers in outputs.items():
        yield _file_row(kept, name, answers, decoded.get(name))
    names = [name for name in kept.artefacts if name.endswith(".onnx")]
    if names and importlib.util.find_spec("onnxruntime") is None:
        yield from (Row(name, NOT_RUN, "onnxruntime is not installed") for name in names)
        return
    for name in names:
        from export.formats.onnx import ONNXFile

        yield _file_row(kept, name, _attempt(_answers, ONNXFile, folder / name, kept, name, False))


def _attempt(function, *arguments):
    """The result, or the exception of a runtime that refuses a file: a verdict on the file, no bug of this program."""
    try:
        return function(*arguments)
    except Exception as error:
        return error


def _answers(kind, path: Path, kept: Evidence, name: str, fixed_size: bool) -> list[Tensors]:
    file = kind(path.read_bytes())
    (signature,) = kept.artefacts[name]
    if file.signature != signature:
        raise ValueError(f"its signature is {file.signature}, not {signature}")
    return [file.run(case.inputs) for case in _cases(kept, signature, fixed_size)]


def _file_row(kept: Evidence, name: str, answers, decoded: np.ndarray | None = None) -> Row:
    if isinstance(answers, Exception):
        return Row(name, MISSED, _reason(answers))
    (signature,) = kept.artefacts[name]
    return _row(kept, name, {signature: answers}, decoded)


def _row(kept: Evidence, name: str, table: dict[str, list[Tensors]], decoded: np.ndarray | None = None) -> Row:
    bounds = kept.artefacts[name]
    try:
        verdicts = [_judged(kept, bounds[signature], signature, found, decoded) for signature, found in table.items()]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        return Row(name, MISSED, _reason(error))  # other names or shapes than Keras's
    worst = max(verdicts, key=Verdict.severity)
    return Row(name, OK if worst.passed else MISSED, f"{worst}; {', '.join(table)}")


def _reason(error: Exception) -> str:
    return f"cannot be compared: {(str(error).strip() or repr(error)).splitlines()[-1]}"


def _cases(kept: Evidence, signature: str, fixed_size: bool = False) -> list[Case]:
    found = kept.cases[kept.default if signature == SERVING_DEFAULT else signature]
    return [case for case in found if not (fixed_size and case.name == ODD_SIZE)]


def _judged(kept: Evidence, bound: Bound, signature: str, found: list[Tensors], decoded: np.ndarray | None) -> Verdict:
    """The verdict on the answers to the first `len(found)` cases of a signature; the odd size is the last case."""
    pair = (float("nan"), float("nan"))
    cases = _cases(kept, signature)[: len(found)]
    if bound.measure == "psnr_drop_db":
        asked = {name: [call.inputs for call in calls] for name, calls in kept.cases.items()}
        # Keras's codes are the first that were decoded.
        keras = pictures_of(signature, asked, cases[0].outputs, lambda _: kept.cases["decode"][0].outputs["image"])
        image = pictures_of(signature, asked, found[0], lambda _: decoded)
        keras_psnr, found_psnr = (
            float("nan") if each is None else mean_psnr(kept.images, each) for each in (keras, image)
        )
        pair = keras_psnr, found_psnr
    return judge(bound, [case.outputs for case in cases], found, pair)
