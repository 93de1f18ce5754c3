"""A layer made of layers that run one after the other."""

import keras
from keras import ops


def build_chain(chain, shape):
    """Builds the layers of `chain` one on the other, unless they are built; returns the last output shape."""
    for layer in chain:
        if not layer.built:
            layer.build(shape)
        shape = layer.compute_output_shape(shape)
    return tuple(shape)


def fixed(layer, inputs):
    """`layer(inputs)` as a function of its inputs alone: no gradient reaches the weights of the layer."""
    weights = [ops.stop_gradient(weight) for weight in layer.trainable_variables]
    return layer.stateless_call(weights, layer.non_trainable_variables, inputs)[0]


class Chain(keras.layers.Layer):
    """Base of layers whose output is their sub-layers applied in order.

    A subclass sets `self.chain`, a list of layers, in its constructor, each with `dtype=self.dtype_policy`.
    """

    chain: list[keras.layers.Layer]

    def build(self, input_shape):
        build_chain(self.chain, tuple(input_shape))
        self.built = True

    def call(self, inputs):
        for layer in self.chain:
            inputs = layer(inputs)  # Keras hands `training` down by itself.
        return inputs

    def compute_output_shape(self, input_shape):
        shape = tuple(input_shape)
        for layer in self.chain:
            shape = tuple(layer.compute_output_shape(shape))
        return shape
