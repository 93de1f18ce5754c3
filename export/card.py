"""`MODEL_CARD.md`: what is in a bundle, for a person and for the Hugging Face Hub."""

from pathlib import Path
from typing import Any

from export import card_head, pictures
from export.artefacts import Artefact, Export
from export.atomic_folder import REPORT
from export.formats.tflite import OPEN_BATCH, VARIANTS, file_name
from export.formats.tflite_runtime import RUNS
from export.parity import INT8_SIZE_TARGET
from export.report import MEANING, tensors

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


def write(work: Export, artefacts: list[Artefact], folder: Path) -> None:
    """Write the card and its pictures into `folder`."""
    comparison = pictures.write_comparison(work, artefacts, folder)
    generated = pictures.write_generated(work, folder)
    parts = [card_head.head(work, artefacts), _opening(work, comparison), _training(work)]
    parts += [_files(work, artefacts), _tensors(work)]
    parts.append(_calls(work, [artefact.name for artefact in artefacts if artefact.written]))
    if generated:
        parts.append(f"## What it draws\n\nStandard normal noise through `generate`:\n\n![samples]({generated})")
    parts += [_limits(work), card_head.licence(work)]
    (folder / CARD).write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _opening(work: Export, picture: str) -> str:
    model = work.model
    kind = "variational autoencoder" if model.prior is not None else "autoencoder"
    height, width, channels = model.image_shape
    pixels = "grey" if channels == 1 else "RGB"
    if height is None:
        latent = f"a feature map of {model.latent_shape[-1]} channels at 1/{model.factor} of the resolution"
        images = f"{pixels} images of any size"
    else:
        latent, images = f"{model.latent_shape[0]} numbers", f"{pixels} images of {height}×{width} pixels"
    return (
        f"# {work.run.path.resolve().name}\n\n"
        f"A {kind} of {images} with {work.weights:,} weights: it turns an image into {latent}, and such codes "
        f"into images. Each file below was run on {len(work.samples.held_out)} images of the {work.samples.split} set "
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
    lines.append(
        "Intended for images like those: rebuilding and comparing them, drawing new ones, and moving between them in "
        "the space of codes."
        if work.model.prior is not None
        else "Intended for images like those: rebuilding them, and comparing them by their codes."
    )
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
        "float16 files store half-precision weights; dynamic_range files 8-bit weights; int8 files hold 8-bit weights "
        "(one scale per channel) and 8-bit activations. All take and give float32. Only builtin ops: no select ops, "
        "no custom ops, no random ops.",
        _open_batch(opened),
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
    if work.policy != "float32":
        notes.append(f"Trained under `{work.policy}`; exported, and compared, as the same weights in float32.")
    return (
        "## Files\n\n" + "\n".join(rows) + "\n\n" + "\n\n".join(notes) + f"\n\nEverything measured: `{REPORT}`. {CHECK}"
    )


def _open_batch(artefacts: list[Artefact]) -> str:
    """The files of the folder in one sentence: they are those above but for the batch."""
    written = [artefact for artefact in artefacts if artefact.written]
    worst = {
        measure: _figure(measure, max(values))
        for measure in ("max_abs", "psnr_drop_db")
        if (values := [a.worst.value for a in written if a.worst.measure == measure])
    }
    text = f"`{OPEN_BATCH}/`: {len(written)} files of the same names whose batch is open, for the classic interpreter; "
    text += "the ones above take one image a call, which LiteRT's compiled runtimes and browsers need. "
    text += f"Run with batches of one and of many; worst: {', '.join(worst.values()) or 'none'}."
    if withheld := [artefact.name for artefact in artefacts if not artefact.written]:
        text += f" **Withheld**: {', '.join(withheld)}."
    return text


def _figure(measure: str, value: float) -> str:
    return f"drop {value:.3f} dB" if measure == "psnr_drop_db" else f"max {value:.1e}"


def _tensors(work: Export) -> str:
    rows = ["| signature | | name | shape | values | seen on held-out images |", "|---|---|---|---|---|---|"]
    height, width, channels = work.model.image_shape
    spatial = height is None
    latent = f"(n, h, w, {work.model.latent_shape[-1]})" if spatial else f"(n, {work.model.latent_shape[0]})"
    image = f"(n, H, W, {channels})" if spatial else f"(n, {height}, {width}, {channels})"
    for signature, sides in tensors(work).items():
        for side, entries in sides.items():
            for name, facts in entries.items():
                low, high = facts["observed"]
                shape = image if name == "image" else latent
                meaning = MEANING[name].replace("|", r"\|")  # a bare bar would end the cell
                cells = [f"`{signature}`", side[:-1], f"`{name}`", shape, meaning, f"{low:.2f} … {high:.2f}"]
                rows.append(f"| {' | '.join(cells)} |")
    text = f"## Tensors\n\nAll float32. n is open in the SavedModel and in `{OPEN_BATCH}/`, and 1 elsewhere.\n\n"
    text += "\n".join(rows)
    if spatial:
        factor = work.model.factor
        h, w = (-(-side // factor) for side in work.size)
        text += (
            f"\n\nH and W are open in the SavedModel and {work.size[0]}×{work.size[1]} in the `.tflite` files "
            f"(`--size`). h = ceil(H / {factor}), w = ceil(W / {factor}): {h}×{w}. `decode` returns {factor}h × "
            f"{factor}w pixels, `reconstruct` crops them to H × W."
        )
    return text


def _calls(work: Export, written: list[str]) -> str:
    text = "## How to call it"
    if saved_model := next((name for name in written if name.startswith("saved_model/")), None):
        text += (
            "\n\nThe SavedModel needs TensorFlow alone (for TensorFlow Serving: `serving/README.md`):\n\n"
            "```python\nimport tensorflow as tf\n\n"
            f'model = tf.saved_model.load("{saved_model}")\n'
            f'rebuilt = model.signatures["reconstruct"](image=images)["image"]\n{_noise_line(work)}```'
        )
    encoder, decoder = (
        next((name for variant in VARIANTS if (name := file_name(part, variant)) in written), None)
        for part in ("encoder", "decoder")
    )
    if encoder and decoder:
        code = "mean" if work.model.prior is not None else "code"
        text += (
            "\n\nThe `.tflite` files, with `pip install ai-edge-litert`; the other variants are called alike, and so "
            "is `autoencoder.tflite`, whose signature is `reconstruct`:\n\n"
            "```python\nfrom ai_edge_litert.interpreter import Interpreter\n\n"
            f'encoder, decoder = Interpreter("{encoder}"), Interpreter("{decoder}")\n'
            'encode, decode = encoder.get_signature_runner("encode"), decoder.get_signature_runner("decode")\n'
            f'code = encode(image=image)["{code}"]  # one image: float32, 0 to 1, with a leading axis of 1\n'
            'rebuilt = decode(z=code)["image"]\n```'
        )
    if "autoencoder.onnx" in written:
        text += (
            "\n\nThe `.onnx` files, with `pip install onnxruntime`. Batch, and of spatial models height and width, "
            "are open; only `reconstruct` names its output otherwise, as ONNX wants names that differ:\n\n"
            "```python\nimport onnxruntime\n\n"
            'session = onnxruntime.InferenceSession("autoencoder.onnx")\n'
            '(rebuilt,) = session.run(["reconstruction"], {"image": images})\n```'
        )
    return text


def _noise_line(work: Export) -> str:
    if work.model.prior is None:
        return ""
    shape: Any = [-(-side // work.model.factor) for side in work.size] if work.model.image_shape[0] is None else []
    sizes = ", ".join(map(str, [16, *shape, work.model.latent_shape[-1]]))
    return f'new = model.signatures["generate"](noise=tf.random.normal(({sizes})))["image"]\n'


def _limits(work: Export) -> str:
    limits = [
        "It knows the images it was trained on; others are rebuilt as if they were like those.",
        "Outputs are expected images, the mean of the likelihood: smoother than photographs of the same thing.",
        "`.tflite` files take images of one size, and those outside `open_batch/` one at a time.",
        "int8 files were calibrated on training images"
        + (" and prior samples" if work.model.prior is not None else "")
        + "; codes far outside the values seen are clipped, and pixels come in steps of 1/256.",
    ]
    if work.model.prior is not None:
        limits.append("What it draws can come close to a training image: treat the files as privately as those images.")
    return "## Limits\n\n" + "\n".join(f"- {limit}" for limit in limits)
