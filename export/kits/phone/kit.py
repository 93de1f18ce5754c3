"""The folder `phone/` of a bundle: samples for Android and iOS, and what they have to know about the files."""

import json
import shutil
from pathlib import Path
from string import Template
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from export.artefacts import Artefact, Export
from export.formats import tfv_tables
from export.formats.tflite import draws_by_decoding_noise
from export.kits.phone import compressed
from export.report import MEANING, tensors
from tfvae import decoding

FILES = Path(__file__).with_name("files")
FOLDER = "phone"
TABLE, INDEX = "TENSORS.md", "tensors.json"
LITERT = compressed.LITERT  # whose Kotlin and Swift interfaces the samples call
PLAY_LITERT = "17.0.0"  # the Android client of the LiteRT in Google Play services


def fits(work: Export) -> bool:
    """Whether the samples can call the model: they decode codes of any values, or the files that it writes."""
    return hasattr(work.model, "decode") or tfv_tables.writes_files(work.model)


def write(work: Export, artefacts: list[Artefact], folder: Path) -> None:
    """Write `phone/` into the bundle at `folder`.

    Nothing is written where every `.tflite` file was withheld, or the samples do not fit the model.
    """
    written = [artefact for artefact in artefacts if artefact.name.endswith(".tflite") and artefact.written]
    if not written or not fits(work):
        return
    target = folder / FOLDER
    if tfv_tables.writes_files(work.model):
        compressed.write(work, written, target)
        return
    shutil.copytree(FILES, target, ignore=shutil.ignore_patterns("__pycache__", "README.md"))
    shutil.copy(decoding.__file__, target)
    text = Template((FILES / "README.md").read_text(encoding="utf-8"))
    (target / "README.md").write_text(text.substitute(_words(work)), encoding="utf-8")
    index = contents(work, written, folder)
    (target / INDEX).write_text(json.dumps(index, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    (target / TABLE).write_text(_table(index), encoding="utf-8")


def contents(work: Export, artefacts: list[Artefact], folder: Path) -> dict[str, Any]:
    """`tensors.json`: the sizes, and every file's signature and tensors as they are in the file."""
    model, seen = work.model, tensors(work)
    return {
        "image": [*work.size, model.image_shape[-1]],
        "black": work.run.data_config.black,
        "white": work.run.data_config.white,
        "code": "mean" if model.prior is not None else "code",
        "code_shape": [1, *_places(work), model.latent_shape[-1]],
        "has_prior": draws_by_decoding_noise(model),  # else what draws is generator.tflite
        "labels": list(model.label_names) if model.conditional else [],
        "files": {
            artefact.name: {
                "signature": artefact.facts["signature"],
                "variant": artefact.facts["variant"],
                **{
                    side: _tensors(artefact, side, seen[artefact.facts["signature"]][side], folder)
                    for side in ("inputs", "outputs")
                },
                "bytes": artefact.facts["bytes"],
                "latency_ms_one_thread": artefact.facts.get("latency_ms_one_thread"),
                "max_abs_error": artefact.worst.as_json()["figures"]["max_abs"],
                "psnr_drop_db": artefact.worst.as_json()["figures"]["psnr_drop_db"],
            }
            for artefact in artefacts
        },
    }


def quantisation_inside(content: bytes) -> dict[str, dict[str, Any]]:
    """By `inputs/name` and `outputs/name`: the integers that a float32 tensor becomes first, or comes from last.

    `real = scale * (integer - zero_point)`. Tensors that stay float32 are not in the result.
    """
    model = schema.Model.GetRootAs(content)
    graph = model.Subgraphs(0)
    codes = [model.OperatorCodes(i).BuiltinCode() for i in range(model.OperatorCodesLength())]
    neighbours = {}
    for i in range(graph.OperatorsLength()):
        operator = graph.Operators(i)
        code = codes[operator.OpcodeIndex()]
        if code == schema.BuiltinOperator.QUANTIZE:
            neighbours[operator.Inputs(0)] = graph.Tensors(operator.Outputs(0))
        elif code == schema.BuiltinOperator.DEQUANTIZE:
            neighbours[operator.Outputs(0)] = graph.Tensors(operator.Inputs(0))
        elif code == schema.BuiltinOperator.ADD and operator.Inputs(0) in neighbours:  # of `tfvae.tflite_nan`
            neighbours[operator.Outputs(0)] = neighbours[operator.Inputs(0)]
    kinds = {value: name.lower() for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    found = {}
    signature = model.SignatureDefs(0)
    named = [("inputs", signature.Inputs(i)) for i in range(signature.InputsLength())]
    named += [("outputs", signature.Outputs(i)) for i in range(signature.OutputsLength())]
    for side, entry in named:
        tensor = neighbours.get(entry.TensorIndex())
        parameters = tensor.Quantization() if tensor else None
        if tensor and parameters and parameters.ScaleLength() == 1:
            name = f"{side}/{entry.Name().decode()}"
            found[name] = {
                "dtype": kinds[tensor.Type()],
                "scale": float(parameters.Scale(0)),
                "zero_point": int(parameters.ZeroPoint(0)),
            }
    return found


def _places(work: Export) -> list[int]:
    """Height and width of the code of an image of `work.size`; empty for a vector."""
    return [] if len(work.model.latent_shape) == 1 else [-(-side // work.model.factor) for side in work.size]


def _tensors(artefact: Artefact, side: str, seen: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    inside = quantisation_inside((folder / artefact.name).read_bytes())
    return [
        {
            "name": name,
            "shape": facts["shape"],
            "dtype": facts["dtype"],
            "meaning": MEANING[name],
            "range": seen[name]["range"],
            "seen": seen[name]["observed"],
            "inside": inside.get(f"{side}/{name}"),
        }
        for name, facts in artefact.facts[side].items()
    ]


def _table(index: dict[str, Any]) -> str:
    files = ["| file | signature | kB | ms, one thread | largest error | PSNR lost, dB |", "|---|---|--:|--:|--:|--:|"]
    rows = ["| file | | name | shape | dtype | values | seen | inside |", "|---|---|---|---|---|---|---|---|"]
    for name, facts in index["files"].items():
        latency, drop = facts["latency_ms_one_thread"], facts["psnr_drop_db"]
        figures = [f"`{facts['signature']}`", f"{facts['bytes'] / 1000:,.1f}"]
        figures += ["" if latency is None else f"{latency:.3g}", f"{facts['max_abs_error']:.1e}"]
        figures += ["" if drop is None else f"{drop:.3f}"]
        files.append(f"| {' | '.join([f'`{name}`', *figures])} |")
        for side in ("inputs", "outputs"):
            for tensor in facts[side]:
                meaning = tensor["meaning"].replace("|", r"\|")  # a bare bar would end the cell
                low, high = tensor["seen"]
                inside = tensor["inside"]
                step = f"{inside['scale']:.6g} × ({inside['dtype']} − {inside['zero_point']})" if inside else "float"
                shape = f"({', '.join('n' if side is None else str(side) for side in tensor['shape'])})"
                cells = [f"`{name}`", side[:-1], f"`{tensor['name']}`", shape, tensor["dtype"], meaning]
                rows.append(f"| {' | '.join([*cells, f'{low:.3g} … {high:.3g}', step])} |")
    return (
        "# Files and tensors\n\nErrors are the largest against the trained Keras model on held-out images, and PSNR "
        "lost is against those images themselves (codes by the images decoded from them). ms is the median of one call "
        "on the exporting machine.\n\n"
        + "\n".join(files)
        + "\n\n*seen*: smallest and largest value on the held-out images. "
        "*inside*: what the first or last step turns float32 into; n is open.\n\n" + "\n".join(rows) + "\n"
    )


def _words(work: Export) -> dict[str, str]:
    model = work.model
    height, width = work.size
    grey = model.image_shape[-1] == 1
    padded = [side * model.factor for side in _places(work)]
    return {
        "name": work.run.path.resolve().name,
        "litert": LITERT,
        "play_litert": PLAY_LITERT,
        "height": str(height),
        "width": str(width),
        "channels": str(model.image_shape[-1]),
        "pixels": "grey (0.299 R + 0.587 G + 0.114 B)" if grey else "RGB",
        "code": "mean" if model.prior is not None else "code",
        "code_shape": str((1, *_places(work), model.latent_shape[-1])),
        "drawn": ", draw new ones" if draws_by_decoding_noise(model) else "",
        "noise": ", or standard normal numbers to draw a new picture" if draws_by_decoding_noise(model) else "",
        "labels": ", and `labels` (1 at the place of the class, 0 elsewhere)" if model.conditional else "",
        "padding": f", and drop what is beyond {width} × {height}" if padded not in ([], [height, width]) else "",
    }
