"""What all priors p(z) share."""

import math

import keras
from keras import ops

from tfvae.distributions import float32
from tfvae.objectives import sum_per_example


class Prior(keras.layers.Layer):
    """The distribution p(z) of codes before a picture is seen: base of all priors.

    A subclass defines `log_prob` and `sample`, and is registered with
    `@keras.saving.register_keras_serializable(package=…)`. Where the KL divergence of a diagonal Gaussian posterior
    from it has a closed form for each latent unit, it has a method `kl(mean, log_var)` too, and free bits can hold.
    """

    def connect(self, encoder, latent_shape):
        """Builds the prior for codes of the model's encoder, which some priors are made of."""
        if not self.built:
            self.build((None, *latent_shape))

    def served(self):
        """The prior of the model that leaves Python: itself, or an equal one that draws without the encoder."""
        return self

    def compute_output_shape(self, input_shape):
        """Shape of `log_prob`."""
        return (input_shape[0],)

    def log_prob(self, z):
        """`log p(z)` of each code, z `(batch, *latent)`: shape `(batch,)`, nats, float32."""
        raise NotImplementedError

    def sample(self, noise, temperature=1.0):
        """A code for each row of standard normal `noise`, `(batch, *latent)`, of the same shape; float32.

        A function of the noise alone, so that exported models draw without a random operation. `temperature` below 1
        draws nearer to what is typical.
        """
        raise NotImplementedError

    def rate(self, mean, log_var, z):
        """`KL(q(z|x) || p(z))` of each example, `(batch,)`, nats, float32.

        Here a Monte Carlo estimate of one draw, `log q(z|x) - log p(z)`: unbiased, and negative now and then.

        Args:
            mean, log_var: Of the posterior, `(batch, *latent)`.
            z: A draw from it.
        """
        return gaussian_log_prob(z, mean, log_var) - self.log_prob(z)

    def fit(self, mean, log_var, held_out=None, **options):
        """Fits the prior to the aggregate posterior `mean_x q(z|x)` of a model that stays as it is.

        That minimises the rate, so the bound of the model rises by what `log p(z)` of held-out codes rises by.

        Args:
            mean, log_var: Of the posteriors of the training images, NumPy, `(n, *latent)`.
            held_out: `(mean, log_var)` of other images, which say which epoch is kept.
            options: Of `tfvae.priors.fitting.ascend`.

        Returns:
            Mean `log p(z)` of each epoch, nats per example, of what is held out where it is given.
        """
        from tfvae.priors.fitting import ascend

        return ascend(self, mean, log_var, held_out, **options)


def gaussian_log_prob(z, mean, log_var):
    """`log N(z; mean, exp(log_var))` summed over the latent axes, `(batch,)`, nats, float32."""
    z, mean, log_var = float32(z), float32(mean), float32(log_var)
    squares = ops.square(z - mean) * ops.exp(-log_var)
    return -0.5 * sum_per_example(squares + log_var + math.log(2 * math.pi))
