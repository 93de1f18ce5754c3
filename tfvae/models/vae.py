"""The variational autoencoder."""

import keras
import tensorflow as tf
from keras import ops

from tfvae.distributions import float32
from tfvae.layers.sampling import GaussianSampler
from tfvae.models.base import LatentModel
from tfvae.objectives import free_bits_rate, gaussian_kl_per_unit, sum_per_example
from tfvae.schedules import BetaSchedule


@keras.saving.register_keras_serializable(package="tfvae")
class VAE(LatentModel):
    """Maximises `E_q[log p(x|z)] - beta * KL(q(z|x) || p(z))` with a standard normal prior.

    | symbol | meaning | name in the code |
    | --- | --- | --- |
    | q(z\\|x) | posterior | `mean`, `log_var` |
    | z | a draw from the posterior | `z` |
    | p(x\\|z) | likelihood | `parameters`, read by `likelihood` |
    | beta | weight of the rate | `beta` |
    | lambda | floor under each latent channel's rate | `free_bits` |

    Args:
        encoder: An `Encoder` with `stochastic=True`.
        decoder: A `Decoder` of the same image and latent shape.
        beta: A non-negative number (beta-VAE), or a `BetaSchedule` of the optimiser's step (warm-up, cycles).
        free_bits: Nats per latent channel below which the rate costs nothing.
        seed: Starts the posterior's noise.

    Call arguments:
        images: Shape `(batch, height, width, channels)`, in [0, 1].

    Returns:
        `{"mean", "log_var", "z", "parameters"}`, all float32.

    Raises:
        ValueError: If `beta` or `free_bits` is negative, or the encoder emits no posterior.

    Reference:
        Kingma and Welling (2014), https://arxiv.org/abs/1312.6114; Higgins et al. (2017) for beta;
        Kingma et al. (2016), https://arxiv.org/abs/1606.04934, for free bits
    """

    has_prior = True
    generates = True
    stochastic = True

    def __init__(self, encoder, decoder, beta=1.0, free_bits=0.0, seed=None, **kwargs):
        super().__init__(encoder, decoder, **kwargs)
        self.set_objective(encoder, beta, free_bits, seed)
        self.build((None, *self.image_shape))

    def set_objective(self, encoder, beta, free_bits, seed):
        """The part of the constructor that a subclass with more parts calls, too, before it adds them and is built."""
        if not encoder.stochastic:
            raise ValueError("`encoder` must emit a posterior. Received: an Encoder with stochastic=False")
        if free_bits < 0:
            raise ValueError(f"`free_bits` must be non-negative. Received: free_bits={free_bits}")
        self.beta_schedule = beta if isinstance(beta, BetaSchedule) else None
        initial = self.beta_schedule.final if self.beta_schedule else beta
        if initial < 0:
            raise ValueError(f"`beta` must be non-negative. Received: beta={beta}")
        # A variable, because a Python float would be frozen into the traced train step.
        self.beta = self.add_weight(name="beta", shape=(), initializer="zeros", dtype="float32", trainable=False)
        self.beta.assign(initial)
        self.free_bits = free_bits
        self.seed = seed
        self.sampler = GaussianSampler(seed=seed)

    def call(self, images, training=False):
        mean, log_var = self.encoder(images, training=training)
        z = self.sampler(mean, log_var)
        parameters = self.parameters_of(z, images, training=training)
        return {"mean": mean, "log_var": log_var, "z": z, "parameters": parameters}

    def parameters_of(self, z, images, training=False):
        """Of `p(x|z)` for codes of `images`, at their size."""
        return self.crop(self.decoder(z, training=training), images)

    def encode(self, images):
        mean, log_var = self.encoder(images)
        return {"mean": mean, "log_var": log_var}

    def codes(self, images):
        return self.encode(images)["mean"]

    def generate(self, noise, temperature=1.0):
        """`{"image"}` of standard normal `noise`, `(batch, *latent_shape)`: `z = temperature * noise`, decoded."""
        return self.decode(temperature * noise)

    def distortion_and_kl(self, images, training=False, outputs=None):
        """Distortion of each example, `(batch,)`, and KL of each latent unit, `(batch, *latent_shape)`; nats.

        `outputs` are those of `self(images)`, where they are known already.
        """
        outputs = self(images, training=training) if outputs is None else outputs
        distortion = -self.likelihood.log_prob(images, outputs["parameters"], training=training)
        return distortion, gaussian_kl_per_unit(outputs["mean"], outputs["log_var"])

    def elbo_terms(self, images, training=False):
        distortion, kl = self.distortion_and_kl(images, training=training)
        return distortion, sum_per_example(kl)

    def posterior_noise(self, encoded, samples, seed):
        """Standard normal noise for `samples` draws from a posterior of `encode`, `(samples, *latent)`, float32.

        Args:
            encoded: What `encode` returned; only its shape is used.
            samples: How many draws, for each image alike.
            seed: Two int32, as of TensorFlow's stateless operations: equal seeds, equal noise.
        """
        shape = (samples, *ops.shape(encoded["mean"])[1:])
        return tf.random.stateless_normal(shape, seed, alg="philox")

    def log_weights(self, images, encoded, noise):
        """Log importance weights `log p(x|z) + log p(z) - log q(z|x)` at `z = mean + exp(0.5 * log_var) * noise`.

        `log p(z) - log q(z|x) = 0.5 * sum(noise**2 + log_var - z**2)`: the constants cancel.

        Args:
            images: Shape `(batch, height, width, channels)`, or one image for all of the noise.
            encoded: What `encode(images)` returned.
            noise: Shape `(batch, *latent)`, or, for one image, any number of draws.

        Returns:
            Nats, a weight for each row of `noise`, float32.
        """
        mean, log_var, noise = encoded["mean"], encoded["log_var"], float32(noise)
        z = mean + ops.exp(0.5 * log_var) * noise
        log_ratio = 0.5 * sum_per_example(ops.square(noise) + log_var - ops.square(z))
        return self.likelihood.log_prob(images, self.parameters_of(z, images)) + log_ratio

    def current_beta(self):
        """The schedule's value at the optimiser's step, or `beta`."""
        if self.beta_schedule is None or getattr(self, "optimizer", None) is None:  # none before `compile`
            return self.beta
        return self.beta_schedule(self.optimizer.iterations)

    def loss_and_terms(self, images, training=False, **labels):
        outputs = self(images, training=training, **labels)
        distortion, kl = self.distortion_and_kl(images, training=training, outputs=outputs)
        loss = ops.mean(distortion) + self.current_beta() * free_bits_rate(kl, self.free_bits)
        loss += ops.mean(self.beside_the_bound(outputs, images))
        return loss, distortion, sum_per_example(kl)

    def get_config(self):
        schedule = self.beta_schedule
        return {
            **super().get_config(),
            "beta": keras.saving.serialize_keras_object(schedule) if schedule else float(self.beta.numpy()),
            "free_bits": self.free_bits,
            "seed": self.seed,
        }
