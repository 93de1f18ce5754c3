"""Lower bounds of log p(x) from several draws of the posterior, and estimators of their gradients.

| symbol | meaning | name in the code |
| --- | --- | --- |
| k | draws from q(z\\|x) for each example | `samples` |
| w_i = p(x\\|z_i) p(z_i) / q(z_i\\|x) | importance weight of a draw | `log_weights` |
| w~_i = w_i / sum_j w_j | normalised weight | `path_weights` |
| phi | parameters of the posterior | — |

The gradient in phi of a function of `z = mean + std * noise` and of phi itself has two parts: the path through z, and
the rest, `-d log q(z|x) / d phi` at fixed z, the score. The score has expectation zero in the ELBO (Roeder et al.), and
in the importance-weighted bound it can be replaced by a path with other weights (Tucker et al.); without it the
gradient has less variance, none at all where the posterior is exact.
"""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfvae.objectives import importance_bound
from tfvae.parts import part_of

GRADIENTS = ("total", "path")


class PathWeights:
    """The identity on draws z whose gradient is multiplied by weights that are known only after z was decoded.

    Attributes:
        values: The weights, one for each row of z, to be set before the gradient is taken.
    """

    values: Any

    def __call__(self, z):
        @tf.custom_gradient
        def identity(z):
            def gradient(upstream):
                return upstream * tf.reshape(self.values, (-1, *[1] * (len(upstream.shape) - 1)))

            return tf.identity(z), gradient

        return identity(z)


class Bound:
    """How k draws from the posterior make a lower bound of log p(x).

    Args:
        samples: Draws for each example, k.
        gradient: `"total"`, the gradient of the bound as it stands, or `"path"`, without the score.

    Raises:
        ValueError: If `samples` is not positive, or `gradient` is neither.
    """

    def __init__(self, samples: int = 1, gradient: str = "total") -> None:
        if samples < 1:
            raise ValueError(f"`samples` must be positive. Received: samples={samples}")
        if gradient not in GRADIENTS:
            raise ValueError(f"`gradient` must be one of {', '.join(GRADIENTS)}. Received: gradient={gradient!r}")
        self.samples, self.gradient = int(samples), gradient

    def value(self, log_weights):
        """The bound of each example, nats, `(batch,)`, from log-weights `(batch, k)`."""
        raise NotImplementedError

    def path_weights(self, log_weights):
        """By what the gradient through each draw is multiplied in the `"path"` estimator, `(batch, k)`."""
        return ops.ones_like(log_weights)

    @property
    def plain(self) -> bool:
        """Whether it is the ELBO of one draw, whose rate may have a closed form, a floor and a target."""
        return type(self) is EvidenceBound and self.samples == 1 and self.gradient == "total"

    def get_config(self) -> dict[str, Any]:
        return {"samples": self.samples, "gradient": self.gradient}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="tfvae")
class EvidenceBound(Bound):
    """The ELBO, `1/k sum_i log w_i`: k draws lower its variance. Its path gradient is "sticking the landing".

    Reference:
        Kingma and Welling (2014), https://arxiv.org/abs/1312.6114; Roeder, Wu and Duvenaud (2017),
        https://arxiv.org/abs/1703.09194
    """

    def value(self, log_weights):
        return ops.mean(log_weights, axis=1)


@keras.saving.register_keras_serializable(package="tfvae")
class ImportanceBound(Bound):
    """The importance-weighted bound `log(1/k sum_i w_i)` (IWAE). Its path gradient is doubly reparameterised (DReG).

    Args:
        samples, gradient: As of `Bound`.

    Reference:
        Burda, Grosse and Salakhutdinov (2016), https://arxiv.org/abs/1509.00519; Tucker et al. (2019), equation 8,
        https://arxiv.org/abs/1810.04152
    """

    def __init__(self, samples: int = 5, gradient: str = "total") -> None:
        super().__init__(samples, gradient)

    def value(self, log_weights):
        return importance_bound(log_weights, axis=1)

    def path_weights(self, log_weights):
        return ops.stop_gradient(ops.exp(log_weights - ops.logsumexp(log_weights, axis=1, keepdims=True)))


BOUNDS: dict[str, type[Bound]] = {"elbo": EvidenceBound, "iwae": ImportanceBound}


def get(name: Any, **options: Any) -> Bound:
    """The bound of that name with its settings; a `Bound` is returned as it is.

    Raises:
        ValueError: As `part_of`.
    """
    if isinstance(name, Bound):
        return name
    return part_of("bound", BOUNDS, name, options)
