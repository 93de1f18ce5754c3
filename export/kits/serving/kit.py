"""The folder `serving/` of a bundle: what TensorFlow Serving is started with, and clients that call it."""

import json
import math
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

from export.artefacts import Artefact, Export
from export.kits.serving import warmup
from tfvae import decoding
from tfvae.serving import SERVING_DEFAULT

IMAGE = "tensorflow/serving:2.20.0"  # the official image, pinned: `latest` changes under a running cluster
FILES = Path(__file__).with_name("files")
FOLDER = "serving"
GRPC_MESSAGE = 4 * 1024 * 1024  # what a gRPC client receives at most by default, bytes
MOST_BATCH = 256
TEXT_DIGITS = 12  # characters of a number in JSON with its comma, measured on float32 pixels; for orientation


def write(work: Export, artefacts: list[Artefact], folder: Path) -> None:
    """Write `serving/` into the bundle at `folder`, and warm-up requests into its SavedModel.

    Nothing is written where the SavedModel was withheld.
    """
    saved_model = next((a for a in artefacts if a.name.startswith("saved_model/") and a.written), None)
    if saved_model is None:
        return
    facts = _facts(work, saved_model)
    batches = allowed_batches(facts["max_batch"])
    records = warmup.write(folder / saved_model.name, facts["name"], work.model, work.size, batches)
    saved_model.facts["warmup_records"] = records
    tokens = _tokens(work, facts, records)
    for source in sorted(FILES.rglob("*")):
        if source.is_dir() or source.name == "__init__.py" or "__pycache__" in source.parts:
            continue
        target = folder / FOLDER / source.relative_to(FILES)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text(encoding="utf-8")
        # The template of the TLS file keeps its tokens: they are the operator's to fill.
        target.write_text(text if source.suffix in (".py", ".template") else filled(text, tokens), encoding="utf-8")
    shutil.copy(decoding.__file__, folder / FOLDER)
    (folder / FOLDER / "model.json").write_text(json.dumps(_model(work, facts), indent=2) + "\n", encoding="utf-8")


def filled(text: str, tokens: dict[str, str]) -> str:
    """`text` with every `@TOKEN@` replaced.

    Raises:
        KeyError: For a token that is not in `tokens`.
    """
    return re.sub(r"@([A-Z][A-Z0-9_]*)@", lambda match: tokens[match[1]], text)


def serving_name(run: str) -> str:
    """A run's name as TensorFlow Serving and URLs take it: letters, digits, `_`, `-` and `.`; never empty."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", run).strip("_.-") or "model"


def dns_name(name: str) -> str:
    """A name as Kubernetes takes it (RFC 1123): at most 63 lower-case letters, digits and inner hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63].rstrip("-") or "model"


def largest_batch(image_bytes: int) -> int:
    """The largest power of two, at most 256, whose images of `image_bytes` each fit a message of 4 MiB; at least 1."""
    return min(MOST_BATCH, 1 << max(0, (GRPC_MESSAGE // image_bytes).bit_length() - 1))


def allowed_batches(most: int) -> list[int]:
    """1, 2, 4 … `most`."""
    return [1 << power for power in range(most.bit_length())]


def _facts(work: Export, saved_model: Artefact) -> dict[str, Any]:
    channels = work.model.image_shape[-1]
    image_bytes = 4 * math.prod(work.size) * channels
    return {
        "name": serving_name(work.run.path.resolve().name),
        "open_size": work.model.image_shape[0] is None,
        "image_bytes": image_bytes,
        "max_batch": largest_batch(image_bytes),
        "signatures": saved_model.facts["signatures"],
        "tensorflow": re.sub(r".*tensorflow (\S+).*", r"\1", saved_model.facts["checked_with"]),
    }


def _model(work: Export, facts: dict[str, Any]) -> dict[str, Any]:
    """What the clients know of the model."""
    return {
        "name": facts["name"],
        "image_shape": list(work.model.image_shape),
        "latent_shape": list(work.model.latent_shape),
        "factor": work.model.factor,
        "frames": work.model.frames,
        "labels": list(work.model.label_names) if work.model.conditional else [],
        "black": work.run.data_config.black,
        "white": work.run.data_config.white,
        "signatures": {
            signature: {
                side: {name: entry["shape"] for name, entry in sides[side].items()} for side in ("inputs", "outputs")
            }
            for signature, sides in facts["signatures"].items()
        },
    }


def _tokens(work: Export, facts: dict[str, Any], records: int) -> dict[str, str]:
    name, most, image_bytes = facts["name"], facts["max_batch"], facts["image_bytes"]
    height, width = work.size
    batching = not facts["open_size"]
    flags = ["--enable_batching=true", "--batching_parameters_file=/config/batching_parameters.txt"]
    mark = "" if batching else "# "
    weights = 4 * work.weights
    signatures = [signature for signature in facts["signatures"] if signature != SERVING_DEFAULT]
    example = next((name for name in ("generate", "decode") if name in signatures), work.reference.default)
    return {
        "NAME": name,
        "DNS": dns_name(name),
        "IMAGE": IMAGE,
        "TENSORFLOW": facts["tensorflow"],
        "MAX_BATCH": str(most),
        "MAX_BATCH_MB": f"{most * image_bytes / 1e6:.2g}",
        "ALLOWED": "\n".join(f"allowed_batch_sizes: {batch}" for batch in allowed_batches(most)),
        "SWITCH": "compose.yaml and Dockerfile switch it on (--enable_batching)."
        if batching
        else "Not switched on by compose.yaml and Dockerfile: this model takes images of any size, and requests of "
        "different\n# sizes cannot share a batch; Serving would refuse them. Switch it on where all clients send one "
        "size.",
        "BATCHING_FLAGS": "\n".join(
            ([] if batching else ["      # Requests of different image sizes cannot share a batch (see there)."])
            + [f"      {mark}- {flag}" for flag in flags]
        ),
        "BATCHING_CMD": "".join(f', "{flag}"' for flag in flags) if batching else "",
        "BATCHING": "Batching is on" if batching else "Batching is off, since requests differ in size",
        "WEIGHTS_MB": f"{weights / 1e6:.1f}",
        # Twice the weights, as the next version is loaded beside this one, and a full batch of activations.
        "MEMORY_LIMIT": f"{2 ** max(0, math.ceil(math.log2(1 + (2 * weights + 64 * most * image_bytes) / 2**30)))}Gi",
        "RECORDS": str(records),
        "SIGNATURES": ", ".join(f"`{signature}`" for signature in signatures),
        "SIZE": f"{height}×{width}" + (" (its size is open; these figures are for this one)" if not batching else ""),
        "IMAGE_KB": f"{image_bytes / 1000:,.1f}",
        "GRPC_IMAGES": f"{GRPC_MESSAGE // image_bytes:,}",
        "REST_KB": f"{image_bytes / 4 * TEXT_DIGITS / 1000:,.1f}",
        "DEFAULT": work.reference.default,
        "EXAMPLE_SIGNATURE": example,
        "EXAMPLE_INPUTS": json.dumps(
            {name: _example(work, example, name) for name in work.reference.requests[example][0]}
        ),
        "CALLS": "\n".join(_call(work, name) for name in CALLS if name in signatures),
    }


# What a client is given and what it writes, by signature.
CALLS = {
    "reconstruct": ("rest", "photo.png", "rebuilt.png"),
    "restore": ("rest", "photo.png", "restored.png"),
    "sample": ("grpc", "photo.png --seed 1", "sample.png"),
    "stylize": ("rest", "photo.png", "stylized.png"),
    "continue": ("grpc", "frames.png --seed 1", "continued.png"),
    "encode": ("grpc", "photo.png", "codes.json"),
    "decode": ("grpc", "codes.json", "decoded.png"),
    "generate": ("grpc", "--count 4", "new.png"),
}


def _call(work: Export, signature: str) -> str:
    """The line that calls a signature with a client."""
    way, given, out = CALLS[signature]
    if work.model.frames > 1:
        given = given.replace("photo.png", "frames.png")  # frames one below the other
    asked = work.reference.requests[signature][0]
    label = f" --label {shlex.quote(work.model.label_names[0])}" if "labels" in asked else ""
    mask = " --known mask.png" if "known" in asked else ""
    quality = " --quality 50" if "quality" in asked else ""
    outputs = work.reference.answers[signature][0]
    note = f"   # {', '.join(outputs)}" if "image" not in outputs else ""
    if quality:
        note = '   # codes of a .tfv file of that quality, as {"z": [...]}; what encode gives is not rounded yet'
    return f"python serving/client_{way}.py {signature} {given}{mask}{label}{quality} --out {out}{note}"


def _example(work: Export, signature: str, name: str) -> Any:
    """An input of one row of zeros as nested lists, of the least size where it is open; the first of the labels."""
    shape = work.reference.signatures[signature].inputs[name][0][1:]
    if name == "labels":
        return [[1.0] + [0.0] * (len(work.model.label_names) - 1)]
    nested: Any = 0.0
    least = (work.model.frames, 1, 1)  # frames lie one below the other
    for side, one in reversed([*zip(shape, least, strict=False)]):
        nested = [nested] * (one if side is None else side)
    return [nested]
