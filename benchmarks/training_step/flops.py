"""How many floating-point operations a training step needs, counted from the shapes in the traced network."""

import math

import keras
import tensorflow as tf

BACKWARD = 2  # The gradients by inputs and by weights each cost as much as the forward pass.


def forward_macs(model: keras.Model, image_shape: tuple[int, int, int]) -> int:
    """Multiply-adds of convolutions and matrix products in `model(image)`, for one image.

    Elementwise operations are left out: they are a few per value, where a convolution makes hundreds.
    """
    image = tf.TensorSpec((1, *image_shape), tf.float32)
    graph = tf.function(lambda x: model(x), autograph=False).get_concrete_function(image).graph
    return sum(_macs(operation) for operation in graph.get_operations())


def training_gflop(model: keras.Model, image_shape: tuple[int, int, int]) -> float:
    """GFLOP of a training step for one image: 2 FLOP a multiply-add, and the backward pass twice the forward one."""
    return 2 * (1 + BACKWARD) * forward_macs(model, image_shape) / 1e9


def _macs(operation: tf.Operation) -> int:
    shapes = [tensor.shape for tensor in operation.inputs]
    if operation.type == "Conv2D":  # Each output value is a sum over a kernel's extent and its input channels.
        return math.prod(operation.outputs[0].shape) * math.prod(shapes[1][:3])
    if operation.type == "Conv2DBackpropInput":  # A transposed convolution: each input value meets the whole kernel.
        return math.prod(shapes[2]) * math.prod(shapes[1][:3])
    if operation.type == "MatMul":
        inner = shapes[0][0] if operation.get_attr("transpose_a") else shapes[0][1]
        return math.prod(operation.outputs[0].shape) * inner
    return 0
