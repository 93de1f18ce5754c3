"""What is known of latents before they are read: a mean and a scale for each, which few hyper-latents tell.

| symbol | meaning | name in the code |
| --- | --- | --- |
| y | latents, enlarged by the gains of a quality | `latents` |
| z | hyper-latents, a place for 4×4 of the latents' | `z` |
| p(z) | a mixture of logistics for each channel, the same at all places | `FactorisedPrior` |
| p(y\\|z) | normal, rounded, with means and scales of the hyper-decoder | `rounded_normal_log_prob` |
"""

import functools
import math

import keras
import numpy as np
from keras import ops

from tfvae import integer_tables
from tfvae.distributions import clip_with_gradient, float32, mixture_log_prob
from tfvae.integer_tables import SCALES
from tfvae.layers.composite import Chain
from tfvae.layers.padding import pad_to_multiple
from tfvae.likelihoods.noise_model import log_normal_cdf

FACTOR = 4  # places of the latents in one of the hyper-latents, in each direction
REACH = 64  # of the tables of the hyper-latents: what is beyond is escaped
COMPONENTS = 3
LEAST_LOG_SCALE = -3.0
SPREAD = 5.0  # of what convolutions emit: hyper-latents that all round to 0 would say nothing, and learn slowly
# log of the probability of an escape, and of what follows it, for each doubling of the number.
LOG_ESCAPE, DOUBLING = -16 * math.log(2), -1.5
# Nats that a squared step of rounding is worth. By the likelihood (whose variance is 1 / 12 of one) it is 6, if errors
# are independent; those towards the mean are not, they add up. Of 12, 18, 24 and 36 the best on photos_cc0.
TRADE = 18.0
WEIGHED = 32  # the largest symbol whose bits are looked at


def rounded_normal_log_prob(value, scale):
    """`log(Phi((v + 0.5) / s) - Phi((v - 0.5) / s))`, or what an escape costs where that is less.

    The mass of a normal distribution in the bin of width 1 around `value`: of a whole number, its probability; of a
    whole number with uniform noise, the density at it, which the training sees.

    Args:
        value: Distance from the mean, any shape.
        scale: Standard deviation, broadcasts with `value`.

    Returns:
        Nats, float32.
    """
    size, inverse = ops.abs(float32(value)), 1.0 / float32(scale)
    # Of the smaller tail: both numbers are small where their difference is.
    upper, lower = log_normal_cdf((0.5 - size) * inverse), log_normal_cdf((-0.5 - size) * inverse)
    inside = upper + ops.log(-ops.expm1(ops.minimum(lower - upper, -1e-7)))
    return ops.logaddexp(inside, LOG_ESCAPE + DOUBLING * ops.log1p(size))


def rate_distortion_round(distance, index):
    """Rate-distortion optimised quantisation: `round(distance)`, or one nearer to 0 where that costs less altogether.

    The cost of a symbol r is `TRADE * (distance - r)**2 - log p(r)`, p as of the tables of files. Whoever decodes need
    not know. Beyond `WEIGHED` it is rounded.

    Args:
        distance: From the mean, any shape.
        index: Whole numbers, of the scales in `integer_tables`, of the shape of `distance`.

    Returns:
        Whole numbers, float32, of the shape of `distance`.

    Reference:
        Karczewicz, Ye and Chong (2008), Rate distortion optimized quantization, VCEG-AH21
    """
    distance, index = float32(distance), float32(index)
    size = ops.abs(distance)
    nearest = ops.round(size)
    # NaN is at no place of the table, so it stays what it is.
    column, row = (ops.where(each <= most, each, 0.0) for each, most in ((nearest, WEIGHED), (index, len(SCALES) - 1)))
    place = ops.cast(row * (WEIGHED + 1) + column, "int32")
    smaller = size < ops.take(ops.convert_to_tensor(smallest_kept().ravel()), place)
    return ops.sign(distance) * (nearest - float32(smaller))


@functools.cache
def smallest_kept():
    """From which distance on a symbol is not made smaller, float32 `(64, WEIGHED + 1)`: of each scale, of 0, 1, …"""
    kept = np.full((len(SCALES), WEIGHED + 1), -1.0)
    for scale, half_width, row in zip(SCALES, integer_tables.normal_half_widths().tolist(), kept, strict=True):
        count = min(WEIGHED, half_width)
        nats = -np.log(integer_tables.normal_frequencies(scale, half_width)[half_width : half_width + count + 1])
        row[1 : count + 1] = np.arange(count) + 0.5 + np.diff(nats) / (2 * TRADE)
    return kept.astype(np.float32)


@keras.saving.register_keras_serializable(package="tfvae")
class HyperAnalysis(Chain):
    """From latents to hyper-latents, `(b, h, w, c) -> (b, ceil(h / 4), ceil(w / 4), hyper_dim)`, float32.

    Args:
        hyper_dim: Channels of the hyper-latents.
        width: Channels in between.

    Reference:
        Ballé et al. (2018), https://arxiv.org/abs/1802.01436
    """

    def __init__(self, hyper_dim, width=96, **kwargs):
        super().__init__(**kwargs)
        self.hyper_dim, self.width = hyper_dim, width
        common = {"padding": "same", "dtype": self.dtype_policy}
        self.chain = [
            keras.layers.Conv2D(width, 3, activation="leaky_relu", **common),
            keras.layers.Conv2D(width, 5, strides=2, activation="leaky_relu", **common),
            keras.layers.Conv2D(hyper_dim, 5, strides=2, **{**common, "dtype": "float32"}),
        ]

    @property
    def margin(self):
        """Places around those of a hyper-latent on which it depends: 1 + 2 + 4 of them, in whole hyper-latents."""
        return 2 * FACTOR

    def call(self, inputs):
        inputs = pad_to_multiple(inputs, FACTOR)
        # Logarithms of sizes: from bright flat places to fine texture they span three orders of magnitude.
        return SPREAD * float32(super().call(ops.sign(inputs) * ops.log1p(ops.abs(inputs))))

    def get_config(self):
        return {**super().get_config(), "hyper_dim": self.hyper_dim, "width": self.width}


@keras.saving.register_keras_serializable(package="tfvae")
class FactorisedPrior(keras.layers.Layer):
    """p(z), for each channel by itself, and the integer tables by which all symbols of a file are coded.

    `P(z) = sum_k pi_k (sigmoid((z + 0.5 - m_k) / s_k) - sigmoid((z - 0.5 - m_k) / s_k))`: a mixture of three logistics,
    in closed form for noisy z as for rounded.

    The tables are weights of whole numbers, made when a model is saved (or first codes) from the mixtures as they are
    then, and read back with it: see `tables`.

    Args:
        channels: Of the hyper-latents.

    Call arguments:
        z: `(b, h, w, channels)`.

    Returns:
        `log P`, nats, float32, the shape of `z`.
    """

    def __init__(self, channels, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.channels = channels

    def build(self, input_shape):
        shape = (self.channels, COMPONENTS)
        self.logits = self.add_weight(name="logits", shape=shape, initializer="zeros")
        self.means = self.add_weight(name="means", shape=shape, initializer="zeros")
        self.means.assign(np.tile(np.array([-1.0, 0.0, 1.0], np.float32), (self.channels, 1)))
        self.log_scales = self.add_weight(name="log_scales", shape=shape, initializer="zeros")
        whole = {"dtype": "int32", "trainable": False, "initializer": "zeros", "aggregation": "only_first_replica"}
        self.own_tables = self.add_weight(name="tables", shape=(self.channels, 2 * REACH + 2), **whole)
        # The bits of the mixtures that the tables were made of: another machine makes none of the same mixtures.
        self.made_of = self.add_weight(name="made_of", shape=(3, *shape), **whole)
        half_widths = integer_tables.normal_half_widths()
        self.half_widths = self.add_weight(name="half_widths", shape=half_widths.shape, **whole)
        self.normal_tables = self.add_weight(name="normal_tables", shape=(int(np.sum(2 * half_widths + 2)),), **whole)
        self.half_widths.assign(half_widths)
        pairs = zip(integer_tables.SCALES, half_widths.tolist(), strict=True)
        self.normal_tables.assign(np.concatenate([integer_tables.normal_frequencies(*pair) for pair in pairs]))
        self.built = True

    def call(self, z):
        z, scales = float32(z)[..., None], clip_with_gradient(ops.convert_to_tensor(self.log_scales), LEAST_LOG_SCALE)
        inverse = ops.exp(-scales)
        upper, lower = (z + 0.5 - self.means) * inverse, (z - 0.5 - self.means) * inverse
        # As in `discretized_logistic_log_prob`: no difference of nearly equal numbers.
        inside = ops.log_sigmoid(upper) + ops.log_sigmoid(-lower) + ops.log(-ops.expm1(-inverse))
        return mixture_log_prob(inside, self.logits)

    def tables(self):
        """The integer tables: `(of the hyper-latents, a row a channel; of each scale of a normal, a list)`, int64.

        They are those that were saved, unless the mixtures have changed since. The last place of a table is its
        escape; the others are `-REACH … REACH`, and `-b … b` with the `half_width` b of a scale.
        """
        self.make_tables()
        widths = 2 * ops.convert_to_numpy(self.half_widths).astype(np.int64) + 2
        normal = np.split(ops.convert_to_numpy(self.normal_tables).astype(np.int64), np.cumsum(widths)[:-1])
        return ops.convert_to_numpy(self.own_tables).astype(np.int64), normal

    def make_tables(self):
        """Makes the tables of the hyper-latents, where the mixtures are not those that they were made of."""
        parts = (self.logits, self.means, self.log_scales)
        mixtures = np.stack([ops.convert_to_numpy(part) for part in parts])
        bits = mixtures.view(np.int32)
        if np.array_equal(bits, ops.convert_to_numpy(self.made_of)) and np.any(self.own_tables):
            return
        logits, means, log_scales = mixtures.astype(np.float64)
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        scales = np.exp(np.maximum(log_scales, LEAST_LOG_SCALE))
        z = np.arange(-REACH, REACH + 1)[:, None, None]
        upper, lower = (z + 0.5 - means) / scales, (z - 0.5 - means) / scales
        mass = (weights * (_sigmoid(upper) - _sigmoid(lower))).sum(axis=-1)
        finite = np.where(np.isfinite(mass) & (mass >= 0), mass, 0.0) + 1e-12  # of a model that has diverged, too
        self.own_tables.assign(np.stack([integer_tables.with_escape(column) for column in finite.T]))
        self.made_of.assign(bits)

    def save_own_variables(self, store):
        if self.built:
            self.make_tables()
        super().save_own_variables(store)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "channels": self.channels}


def _sigmoid(x):
    return 0.5 * (1.0 + np.tanh(0.5 * x))
