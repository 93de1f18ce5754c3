"""`python -m benchmarks export_latency RUN`: the decoder's latency in LiteRT, ONNX Runtime and PyTorch, in one run.

Each side runs in a process of its own, so that no runtime's idle threads spin on another's cores; the sides take turns
for several rounds. All compute the same network with the same weights: each answer is first compared with Keras's.
"""

import argparse
import functools
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from export.formats.onnx import convert as convert_to_onnx
from export.formats.tflite import convert, file_name
from export.samples import static_size
from tfvae import data
from tfvae.data import evaluation_batches
from tfvae.errors import UserError
from tfvae.likelihoods import Bernoulli, Gaussian, OptimalGaussian
from tfvae.quiet import native_messages_held
from tfvae.runs import open_run
from tfvae.serving import signatures, write_saved_model

SCRIPT = Path(__file__).with_name("export_latency_process.py")
BOUND = 1e-4  # of float32 sides against Keras, largest absolute difference
# A side by name: what it is called, and the package it needs.
SIDES = {
    "litert": ("LiteRT, float32", "ai_edge_litert"),
    "litert_int8": ("LiteRT, int8", "ai_edge_litert"),
    "onnxruntime": ("ONNX Runtime", "onnxruntime"),
    "pytorch": ("PyTorch, eager", "torch"),
    "pytorch_compiled": ("PyTorch, torch.compile", "torch"),
}
Say = Callable[[str], None]


def main(options: argparse.Namespace) -> None:
    """Times the decoder of a run and prints the table."""
    say = functools.partial(print, flush=True)
    print(table(measure(options.run, options.threads, options.rounds, options.calls, say)))


def measure(path: str | Path, threads: int, rounds: int, calls: int, say: Say) -> dict[str, list[float]]:
    """Milliseconds of a call with one code: for each side that is installed, the median of each of its turns.

    Raises:
        UserError: When the run's network has no twin in PyTorch here.
        RuntimeError: When a float32 side answers otherwise than Keras.
    """
    run = open_run(path)
    with native_messages_held():
        model = run.load_model()
    config = run.prepared_like(model)
    size = static_size(model.image_shape, config, None)
    sides = [side for side, (_, package) in SIDES.items() if importlib.util.find_spec(package)]
    if importlib.util.find_spec("tf2onnx") is None:
        sides.remove("onnxruntime")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        codes = _codes(model, config, run.seed, size)
        np.save(folder / "input.npy", codes[:1])
        _write_tflite(model, size, codes, folder)
        if "onnxruntime" in sides:
            (folder / "decoder.onnx").write_bytes(convert_to_onnx(model, signatures(model)["decode"]))
        write_network(model.decoder, folder)
        expected = np.asarray(model.decode(codes[:1])["image"])
        say(f"{run.path}: decoder to {size[0]}×{size[1]} pixels, one code a call, {threads} threads, {rounds} rounds")
        times: dict[str, list[float]] = {side: [] for side in sides}
        for round_ in range(rounds):
            for side in sides if round_ % 2 == 0 else reversed(sides):
                times[side].append(_turn(side, folder, threads, calls))
                error = float(np.abs(np.load(folder / f"{side}.npy") - expected).max())
                if side != "litert_int8" and not error <= BOUND:
                    raise RuntimeError(f"{SIDES[side][0]} is {error:.1e} away from Keras: not the same network")
            say(", ".join(f"{SIDES[side][0]} {values[-1]:.3f} ms" for side, values in times.items()))
    return times


def table(times: dict[str, list[float]]) -> str:
    """Markdown: median of the turns, and how many times as long as LiteRT float32 a side takes, turn by turn."""
    lines = ["| decoder | ms | against LiteRT float32 (lowest – highest round) |", "| --- | ---: | --- |"]
    for side, values in times.items():
        ratios = [value / base for value, base in zip(values, times["litert"], strict=True)]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} – {max(ratios):.2f}) ×" if side != "litert" else ""
        lines.append(f"| {SIDES[side][0]} | {statistics.median(values):.3f} | {ratio} |")
    return "\n".join(lines)


def write_network(decoder: Any, folder: Path) -> None:
    """`network.json` and `weights.npz`: the decoder as the steps that `export_latency_process.py` builds in PyTorch.

    Raises:
        UserError: For a layer or a likelihood that has no step there.
    """
    weights: dict[str, np.ndarray] = {}
    steps = list(_steps(decoder.trunk, weights))
    if decoder.spatial:
        steps.insert(0, {"kind": "channels_first"})
    if isinstance(decoder.likelihood, Bernoulli):
        steps.append({"kind": "sigmoid"})
    elif isinstance(decoder.likelihood, (Gaussian, OptimalGaussian)):
        steps.append({"kind": "shifted"})
    else:
        raise UserError(f"benchmark: no PyTorch twin of the likelihood {type(decoder.likelihood).__name__}.")
    (folder / "network.json").write_text(json.dumps(steps))
    np.savez(folder / "weights.npz", **weights)  # type: ignore[arg-type]


def _steps(layer: Any, weights: dict[str, np.ndarray]) -> Iterator[dict[str, Any]]:
    """The steps of a layer, or of a chain's sub-layers; their weights, in PyTorch's layout, go into `weights`."""
    kind = type(layer).__name__
    if hasattr(layer, "chain"):
        for inner in layer.chain:
            yield from _steps(inner, weights)
    elif kind == "Dense":
        yield {"kind": "dense", "name": _keep(layer, weights), "activation": layer.activation.__name__}
    elif kind == "Conv2D":
        yield {"kind": "convolution", "name": _keep(layer, weights), "activation": layer.activation.__name__}
    elif kind == "SubPixelUpsample":
        # depth_to_space reads channels as (row, column, filter), pixel_shuffle as (filter, row, column).
        order = np.arange(4 * layer.filters).reshape(4, layer.filters).T.reshape(-1)
        name = _keep(layer.convolution, weights, order)
        yield {"kind": "sub_pixel", "name": name, "activation": layer.convolution.activation.__name__}
    elif kind == "ResidualBlock":
        yield {"kind": "residual", "first": _keep(layer.first, weights), "second": _keep(layer.second, weights)}
    elif kind == "Reshape":
        yield {"kind": "reshape", "shape": layer.target_shape}
    elif kind == "CropTo":
        yield {"kind": "crop", "height": layer.height, "width": layer.width}
    elif kind == "ReLU":
        yield {"kind": "activation", "activation": "relu"}
    elif kind != "Dropout":
        raise UserError(f"benchmark: no PyTorch twin of the layer {kind}. Accepted: runs of mlp, conv and resnet.")


def _keep(layer: Any, weights: dict[str, np.ndarray], order: np.ndarray | None = None) -> str:
    name = str(len(weights))
    kernel, bias = (np.asarray(weight) for weight in (layer.kernel, layer.bias))
    if order is not None:
        kernel, bias = kernel[..., order], bias[order]
    weights[f"{name}/kernel"] = kernel.T if kernel.ndim == 2 else kernel.transpose(3, 2, 0, 1)
    weights[f"{name}/bias"] = bias
    return name


def _codes(model: Any, config: data.DataConfig, seed: int, size: tuple[int, int]) -> np.ndarray:
    """Codes of some images of the run, at the size that the `.tflite` files take: what int8 ranges are taken from."""
    images = data.load(config, seed=seed).train
    crop = 0 if model.image_shape[0] is not None else min(size)
    batch = next(iter(evaluation_batches(images, 32, seed=seed, config=config, crop=crop)))
    return np.asarray(model.codes(batch))


def _write_tflite(model: Any, size: tuple[int, int], codes: np.ndarray, folder: Path) -> None:
    calibration = [{"z": codes[i : i + 1]} for i in range(len(codes))]
    with tempfile.TemporaryDirectory() as saved, native_messages_held():
        write_saved_model(model, saved, batch=1, size=size, to_convert=True)
        for variant in ("float32", "int8"):
            content = convert(Path(saved), "decode", variant, calibration)
            (folder / file_name("decoder", variant)).write_bytes(content)


def _turn(side: str, folder: Path, threads: int, calls: int) -> float:
    command = [sys.executable, "-I", str(SCRIPT), side, str(folder), str(threads), str(calls)]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        raise RuntimeError(f"{SIDES[side][0]} failed:\n{process.stderr}")
    return float(json.loads(process.stdout.splitlines()[-1])["ms"])
