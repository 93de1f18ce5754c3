"""`MODEL_CARD.md`: what is in a bundle, for a person and for the Hugging Face Hub."""

from pathlib import Path
from typing import Any

from export import card_calls, card_head, pictures
from export.artefacts import Artefact, Export
from export.atomic_folder import REPORT
from export.formats import tfv_tables
from export.formats.tflite import OPEN_BATCH
from export.formats.tflite_runtime import RUNS
from export.parity import INT8_SIZE_TARGET, MEASURES, SAME
from export.report import MEANING, PICTURES, prior_samples, tensors

CARD = "MODEL_CARD.md"
CHECK = (
    "`python -m export verify` with this folder refuses it when any file was changed, and runs every model again. The "
    "sums in `SHA256SUMS` prove that nothing changed, not who made it: for that, sign that file and keep the signature "
    "elsewhere."
)

FIGURES = {
    "elbo": ("ELBO", "nats per image, higher is better"),
    "rate": ("rate", "nats per image"),
    "distortion": ("distortion", "nats per image"),
    "bits_per_dim": ("bits per dimension", "lower is better"),
    "psnr": ("PSNR", "dB, higher is better"),
    "ssim": ("SSIM", "at most 1, higher is better"),
}

USES = {
    "inspect": "finding what does not belong in them",
    "restore": "restoring them",
    "sample": "drawing other originals that they may come from",
    "stylize": "rendering them in the styles that were learnt",
    "continue": "continuing them",
    "reconstruct": "rebuilding them",
    "encode": "comparing them by their codes",
    "generate": "drawing new ones",
}


def write(work: Export, artefacts: list[Artefact], folder: Path) -> None:
    """Write the card and its pictures into `folder`."""
    comparison = pictures.write_comparison(work, artefacts, folder)
    generated = pictures.write_generated(work, folder)
    parts = [card_head.head(work, artefacts), _opening(work, comparison), _training(work)]
    parts += [_files(work, artefacts), _tensors(work)]
    parts.append(card_calls.calls(work, [artefact.name for artefact in artefacts if artefact.written]))
    if generated:
        parts.append(f"## What it draws\n\nStandard normal noise through `generate`:\n\n![samples]({generated})")
    parts += [_limits(work), card_head.licence(work)]
    (folder / CARD).write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _opening(work: Export, picture: str) -> str:
    height, width, channels = work.model.image_shape
    pixels = "grey" if channels == 1 else "RGB"
    images = f"{pixels} images of " + ("any size" if height is None else f"{height}×{width} pixels")
    kind, does = work.model.in_words
    return (
        f"# {work.run.path.resolve().name}\n\n"
        f"A {kind} of {images} with {work.weights:,} weights: {does}. "
        f"Each file below was run on {len(work.samples.held_out)} images of the {work.samples.split} set "
        f"and compared with the trained Keras model, on {work.day.isoformat()}.\n\n"
        f"![what each file makes of held-out images]({picture})"
    )


def _training(work: Export) -> str:
    run, report = work.run, work.run.report
    data = report.get("data", {})
    described = data.get("description") if isinstance(data, dict) else None
    # The last part of a path says which images; the rest is one person's disk.
    source = Path(run.data_config.source).name or run.data_config.source
    lines = [f"## What it was trained on\n\n{described or f'`{source}`'}"]
    figures = report.get("test") or {}
    rows = [
        f"| {name} | {figures[key]:.4g} | {unit} |"
        for key, (name, unit) in FIGURES.items()
        if isinstance(figures.get(key), int | float)
    ]
    if rows:
        protocol = report.get("protocol", {})
        on = f"{protocol['images']} held-out images" if "images" in protocol else "Held-out images"
        on += ", binarised" if protocol.get("binarised") else ""
        lines.append(f"{on}, Keras model:\n\n| figure | value | unit |\n|---|---|---|\n" + "\n".join(rows))
    uses = [use for signature, use in USES.items() if signature in work.reference.signatures]
    lines.append(f"Intended for images like those: {', '.join(uses)}.")
    return "\n\n".join(lines)


def _files(work: Export, artefacts: list[Artefact]) -> str:
    rows = ["| file | signature | kB | against Keras | bound | ms |", "|---|---|--:|---|---|--:|"]
    opened = [artefact for artefact in artefacts if artefact.name.startswith(OPEN_BATCH)]
    for artefact in (artefact for artefact in artefacts if artefact not in opened):
        measured, bound = "did not run", ""
        if artefact.verdicts:
            worst = artefact.worst
            measured, bound = _figure(worst.measure, worst.value), _figure(worst.measure, worst.bound)
        name = f"`{artefact.name}`" if artefact.written else f"~~{artefact.name}~~ **withheld**"
        signature = artefact.facts.get("signature") or ", ".join(artefact.verdicts)
        latencies = [artefact.facts.get(f"latency_ms_{threads}") for threads in ("one_thread", "two_threads")]
        kilobytes = f"{artefact.facts['bytes'] / 1000:,.1f}"
        shown = " / ".join(f"{latency:.3g}" for latency in latencies if latency is not None)
        rows.append(f"| {name} | {signature} | {kilobytes} | {measured} | {bound} | {shown} |")
    notes = [
        "*max* is the largest absolute difference of any output element. *drop* is the loss of mean PSNR against the "
        "held-out images themselves; codes are compared by the images that Keras decodes from them. "
        f"ms: median of {RUNS} calls with one image, on one and on two threads of the exporting machine.",
        "float16 files store half-precision weights; dynamic_range files 8-bit weights"
        + ("; int8 files hold 8-bit weights (one scale per channel) and 8-bit activations" if _has_int8(work) else "")
        + ". All take and give float32. Only builtin ops: no select ops, no custom ops, no random ops.",
        _open_batch(opened),
        *_left_out(work),
    ]
    above = [artefact for artefact in artefacts if not artefact.facts.get("size_target", {}).get("met", True)]
    if above:
        names = ", ".join(f"`{artefact.name}` ({artefact.facts['size_ratio']:.2f})" for artefact in above)
        notes.append(
            f"Above {INT8_SIZE_TARGET} of the float32 file's size: {names}. What is left is the graph and the scale of "
            "each channel, which in a small network weigh as much as its weights."
        )
    if any(not artefact.written for artefact in artefacts):
        notes.append("Withheld files missed their bound, or the runtime refused them, and were not written.")
    if tfv_tables.writes_files(work.model):
        notes.append(
            f"`{tfv_tables.NAME}`: tables and the integer hyper-decoder, by which other programs read the `.tfv` files "
            "of this model; `decoder.tflite` makes pictures of the codes in them."
        )
    if work.run.precision != "float32":
        notes.append(f"Trained under `{work.run.precision}`; exported, and compared, as the same weights in float32.")
    return (
        "## Files\n\n" + "\n".join(rows) + "\n\n" + "\n\n".join(notes) + f"\n\nEverything measured: `{REPORT}`. {CHECK}"
    )


def _open_batch(artefacts: list[Artefact]) -> str:
    """The files of the folder in one sentence: they are those above but for the batch."""
    written = [artefact for artefact in artefacts if artefact.written]
    worst = {
        measure: _figure(measure, max(values))
        for measure in MEASURES
        if (values := [a.worst.value for a in written if a.worst.measure == measure])
    }
    text = f"`{OPEN_BATCH}/`: {len(written)} files of the same names whose batch is open, for the classic interpreter; "
    text += "the ones above take one image a call, which LiteRT's compiled runtimes and browsers need. "
    text += f"Run with batches of one and of many; worst: {', '.join(worst.values()) or 'none'}."
    if withheld := [artefact.name for artefact in artefacts if not artefact.written]:
        text += f" **Withheld**: {', '.join(withheld)}."
    return text


def _left_out(work: Export) -> list[str]:
    """What the table says in other words where the model chooses, and what it lacks and why."""
    endpoints = [signature.endpoint for signature in work.reference.signatures.values()]
    notes = list(dict.fromkeys(endpoint.note for endpoint in endpoints if endpoint.note))
    if single := [f"`{endpoint.file}.tflite`" for endpoint in endpoints if endpoint.single]:
        notes.append(
            f"{', '.join(single)} comes in float32 alone, with a batch of one: in fewer bits, noise near a border "
            "would choose what is on the other side."
        )
    if any(endpoint.chooses for endpoint in endpoints):
        notes.insert(
            0,
            f"*otherwise* is the share of images whose answer is further than {SAME:g} from Keras's: there a choice, "
            "such as the nearest code or an index that is drawn, was a tie but for the last digit, and fell otherwise.",
        )
    return notes


def _has_int8(work: Export) -> bool:
    """Whether the model has files that compute in int8."""
    endpoints = [signature.endpoint for signature in work.reference.signatures.values()]
    return any(endpoint.file and "int8" in endpoint.variants for endpoint in endpoints)


def _figure(measure: str, value: float) -> str:
    shown = {"max_abs": f"max {value:.1e}", "psnr_drop_db": f"drop {value:.3f} dB"}
    return shown.get(measure, f"otherwise {value:.1%}")


def _tensors(work: Export) -> str:
    rows = ["| signature | | name | shape | values | seen on held-out images |", "|---|---|---|---|---|---|"]
    spatial = work.model.image_shape[0] is None
    for signature, sides in tensors(work).items():
        for side, entries in sides.items():
            for name, facts in entries.items():
                low, high = facts["observed"]
                sides_open = (("H", "W") if name in PICTURES else ("h", "w")) if spatial else ()
                shape = f"(n, {', '.join(map(str, _opened(facts['shape'], sides_open)))})"
                meaning = MEANING[name].replace("|", r"\|")  # a bare bar would end the cell
                cells = [f"`{signature}`", side[:-1], f"`{name}`", shape, meaning, f"{low:.2f} … {high:.2f}"]
                rows.append(f"| {' | '.join(cells)} |")
    text = f"## Tensors\n\nAll float32. n is open in the SavedModel and in `{OPEN_BATCH}/`, and 1 elsewhere.\n\n"
    text += "\n".join(rows)
    if spatial:
        factor, frames = work.model.factor, work.model.frames
        text += (
            f"\n\nH and W are open in the SavedModel and {work.size[0]}×{work.size[1]} in the `.tflite` files "
            "(`--size`)."
        )
        if frames > 1:
            text += f" H is that of {frames} frames, one below the other, each padded to a multiple of {factor}."
        elif len(work.model.latent_shape) > 1:
            h, w, _ = work.model.code_shape(*work.size)
            text += f" h = ceil(H / {factor}), w = ceil(W / {factor}): {h}×{w}."
        if "decode" in work.reference.signatures:
            text += f" `decode` returns {factor}h × {factor}w pixels; what is given an image returns H × W."
    return text


def _opened(shape: list[int], sides: tuple[str, ...]) -> list[Any]:
    """The shape of one row of a tensor, whose first sides have the names of what is open."""
    return [*sides, *shape[len(sides) :]] if len(shape) > 1 else list(shape)


def _limits(work: Export) -> str:
    limits = [
        "It knows the images it was trained on; others are treated as if they were like those.",
        "Outputs are expected images, the mean of the likelihood: smoother than photographs of the same thing.",
        "`.tflite` files take images of one size, and those outside `open_batch/` one at a time.",
    ]
    if _has_int8(work):
        limits.append(
            "int8 files were calibrated on training images"
            + (" and prior samples" if prior_samples(work) else "")
            + "; codes far outside the values seen are clipped, and pixels come in steps of 1/256."
        )
        if any("std" in answers[0] for answers in work.reference.answers.values()):
            limits.append("int8 files give `std` in coarse steps: take it from another where it matters.")
    if "inspect" in work.reference.signatures:
        limits.append(
            "The threshold holds for pieces drawn as those were that calibrated it: another camera or another light "
            "asks for another calibration. Every file decides on the held-out pieces as Keras does, or was withheld. "
            "This is no medical device: it makes no diagnosis."
        )
    if "generate" in work.reference.signatures:
        limits.append("What it draws can come close to a training image: treat the files as privately as those images.")
    return "## Limits\n\n" + "\n".join(f"- {limit}" for limit in limits)
