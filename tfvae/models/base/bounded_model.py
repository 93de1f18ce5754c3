"""Models whose objective is a bound of log p(x) by several draws from the posterior."""

from keras import ops

from tfvae import bounds
from tfvae.bounds import PathWeights
from tfvae.example_weights import batch_mean
from tfvae.models.base.variational_model import VariationalModel
from tfvae.priors.base import gaussian_log_prob


class BoundedModel(VariationalModel):
    """A `VariationalModel` that maximises a `tfvae.bounds.Bound`, by default the ELBO of one draw.

    The log-weights of a bound are `log p(x|z) + beta * log(p(z) / q(z|x))`. `call` takes `samples` and `path`, as
    `VAE.call` does.

    Args:
        bound: A `Bound`, or its name in `tfvae.bounds.BOUNDS`; the others as `VariationalModel`.

    Raises:
        ValueError: If there are free bits for another bound than the ELBO of one draw; and as `VariationalModel`.
    """

    def __init__(self, encoder, decoder, beta, free_bits, seed, prior, bound="elbo", **kwargs):
        super().__init__(encoder, decoder, beta, free_bits, seed, prior, **kwargs)
        self.bound = bounds.get(bound)
        self.require_plain_bound("free_bits", self.free_bits)

    def require_plain_bound(self, name, value):
        """Raises `ValueError` for a setting of the rate where the bound has no rate of its own."""
        if value and not self.bound.plain:
            raise ValueError(
                f"`{name}` must be 0 for a bound that has no rate of its own: `elbo` of one draw has. "
                f"Received: {name}={value}, bound of {self.bound.samples} draws, gradient {self.bound.gradient!r}"
            )

    def log_posterior(self, outputs, path):
        """`log q(z|x)` of the draws in the outputs of `call`, nats; of a path gradient as a function of z alone."""
        mean, log_var = outputs["mean"], outputs["log_var"]
        if path:
            mean, log_var = ops.stop_gradient(mean), ops.stop_gradient(log_var)
        return gaussian_log_prob(outputs["z"], mean, log_var)

    def loss_terms(self, images, training=False, **labels):
        """The scalar loss, and distortion and rate of each example, means over the draws of the bound."""
        if self.bound.plain:
            return super().loss_terms(images, training, **labels)
        samples, path = self.bound.samples, PathWeights() if self.bound.gradient == "path" else None
        outputs = self(images, training=training, samples=samples, path=path, **labels)
        repeated = ops.repeat(images, samples, axis=0)
        distortion = -self.likelihood.log_prob(repeated, outputs["parameters"], training=training)
        rate = self.log_posterior(outputs, path) - self.prior.log_prob(outputs["z"])
        distortion, rate = (ops.reshape(nats, (-1, samples)) for nats in (distortion, rate))
        log_weights = -distortion - (self.current_beta() if training else self.beta) * rate
        if path:
            path.values = ops.reshape(self.bound.path_weights(log_weights), (-1,))
        loss = batch_mean(-self.bound.value(log_weights)) + batch_mean(self.auxiliary_loss(outputs, images))
        return loss, ops.mean(distortion, axis=1), ops.mean(rate, axis=1)
