"""A Gaussian vector given another vector."""

import keras

from tfvae.distributions import float32
from tfvae.layers.composite import Chain


@keras.saving.register_keras_serializable(package="tfvae")
class ConditionalGaussian(Chain):
    """`N(mean(h), diag(exp(log_var(h))))`: tanh layers of h, and one for both parameters; float32 under every policy.

    Args:
        units: Of the vector.
        widths: Units of each hidden layer.

    Call arguments:
        h: What is given, `(batch, n)`.

    Returns:
        `(mean, log_var)`, each `(batch, units)`, float32.
    """

    def __init__(self, units, widths, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.units, self.widths = units, tuple(widths)
        hidden = [keras.layers.Dense(width, activation="tanh", dtype="float32") for width in self.widths]
        self.chain = [*hidden, keras.layers.Dense(2 * units, dtype="float32")]

    def call(self, h):
        head = super().call(float32(h))
        return head[..., : self.units], head[..., self.units :]

    def compute_output_shape(self, input_shape):
        return ((*input_shape[:-1], self.units),) * 2

    def get_config(self):
        return {**super().get_config(), "units": self.units, "widths": self.widths}
