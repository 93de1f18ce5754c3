"""One runtime's latency, in a process of its own. A script: it must not import `tfvae` or `export`.

    python -I export_latency_process.py SIDE FOLDER THREADS CALLS

`FOLDER` holds `input.npy`, and for SIDE `litert` or `litert_int8` a `.tflite` file, for `onnxruntime` an `.onnx` file,
for `pytorch` or `pytorch_compiled` the network as `network.json` with `weights.npz`. It gets `SIDE.npy`, the answer.
Standard output: one JSON object with the median milliseconds of a call.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np


def litert(folder, threads, file="decoder.tflite"):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(folder / file), num_threads=threads)
    runner = interpreter.get_signature_runner("decode")
    return lambda z: runner(z=z)["image"]


def litert_int8(folder, threads):
    return litert(folder, threads, "decoder_int8.tflite")


def onnxruntime(folder, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(folder / "decoder.onnx", options, providers=["CPUExecutionProvider"])
    return lambda z: session.run(["image"], {"z": z})[0]


def pytorch(folder, threads, compiled=False):
    import torch

    torch.set_num_threads(threads)
    steps = json.loads((folder / "network.json").read_text())
    with np.load(folder / "weights.npz") as table:
        weights = {name: torch.from_numpy(np.ascontiguousarray(table[name])) for name in table.files}
    network = torch.compile(_forward(torch, steps, weights)) if compiled else _forward(torch, steps, weights)

    def call(z):
        with torch.inference_mode():
            return network(torch.from_numpy(z)).numpy()

    return call


def pytorch_compiled(folder, threads):
    return pytorch(folder, threads, compiled=True)


def _forward(torch, steps, weights):
    """The network of `network.json` in PyTorch's own layout, channels first; picture in and out channels last."""
    functional = torch.nn.functional
    activations = {"linear": lambda x: x, "relu": functional.relu, "leaky": lambda x: functional.leaky_relu(x, 0.1)}

    def convolution(x, name):
        return functional.conv2d(x, weights[f"{name}/kernel"], weights[f"{name}/bias"], padding="same")

    def apply(x, step):
        kind, act = step["kind"], activations[step.get("activation", "linear")]
        if kind == "channels_first":
            return x.permute(0, 3, 1, 2).contiguous()
        if kind == "dense":
            return act(functional.linear(x, weights[f"{step['name']}/kernel"], weights[f"{step['name']}/bias"]))
        if kind == "reshape":  # Keras's order of pixels, then channels first
            height, width, channels = step["shape"]
            return x.reshape(-1, height, width, channels).permute(0, 3, 1, 2).contiguous()
        if kind == "convolution":
            return act(convolution(x, step["name"]))
        if kind == "sub_pixel":
            return functional.pixel_shuffle(act(convolution(x, step["name"])), 2)
        if kind == "residual":
            leaky = activations["leaky"]
            return x + convolution(leaky(convolution(leaky(x), step["first"])), step["second"])
        if kind == "crop":
            return x[:, :, : step["height"], : step["width"]]
        if kind == "activation":
            return act(x)
        if kind == "sigmoid":
            return torch.sigmoid(x)
        return torch.clip(0.5 + x, 0.0, 1.0)  # "shifted": a Gaussian's location

    def forward(x):
        for step in steps:
            x = apply(x, step)
        return x.permute(0, 2, 3, 1)

    return forward


def main(side, folder, threads, calls):
    folder = Path(folder)
    z = np.load(folder / "input.npy")
    call = globals()[side](folder, int(threads))
    for _ in range(10):  # caches, thread pools, compilation
        answer = call(z)
    times = []
    for _ in range(int(calls)):
        start = time.perf_counter()
        call(z)
        times.append(time.perf_counter() - start)
    np.save(folder / f"{side}.npy", answer)
    print(json.dumps({"ms": 1000 * statistics.median(times)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
