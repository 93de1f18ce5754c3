"""Log-probabilities of one pixel value under the likelihoods of images: pure functions, float32, nats.

| symbol | meaning | name in the code |
| --- | --- | --- |
| x | a pixel value in [0, 1]; 8-bit levels are k / 255 | `x` |
| mu, log s | location and log-scale | `mean`, `log_std` or `log_scale` |
| pi | mixture weights | `mixture_logits` |

Everything is elementwise unless said otherwise; the caller sums over the dimensions of an image.
"""

import math

import tensorflow as tf
from keras import ops
from numpy.polynomial import legendre

# Nodes and weights of Gauss and Legendre's rule on [0, 1].
_LEGENDRE = [((1 + float(node)) / 2, float(weight) / 2) for node, weight in zip(*legendre.leggauss(6), strict=True)]
LEVELS = 256  # An 8-bit picture has this many values: 0, 1/255, …, 1.


def float32(x):
    """`x` as float32: no logarithm of a probability is ever taken in half precision."""
    return ops.cast(x, "float32")


def clip_with_gradient(x, low, high=math.inf, most=math.inf):
    """`clip(x, low, high)`, whose gradient also flows where it would bring `x` back between the bounds.

    Of a plain clip the gradient is zero outside: a scale that once fell below its floor would stay there for ever.

    Args:
        x: A tensor, float32.
        low, high: Numbers.
        most: What the size of a gradient that flows back is cut to, where half precision could not hold it.
    """

    @tf.custom_gradient
    def clipped(x):
        def gradient(upstream):
            # Descent moves x against the gradient: up where it is negative.
            back = tf.where(x < low, tf.clip_by_value(upstream, -most, 0.0), tf.clip_by_value(upstream, 0.0, most))
            return tf.where((x < low) | (x > high), back, upstream)

        return tf.clip_by_value(x, low, high), gradient

    return clipped(tf.convert_to_tensor(x))


def bernoulli_log_prob(x, logits):
    """`x * log(p) + (1 - x) * log(1 - p)` with `p = sigmoid(logits)`.

    Args:
        x: Values in [0, 1]; for values strictly between, this is the negative cross-entropy, not a probability.
        logits: Log-odds, a shape that `x` broadcasts to.

    Returns:
        Nats, the shape of `logits`, float32. Finite for every finite logit.
    """
    logits = float32(logits)

    @tf.custom_gradient
    def log_prob(x, logits):
        def gradients(upstream):
            # As a whole, not term by term: half of the passes over the pixels of a batch.
            return upstream * logits, upstream * (x - tf.sigmoid(logits))

        # softplus(l) - x * l, arranged so that exp never sees a positive number.
        return x * logits - tf.nn.relu(logits) - tf.math.log1p(tf.exp(-tf.abs(logits))), gradients

    return log_prob(tf.broadcast_to(float32(x), tf.shape(logits)), logits)


def normal_log_prob(x, mean, log_std):
    """Log-density of a normal: `-0.5 * ((x - mean) / std)**2 - log_std - 0.5 * log(2 pi)`.

    Returns:
        Nats, broadcast shape, float32. A density: positive values are possible.
    """
    x, mean, log_std = float32(x), float32(mean), float32(log_std)
    return -0.5 * ops.square((x - mean) * ops.exp(-log_std)) - log_std - 0.5 * math.log(2 * math.pi)


def discretized_logistic_log_prob(x, mean, log_scale, levels=LEVELS):
    """Log-mass that a logistic gives to the bin around `x`; the two outer bins reach to infinity.

    `log(sigmoid((x + h - mean) / s) - sigmoid((x - h - mean) / s))` with the half bin `h = 0.5 / (levels - 1)`.

    Args:
        x: Values in {0, 1 / (levels - 1), …, 1}.
        mean: Location, in units of `x`.
        log_scale: Log of the logistic's scale `s`, in units of `x`.
        levels: Number of values a pixel may take.

    Returns:
        Nats, broadcast shape, float32; the masses of all `levels` values sum to one.

    Reference:
        Salimans et al. (2017), PixelCNN++, equation 2, https://arxiv.org/abs/1701.05517
    """
    x, mean, log_scale = float32(x), float32(mean), float32(log_scale)
    half_bin = 0.5 / (levels - 1)
    inverse_scale = ops.exp(-log_scale)
    upper = (x - mean + half_bin) * inverse_scale
    lower = (x - mean - half_bin) * inverse_scale
    # log(sigmoid(u) - sigmoid(l)) = log_sigmoid(u) + log_sigmoid(-l) + log(1 - exp(l - u)), and u - l is the
    # constant 2h / s: no difference of two nearly equal numbers, however far x lies from the mean.
    log_width = ops.log(-ops.expm1(-2 * half_bin * inverse_scale))
    inside = ops.log_sigmoid(upper) + ops.log_sigmoid(-lower) + log_width
    log_mass = ops.where(x < half_bin, ops.log_sigmoid(upper), inside)
    return ops.where(x > 1 - half_bin, ops.log_sigmoid(-lower), log_mass)


def clipped_logistic_mean(mean, log_scale):
    """The mean of `clipped_logistic_moments` alone, broadcast shape, float32."""
    mean, log_scale = float32(mean), float32(log_scale)
    return ops.clip(mean + _shift_of_clipped_mean(mean, ops.exp(log_scale)), 0.0, 1.0)


def clipped_logistic_moments(mean, log_scale):
    """Mean and variance of a logistic that is cut off at 0 and 1, whose tails are the mass of these two values.

    With `s = exp(log_scale)`, the distances `a = mean / s` and `b = (1 - mean) / s` of the location from both ends,
    `softplus(x) = log(1 + exp(x))` and the dilogarithm Li2,

        E[x]              = mean + s * (softplus(-a) - softplus(-b))
        E[(x - mean)**2]  = s**2 * (h(a) + h(b)),   h(v) = g(v) for v >= 0, else v**2 - g(-v)
        g(v)              = pi**2 / 6 - 2 * v * softplus(-v) + 2 * Li2(-exp(-v)) = integral_0^v 2 u sigmoid(-u) du

    Of the 256 discretised values of `discretized_logistic_log_prob` these are the moments up to the rounding of a grey
    level.

    Args:
        mean: Location, in units of the pixel range.
        log_scale: Logarithm of the scale, broadcasts with `mean`.

    Returns:
        Mean in [0, 1] and variance, broadcast shape, float32.
    """
    mean, log_scale = float32(mean), float32(log_scale)
    scale = ops.exp(log_scale)
    shift = _shift_of_clipped_mean(mean, scale)
    second = ops.square(scale) * (_half_moment(mean / scale) + _half_moment((1.0 - mean) / scale))
    return ops.clip(mean + shift, 0.0, 1.0), ops.maximum(second - ops.square(shift), 0.0)


def _shift_of_clipped_mean(mean, scale):
    """`E[x] - mean` of `clipped_logistic_moments`."""
    return scale * (_softplus_of_minus(mean / scale) - _softplus_of_minus((1.0 - mean) / scale))


def _softplus_of_minus(x):
    """`softplus(-x)`, of operations that TFLite has integer kernels for: neither a softplus nor a negation is."""
    minus = ops.multiply(x, -1.0)
    return ops.relu(minus) + ops.log(1.0 + ops.exp(ops.minimum(x, minus)))


def _half_moment(v):
    """`h(v)` of `clipped_logistic_moments`."""
    size = ops.abs(v)
    tail = ops.exp(-size)
    # Li2(-y) = -integral_0^1 log(1 + y u) / u du: by Gauss and Legendre's rule exact to float32 for y in [0, 1].
    dilogarithm = -sum(weight / node * ops.log(1.0 + tail * node) for node, weight in _LEGENDRE)
    g = math.pi**2 / 6 - 2.0 * size * ops.log(1.0 + tail) + 2.0 * dilogarithm
    return ops.where(v < 0, ops.square(size) - g, g)


def mixture_log_prob(component_log_prob, mixture_logits):
    """`logsumexp_k(log pi_k + log p_k(x))` over the last axis.

    Args:
        component_log_prob: Log-probability under every component, shape `(…, components)`.
        mixture_logits: Unnormalised log-weights, same shape.

    Returns:
        Nats, shape `(…,)`, float32.
    """
    log_weights = ops.log_softmax(float32(mixture_logits), axis=-1)
    return ops.logsumexp(log_weights + float32(component_log_prob), axis=-1)
