"""From a run directory to a bundle of checked artefacts."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from export import card, evidence, report, sums
from export import explorer as browser
from export import onnx as onnx_files
from export.artefacts import Artefact, Export
from export.explorer import litert_js
from export.parity import BOUNDS, INT8_SIZE_TARGET, Bound, judge
from export.placing import check_place, placed
from export.reference import Reference
from export.runtime import TFLiteFile
from export.samples import draw_samples, static_size
from export.saved_model import Request, run_in_fresh_process
from export.tflite import PARTS, VARIANTS, convert, file_name
from tfvae import data
from tfvae.quiet import native_messages_held
from tfvae.runs import Run, open_run
from tfvae.serving import DEFAULT_SIGNATURE, float32_copy, write_saved_model

SAVED_MODEL = "saved_model/1"  # TensorFlow Serving serves the highest version number under the folder
Say = Callable[[str], None]


def export_run(
    path: str | Path,
    out: str | Path | None = None,
    size: tuple[int, int] | None = None,
    bounds: Mapping[str, Bound] = BOUNDS,
    say: Say = print,
    explorer: bool = False,
    onnx: bool = False,
) -> list[Artefact]:
    """Write the bundle of the run at `path` to `out`, by default the folder `export` in it.

    Args:
        path: A run directory.
        out: Where the bundle goes; an earlier bundle there is replaced when the new one is complete.
        size: `(height, width)` of the `.tflite` files of a model with spatial latents.
        bounds: By `saved_model` and variant; what misses its own is not written.
        say: Is given one line about each step.
        explorer: Whether the bundle gets a page that runs the model in a browser.
        onnx: Whether the bundle gets `.onnx` files, too.

    Returns:
        The artefacts, those withheld included.

    Raises:
        UserError: When `path` is no run, `out` cannot be written or holds something else, or the page's runtime cannot
            be had.
    """
    run = open_run(path)
    out = Path(out) if out is not None else run.path / "export"
    check_place(out)
    if explorer:
        litert_js.files()  # what cannot be had is better said before the work than after it
    if onnx:
        onnx_files.require()
    work = _prepare(run, size, bounds, say)
    with placed(out) as partial:
        artefacts = [_saved_model(work, partial, say), *_tflite_files(work, partial, say)]
        if onnx:
            artefacts += onnx_files.write(work, partial, say)
        card.write(work, artefacts, partial)
        if explorer:
            say(browser.write(work, artefacts, partial))
        evidence.write(work, artefacts, partial)
        report.write(work, artefacts, partial)
        sums.write(partial)  # the last, over everything that is there
        count = sum(1 for file in partial.rglob("*") if file.is_file())
    say(f"wrote {out}: {count} files; start with {out / card.CARD}")
    if (out / browser.FOLDER).is_dir():
        say(f"explore it: python -m http.server --directory {out / browser.FOLDER}, then http://localhost:8000")
    return artefacts


def _prepare(run: Run, size, bounds, say: Say) -> Export:
    with native_messages_held():
        trained = run.load_model()
        model = float32_copy(trained)
    shape = "×".join("any" if side is None else str(side) for side in model.image_shape)
    say(f"{run.path}: {type(model).__name__} of {shape} images")
    config = run.prepared_like(model)
    size = static_size(model.image_shape, config, size)
    splits = data.load(config, seed=run.seed)
    samples = draw_samples(splits, config, size, run.seed)
    say(
        f"{len(samples.calibration)} training images to calibrate int8, "
        f"{len(samples.held_out)} {samples.split} images to check every artefact, {size[0]}×{size[1]} pixels"
    )
    if samples.split != "test":
        say(f"note: the run kept no test images, so the {samples.split} images are used")
    reference = Reference(model, samples.held_out, run.seed)
    return Export(run, model, trained.dtype_policy.name, splits, samples, size, reference, bounds)


def _saved_model(work: Export, folder: Path, say: Say) -> Artefact:
    """Write the SavedModel and have every signature answer in a process of its own."""
    path = folder / SAVED_MODEL
    path.parent.mkdir(parents=True)
    with native_messages_held():
        write_saved_model(work.model, path)
    requests, answers = [], []
    for signature, inputs in work.reference.requests.items():
        requests += [Request(signature, each) for each in inputs]
        answers += work.reference.answers[signature]
    requests.append(Request("serving_default", work.reference.requests[DEFAULT_SIGNATURE][0]))
    answers += work.reference.answers[DEFAULT_SIGNATURE]
    if odd := work.reference.odd_size():  # height and width are open, too
        requests.append(Request(DEFAULT_SIGNATURE, odd[0]))
        answers.append(odd[1])
    outputs, facts = run_in_fresh_process(path, requests)
    verdicts = {}
    for signature in dict.fromkeys(request.signature for request in requests):
        mine = [i for i, request in enumerate(requests) if request.signature == signature]
        pair = work.reference.psnr_pair(_method(signature), [outputs[i] for i in mine])
        expected = [answers[i] for i in mine]
        verdicts[signature] = judge(work.bounds["saved_model"], expected, [outputs[i] for i in mine], pair)
    artefact = Artefact(SAVED_MODEL, verdicts, {"signatures": facts["signatures"], "bytes": _bytes(path)})
    artefact.facts["checked_with"] = f"tensorflow {facts['tensorflow']} alone, fresh process, batches of 1 and more"
    named = ", ".join(verdicts)
    say(f"{_outcome(artefact)}, {artefact.worst}; {named}; answered by TensorFlow alone in a fresh process")
    if not artefact.written:
        shutil.rmtree(path.parent)
    return artefact


def _tflite_files(work: Export, folder: Path, say: Say) -> list[Artefact]:
    """Convert, run and judge every part in every variant; write those within their bounds."""
    artefacts = []
    with tempfile.TemporaryDirectory() as scratch:
        static = Path(scratch, "static")
        with native_messages_held():
            write_saved_model(work.model, static, batch=1, size=work.size)
        calibration = _calibration(work)
        for part, signature in PARTS.items():
            sizes: dict[str, int] = {}
            for variant in VARIANTS:
                content = convert(static, signature, variant, calibration[signature])
                sizes[variant] = len(content)
                artefact = _measured(work, content, file_name(part, variant), variant)
                artefact.facts |= {"part": part, "variant": variant, "bytes": len(content)}
                artefact.facts["size_ratio"] = ratio = round(len(content) / sizes["float32"], 4)
                if variant == "int8":
                    artefact.facts["size_target"] = {"limit": INT8_SIZE_TARGET, "met": ratio <= INT8_SIZE_TARGET}
                if artefact.written:
                    (folder / artefact.name).write_bytes(content)
                say(_tflite_line(artefact))
                artefacts.append(artefact)
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
    verdict = judge(work.bounds[variant], work.reference.answers[file.signature], outputs, pair)
    ops = file.ops()
    facts = {
        "signature": file.signature,
        **file.tensors(),
        "ops": ops,
        "latency_ms_one_thread": round(file.latency_ms(requests[0]), 4),
    }
    defects = [f"{op} is no builtin op" for op in ops if op.startswith("custom:")]
    if variant == "int8":
        defects += [f"{op} computes in float" for op in file.float_ops()]
    return Artefact(name, {file.signature: verdict}, facts, defects, outputs[0])


def _calibration(work: Export) -> dict[str, list[dict[str, np.ndarray]]]:
    """Inputs of each signature that int8 ranges are taken from: training images, their codes, and prior samples."""
    images = work.samples.calibration
    codes = work.reference.call("codes", images)["codes"]
    if work.model.has_prior:
        # Codes of images and draws from the prior alike: the decoder is given both.
        noise = np.random.default_rng(work.run.seed + 1).standard_normal(codes.shape).astype(np.float32)
        codes = np.concatenate([codes, noise])
    image_inputs = [{"image": images[i : i + 1]} for i in range(len(images))]
    code_inputs = [{"z": codes[i : i + 1]} for i in range(len(codes))]
    return {"encode": image_inputs, "decode": code_inputs, "reconstruct": image_inputs}


def _tflite_line(artefact: Artefact) -> str:
    facts = artefact.facts
    if not artefact.verdicts:
        return "; ".join([_outcome(artefact), *artefact.defects])
    line = f"{_outcome(artefact)}, {artefact.worst}, {facts['latency_ms_one_thread']:.3g} ms on one thread"
    if facts["variant"] != "float32":
        line += f", {facts['size_ratio']:.2f} of float32's size"
    return "; ".join([line, *artefact.defects])


def _outcome(artefact: Artefact) -> str:
    size = f"{artefact.facts['bytes'] / 1000:,.0f} kB"
    return f"{artefact.name}: {size}" if artefact.written else f"WITHHELD {artefact.name}: {size}"


def _method(signature: str) -> str:
    return DEFAULT_SIGNATURE if signature == "serving_default" else signature


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
