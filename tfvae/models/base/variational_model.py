"""What every model with a Gaussian posterior q(z|x) shares: the bound, its weights, and importance weights."""

import keras
import tensorflow as tf
from keras import ops

from tfvae.distributions import float32
from tfvae.endpoint import VARIANTS, Endpoint
from tfvae.example_weights import batch_mean
from tfvae.inputs import given
from tfvae.layers.sampling import GaussianSampler
from tfvae.models.base.latent_model import LatentModel
from tfvae.objectives import free_bits_rate
from tfvae.priors import StandardNormal
from tfvae.priors.base import gaussian_log_prob
from tfvae.schedules import BetaSchedule, final_of


class VariationalModel(LatentModel):
    """A diagonal Gaussian posterior, a prior, a likelihood, and the loss `distortion + beta * rate + auxiliary loss`.

    A subclass defines `call`, whose outputs hold `mean`, `log_var`, `z` and `parameters`, and what `LatentModel` asks
    for.

    Args:
        encoder, decoder: The parts; the encoder emits a posterior.
        beta: A non-negative number, or a `BetaSchedule` of the optimiser's step.
        free_bits: Nats per latent channel below which the rate costs nothing.
        seed: Starts the posterior's noise.
        prior: A `Prior`, or its name in `tfvae.priors.PRIORS`; None: the standard normal.

    Raises:
        ValueError: If `beta` or `free_bits` is negative, the encoder emits no posterior, or there are free bits for a
            prior without a KL divergence of each unit.
    """

    stochastic = True

    def __init__(self, encoder, decoder, beta=1.0, free_bits=0.0, seed=None, prior=None, **kwargs):
        super().__init__(encoder, decoder, **kwargs)
        if not self.encoder.stochastic:
            raise ValueError("`encoder` must emit a posterior. Received: an Encoder with stochastic=False")
        if free_bits < 0:
            raise ValueError(f"`free_bits` must be non-negative. Received: free_bits={free_bits}")
        # A variable, because a Python float would be frozen into the traced train step.
        self._beta = self.add_weight(name="beta", shape=(), initializer="zeros", dtype="float32", trainable=False)
        self.beta = beta
        self.free_bits = float(free_bits)
        self.seed = seed
        self.sampler = GaussianSampler(seed=seed)
        self.sampler.build((None, *self.latent_shape), (None, *self.latent_shape))
        self.prior = self.built_prior(prior)
        if free_bits and not hasattr(self.prior, "kl"):
            raise ValueError(
                f"`free_bits` must be 0 for {type(self.prior).__name__}, which has no KL divergence of each unit. "
                f"Received: free_bits={free_bits}"
            )

    @property
    def beta(self):
        """Weight of the rate, a variable; of a schedule its final value, at which models are evaluated."""
        return self._beta

    @beta.setter
    def beta(self, beta):
        final = final_of(beta)
        if final < 0:
            raise ValueError(f"`beta` must be non-negative. Received: beta={beta}")
        self._beta.assign(final)
        self.beta_schedule = beta if isinstance(beta, BetaSchedule) else None
        self.train_function = None  # the traced one asks the former schedule

    @property
    def warm_up(self):
        """Steps of training before beta first has its final value; 0 without a schedule."""
        return self.beta_schedule.warm_up if self.beta_schedule else 0

    def encode(self, images):
        mean, log_var = self.encoder(self.as_images(images))
        return {"mean": mean, "log_var": log_var}

    def codes(self, images):
        return self.encode(images)["mean"]

    def parameters_of(self, z, images, training=False, labels=None):
        """Of `p(x|z)` for codes of `images`, at their size; `labels` are for a conditional model."""
        return self.crop(self.decoder(z, training=training), images)

    def elbo_terms(self, images, training=False, outputs=None, labels=None):
        """Distortion and rate of each example, both shape `(batch,)`, in nats, float32.

        `outputs` are those of `self(images)`, where they are known already.
        """
        outputs = self(images, training=training, **given(labels)) if outputs is None else outputs
        distortion = -self.likelihood.log_prob(images, outputs["parameters"], training=training)
        return distortion, self.prior.rate(outputs["mean"], outputs["log_var"], outputs["z"])

    def auxiliary_loss(self, outputs, images):
        """What the loss has in addition to distortion and weighted rate, nats per example; 0 here.

        Args:
            outputs: Of `self(images)`.
            images: Shape `(batch, height, width, channels)`.
        """
        return 0.0

    def bound_loss(self, outputs, distortion, rate, training=True):
        """`distortion + beta * rate` with the free bits, a scalar."""
        beta = self.current_beta() if training else self.beta
        if hasattr(self.prior, "kl"):
            mean_rate = free_bits_rate(self.prior.kl(outputs["mean"], outputs["log_var"]), self.free_bits)
        else:
            mean_rate = batch_mean(rate)
        return batch_mean(distortion) + beta * self.rate_cost(mean_rate, training)

    def rate_cost(self, rate, training):
        """What `beta` multiplies, from the mean rate of a batch; here the rate itself."""
        return rate

    def loss_terms(self, images, training=False, **labels):
        outputs = self(images, training=training, **labels)
        distortion, rate = self.elbo_terms(images, training=training, outputs=outputs)
        loss = self.bound_loss(outputs, distortion, rate, training) + batch_mean(self.auxiliary_loss(outputs, images))
        return loss, distortion, rate

    def current_beta(self):
        """The schedule's value at the optimiser's step, or `beta`: the weight in a training step."""
        return self.scheduled(self.beta_schedule, self.beta)

    def scheduled(self, schedule, final):
        """The value of a schedule at the optimiser's step; `final` where it is none, or there is no optimiser yet."""
        if not isinstance(schedule, BetaSchedule) or getattr(self, "optimizer", None) is None:  # none before `compile`
            return final
        return schedule(self.optimizer.iterations)

    def drawn(self, mean, log_var, noise=None):
        """Mean, log-variance and a draw of the posterior whose parameters the encoder gave.

        Args:
            mean, log_var: Of q(z|x), a row for each draw, or one for all.
            noise: Standard normal, a row for each draw; None: the sampler's.
        """
        if noise is None:
            return mean, log_var, self.sampler(mean, log_var)
        return mean, log_var, mean + ops.exp(0.5 * log_var) * float32(noise)

    def posterior_noise(self, encoded, samples, seed):
        """Standard normal noise for `samples` draws from a posterior of `encode`, `(samples, *latent)`, float32.

        Args:
            encoded: What `encode` returned; only its shape is used.
            samples: How many draws, for each image alike.
            seed: Two int32, as of TensorFlow's stateless operations: equal seeds, equal noise.
        """
        shape = (samples, *ops.shape(encoded["mean"])[1:])
        return tf.random.stateless_normal(shape, seed, alg="philox")

    def log_weights(self, images, encoded, noise, labels=None):
        """Log importance weights `log p(x|z) + log p(z) - log q(z|x)` at `z = mean + exp(0.5 * log_var) * noise`.

        Args:
            images: Shape `(batch, height, width, channels)`, or one image for all of the noise.
            encoded: What `encode(images)` returned.
            noise: Shape `(batch, *latent)`, or, for one image, any number of draws.

        Returns:
            Nats, a weight for each row of `noise`, float32.
        """
        mean, log_var, z = self.drawn(encoded["mean"], encoded["log_var"], noise)
        log_ratio = self.prior.log_prob(z) - gaussian_log_prob(z, mean, log_var)
        return self.likelihood.log_prob(images, self.parameters_of(z, images, **given(labels))) + log_ratio

    def drawing(self, inputs, function):
        """The endpoint `generate`: a file of its own only where the decoder of standard normal noise does not draw."""
        if isinstance(self.prior, StandardNormal):
            return Endpoint(inputs, function)
        # In float32 alone: in half precision noise near the border of two components would choose the other one.
        return Endpoint(inputs, function, "generator", VARIANTS[:1])

    def get_config(self):
        schedule = self.beta_schedule
        return {
            **super().get_config(),
            "beta": keras.saving.serialize_keras_object(schedule) if schedule else float(self._beta.numpy()),
            "free_bits": self.free_bits,
            "seed": self.seed,
        }
