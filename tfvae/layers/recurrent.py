"""A recurrent cell whose state is a map."""

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable(package="tfvae")
class ConvGRU(keras.layers.Layer):
    """A gated recurrent unit with 3×3 convolutions: what is seen at a place changes the state around it.

    `r, u = sigmoid(conv([x, h]))`, `h' = u * h + (1 - u) * tanh(conv([x, r * h]))`: the update gate u keeps.

    Args:
        filters: Channels of the state.

    Call arguments:
        state: `(b, h, w, filters)`.
        inputs: `(b, h, w, c)`.

    Returns:
        The next state, of the shape of `state`.

    Reference:
        Ballas et al. (2016), https://arxiv.org/abs/1511.06432
    """

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        common = {"kernel_size": 3, "padding": "same", "dtype": self.dtype_policy}
        self.gates = keras.layers.Conv2D(2 * filters, activation="sigmoid", **common)
        self.candidate = keras.layers.Conv2D(filters, activation="tanh", **common)

    def build(self, state_shape, inputs_shape):
        for layer in (self.gates, self.candidate):
            layer.build((*inputs_shape[:3], self.filters + inputs_shape[-1]))
        self.built = True

    def call(self, state, inputs):
        reset, update = tf.split(self.gates(ops.concatenate([inputs, state], axis=-1)), 2, axis=-1)
        candidate = self.candidate(ops.concatenate([inputs, reset * state], axis=-1))
        return update * state + (1 - update) * candidate

    def compute_output_shape(self, state_shape, inputs_shape):
        return state_shape

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}
