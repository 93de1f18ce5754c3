"""From a Keras model to `.onnx` files, by Keras's own exporter, and as ONNX Runtime sees them.

`keras.Model.export(format="onnx")` hands the model's concrete function to tf2onnx. Given a small model for each
signature, with a named input and a dict of outputs, it keeps the names and leaves batch, height and width open.

ONNX has one name space for a whole graph, so a signature cannot have an input and an output that are both called
`image`: the output of `reconstruct` is `reconstruction`, that of `restore` `restore_image`, and so on.
"""

import collections
import importlib.util
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from export.artefacts import Artefact, Export
from export.decisions import decided_otherwise
from export.formats.tflite_runtime import median_ms
from export.parity import Tensors, judge
from export.report import PICTURES
from tfvae.errors import UserError
from tfvae.quiet import native_messages_held
from tfvae.serving import Signature, nan_where_not_finite

EXTRA = ("tf2onnx", "onnx", "onnxruntime")
SIGNATURE = "signature"  # key of the file's metadata


def require() -> None:
    """Raises `UserError` unless the packages of the extra `onnx` are installed."""
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"--onnx needs {', '.join(missing)}: pip install -e '.[onnx]'.")


def write(work: Export, folder: Path, say: Callable[[str], None]) -> list[Artefact]:
    """Convert, run and judge every signature that has files in several variants; write those within the bound."""
    return [
        _write_part(work, f"{signature.endpoint.file}.onnx", signature, folder, say)
        for signature in work.reference.signatures.values()
        if signature.endpoint.file and not signature.endpoint.single
    ]


def renamed(signature: str, output: str = "image") -> str:
    """What an output that is called like an input is called in the file."""
    return "reconstruction" if (signature, output) == ("reconstruct", "image") else f"{signature}_{output}"


def convert(model, signature: Signature) -> bytes:
    """The content of an `.onnx` file with one signature, whose open dimensions are named.

    Args:
        model: The float32 `tfvae` model the signature belongs to.
        signature: One of `tfvae.serving.signatures(model)`.
    """
    import onnx

    with tempfile.TemporaryDirectory() as scratch, native_messages_held(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras patches NumPy 1 names back in for tf2onnx
        path = Path(scratch, "model.onnx")
        specs = [
            keras.InputSpec(shape=shape, dtype=dtype, name=name) for name, (shape, dtype) in signature.inputs.items()
        ]
        _Part(model, signature).export(path, format="onnx", verbose=False, input_signature=specs)
        proto = onnx.load(path)
    for tensor in (*proto.graph.input, *proto.graph.output):
        _name_open_dimensions(tensor)
    onnx.helper.set_model_props(proto, {SIGNATURE: signature.name})
    onnx.checker.check_model(proto)
    return proto.SerializeToString(deterministic=True)


class ONNXFile:
    """The content of an `.onnx` file, loaded in ONNX Runtime on the CPU.

    Args:
        content: The bytes of the file.
        threads: Threads the runtime may use.
    """

    def __init__(self, content: bytes, threads: int = 1):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no base of their own
            raise RuntimeError(str(error)) from error
        self.signature = self.session.get_modelmeta().custom_metadata_map.get(SIGNATURE, "")

    def run(self, inputs: Tensors) -> Tensors:
        """Outputs by Keras's names for inputs `(n, …)` by name, run as a batch of one and a batch of the rest.

        Raises:
            RuntimeError: When ONNX Runtime fails.
        """
        parts = [{name: value[:1] for name, value in inputs.items()}]
        if len(next(iter(inputs.values()))) > 1:
            parts.append({name: value[1:] for name, value in inputs.items()})
        names = [output.name for output in self.session.get_outputs()]
        try:
            answers = [dict(zip(names, self.session.run(names, part), strict=True)) for part in parts]
        except Exception as error:  # its exceptions have no base of their own
            raise RuntimeError(" ".join(str(error).split())[:200]) from error
        keras_names = {renamed(self.signature, name): name for name in inputs}
        return {keras_names.get(name, name): np.concatenate([answer[name] for answer in answers]) for name in names}

    def latency_ms(self, inputs: Tensors) -> float:
        """Median time of one call on the first example, in milliseconds."""
        one = {name: value[:1] for name, value in inputs.items()}
        return median_ms(lambda: self.session.run(None, one))

    def tensors(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Shape (open dimensions by name) and dtype of each input and output by its name in the file."""
        sides = {"inputs": self.session.get_inputs(), "outputs": self.session.get_outputs()}
        return {
            side: {tensor.name: {"shape": tensor.shape, "dtype": _dtype(tensor.type)} for tensor in tensors}
            for side, tensors in sides.items()
        }


def _write_part(work: Export, name: str, signature: Signature, folder: Path, say: Callable[[str], None]) -> Artefact:
    import onnx
    import onnxruntime

    content = convert(work.model, signature)
    file = ONNXFile(content)
    requests, answers = work.reference.requests[signature.name], work.reference.answers[signature.name]
    try:
        outputs = [file.run(request) for request in requests]
    # Seen: tf2onnx left files whose answers to one image and to many do not fit, or that the runtime does not run.
    except (ValueError, RuntimeError) as error:
        reason = "wrong shapes" if isinstance(error, ValueError) else "the runtime cannot run it"
        artefact = Artefact(name, {}, {"variant": "onnx", "bytes": len(content)}, [f"{reason}: {error}"])
        say("; ".join([artefact.outcome, *artefact.defects]))
        return artefact
    pair = work.reference.psnr_pair(signature.name, outputs)
    odd = work.reference.odd_size() if signature.name == work.reference.default else None
    if odd:
        answers, outputs = [*answers, odd[1]], [*outputs, file.run(odd[0])]
    verdict = judge(work.bound("onnx", signature.name), answers, outputs, pair)
    proto = onnx.load_from_string(content)
    facts = {
        "part": name.removesuffix(".onnx"),
        "variant": "onnx",
        "signature": signature.name,
        **file.tensors(),
        "ops": dict(sorted(collections.Counter(node.op_type for node in proto.graph.node).items())),
        "opset": next(entry.version for entry in proto.opset_import if entry.domain == ""),
        "bytes": len(content),
        "latency_ms_one_thread": round(file.latency_ms(requests[0]), 4),
        "checked_with": f"onnxruntime {onnxruntime.__version__}, batches of 1 and more",
    }
    foreign = sorted({entry.domain for entry in proto.opset_import} - {"", "ai.onnx.ml"})
    defects = [f"ops of {domain} are no standard ops" for domain in foreign]
    defects += decided_otherwise(work, signature.name, outputs)
    artefact = Artefact(name, {signature.name: verdict}, facts, defects, outputs[0])
    if artefact.written:
        (folder / name).write_bytes(content)
    line = f"{name}: {len(content) / 1000:,.0f} kB, {verdict}, {facts['latency_ms_one_thread']:.3g} ms on one thread"
    say("; ".join([line if artefact.written else f"WITHHELD {line}", *defects]))
    return artefact


class _Part(keras.Model):
    """One signature as a model of its own: what Keras exports is a model's `call`."""

    def __init__(self, model, signature: Signature):
        super().__init__(name=signature.name)
        self.model, self.signature = model, signature
        self.built = True  # the model within is

    def call(self, *given):
        names = self.signature.inputs
        outputs = self.signature.function(**dict(zip(names, given, strict=True)))
        outputs = {name: nan_where_not_finite(value, given) for name, value in outputs.items()}
        return {renamed(self.signature.name, key) if key in names else key: value for key, value in outputs.items()}


def _name_open_dimensions(tensor) -> None:
    """Batch, and height and width of an image or rows and columns of a code, instead of `unk__102`."""
    pixels = tensor.name.endswith(PICTURES) or tensor.name == renamed("reconstruct")
    names = ("batch", "height", "width") if pixels else ("batch", "rows", "columns")
    for dimension, name in zip(tensor.type.tensor_type.shape.dim, names, strict=False):
        if not dimension.HasField("dim_value"):
            dimension.dim_param = name


def _dtype(kind: str) -> str:
    return {"tensor(float)": "float32"}.get(kind, kind)
