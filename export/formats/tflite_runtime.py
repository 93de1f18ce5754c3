"""A `.tflite` file as the real runtime, `ai-edge-litert`, sees it."""

import collections
import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from tfvae.quiet import native_messages_held
from tfvae.tflite_nan import PREFIX

RUNS = 50  # calls that a latency is the median of


def median_ms(call: Callable[[], object], runs: int = RUNS) -> float:
    """Median time of `call()` in milliseconds, over `runs` calls after three that warm caches up."""
    times = []
    for _ in range(runs + 3):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000.0 * statistics.median(times[3:])


class TFLiteFile:
    """The content of a `.tflite` file, loaded.

    Args:
        content: The bytes of the file.
        threads: Threads the runtime may use.
    """

    def __init__(self, content: bytes, threads: int = 1):
        self.content = content
        with native_messages_held():  # "Created TensorFlow Lite XNNPACK delegate for CPU."
            self.interpreter = Interpreter(model_content=content, num_threads=threads)
            self.interpreter.allocate_tensors()
            (self.signature,) = self.interpreter.get_signature_list()
            self.runner = self.interpreter.get_signature_runner(self.signature)
        self.open_batch = all(entry["shape_signature"][0] == -1 for entry in self.runner.get_input_details().values())

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name for inputs `(n, …)` by name.

        A file with an open batch is given one example and then all others at once, so that both are tried; any other
        takes one at a time.
        """
        count = len(next(iter(inputs.values())))
        starts = [0, 1] if self.open_batch and count > 1 else range(count)
        parts = [slice(start, end) for start, end in itertools.pairwise([*starts, count])]
        rows = [self.runner(**{name: value[part] for name, value in inputs.items()}) for part in parts]
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    def latency_ms(self, inputs: dict[str, np.ndarray], runs: int = RUNS) -> float:
        """Median time of one call on the first example, in milliseconds."""
        one = {name: value[:1] for name, value in inputs.items()}
        return median_ms(lambda: self.runner(**one), runs)

    def tensors(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Shape, dtype and quantisation (scale and zero point, or `None`) of each input and output by name."""
        sides = {"inputs": self.runner.get_input_details(), "outputs": self.runner.get_output_details()}
        return {side: {name: _tensor(entry) for name, entry in details.items()} for side, details in sides.items()}

    def ops(self) -> dict[str, int]:
        """How often each op occurs, by name; ops that are no builtins are named `custom:…`.

        Read from the file itself: the interpreter would list the delegate's ops instead.
        """
        model = schema.Model.GetRootAs(self.content)
        codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
        counts: collections.Counter[str] = collections.Counter()
        for graph in _graphs(model):
            counts.update(_op_name(codes[op.OpcodeIndex()]) for op in _operators(graph))
        return dict(sorted(counts.items()))

    def float_ops(self) -> list[str]:
        """Ops that read or write float tensors, other than the quantisation of inputs and outputs, and what keeps NaN.

        Empty for a full-integer file.
        """
        model = schema.Model.GetRootAs(self.content)
        found = set()
        for graph in _graphs(model):
            for op in _operators(graph):
                name = _op_name(model.OperatorCodes(op.OpcodeIndex()))
                indices = [op.Inputs(i) for i in range(op.InputsLength())]
                indices += [op.Outputs(i) for i in range(op.OutputsLength())]
                if any(graph.Tensors(i).Name().startswith(PREFIX) for i in indices if i >= 0):
                    continue
                kinds = {graph.Tensors(i).Type() for i in indices if i >= 0}
                if kinds & {schema.TensorType.FLOAT32, schema.TensorType.FLOAT16}:
                    found.add(name)
        return sorted(found - {"QUANTIZE", "DEQUANTIZE"})


_NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}


def _op_name(code) -> str:
    # Files written before the enumeration outgrew one byte keep the number in the deprecated field.
    builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    if builtin == schema.BuiltinOperator.CUSTOM:
        return f"custom:{code.CustomCode().decode()}"
    return _NAMES[builtin]


def _graphs(model):
    return [model.Subgraphs(i) for i in range(model.SubgraphsLength())]


def _operators(graph):
    return [graph.Operators(i) for i in range(graph.OperatorsLength())]


def _tensor(entry) -> dict[str, Any]:
    scale, zero_point = entry["quantization"]
    return {
        # Of the file, not of the last call, which may have resized an open batch: that is None.
        "shape": [None if side < 0 else int(side) for side in entry["shape_signature"]],
        "dtype": np.dtype(entry["dtype"]).name,
        "quantization": {"scale": float(scale), "zero_point": int(zero_point)} if scale else None,
    }
