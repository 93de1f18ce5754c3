"""The parts of a ladder of latents: blocks at one level, the ways from level to level, and a group of latents.

A level is `(height, width, filters)`. A vector is a map of one place, so that one set of layers serves dense and
convolutional ladders.
"""

import math
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import ops

from tfvae.distributions import float32
from tfvae.layers.padding import pad_to_multiple


class Latents(NamedTuple):
    """A group's latents for some pictures, `(batch, height, width, latent_dim)` each, float32.

    Attributes:
        mean, log_var: Of `q(z_l|x, z_<l)`.
        prior_mean, prior_log_var: Of `p(z_l|z_<l)`.
        z: A draw from the former, or its mean.
    """

    mean: Any
    log_var: Any
    prior_mean: Any
    prior_log_var: Any
    z: Any


@keras.saving.register_keras_serializable(package="tfvae")
class Pointwise(keras.layers.Dense):
    """A 1×1 convolution as the product of matrices that it is: `(b, h, w, c) -> (b, h, w, units)`, h and w known.

    Where a map is a single place, TensorFlow's convolution takes a processor 130 ms for what this takes 7 ms (128 rows
    of 784 to 512, forward and back).
    """

    def call(self, inputs):
        shape = (-1, *inputs.shape[1:-1], self.units)
        return ops.reshape(super().call(ops.reshape(inputs, (-1, inputs.shape[-1]))), shape)


@keras.saving.register_keras_serializable(package="tfvae")
class Bottleneck(keras.layers.Layer):
    """`(b, h, w, c) -> (b, h, w, filters)` through fewer channels: 1×1 to `inner`, `kernel`×`kernel`, 1×1 to `filters`.

    Each convolution takes the activation of what comes before it; the leak keeps a range that int8 can divide.

    Args:
        filters: Channels of the output.
        inner: Channels in between.
        kernel: Side of the convolution in between.
        scale: Variance of the last kernel at the start, in units of what keeps the variance of the input; 0: zeros.
        head: Whether the output is of a distribution, so float32 under every policy.
    """

    def __init__(self, filters, inner, kernel=3, scale=1.0, head=False, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.inner, self.kernel, self.scale, self.head = filters, inner, kernel, scale, head
        last = keras.initializers.VarianceScaling(scale) if scale else "zeros"
        self.narrow = Pointwise(inner, dtype=self.dtype_policy)
        self.across = convolution(inner, kernel, dtype=self.dtype_policy)
        self.widen = Pointwise(filters, kernel_initializer=last, dtype="float32" if head else self.dtype_policy)

    def build(self, input_shape):
        self.narrow.build(input_shape)
        for layer in (self.across, self.widen):
            layer.build((*input_shape[:-1], self.inner))
        self.built = True

    def call(self, inputs):
        return self.widen(_activation(self.across(_activation(self.narrow(_activation(inputs))))))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "inner": self.inner,
            "kernel": self.kernel,
            "scale": self.scale,
            "head": self.head,
        }


@keras.saving.register_keras_serializable(package="tfvae")
class ResidualBottlenecks(keras.layers.Layer):
    """`count` times `x + Bottleneck(x)`, the shape unchanged.

    Args:
        count: Of blocks.
        kernel, scale: As in `Bottleneck`.
    """

    def __init__(self, count, kernel=3, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        self.count, self.kernel, self.scale = count, kernel, scale

    def build(self, input_shape):
        # As many channels as the input has: they are known here only.
        filters = input_shape[-1]
        self.blocks = [
            Bottleneck(filters, inner(filters), self.kernel, self.scale, dtype=self.dtype_policy)
            for _ in range(self.count)
        ]
        for block in self.blocks:
            block.build(input_shape)
        self.built = True

    def call(self, inputs):
        for block in self.blocks:
            inputs = inputs + block(inputs)
        return inputs

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "count": self.count, "kernel": self.kernel, "scale": self.scale}


class _Step(keras.layers.Layer):
    """A convolution from one level to another.

    Args:
        source, target: `(height, width, channels)` of what comes in and of what comes out.
        kernel: Side of the convolution, where neither is a vector.
        head: As in `Bottleneck`.
    """

    def __init__(self, source, target, kernel=1, head=False, **kwargs):
        super().__init__(**kwargs)
        self.source, self.target, self.kernel, self.head = tuple(source), tuple(target), kernel, head

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.target)

    def _convolution(self, filters, vector):
        policy = "float32" if self.head else self.dtype_policy
        return convolution(filters, 1 if vector else self.kernel, dtype=policy)

    def get_config(self):
        own = {"source": self.source, "target": self.target, "kernel": self.kernel, "head": self.head}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="tfvae")
class Rise(_Step):
    """To half the resolution, rounded up: 2×2 places side by side as channels, convolved; to a vector from all places.

    Arguments as `_Step`.
    """

    def __init__(self, source, target, kernel=1, head=False, **kwargs):
        super().__init__(source, target, kernel, head, **kwargs)
        self.vector = is_vector(self.target)
        self.convolution = self._convolution(self.target[-1], self.vector)

    def build(self, input_shape):
        channels = math.prod(self.source) if self.vector else 4 * self.source[-1]
        self.convolution.build((None, *self.target[:2], channels))
        self.built = True

    def call(self, inputs):
        if self.vector:
            return self.convolution(ops.reshape(inputs, (-1, 1, 1, math.prod(self.source))))
        return self.convolution(tf.nn.space_to_depth(pad_to_multiple(inputs, 2), 2))


@keras.saving.register_keras_serializable(package="tfvae")
class Fall(_Step):
    """To twice the resolution, less a row or column where a side is odd: sub-pixels; from a vector to all places.

    Arguments as `_Step`.
    """

    def __init__(self, source, target, kernel=1, head=False, **kwargs):
        super().__init__(source, target, kernel, head, **kwargs)
        self.vector = is_vector(self.source)
        channels = math.prod(self.target) if self.vector else 4 * self.target[-1]
        self.convolution = self._convolution(channels, self.vector)

    def build(self, input_shape):
        self.convolution.build((None, *self.source))
        self.built = True

    def call(self, inputs):
        x = self.convolution(inputs)
        if self.vector:
            return ops.reshape(x, (-1, *self.target))
        return tf.nn.depth_to_space(x, 2)[:, : self.target[0], : self.target[1]]


@keras.saving.register_keras_serializable(package="tfvae")
class LatentGroup(keras.layers.Layer):
    """One group of latents on the way down: `p(z_l|z_<l)`, `q(z_l|x, z_<l)`, and what `z_l` adds to the state.

    | symbol | meaning | name in the code |
    | --- | --- | --- |
    | h | state: all that the groups above have said | `state` |
    | N(mu, sigma**2) | p(z_l\\|z_<l), computed from h | `mean`, `log_std` |
    | u_l = (z_l - mu) / sigma | code: standard normal under p, whatever the groups above are | `code` |
    | N(m, s**2) | q(u_l\\|x, z_<l), computed from h and the features of x | `posterior` |

    `h' = h + r(h) + W z_l`, then residual blocks. A divergence does not depend on the units that it is measured in:
    `KL(q(z_l) || p(z_l)) = KL(N(m, s**2) || N(0, 1))`.

    Args:
        latent_dim: Channels of z_l.
        blocks: Residual blocks after it.
        kernel, scale: As in `Bottleneck`.

    Reference:
        Child (2021), figure 3, https://arxiv.org/abs/2011.10650; Vahdat and Kautz (2020), section 3.2,
        https://arxiv.org/abs/2007.03898, for a posterior in units of the prior
    """

    def __init__(self, latent_dim, blocks=1, kernel=3, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        self.latent_dim, self.blocks, self.kernel, self.scale = latent_dim, blocks, kernel, scale

    def build(self, input_shape):
        filters, shared = input_shape[-1], {"kernel": self.kernel, "dtype": self.dtype_policy}
        # Zeros: the prior starts as the standard normal, and a group that says nothing costs nothing.
        self.prior = Bottleneck(2 * self.latent_dim + filters, inner(filters), scale=0.0, head=True, **shared)
        self.posterior_head = Bottleneck(2 * self.latent_dim, inner(filters), scale=0.1, head=True, **shared)
        start = keras.initializers.VarianceScaling(self.scale)
        self.merge = Pointwise(filters, kernel_initializer=start, dtype=self.dtype_policy)
        self.after = ResidualBottlenecks(self.blocks, self.kernel, self.scale, dtype=self.dtype_policy)
        self.prior.build(input_shape)
        self.posterior_head.build((*input_shape[:-1], 2 * filters))
        self.merge.build((*input_shape[:-1], self.latent_dim))
        self.after.build(input_shape)
        self.built = True

    def call(self, state, code):
        """The next state, and `(z, mean, log_std)` of this group under its prior."""
        head = self.prior(state)
        # Not slices: their gradient writes zeros over the whole head for each (a sixth of a step on a processor).
        mean, log_std, residual = ops.split(head, (self.latent_dim, 2 * self.latent_dim), axis=-1)
        z = mean + ops.exp(log_std) * float32(code)
        state = state + ops.cast(residual, state.dtype) + self.merge(z)
        return self.after(state), (z, mean, log_std)

    def posterior(self, state, features):
        """Mean and log-variance of the code, given the state and the features of the picture at this level, float32."""
        # Free to be wider than the prior: precisions that only add up, as in the Ladder VAE, learn far more slowly
        # (MNIST after 500 steps of one seed: 125 nats, where this has 102).
        head = float32(self.posterior_head(ops.concatenate([state, features], axis=-1)))
        return ops.split(head, 2, axis=-1)

    def compute_output_shape(self, state_shape, code_shape=None):
        return state_shape, (code_shape,) * 3

    def get_config(self):
        return {
            **super().get_config(),
            "latent_dim": self.latent_dim,
            "blocks": self.blocks,
            "kernel": self.kernel,
            "scale": self.scale,
        }


def convolution(filters, kernel, **options):
    """A convolution of a known size with as many places as before."""
    if kernel == 1:
        return Pointwise(filters, **options)
    return keras.layers.Conv2D(filters, kernel, padding="same", **options)


def is_vector(level):
    """Whether a level has one place only."""
    return level[0] == level[1] == 1


def kernel_of(level):
    """Side of its convolutions: where all places border on each other, one place at a time is enough."""
    return 3 if min(level[:2]) > 2 else 1


def inner(filters):
    """Channels within a block of `filters`."""
    return max(1, filters // 2)


def _activation(x):
    return ops.leaky_relu(x, negative_slope=0.1)
