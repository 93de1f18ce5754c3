"""Gated dense units: a linear response, let through by a sigmoid of another."""

import keras


@keras.saving.register_keras_serializable(package="tfvae")
class GatedDense(keras.layers.Layer):
    """`(x V + b) * sigmoid(x W + c)`, `(…, n) -> (…, units)`: a gated linear unit.

    Args:
        units: Of the output.

    Reference:
        Dauphin et al. (2017), Language modeling with gated convolutional networks, https://arxiv.org/abs/1612.08083
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        # One product of twice the width keeps a processor busier than two.
        self.dense = keras.layers.Dense(2 * units, dtype=self.dtype_policy)

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.built = True

    def call(self, inputs):
        return keras.activations.glu(self.dense(inputs))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}
