"""One standard normal number as a choice among components and a standard normal number that is independent of it.

A draw from a mixture needs a choice besides its noise. With `u = Phi(noise)` uniform in [0, 1], the component whose
interval of cumulative weights holds u is chosen with its weight, and where u lies within that interval is uniform
again, whatever was chosen. So a prior stays a function of noise of the shape of a code, and exported models draw
without a random operation. Everything is of operations that TFLite has as builtins, which erf and its inverse are not.
"""

from keras import ops

from tfvae.distributions import float32

# erf(x) = x P(x^2) / Q(x^2) for |x| <= 3.8325, as XLA and Eigen compute it; error 3e-7.
ERF_LIMIT = 3.832506856900711
ERF_P = (2.2905065861350646e-4, 3.4082910107109506e-3, 5.0955695062380861e-2, 1.8520832239976145e-1, 1.128379143519084)
ERF_Q = (
    -1.1791602954361697e-7,
    2.3547966471313185e-5,
    1.0179625278914885e-3,
    1.4070470171167667e-2,
    1.1098505178285362e-1,
    4.9746925110067538e-1,
    1.0,
)
# The inverse of erf: polynomials in w = -log(1 - x^2), near zero and in the tails; error 6e-7.
# Giles (2010), Approximating the erfinv function.
CENTRE = (
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    2.1858087e-4,
    -1.25372503e-3,
    -4.17768164e-3,
    2.46640727e-1,
    1.50140941,
)
TAIL = (
    -2.00214257e-4,
    1.00950558e-4,
    1.34934322e-3,
    -3.67342844e-3,
    5.73950773e-3,
    -7.6224613e-3,
    9.43887047e-3,
    1.00167406,
    2.83297682,
)
LEAST = 2.0**-24  # and as much below 1: beyond, float32 has no probability left


def normal_cdf(x):
    """The standard normal's distribution function Phi, same shape, float32, in [0, 1]."""
    x = ops.clip(float32(x) * 0.5**0.5, -ERF_LIMIT, ERF_LIMIT)
    square = ops.square(x)
    return 0.5 + 0.5 * x * _polynomial(ERF_P, square) / _polynomial(ERF_Q, square)


def normal_quantile(u):
    """The inverse of `normal_cdf`; finite: u is taken between 2**-24 and as much below 1."""
    x = 2.0 * ops.clip(float32(u), LEAST, 1.0 - LEAST) - 1.0
    w = -1.0 * ops.log((1.0 - x) * (1.0 + x))
    near = _polynomial(CENTRE, ops.minimum(w, 5.0) - 2.5)
    far = _polynomial(TAIL, ops.sqrt(ops.maximum(w, 5.0)) - 3.0)
    return 2.0**0.5 * x * ops.where(w < 5.0, near, far)


def choose(noise, logits, temperature=1.0):
    """`(index, rest)`: which component, and a standard normal number independent of it.

    A mixture at a temperature T has deviations T times as large, so variances T**2 times, and the logits of its weights
    are divided by T**2: what is typical is not only nearer to the middle of its component but of a likelier one.

    Args:
        noise: Standard normal numbers, `(…,)`.
        logits: Unnormalised log-weights of the components, `(…, components)`, or of all choices alike `(components,)`.
        temperature: Not negative; at 0 the likeliest component is chosen.

    Returns:
        int32 and float32, both of the shape of `noise`.

    Reference:
        Ha and Eck (2017), A neural representation of sketch drawings, section 3.3, https://arxiv.org/abs/1704.03477
    """
    logits = float32(logits)
    # The largest is zero first, so that a tiny temperature overflows nothing.
    logits = logits - ops.max(logits, axis=-1, keepdims=True)
    weights = ops.softmax(logits / ops.maximum(ops.square(float32(temperature)), 1e-6), axis=-1)
    above = ops.cumsum(weights, axis=-1)
    # Rounding leaves the last sum a little off 1.
    u = ops.expand_dims(normal_cdf(noise), -1) * above[..., -1:]
    count = weights.shape[-1]
    index = ops.minimum(ops.sum(ops.cast(above <= u, "int32"), axis=-1), count - 1)
    chosen = ops.one_hot(index, count, dtype="float32")
    width = ops.sum(chosen * weights, axis=-1)
    start = ops.sum(chosen * (above - weights), axis=-1)
    return index, normal_quantile((u[..., 0] - start) / ops.maximum(width, 1e-30))


def _polynomial(coefficients, x):
    """By Horner's rule; the coefficient of the highest power comes first."""
    total = coefficients[0]
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total
