"""Regularisers of the aggregate posterior q(z) = E_x q(z|x), besides the rate: pure functions, and settings of a VAE.

| symbol | meaning | name in the code |
| --- | --- | --- |
| q(z\\|x) | posteriors of a batch, diagonal Gaussians | `mean`, `log_var` |
| z | a draw from each of them | `z` |
| q(z), q(z_d) | aggregate posterior, of all units and of one | — |
| TC | total correlation, `KL(q(z) \\|\\| prod_d q(z_d))` | `total_correlation` |
| MMD | maximum mean discrepancy between q(z) and N(0, I) | `normal_mmd` |

The batch stands for the data: of a step on several devices each sees its own share, and example weights do not count.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import keras
from keras import ops

from tfvae.distributions import float32, normal_log_prob
from tfvae.layers.composite import fixed
from tfvae.parts import part_of

BANDWIDTHS = (0.25, 1.0, 4.0)  # squared widths of the kernels, in units of twice the number of latents


def total_correlation(mean, log_var, z):
    """Total correlation of the aggregate posterior at each draw, `log q(z) - sum_d log q(z_d)`, nats, `(n,)`, float32.

    Both densities are those of the equal mixture of the n posteriors: exact where they are all there is, and biased
    where they are a batch of more. Up to a constant, which has no gradient, it is minibatch-weighted sampling.

    Args:
        mean, log_var: Of the posteriors, `(n, d)`.
        z: A draw from each, `(n, d)`.

    Reference:
        Chen et al. (2018), equation 3 and section 4.1, https://arxiv.org/abs/1802.04942
    """
    mean, log_var, z = float32(mean), float32(log_var), float32(z)
    log_density = normal_log_prob(z[:, None], mean[None], 0.5 * log_var[None])  # (draw, posterior, unit)
    log_n = ops.log(float32(ops.shape(mean)[0]))
    joint = ops.logsumexp(ops.sum(log_density, axis=2), axis=1) - log_n
    units = ops.sum(ops.logsumexp(log_density, axis=1) - log_n, axis=1)
    return joint - units


def covariance_distance(mean, log_var=None):
    """`sum_(i != j) C_ij**2` and `sum_i (C_ii - 1)**2` of the covariance C of codes, two scalars, float32.

    Args:
        mean: Posterior means, `(n, d)`: C is theirs (DIP-VAE-I).
        log_var: Log-variances, `(n, d)`: C is that of the aggregate posterior, `Cov[mean] + E[diag(var)]` (DIP-VAE-II).

    Reference:
        Kumar, Sattigeri and Balakrishnan (2018), equations 5 to 7, https://arxiv.org/abs/1711.00848
    """
    mean = float32(mean)
    centred = mean - ops.mean(mean, axis=0)
    covariance = ops.matmul(ops.transpose(centred), centred) / float32(ops.shape(mean)[0])
    if log_var is not None:
        covariance += ops.diag(ops.mean(ops.exp(float32(log_var)), axis=0))
    diagonal = ops.diagonal(covariance)
    return ops.sum(ops.square(covariance)) - ops.sum(ops.square(diagonal)), ops.sum(ops.square(diagonal - 1.0))


def normal_mmd(z, squared_width):
    """Squared maximum mean discrepancy between draws z and N(0, I), kernel `exp(-|a - b|**2 / (2 s**2))`; a scalar.

    `1/(n (n-1)) sum_(i != j) k(z_i, z_j) - 2/n sum_i E_p[k(z_i, y)] + E_p[k(y, y')]`: unbiased, so it may be a little
    below zero. The expectations over the normal are in closed form.

    Args:
        z: Draws from the aggregate posterior, `(n, d)`, n at least 2.
        squared_width: s**2.

    Reference:
        Gretton et al. (2012), lemma 6, https://jmlr.org/papers/v13/gretton12a.html; Tolstikhin et al. (2018),
        https://arxiv.org/abs/1711.01558; Zhao, Song and Ermon (2019), https://arxiv.org/abs/1706.02262
    """
    z = float32(z)
    n, units = float32(ops.shape(z)[0]), z.shape[-1]
    norms = ops.sum(ops.square(z), axis=1)
    distances = ops.maximum(norms[:, None] + norms[None] - 2.0 * ops.matmul(z, ops.transpose(z)), 0.0)
    pairs = ops.sum(ops.exp(-distances / (2.0 * squared_width))) - n  # the diagonal is n ones
    crossed = (squared_width / (1.0 + squared_width)) ** (units / 2) * ops.exp(-norms / (2.0 * (1.0 + squared_width)))
    normal = (squared_width / (2.0 + squared_width)) ** (units / 2)
    return pairs / (n * (n - 1.0)) - 2.0 * ops.mean(crossed) + normal


class Regulariser:
    """A weighted term of a VAE's loss that depends on the posteriors of a batch and a draw from each.

    Args:
        weight: By which it is multiplied.

    Raises:
        ValueError: If `weight` is negative.
    """

    normal: ClassVar[bool] = False  # whether it compares codes with N(0, I), which the prior must be

    def __init__(self, weight: float = 1.0) -> None:
        if weight < 0:
            raise ValueError(f"`weight` must be non-negative. Received: weight={weight}")
        self.weight = float(weight)

    def __call__(self, mean, log_var, z):
        """Of posteriors and draws `(n, d)`: nats, `(n,)` or a scalar."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {"weight": self.weight}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="tfvae")
class TotalCorrelation(Regulariser):
    """beta-TCVAE: `weight * TC` besides the rate, which holds TC once: the paper's beta is `1 + weight`."""

    def __init__(self, weight: float = 5.0) -> None:
        super().__init__(weight)

    def __call__(self, mean, log_var, z):
        return self.weight * total_correlation(mean, log_var, z)


@keras.saving.register_keras_serializable(package="tfvae")
class Covariance(Regulariser):
    """DIP-VAE: a covariance of codes that is nearly the identity, `weight` off the diagonal and `diagonal` on it.

    Args:
        weight, diagonal: The paper's lambda_od and lambda_d.
        aggregate: Whether the covariance is that of the aggregate posterior (DIP-VAE-II), or that of its means (I).

    Raises:
        ValueError: If a weight is negative.
    """

    def __init__(self, weight: float = 10.0, diagonal: float = 10.0, aggregate: bool = True) -> None:
        super().__init__(weight)
        if diagonal < 0:
            raise ValueError(f"`diagonal` must be non-negative. Received: diagonal={diagonal}")
        self.diagonal, self.aggregate = float(diagonal), bool(aggregate)

    def __call__(self, mean, log_var, z):
        off, on = covariance_distance(mean, log_var if self.aggregate else None)
        return self.weight * off + self.diagonal * on

    def get_config(self):
        return {**super().get_config(), "diagonal": self.diagonal, "aggregate": self.aggregate}


@keras.saving.register_keras_serializable(package="tfvae")
class MaximumMeanDiscrepancy(Regulariser):
    """InfoVAE and WAE-MMD: `weight` times the MMD between codes and N(0, I), with kernels of three widths.

    With `beta = 1` it adds to the ELBO; with `beta = 0` a posterior of any rate will do (WAE), where the mean over the
    batch of codes alone is held to the prior. For a standard normal prior only.
    """

    normal = True

    def __init__(self, weight: float = 100.0) -> None:
        super().__init__(weight)

    def __call__(self, mean, log_var, z):
        return self.weight * sum(normal_mmd(z, 2.0 * z.shape[-1] * width) for width in BANDWIDTHS)


@keras.saving.register_keras_serializable(package="tfvae")
class DensityRatio(keras.layers.Layer, Regulariser):
    """FactorVAE: `weight` times the total correlation, estimated by a network that tells codes from permuted ones.

    A permuted code has its units from the codes of different pictures: a draw from `prod_d q(z_d)`. Once the network
    has learnt which codes are whole, its log-odds are `log q(z) - log prod_d q(z_d)`. It learns in the model's own
    step, by the model's optimiser (Adam takes each variable by itself), and is part of the model's file.

    Args:
        weight: The paper's gamma.
        widths: Units of the network's layers; the paper's are six of 1000.

    Raises:
        ValueError: If `weight` is negative.

    Reference:
        Kim and Mnih (2018), equations 3 and 4 and algorithm 2, https://arxiv.org/abs/1802.05983
    """

    def __init__(self, weight: float = 10.0, widths: Sequence[int] = (256, 256, 256), **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        Regulariser.__init__(self, weight)
        self.widths = tuple(widths)
        hidden = [
            layer
            for width in self.widths
            for layer in (keras.layers.Dense(width, dtype="float32"), keras.layers.LeakyReLU(0.2, dtype="float32"))
        ]
        self.network = keras.Sequential([*hidden, keras.layers.Dense(1, dtype="float32")])

    def build(self, code_shape, *_):
        self.network.build(code_shape)
        self.built = True

    def call(self, mean, log_var, z):
        z = float32(z)
        codes = ops.stop_gradient(z)
        learnt = ops.softplus(-self.network(codes)) + ops.softplus(self.network(permuted(codes)))
        learnt -= ops.stop_gradient(learnt)  # a gradient for the network, and no value
        return (self.weight * fixed(self.network, z) + learnt)[:, 0]

    def compute_output_shape(self, code_shape, *_):
        return (code_shape[0],)

    def get_config(self):
        return {**super().get_config(), "weight": self.weight, "widths": self.widths}


def permuted(z):
    """Codes whose units come from different rows of z, `(n, d)`, each used once: draws from `prod_d q(z_d)`.

    Unit d of row i is that of row `i + d * n // units`: no random number, so the same after a resume; and so far apart
    that several draws of one picture, one below the other, do not meet. With fewer rows than units some share a row.
    """
    rows, units = ops.shape(z)[0], z.shape[1]
    source = (ops.arange(rows)[:, None] + ops.arange(units)[None] * rows // units) % rows
    return ops.take_along_axis(z, source, axis=0)


REGULARISERS: dict[str, type[Regulariser]] = {
    "total_correlation": TotalCorrelation,
    "covariance": Covariance,
    "density_ratio": DensityRatio,
    "mmd": MaximumMeanDiscrepancy,
}


def get(name: Any, **options: Any) -> Regulariser | None:
    """The regulariser of that name with its settings; a `Regulariser` and None are returned as they are.

    Raises:
        ValueError: As `part_of`.
    """
    if name is None or isinstance(name, Regulariser):
        return name
    return part_of("regulariser", REGULARISERS, name, options)
