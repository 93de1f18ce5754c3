"""Bias correction of an int8 file: what rounding moved a layer's mean by is put back into the layer's bias.

Rounded weights shift the mean of each output channel, and the shifts add up from layer to layer. On calibration inputs
the mean of each channel of each convolution and dense layer is compared with that of the float32 file, first layer
first, and the difference goes into the 32-bit bias: the file keeps its size and its ops.

Reference:
    Nagel et al. (2019), Data-free quantization through weight equalization and bias correction, section 4.2 (empirical
    correction), https://arxiv.org/abs/1906.04721. Means are taken behind the fused activation: the runtime has those.
"""

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tfvae.quiet import native_messages_held

BIASED = (
    schema.BuiltinOperator.CONV_2D,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D,
    schema.BuiltinOperator.FULLY_CONNECTED,
)
IMAGES = 32  # calibration inputs that means are taken over


def bias_corrected(float32: bytes, int8: bytes, calibration: Sequence[dict[str, np.ndarray]]) -> bytes | None:
    """The int8 file with corrected biases.

    Args:
        float32: The same graph in float32.
        int8: The quantised file, which stays as it is.
        calibration: Inputs by name, each with its batch dimension.

    Returns:
        The content of the corrected file; None where the two graphs' layers cannot be matched.
    """
    content = bytearray(int8)
    there, here = _layers(float32), _layers(content)
    if len(there) != len(here) or not here:
        return None
    inputs = calibration[:IMAGES]
    expected = _channel_means(float32, [output for output, _ in there], inputs)
    for place, (output, bias) in enumerate(here):
        (found,) = _channel_means(bytes(content), [output], inputs)
        if bias is None or found.shape != expected[place].shape:
            return None
        values, scales = _bias(content, bias)
        if len(values) != len(found):
            return None
        values += np.rint((expected[place] - found) / scales).astype(np.int32)  # a view: the file changes
    return bytes(content)


def _layers(content: bytes | bytearray) -> list[tuple[int, int | None]]:
    """Output and bias (tensor numbers) of each layer that can have a bias, in the order of execution."""
    model = schema.Model.GetRootAs(content)
    graph = model.Subgraphs(0)
    found = []
    for place in range(graph.OperatorsLength()):
        op = graph.Operators(place)
        code = model.OperatorCodes(op.OpcodeIndex())
        if max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) in BIASED:
            has_bias = op.InputsLength() > 2 and op.Inputs(2) >= 0
            found.append((op.Outputs(0), op.Inputs(2) if has_bias else None))
    return found


def _bias(content: bytearray, tensor: int) -> tuple[np.ndarray, np.ndarray]:
    """A writable view of a bias within the file, int32, and the worth of one of its steps, one for each channel."""
    model = schema.Model.GetRootAs(content)
    entry = model.Subgraphs(0).Tensors(tensor)
    values = model.Buffers(entry.Buffer()).DataAsNumpy().view(np.int32)
    return values, np.broadcast_to(entry.Quantization().ScaleAsNumpy(), values.shape)


def _channel_means(content: bytes, tensors: list[int], inputs: Sequence[dict[str, np.ndarray]]) -> list[np.ndarray]:
    """Mean of each channel (the last axis) of some tensors over all inputs, in real units."""
    with native_messages_held():
        interpreter = Interpreter(
            model_content=content,
            experimental_preserve_all_tensors=True,  # and no delegate, which would keep them to itself
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
    (signature,) = interpreter.get_signature_list()
    runner = interpreter.get_signature_runner(signature)
    details = {entry["index"]: entry for entry in interpreter.get_tensor_details()}
    sums: list[np.ndarray | float] = [0.0] * len(tensors)
    for one in inputs:
        runner(**one)
        for place, tensor in enumerate(tensors):
            values = interpreter.get_tensor(tensor)
            scale, zero = details[tensor]["quantization"]
            real = (values.astype(np.float64) - zero) * scale if scale else values.astype(np.float64)
            sums[place] = sums[place] + real.mean(axis=tuple(range(real.ndim - 1)))
    return [np.asarray(total) / len(inputs) for total in sums]
