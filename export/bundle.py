"""From a run directory to a bundle of checked artefacts."""

import contextlib
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from export import NO_LICENCE, card, card_head, checksums, evidence, report
from export.artefacts import Artefact, Export
from export.atomic_folder import REPORT, check_place, placed
from export.decisions import decided_otherwise
from export.formats import onnx as onnx_files
from export.formats import tflite_files, tfv_tables
from export.formats.saved_model import Request, run_in_fresh_process
from export.kits import explorer as browser
from export.kits.explorer import litert_js
from export.kits.native import build as native_build
from export.kits.native import prove
from export.kits.phone import kit as phone
from export.kits.serving import kit as serving_kit
from export.parity import BOUNDS, Bound, judge
from export.reference import Reference
from export.samples import draw_samples, static_size
from tfvae import data
from tfvae.errors import UserError
from tfvae.quiet import native_messages_held
from tfvae.runs import Run, open_run
from tfvae.serving import SERVING_DEFAULT, write_saved_model
from tfvae.whole_files import read_json

SAVED_MODEL = "saved_model"  # its versions are numbered folders, of which TensorFlow Serving serves the highest
Say = Callable[[str], None]


def export_run(
    path: str | Path,
    out: str | Path | None = None,
    size: tuple[int, int] | None = None,
    bounds: Mapping[str, Bound] = BOUNDS,
    say: Say = print,
    explorer: bool = False,
    onnx: bool = False,
    native: int = 0,
    licence: str = NO_LICENCE,
    data_source: str | None = None,
) -> list[Artefact]:
    """Write the bundle of the run at `path` to `out`, by default the folder `export` in it.

    Args:
        path: A run directory, or the `.keras` file of a model that was trained in Python.
        out: Where the bundle goes; an earlier bundle there is replaced when the new one is complete, and the version of
            its SavedModel counted on.
        size: `(height, width)` of the `.tflite` files of a model with spatial latents.
        bounds: By `saved_model` and variant; what misses its own is not written.
        say: Is given one line about each step.
        explorer: Whether the bundle gets a page that runs the model in a browser.
        onnx: Whether the bundle gets `.onnx` files, too.
        native: How many requests a C program answers with the SavedModel, while its memory is watched; 0: no proof.
        licence: The short name of the licence that the files are given away under, as the Hugging Face Hub and SPDX
            have it; `other` where nothing is stated.
        data_source: The images of a `.keras` file, or where those of a run lie now, as `python -m training --data`
            takes them: int8 is calibrated, and every artefact compared, with them.

    Returns:
        The artefacts, those withheld included.

    Raises:
        UserError: When `path` is no run, `out` cannot be written or holds something else, the page's runtime cannot be
            had, or `licence` is no short name.
    """
    licence = card_head.checked(licence)
    run = open_run(path, data_source)
    out = Path(out) if out is not None else run.path / "export"
    check_place(out)
    saved_model = next_version(out)
    if explorer:
        litert_js.files()  # what cannot be had is better said before the work than after it
    if onnx:
        onnx_files.require()
    if native:
        native_build.require()
    work = _prepare(run, size, bounds, say, licence)
    if explorer:
        browser.check(work)
    with placed(out) as partial:
        artefacts = [_saved_model(work, partial, saved_model, say), *tflite_files.write(work, partial, say)]
        if onnx:
            artefacts += onnx_files.write(work, partial, say)
        if line := tfv_tables.write(work.model, partial):
            say(line)
        serving_kit.write(work, artefacts, partial)
        if native:
            say(prove.write(work, artefacts, partial, native))
        card.write(work, artefacts, partial)
        if explorer:
            say(browser.write(work, artefacts, partial))
        phone.write(work, artefacts, partial)
        evidence.write(work, artefacts, partial)
        report.write(work, artefacts, partial)
        checksums.write(partial)  # the last, over everything that is there
        count = sum(1 for file in partial.rglob("*") if file.is_file())
    say(f"wrote {out}: {count} files; start with {out / card.CARD}")
    if (out / browser.FOLDER).is_dir():
        say(f"explore it: python -m http.server --directory {out / browser.FOLDER}, then http://localhost:8000")
    return artefacts


def _prepare(run: Run, size, bounds, say: Say, licence: str = NO_LICENCE) -> Export:
    with native_messages_held():
        model = run.load_model()
    shape = "×".join("any" if side is None else str(side) for side in model.image_shape)
    say(f"{run.path}: {type(model).__name__} of {shape} images")
    config, frames = run.own_data(model), model.frames
    splits = data.load_own(run, model)
    common = splits.train.common_size
    size = static_size(model.image_shape, config, size, common and (common[0] // frames, common[1]))
    what = f"clips of {frames} frames" if frames > 1 else "images"
    size, pixels = (frames * size[0], size[1]), f"{size[0]}×{size[1]} pixels"
    # Of a model that decides, each decision on what is held out is compared.
    every = {"held_out_images": len(splits.measured[1])} if hasattr(model, "failing") else {}
    samples = draw_samples(splits, config, size, run.seed, frames, **every)
    say(
        f"{len(samples.calibration)} training {what} to calibrate int8, "
        f"{len(samples.held_out)} {samples.split} {what} to check every artefact, {pixels}"
    )
    if samples.split != "test":
        say(f"note: the run kept no test images, so the {samples.split} images are used")
    reference = Reference(model, samples.held_out, run.seed)
    return Export(run, model, splits, samples, size, reference, bounds, licence)


def next_version(out: Path) -> str:
    """Where the SavedModel of a new bundle goes: one version further than any before it, so that servers load it."""
    former = [path.relative_to(out).as_posix() for path in out.glob(f"{SAVED_MODEL}/*")]
    with contextlib.suppress(UserError, KeyError, TypeError):  # none yet, or none that can be read
        former += [str(artefact["name"]) for artefact in read_json(out / REPORT)["artefacts"]]  # withheld ones, too
    found = [re.fullmatch(rf"{SAVED_MODEL}/(\d{{1,9}})", name) for name in former]
    return f"{SAVED_MODEL}/{1 + max((int(match[1]) for match in found if match), default=0)}"


def _saved_model(work: Export, folder: Path, name: str, say: Say) -> Artefact:
    """Write the SavedModel and have every signature answer in a process of its own."""
    path = folder / name
    path.parent.mkdir(parents=True)
    with native_messages_held():
        write_saved_model(work.model, path)
    requests, answers = [], []
    for signature, inputs in work.reference.requests.items():
        requests += [Request(signature, each) for each in inputs]
        answers += work.reference.answers[signature]
    default = work.reference.default
    requests += [Request(SERVING_DEFAULT, each) for each in work.reference.requests[default]]
    answers += work.reference.answers[default]
    if odd := work.reference.odd_size():  # height and width are open, too
        requests.append(Request(default, odd[0]))
        answers.append(odd[1])
    outputs, facts = run_in_fresh_process(path, requests)
    verdicts = {}
    defects: list[str] = []
    for signature in dict.fromkeys(request.signature for request in requests):
        mine = [i for i, request in enumerate(requests) if request.signature == signature]
        method = work.reference.method(signature)
        pair = work.reference.psnr_pair(method, [outputs[i] for i in mine])
        expected = [answers[i] for i in mine]
        verdicts[signature] = judge(work.bound("saved_model", method), expected, [outputs[i] for i in mine], pair)
        defects += decided_otherwise(work, signature, [outputs[i] for i in mine])
    artefact = Artefact(name, verdicts, {"signatures": facts["signatures"], "bytes": _bytes(path)}, defects)
    artefact.facts["checked_with"] = f"tensorflow {facts['tensorflow']} alone, fresh process, batches of 1 and more"
    named = ", ".join(verdicts)
    say(f"{artefact.outcome}, {artefact.worst}; {named}; answered by TensorFlow alone in a fresh process")
    if not artefact.written:
        shutil.rmtree(path.parent)
    return artefact


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
