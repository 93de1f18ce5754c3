"""A mixture of Gaussians."""

import math
import warnings

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfvae.distributions import float32
from tfvae.priors.base import Prior
from tfvae.priors.choice import choose


@keras.saving.register_keras_serializable(package="tfvae")
class GaussianMixture(Prior):
    """`p(z) = sum_k pi_k N(z; mu_k, L_k L_k^T)`, over all units of a code of known shape.

    Learnt by gradients with the model, or fitted to the codes of a trained one by expectation maximisation (`fit`).

    Args:
        components: How many.
        covariance: `"full"`, or `"diagonal"`: L_k is then diagonal.
        seed: Of the means it starts from, and of the fit.

    Raises:
        ValueError: If `components` is not positive, `covariance` is another word, or the latent's shape is open.

    Reference:
        Ghosh et al. (2020), From variational to deterministic autoencoders, https://arxiv.org/abs/1903.12436, for
        a density that is fitted after training
    """

    def __init__(self, components=10, covariance="full", seed=None, **kwargs):
        super().__init__(**kwargs)
        if components < 1:
            raise ValueError(f"`components` must be positive. Received: components={components}")
        if covariance not in ("full", "diagonal"):
            raise ValueError(f"`covariance` must be 'full' or 'diagonal'. Received: covariance={covariance!r}")
        self.components, self.covariance, self.seed = components, covariance, seed

    def build(self, input_shape):
        self.latent_shape = known_shape(input_shape, "GaussianMixture")
        units, count = math.prod(self.latent_shape), self.components
        # Apart, or all components would be given the same gradient for ever.
        apart = keras.initializers.RandomNormal(stddev=0.5, seed=self.seed)
        self.logits = self.add_weight(name="logits", shape=(count,), initializer="zeros")
        self.means = self.add_weight(name="means", shape=(count, units), initializer=apart)
        self.log_diagonals = self.add_weight(name="log_diagonals", shape=(count, units), initializer="zeros")
        if self.covariance == "full":
            self.lower = self.add_weight(name="lower", shape=(count, units, units), initializer="zeros")
        self.built = True

    def factors(self):
        """The lower triangular factors L_k of full covariances, `(components, units, units)`."""
        below = np.tril(np.ones(self.lower.shape[1:], np.float32), -1)
        return float32(self.lower) * below + tf.linalg.diag(ops.exp(float32(self.log_diagonals)))

    def log_prob(self, z):
        """`logsumexp_k(log pi_k + log N(z; mu_k, L_k L_k^T))`, shape `(batch,)`, nats, float32."""
        z = ops.reshape(float32(z), (-1, self.means.shape[1]))
        apart = ops.transpose(z[None] - float32(self.means)[:, None], (0, 2, 1))  # (components, units, batch)
        if self.covariance == "full":
            apart = tf.linalg.triangular_solve(self.factors(), apart)
        else:
            apart = apart * ops.exp(-float32(self.log_diagonals))[:, :, None]
        squares = ops.sum(ops.square(apart), axis=1) + z.shape[-1] * math.log(2 * math.pi)
        log_probs = -0.5 * squares - ops.sum(float32(self.log_diagonals), axis=1)[:, None]
        return ops.logsumexp(ops.log_softmax(float32(self.logits))[:, None] + log_probs, axis=0)

    def sample(self, noise, temperature=1.0):
        """`mu_k + temperature * L_k noise`, k as `tfvae.priors.choice` says, by the first unit of the noise."""
        shape = ops.shape(noise)
        noise = ops.reshape(float32(noise), (-1, self.means.shape[1]))
        index, first = choose(noise[:, 0], self.logits, temperature)
        noise = ops.concatenate([first[:, None], noise[:, 1:]], axis=1)
        if self.covariance == "full":
            spread = ops.matmul(ops.take(self.factors(), index, axis=0), noise[:, :, None])[..., 0]
        else:
            spread = ops.take(ops.exp(float32(self.log_diagonals)), index, axis=0) * noise
        return ops.reshape(ops.take(float32(self.means), index, axis=0) + temperature * spread, shape)

    def fit(self, mean, log_var, held_out=None, *, steps=200, **options):
        """By expectation maximisation (scikit-learn) on one draw from each posterior; otherwise as `Prior.fit`.

        `steps` are the most iterations; it ends before, where the likelihood rises no more. A ridge of 1e-4 is added to
        the variances, and what is held out is not looked at.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture as Mixture

        rng = np.random.default_rng(self.seed)
        z = (mean + np.exp(0.5 * log_var) * rng.standard_normal(mean.shape)).reshape(len(mean), -1)
        kind = {"full": "full", "diagonal": "diag"}[self.covariance]
        settings = {"covariance_type": kind, "max_iter": steps, "reg_covar": 1e-4, "random_state": self.seed or 0}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the steps that were asked for have been made
            found = Mixture(min(self.components, len(z)), **settings).fit(z)
        diagonal = self.covariance == "diagonal"
        self.set_components(
            found.weights_,
            found.means_,
            np.sqrt(found.covariances_) if diagonal else np.linalg.cholesky(found.covariances_),
        )
        return [float(found.lower_bound_)]

    def set_components(self, weights, means, factors):
        """Takes n components, at most `components`: what is over has weight zero.

        Args:
            weights: `(n,)`.
            means: `(n, units)`.
            factors: L_k, `(n, units, units)`; of diagonal covariances the standard deviations, `(n, units)`.
        """
        spare = self.components - len(weights)
        full = self.covariance == "full"
        deviations = np.diagonal(factors, axis1=1, axis2=2) if full else factors
        self.logits.assign(np.pad(np.log(np.maximum(weights, 1e-30)), (0, spare), constant_values=-1e4))
        self.means.assign(np.pad(means, ((0, spare), (0, 0))))
        self.log_diagonals.assign(np.pad(np.log(deviations), ((0, spare), (0, 0))))
        if full:
            self.lower.assign(np.pad(np.tril(factors, -1), ((0, spare), (0, 0), (0, 0))))

    def get_config(self):
        settings = {"components": self.components, "covariance": self.covariance, "seed": self.seed}
        return {**super().get_config(), **settings}


def known_shape(input_shape, owner):
    """The shape of one code. Raises `ValueError` where a side is open."""
    latent_shape = tuple(input_shape[1:])
    if None in latent_shape:
        raise ValueError(
            f"{owner} is a density of codes of one shape, not of a spatial latent. Received: latent shape "
            f"{latent_shape}. Accepted there: AutoregressiveMixture, StandardNormal"
        )
    return latent_shape
