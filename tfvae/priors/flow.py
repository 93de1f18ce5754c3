"""A normalising flow of affine couplings."""

import math

import keras
import numpy as np
from keras import ops

from tfvae.distributions import float32
from tfvae.layers.seeded import Dropout
from tfvae.objectives import sum_per_example
from tfvae.priors.base import Prior
from tfvae.priors.gaussian_mixture import known_shape

MOST = 2.0  # of a log-scale, either way: one coupling stretches by at most e^2


@keras.saving.register_keras_serializable(package="tfvae")
class NormalizingFlow(Prior):
    """`log p(z) = log N(f(z); 0, I) + log |det df/dz|`, f a chain of affine couplings; before it learns, the identity.

    A coupling leaves half of the units, chosen anew for each, as they are and scales and shifts the others by what a
    network of two hidden layers says of them, `y = (x - shift) * exp(-log_scale)`; its log-determinant is the sum of
    the `-log_scale`. A learnt affine map of every unit comes first.

    Args:
        couplings: How many.
        hidden: Units of the networks' hidden layers.
        dropout: Fraction of the last hidden layer dropped while it learns.
        seed: Of the halves and of the dropout.

    Raises:
        ValueError: If a size is not positive, or the latent's shape is open or of one unit.

    Reference:
        Dinh, Sohl-Dickstein and Bengio (2017), Density estimation using Real NVP, https://arxiv.org/abs/1605.08803
    """

    def __init__(self, couplings=8, hidden=256, dropout=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        for name, value in (("couplings", couplings), ("hidden", hidden)):
            if value < 1:
                raise ValueError(f"`{name}` must be positive. Received: {name}={value}")
        self.couplings, self.hidden, self.dropout, self.seed = couplings, hidden, dropout, seed
        self.chain = [
            AffineCoupling(hidden, dropout, (0 if seed is None else seed) + place) for place in range(couplings)
        ]

    def build(self, input_shape):
        self.units = math.prod(known_shape(input_shape, "NormalizingFlow"))
        if self.units < 2:
            raise ValueError("NormalizingFlow couples units, and a code has one. Accepted: 2 units or more")
        self.shift = self.add_weight(name="shift", shape=(self.units,), initializer="zeros")
        self.log_scale = self.add_weight(name="log_scale", shape=(self.units,), initializer="zeros")
        for coupling in self.chain:
            coupling.build((None, self.units))
        self.built = True

    def normalised(self, z, training=False):
        """`f(z)`, `(batch, units)`, and `log |det df/dz|`, `(batch,)`."""
        x = ops.reshape(float32(z), (-1, self.units))
        x = (x - float32(self.shift)) * ops.exp(-float32(self.log_scale))
        log_determinant = -ops.sum(float32(self.log_scale))
        for coupling in self.chain:
            x, log_scale = coupling(x, training=training)
            log_determinant = log_determinant - ops.sum(log_scale, axis=-1)
        return x, log_determinant

    def log_prob(self, z, training=False):
        x, log_determinant = self.normalised(z, training)
        return log_determinant - 0.5 * sum_per_example(ops.square(x) + math.log(2 * math.pi))

    def sample(self, noise, temperature=1.0):
        """The inverse of f at `temperature * noise`."""
        shape = ops.shape(noise)
        x = temperature * ops.reshape(float32(noise), (-1, self.units))
        for coupling in reversed(self.chain):
            x = coupling.inverse(x)
        x = x * ops.exp(float32(self.log_scale)) + float32(self.shift)
        return ops.reshape(x, shape)

    def start_at(self, mean, log_var):
        """The first affine map takes the codes' means and standard deviations away."""
        flat, spread = (np.reshape(value, (len(mean), -1)) for value in (mean, np.exp(log_var)))
        self.shift.assign(flat.mean(axis=0))
        self.log_scale.assign(0.5 * np.log(flat.var(axis=0) + spread.mean(axis=0)))

    def get_config(self):
        return {
            **super().get_config(),
            "couplings": self.couplings,
            "hidden": self.hidden,
            "dropout": self.dropout,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="tfvae")
class AffineCoupling(keras.layers.Layer):
    """`y = x` for half of the units, `(x - shift) * exp(-log_scale)` for the others; and `log_scale`, 0 for that half.

    Args:
        hidden, dropout: As of `NormalizingFlow`.
        seed: Of the half.

    Call arguments:
        x: `(batch, units)`, float32.
    """

    def __init__(self, hidden, dropout=0.0, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.hidden, self.dropout, self.seed = hidden, dropout, seed
        self.first, self.second = (keras.layers.Dense(hidden, activation="relu", dtype="float32") for _ in range(2))
        self.drop = Dropout(dropout, seed=seed, dtype="float32")

    def build(self, input_shape):
        units = input_shape[-1]
        self.kept = np.zeros(units, np.float32)
        self.kept[np.random.default_rng(self.seed).permutation(units)[: units // 2]] = 1.0
        # Zero, so that a flow begins as the identity.
        self.last = keras.layers.Dense(2 * units, kernel_initializer="zeros", dtype="float32")
        self.first.build(input_shape)
        for layer in (self.second, self.drop, self.last):
            layer.build((None, self.hidden))
        self.built = True

    def _affine(self, x, training=False):
        h = self.drop(self.second(self.first(x * self.kept)), training=training)
        log_scale, shift = ops.split(self.last(h), 2, axis=-1)
        moved = 1.0 - self.kept
        return MOST * ops.tanh(log_scale / MOST) * moved, shift * moved

    def call(self, x, training=False):
        log_scale, shift = self._affine(x, training)
        return (x - shift) * ops.exp(-1.0 * log_scale), log_scale

    def inverse(self, y):
        """x of y."""
        log_scale, shift = self._affine(y)
        return y * ops.exp(log_scale) + shift

    def get_config(self):
        return {**super().get_config(), "hidden": self.hidden, "dropout": self.dropout, "seed": self.seed}
