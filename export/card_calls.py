"""The card's section on calling the files: a few lines of Python for each format, made from the model's signatures."""

import keyword

from export.artefacts import Export
from export.formats.onnx import renamed
from export.formats.tflite import VARIANTS, file_name

ONE = "# one image: float32, 0 to 1, with a leading axis of 1"


def calls(work: Export, written: list[str]) -> str:
    """The section, with a call of each format that is among the files `written`."""
    text = "## How to call it"
    reference, shown = work.reference, work.reference.shown
    if saved_model := next((name for name in written if name.startswith("saved_model/")), None):
        lines = [f'model = tf.saved_model.load("{saved_model}")', *_given(work, [shown], "images")]
        lines.append(f"rebuilt = {_call(work, shown, _served(shown), 'images')}")
        if "generate" in reference.signatures:
            lines.append(f"new = {_call(work, 'generate', _served('generate'), '')}")
        text += "\n\nThe SavedModel needs TensorFlow alone (for TensorFlow Serving: `serving/README.md`):\n\n"
        text += _code(lines, "import tensorflow as tf")
    names = ["encode", "decode"] if hasattr(work.model, "decode") else [shown]
    files = {name: _file(work, name, written) for name in names}
    if all(files.values()):
        # `continue` is a keyword.
        runners = {name: f"{name}_" if keyword.iskeyword(name) else name for name in names}
        lines = [
            f'{runners[name]} = Interpreter("{file}").get_signature_runner("{name}")' for name, file in files.items()
        ]
        lines += [ONE, *_given(work, names, "image")]
        if len(names) == 2:
            output = "mean" if "mean" in reference.answers["encode"][0] else "code"
            lines.append(f"code = {_call(work, 'encode', 'encode', 'image', output)}")
        lines.append(f"rebuilt = {_call(work, names[-1], runners[names[-1]], 'image')}")
        text += "\n\nThe `.tflite` files, with `pip install ai-edge-litert`; all others are called alike, each by the "
        text += "signature that the table has:\n\n"
        text += _code(lines, "from ai_edge_litert.interpreter import Interpreter")
    part = reference.endpoint(shown).file
    if f"{part}.onnx" in written:
        inputs = [f'"{name}": {_value(work, shown, name, "images")}' for name in reference.requests[shown][0]]
        lines = [f'session = onnxruntime.InferenceSession("{part}.onnx")', *_given(work, [shown], "images")]
        lines.append(f'(rebuilt,) = session.run(["{renamed(shown)}"], {{{", ".join(inputs)}}})')
        text += "\n\nThe `.onnx` files, with `pip install onnxruntime`. Batch, and of spatial models height and width, "
        text += "are open; an output that is called like an input has another name, as ONNX wants names that differ:"
        text += "\n\n" + _code(lines, "import onnxruntime")
    return text


def _code(lines: list[str], package: str) -> str:
    imports = ["import numpy as np", package] if any("np." in line for line in lines) else [package]
    return "```python\n" + "\n".join([*imports, "", *lines]) + "\n```"


def _served(signature: str) -> str:
    return f'model.signatures["{signature}"]'


def _file(work: Export, signature: str, written: list[str]) -> str | None:
    """The first variant of a signature's files that was written."""
    part = work.reference.endpoint(signature).file
    return next((name for variant in VARIANTS if (name := file_name(part, variant)) in written), None)


def _call(work: Export, signature: str, function: str, image: str, output: str = "image") -> str:
    """The expression that calls a function for `image`, or for 16 draws where that is empty."""
    inputs = [f"{name}={_value(work, signature, name, image)}" for name in work.reference.requests[signature][0]]
    return f'{function}({", ".join(inputs)})["{output}"]'


def _value(work: Export, signature: str, name: str, image: str) -> str:
    """What is written for an input of a call."""
    if name == "noise":
        example = work.reference.requests[signature][0][name]
        shape = ", ".join([f"len({image})" if image else "16", *map(str, example.shape[1:])])
        drawn = f'np.random.standard_normal(({shape})).astype("float32")'
        return drawn if example.any() else f'np.zeros(({shape}), "float32")'  # where these are what shows the image
    if name == "labels" and not image:
        return _first_label(work, "16")
    return {"image": image, "z": "code"}.get(name, name)


def _first_label(work: Export, count: str) -> str:
    return f'np.eye({len(work.model.label_names)}, dtype="float32")[[0] * {count}]'


def _given(work: Export, signatures: list[str], image: str) -> list[str]:
    """Lines that make the inputs besides pictures, codes and noise."""
    asked = {name for signature in signatures for name in work.reference.requests[signature][0]}
    names = ", ".join(map(str, work.model.label_names[:6])) + (", …" if len(work.model.label_names) > 6 else "")
    lines = {
        "known": f"known = np.ones_like({image}[..., :1])  # 0 where a pixel is lost",
        "labels": f"labels = {_first_label(work, f'len({image})')}  # the first of {names}",
    }
    return [line for name, line in lines.items() if name in asked]
