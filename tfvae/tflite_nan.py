"""`.tflite` files that answer NaN to NaN, which integers and some kernels for floats turn into a plausible picture."""

from typing import Any

import numpy as np

PREFIX = b"nan_kept_"  # of the names of the tensors that are added


def nan_kept(content: bytes) -> bytes:
    """The file with `output + sum(0 * input)` for each output: unchanged, but NaN for examples that hold NaN or ±inf.

    The sum is taken in float32, outside of what is quantised. Four small ops for each input and output.
    """
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    for index in {signature.subgraphIndex for signature in model.signatureDefs}:
        _Graph(model, model.subgraphs[index]).guard()
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


class _Graph:
    """A graph of a file that ops are appended to."""

    def __init__(self, model: Any, graph: Any):
        from ai_edge_litert import schema_py_generated as schema

        self.model, self.graph, self.schema = model, graph, schema

    def guard(self) -> None:
        """Adds to every float output what is NaN for the examples for which an input is."""
        guards = [self._zero_times(tensor) for tensor in self._floats(self.graph.inputs)]
        if not guards:
            return
        for output in self._floats(self.graph.outputs):
            bare = self._like(output)
            self.graph.tensors[bare].name = self.graph.tensors[output].name + b"_bare"
            # The values of an output that is a constant stay with it.
            self.graph.tensors[bare].buffer, self.graph.tensors[output].buffer = self.graph.tensors[output].buffer, 0
            for operator in self.graph.operators:
                operator.inputs = [bare if tensor == output else tensor for tensor in operator.inputs]
                operator.outputs = [bare if tensor == output else tensor for tensor in operator.outputs]
            rank = len(self.graph.tensors[output].shape)
            shape = self._constant(np.array([-1] + [1] * (rank - 1), np.int32))
            for guard in guards:
                broadcast = self._op("RESHAPE", [guard, shape], self._scalars(output, rank))
                last = guard == guards[-1]
                bare = self._op("ADD", [bare, broadcast], output if last else self._like(output))

    def _zero_times(self, tensor: int) -> int:
        """One number an example: 0, or NaN where the tensor holds NaN or ±inf."""
        product = self._op("MUL", [tensor, self._constant(np.float32(0))], self._like(tensor))
        axes = self._constant(np.arange(1, len(self.graph.tensors[tensor].shape), dtype=np.int32))
        return self._op("SUM", [product, axes], self._scalars(tensor, 1))

    def _floats(self, tensors: Any) -> list[int]:
        return [int(i) for i in tensors if self.graph.tensors[i].type == self.schema.TensorType.FLOAT32]

    def _like(self, tensor: int) -> int:
        """A new tensor of the same shape."""
        return self._tensor(self.graph.tensors[tensor].shape, self.graph.tensors[tensor].shapeSignature)

    def _scalars(self, tensor: int, rank: int) -> int:
        """A new tensor of one number for each example of another."""
        like = self.graph.tensors[tensor]
        open_batch = like.shapeSignature is not None and like.shapeSignature[0] < 0
        ones = [1] * (rank - 1)
        return self._tensor([like.shape[0], *ones], [-1, *ones] if open_batch else None)

    def _tensor(self, shape: Any, signature: Any = None, buffer: int = 0) -> int:
        tensor = self.schema.TensorT()
        tensor.shape, tensor.shapeSignature, tensor.buffer = shape, signature, buffer
        tensor.type, tensor.name = self.schema.TensorType.FLOAT32, PREFIX + b"%d" % len(self.graph.tensors)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def _constant(self, value: Any) -> int:
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(value.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        place = self._tensor(list(value.shape), None, len(self.model.buffers) - 1)
        if value.dtype == np.int32:
            self.graph.tensors[place].type = self.schema.TensorType.INT32
        return place

    def _op(self, name: str, inputs: list[int], output: int) -> int:
        options = {"ADD": "AddOptions", "MUL": "MulOptions", "SUM": "ReducerOptions", "RESHAPE": "ReshapeOptions"}[name]
        operator = self.schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = self._code(name), inputs, [output]
        operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
        operator.builtinOptions = getattr(self.schema, f"{options}T")()
        self.graph.operators.append(operator)
        return output

    def _code(self, name: str) -> int:
        """The number of an op in the file's table, which gets it where it lacks the float version."""
        builtin = getattr(self.schema.BuiltinOperator, name)
        for place, code in enumerate(self.model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == builtin:
                return place
        code = self.schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        code.version = 1
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1
