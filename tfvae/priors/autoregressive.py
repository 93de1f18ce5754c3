"""Autoregressive priors of maps: of indices into a codebook, and of vectors of real numbers."""

import math

import keras
import numpy as np
from keras import ops

from tfvae.distributions import clip_with_gradient, float32, mixture_log_prob
from tfvae.objectives import sum_per_example
from tfvae.priors.choice import choose
from tfvae.priors.raster_transformer import RasterTransformer, positive

LOG_STDS = -7.0, 3.0  # of the components of a place, in the latent's own standard deviations


@keras.saving.register_keras_serializable(package="tfvae")
class CausalTransformer(RasterTransformer):
    """A `RasterTransformer` of maps of indices: what is at a place has a probability for each index.

    Args:
        codes: How many values an index has.
        size, width, depth, heads, dropout, seed: As of `RasterTransformer`.

    Call arguments:
        indices: int32 `(batch, rows, columns)`, in [0, codes).

    Returns:
        Logits of each place given those before it, `(batch, rows, columns, codes)`, float32.

    Raises:
        ValueError: As `RasterTransformer`; or if `codes` is not positive.
    """

    of_maps = "`indices`"
    drawn_dtype = "int32"

    def __init__(self, codes, size, width=128, depth=4, heads=4, dropout=0.0, seed=None, **kwargs):
        super().__init__(size, width, depth, heads, dropout, seed, **kwargs)
        positive("codes", codes)
        self.codes = codes
        self.embedding = keras.layers.Embedding(codes + 1, width, dtype=self.dtype_policy)  # the last: the start sign
        self.head = keras.layers.Dense(codes, dtype="float32")

    def build_ends(self, input_shape):
        self.embedding.build((None, None))
        self.head.build((None, None, self.width))

    def embedded(self, raster):
        return self.embedding(raster)

    def start_sign(self, batch):
        return self.embedding(ops.full((batch, 1), self.codes, dtype="int32"))

    def parameters(self, features):
        """Logits, `(batch, places, codes)`."""
        return float32(self.head(features))

    def draw(self, parameters, noise, temperature):
        return inverse_transform(parameters, noise, temperature)

    def call(self, indices, training=False):
        shape = ops.shape(indices)
        logits = self.raster_parameters(ops.reshape(indices, (shape[0], -1)), shape[1:], training)
        return ops.reshape(logits, (*shape, self.codes))

    def log_prob(self, indices, training=False):
        """`log p(k)` of each map, `(batch,)`, nats, float32."""
        logits = self(indices, training=training)
        return -sum_per_example(ops.sparse_categorical_crossentropy(indices, logits, from_logits=True))

    def sample(self, uniform, temperature=1.0):
        """Maps of indices by inverse transform: at each place the first index whose cumulative probability exceeds u.

        Args:
            uniform: Numbers in [0, 1), one a place, `(batch, rows, columns)`.
            temperature: What the logits are divided by: below 1 likelier indices, 0 the likeliest at each place.

        Returns:
            int32 of the shape of `uniform`.
        """
        shape = ops.shape(uniform)
        raster = ops.reshape(float32(uniform), (shape[0], -1))
        return ops.reshape(self.drawn(raster, shape[1:], temperature), shape)

    def compute_output_shape(self, input_shape):
        return *input_shape, self.codes

    def get_config(self):
        return {**super().get_config(), "codes": self.codes}


@keras.saving.register_keras_serializable(package="tfvae")
class AutoregressiveMixture(RasterTransformer):
    """A `RasterTransformer` of maps of vectors: what is at a place has a mixture of diagonal Gaussians as its density.

    Args:
        size: `(rows, columns)` of the largest map; empty: that of the codes it is built for.
        components: Of each mixture.
        width, depth, heads, dropout, seed: As of `RasterTransformer`.

    Raises:
        ValueError: As `RasterTransformer`; or if `components` is not positive, or no size is known.

    Reference:
        Tschannen, Eastwood and Mentzer (2024), GIVT: Generative infinite-vocabulary Transformers,
        https://arxiv.org/abs/2312.02116
    """

    def __init__(self, size=(), components=8, width=128, depth=4, heads=4, dropout=0.1, seed=None, **kwargs):
        super().__init__(size or (1, 1), width, depth, heads, dropout, seed, **kwargs)
        positive("components", components)
        self.size = tuple(size)
        self.components = components
        self.embedding = keras.layers.Dense(width, dtype=self.dtype_policy)

    def build(self, input_shape):
        if len(input_shape) != 4 or (not self.size and None in input_shape[1:3]):
            raise ValueError(
                "AutoregressiveMixture is a density of maps, whose largest has the `size` of places. "
                f"Received: latent shape {tuple(input_shape[1:])}, size={self.size}"
            )
        self.size = self.size or tuple(input_shape[1:3])
        super().build(input_shape)

    def build_ends(self, input_shape):
        channels = input_shape[-1]
        self.channels = channels
        self.embedding.build((None, None, channels))
        self.start = self.add_weight(name="start", shape=(1, 1, self.width), initializer="zeros")
        # Units of the latent have scales of their own, which `start_at` learns from the codes.
        self.shift = self.add_weight(name="shift", shape=(channels,), initializer="zeros", trainable=False)
        self.log_scale = self.add_weight(name="log_scale", shape=(channels,), initializer="zeros", trainable=False)
        self.head = keras.layers.Dense(self.components * (2 * channels + 1), dtype="float32")
        self.head.build((None, None, self.width))

    def embedded(self, raster):
        return self.embedding((float32(raster) - self.shift) * ops.exp(-1.0 * self.log_scale))

    def start_sign(self, batch):
        start = ops.cast(ops.convert_to_tensor(self.start), self.compute_dtype)
        return ops.broadcast_to(start, (batch, 1, self.width))

    def parameters(self, features):
        """Logits `(…, components)`, means and log-deviations `(…, components, channels)`, in the latent's units."""
        raw = float32(self.head(features))
        logits, raw = ops.split(raw, [self.components], axis=-1)
        raw = ops.reshape(raw, (*ops.shape(raw)[:-1], self.components, 2 * self.channels))
        means, log_stds = ops.split(raw, 2, axis=-1)
        # No component narrows to a point.
        log_stds = self.log_scale + clip_with_gradient(log_stds, *LOG_STDS)
        return logits, self.shift + means * ops.exp(self.log_scale), log_stds

    def draw(self, parameters, noise, temperature):
        logits, means, log_stds = parameters
        index, first = choose(noise[..., 0], logits, temperature)
        noise = ops.concatenate([first[..., None], noise[..., 1:]], axis=-1)
        chosen = ops.one_hot(index, self.components, dtype="float32")[..., None]
        mean, log_std = (ops.sum(chosen * value, axis=-2) for value in (means, log_stds))
        return mean + temperature * ops.exp(log_std) * noise

    def log_prob(self, z, training=False):
        """`log p(z)` of each map, `(batch,)`, nats, float32."""
        shape = ops.shape(z)
        raster = ops.reshape(float32(z), (shape[0], -1, self.channels))
        logits, means, log_stds = self.raster_parameters(raster, shape[1:3], training)
        squares = ops.square((raster[..., None, :] - means) * ops.exp(-1.0 * log_stds))
        log_probs = -0.5 * ops.sum(squares + 2.0 * log_stds + math.log(2 * math.pi), axis=-1)
        return sum_per_example(mixture_log_prob(log_probs, logits))

    def sample(self, noise, temperature=1.0):
        """A map place by place; at each the first channel of the noise chooses the component, too (`choose`)."""
        shape = ops.shape(noise)
        raster = ops.reshape(float32(noise), (shape[0], -1, self.channels))
        return ops.reshape(self.drawn(raster, shape[1:3], temperature), shape)

    def start_at(self, mean, log_var):
        """Takes the channels' means and standard deviations over all codes and places for their units."""
        axes = tuple(range(mean.ndim - 1))
        self.shift.assign(mean.mean(axis=axes))
        self.log_scale.assign(0.5 * np.log(mean.var(axis=axes) + np.exp(log_var).mean(axis=axes)))

    def get_config(self):
        return {**super().get_config(), "components": self.components}


def inverse_transform(logits, uniform, temperature=1.0):
    """Draws from categorical distributions: the first index whose cumulative probability exceeds u.

    Args:
        logits: `(batch, codes)`.
        uniform: Numbers in [0, 1), `(batch,)`.
        temperature: What the logits are divided by, not negative; 0 takes the largest.

    Returns:
        int32 `(batch,)`; never an index of probability zero.
    """
    logits = float32(logits)
    # The largest is zero first, so that a tiny temperature overflows nothing.
    logits = (logits - ops.max(logits, axis=-1, keepdims=True)) / ops.maximum(float32(temperature), 1e-6)
    cumulative = ops.cumsum(ops.softmax(logits, axis=-1), axis=-1)
    # Rounding leaves the last sum a little off 1.
    threshold = float32(uniform)[:, None] * cumulative[:, -1:]
    return ops.minimum(ops.sum(ops.cast(cumulative <= threshold, "int32"), axis=-1), logits.shape[-1] - 1)
