"""The variational mixture of posteriors."""

import math

import keras
import numpy as np
from keras import ops

from tfvae.distributions import float32
from tfvae.priors.base import Prior
from tfvae.priors.choice import choose
from tfvae.priors.gaussian_mixture import GaussianMixture, known_shape

ALMOST = 1e-3  # how near to black and white a pseudo-input starts at most: at the ends a sigmoid has no gradient


@keras.saving.register_keras_serializable(package="tfvae")
class VampPrior(Prior):
    """`p(z) = 1/K sum_k q(z|u_k)`: the posteriors of K learnt pictures, the pseudo-inputs, as one mixture.

    Args:
        components: K.
        seed: Of the pseudo-inputs before `adapt` gives them pictures to start from.

    Raises:
        ValueError: If `components` is not positive, or the latent's shape is open.

    Reference:
        Tomczak and Welling (2018), VAE with a VampPrior, https://arxiv.org/abs/1705.07120
    """

    def __init__(self, components=500, seed=None, **kwargs):
        super().__init__(**kwargs)
        if components < 1:
            raise ValueError(f"`components` must be positive. Received: components={components}")
        self.components, self.seed = components, seed

    def connect(self, encoder, latent_shape):
        """Gives the prior the encoder whose posteriors it mixes: of the model, which calls this."""
        # Behind a function, so that Keras does not take the encoder's weights for the prior's own.
        self.posterior = lambda pictures: encoder(pictures)
        shape = tuple(encoder.image_shape)
        if None in shape:
            known_shape((None, *shape), "VampPrior")
        self.image_shape = shape
        if not hasattr(self, "pictures"):
            self.build((None, *latent_shape))

    def build_from_config(self, config):
        """Nothing: the model that is loaded connects its encoder, and builds then."""

    def build(self, input_shape):
        known_shape(input_shape, "VampPrior")
        start = keras.initializers.RandomNormal(stddev=1.0, seed=self.seed)
        self.pictures = self.add_weight(
            name="pseudo_inputs", shape=(self.components, *self.image_shape), initializer=start
        )
        self.built = True

    def adapt(self, images):
        """Starts the pseudo-inputs from so many of `images`, float32 in [0, 1], `(n, height, width, channels)`."""
        images = np.asarray(images, np.float32)
        picks = np.random.default_rng(self.seed).permutation(np.resize(np.arange(len(images)), self.components))
        pictures = np.clip(images[picks], ALMOST, 1.0 - ALMOST)
        self.pictures.assign(np.log(pictures / (1.0 - pictures)))

    def components_of_posterior(self):
        """Means and log-variances of the posteriors of the pseudo-inputs, `(components, *latent)`, float32."""
        mean, log_var = self.posterior(ops.sigmoid(float32(self.pictures)))
        return float32(mean), float32(log_var)

    def log_prob(self, z):
        """`logsumexp_k log q(z|u_k) - log K`, shape `(batch,)`, nats, float32."""
        mean, log_var = (ops.reshape(value, (self.components, -1)) for value in self.components_of_posterior())
        z = ops.cast(ops.reshape(z, (-1, mean.shape[-1])), "float64")
        centre, precision = ops.cast(mean, "float64"), ops.exp(-1.0 * ops.cast(log_var, "float64"))
        # Squares by products of matrices, not by the differences of every pair, which take three times as long. In
        # float64, as large terms cancel.
        squares = (
            ops.matmul(ops.square(z), ops.transpose(precision))
            - 2.0 * ops.matmul(z, ops.transpose(centre * precision))
            + ops.sum(ops.square(centre) * precision, axis=-1)
        )
        constant = ops.sum(log_var, axis=-1) + mean.shape[-1] * math.log(2 * math.pi)
        return ops.logsumexp(-0.5 * (float32(squares) + constant), axis=-1) - math.log(self.components)

    def sample(self, noise, temperature=1.0):
        """A posterior of a pseudo-input, chosen by the first unit of the noise (`tfvae.priors.choice`), drawn from."""
        mean, log_var = (ops.reshape(value, (self.components, -1)) for value in self.components_of_posterior())
        shape = ops.shape(noise)
        noise = ops.reshape(float32(noise), (-1, mean.shape[-1]))
        index, first = choose(noise[:, 0], ops.zeros((self.components,)))
        noise = ops.concatenate([first[:, None], noise[:, 1:]], axis=1)
        spread = ops.exp(0.5 * ops.take(log_var, index, axis=0)) * noise
        return ops.reshape(ops.take(mean, index, axis=0) + temperature * spread, shape)

    def served(self):
        """The same mixture with its means and variances as they are: what leaves Python needs no encoder to draw."""
        mean, log_var = (np.asarray(ops.convert_to_numpy(value)) for value in self.components_of_posterior())
        mixture = GaussianMixture(self.components, "diagonal", self.seed)
        mixture.build((None, *mean.shape[1:]))
        mean, log_var = (value.reshape(self.components, -1) for value in (mean, log_var))
        mixture.set_components(np.full(self.components, 1.0 / self.components), mean, np.exp(0.5 * log_var))
        return mixture

    def get_config(self):
        return {**super().get_config(), "components": self.components, "seed": self.seed}
