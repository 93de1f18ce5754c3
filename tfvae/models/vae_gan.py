"""A VAE whose pictures a critic compares and judges: sharp where the likelihood of pixels alone paints the mean."""

import keras
import tensorflow as tf
from keras import ops

from tfvae.distributions import float32
from tfvae.example_weights import batch_mean
from tfvae.layers.sampling import GaussianSampler
from tfvae.models.base.trackers import Mean
from tfvae.models.vae import VAE
from tfvae.networks.critic import PatchCritic
from tfvae.objectives import estimate_loss, patch_cross_entropy

FLOOR = 1e-4  # of a mean squared difference of features whose logarithm is taken


@keras.saving.register_keras_serializable(package="tfvae")
class VAEGAN(VAE):
    """A VAE with a learnt similarity, and a GAN that shares its decoder: three losses, each for its part's weights.

    | symbol | meaning | name in the code |
    | --- | --- | --- |
    | x, x', x_p | pictures: real, of the posterior's draw decoded, of the prior's draw decoded | `images`, … |
    | D(x) | probability that a patch is real, `sigmoid` of its score | `critic` |
    | D_l(x) | features of level l | `level` |
    | -log p(D_l(x)\\|z) | learnt similarity, nats per example up to a constant | `similarity` |
    | n | values of a picture, height * width * channels | `values` |

        encoder:  -log p(x|z) + similarity + beta * rate
        decoder:  gamma * (-log p(x|z) + similarity) - n * (log D(x') + log D(x_p)) / 2
        critic:   -n * (log D(x) + (log(1 - D(x')) + log(1 - D(x_p))) / 2)

    Logarithms of D are means over patches; n times them are comparable to sums over pixels. Decoder and critic are
    given the losses that do not saturate (Goodfellow et al. 2014, section 3), and the two kinds of pictures that are
    not real weigh together as much as the real ones, so that a critic who knows nothing says one half. As in algorithm
    1 of Larsen et al., no loss of the GAN reaches the encoder, and the similarity does not change the critic.

    The similarity is that of a normal around the features of x', whose variance is the best for each picture: the
    critic's features have no unit, and a fixed variance would weigh the rate by their size. The likelihood of the
    pixels stays in the loss: it keeps colours true. What is reported as distortion, rate, ELBO and loss is the bound of
    the pixels alone, as of any VAE, and the other terms are tracked separately. By that bound the plainer picture is
    the better one: no figure of the validation images says which epoch to keep, and the last is kept.

    Args:
        encoder: An `Encoder` with `stochastic=True`.
        decoder: A `Decoder` of the same image and latent shape.
        gamma: Weight of the two distortions in the decoder's loss: the smaller, the more it minds the critic. Too
            small, it has the critic fooled before either has learnt anything: the critic's loss stays at 2 * log(2).
        level: Whose features are compared, 1 the finest; 0: the pixels themselves.
        critic_widths: Filters of the critic's levels, fine to coarse.
        beta, free_bits, seed, prior, label_names: As in `VAE`.

    Raises:
        ValueError: If `gamma` is negative, or the critic has no such level; and as `VAE` and `PatchCritic`.

    Reference:
        Larsen et al. (2016), Autoencoding beyond pixels using a learned similarity metric,
        https://arxiv.org/abs/1512.09300; Isola et al. (2017), https://arxiv.org/abs/1611.07004, for patches
    """

    keep_last_epoch = True

    def __init__(
        self,
        encoder,
        decoder,
        gamma=5.0,
        level=2,
        critic_widths=(32, 64, 128),
        beta=1.0,
        free_bits=0.0,
        seed=None,
        prior=None,
        label_names=(),
        **kwargs,
    ):
        if gamma < 0:
            raise ValueError(f"`gamma` must be non-negative. Received: gamma={gamma}")
        if not 0 <= level <= len(critic_widths):
            raise ValueError(f"`level` must be from 0 to {len(critic_widths)}. Received: level={level}")
        super().__init__(encoder, decoder, beta, free_bits, seed, prior, label_names=label_names, **kwargs)
        self.gamma, self.level, self.critic_widths = gamma, level, tuple(critic_widths)
        self.prior_noise = GaussianSampler(None if seed is None else seed + 1)
        self.critic = PatchCritic(self.critic_widths)
        self.critic.build((None, None, None, self.image_shape[-1]))
        self.more_trackers = [Mean(name=name) for name in ("similarity", "adversarial", "critic")]

    def judge(self, images):
        """Log-odds that a patch is real, `(b, h, w, 1)`, and the features of `level`; both float32."""
        scores, features = self.critic(images)
        return scores, float32([images, *features][self.level])

    def draw(self, outputs, images):
        """As many pictures of the prior as there are `images`, and of their size."""
        nothing = ops.zeros_like(outputs["mean"])
        drawn = self.prior.sample(self.prior_noise(nothing, nothing))
        parameters = self.parameters_of(drawn, images, training=True, labels=outputs.get("labels"))
        return self.likelihood.mean(parameters)

    def part_losses(self, images, **labels):
        """Losses of encoder, decoder and critic; distortion + beta * rate, a scalar like them; and terms by example."""
        outputs = self(images, training=True, **labels)
        distortion, rate = self.elbo_terms(images, training=True, outputs=outputs)
        scores, features = self.judge(images)
        rebuilt_scores, rebuilt_features = self.judge(self.likelihood.mean(outputs["parameters"]))
        drawn_scores, _ = self.judge(self.draw(outputs, images))
        similarity = estimate_loss(features, rebuilt_features, FLOOR)
        adversarial = 0.5 * (patch_cross_entropy(1.0, rebuilt_scores) + patch_cross_entropy(1.0, drawn_scores))
        critic = patch_cross_entropy(1.0, scores) + 0.5 * (
            patch_cross_entropy(0.0, rebuilt_scores) + patch_cross_entropy(0.0, drawn_scores)
        )
        values = ops.cast(ops.prod(ops.shape(images)[1:]), "float32")
        loss = self.bound_loss(outputs, distortion, rate)
        losses = (
            loss + batch_mean(similarity),
            self.gamma * batch_mean(distortion + similarity) + values * batch_mean(adversarial),
            values * batch_mean(critic),
        )
        return losses, loss, (distortion, rate, similarity, adversarial, critic)

    def gradient_terms(self, images, **labels):
        with tf.GradientTape(persistent=True) as tape:
            losses, loss, terms = self.part_losses(images, **labels)
            scaled = [self.scaled_loss(one) for one in losses]  # a regulariser is of the part that it regularises
        decoders, critics = self.decoder.trainable_variables, self.critic.trainable_variables
        others = {id(weight) for weight in (*decoders, *critics)}
        encoders = [weight for weight in self.trainable_variables if id(weight) not in others]
        parts = (encoders, decoders, critics)
        return self.per_loss_gradients(tape, zip(scaled, parts, strict=True)), loss, *terms

    def served(self):
        """A VAE of the same encoder and decoder: a trained model needs no critic."""
        plain = VAE(self.encoder, self.decoder, prior=self.prior, label_names=self.label_names)
        if self.conditional:
            del plain.label_embedding
            plain.label_embedding = self.label_embedding
        return plain.served()

    def get_config(self):
        return {
            **super().get_config(),
            "gamma": self.gamma,
            "level": self.level,
            "critic_widths": self.critic_widths,
        }
