"""A VAE that separates content from style, and decodes content in another style."""

from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfvae.distributions import float32
from tfvae.endpoint import Endpoint
from tfvae.example_weights import batch_mean
from tfvae.inputs import as_label_weights, in_turn
from tfvae.metrics.image_quality import luminance
from tfvae.models.base import VariationalModel, only_spatial_resnet
from tfvae.models.base.trackers import Mean
from tfvae.networks.critic import PatchCritic
from tfvae.networks.encoder import Encoder
from tfvae.networks.style_decoder import StyleDecoder
from tfvae.objectives import patch_cross_entropy

WINDOW = 7  # pixels in which `structure` compares two pictures
ASKS_CRITIC = "`reconstruct`, which asks the critic for each picture's style, is in the SavedModel alone."
STEADY = 0.5 * 0.03**2  # the constant of SSIM's third factor, for pixels in [0, 1]


@keras.saving.register_keras_serializable(package="tfvae")
class StyleVAE(VariationalModel):
    """`log p(x|s) >= E_q[log p(x|z, s)] - KL(q(z|x) || p(z))`, and renderings in other styles that a critic judges.

    | symbol | meaning | name in the code |
    | --- | --- | --- |
    | s | style: one weight for each of K, adding up to 1 in a style that was learnt | `weights` |
    | z | content: a code at 1/2**levels of the resolution | `mean`, `log_var`, `z` |
    | p(x\\|z, s) | likelihood | `parameters` |
    | x' | E[x\\|z, s'], the content of x in the style of another picture | `rendered` |
    | D_k(x) | probability that a patch is a real one of style k | `critic`, first K outputs |
    | C_k(x) | probability that a patch is of style k rather than another | `critic`, last K outputs |
    | n | values of a picture, height * width * channels | `values` |

        encoder, decoder:  -log p(x|z, s) + beta * rate + n * (adversarial * -log D_s'(x') + naming * -log C_s'(x')
                           + content * mean((q(x) - q(x'))**2) / 2 + structure * (1 - structure(x, x')))
        critic:            n * (-log D_s(x) - log(1 - D_s'(x')) - log C_s(x))

    A rendering is the decoder's work alone: what a code says is learnt by the bound, so the content is kept, and an
    encoder that had to please the critic would say less. It does learn to read the same code again from a rendering
    (`content`). Logarithms of D and C are means over patches. What is reported as distortion, rate, ELBO and loss is
    the bound alone, as of any VAE. It does not say which epoch renders best, so the last is kept.

    Where a method is given no style, it is the picture's own: the one that the critic takes it for.

    Args:
        channels: 1 or 3.
        widths: Filters of each level, fine to coarse, of encoder and decoder.
        latent_dim: Channels of the code.
        likelihood: A `Likelihood`, or its name.
        label_names: The styles, in the order of their labels; two or more.
        blocks: Residual blocks of each level of the decoder.
        critic_widths: Filters of the critic's levels, fine to coarse.
        adversarial, naming, content, structure: Weights of the terms of a rendering.
        beta, free_bits, seed: As in `VAE`.

    Call arguments:
        images: Shape `(batch, height, width, channels)`, in [0, 1].
        labels: The style of each, int `(batch,)`; by default the one that the critic takes it for.

    Raises:
        ValueError: If there are fewer than two styles, or a weight is negative; and as `Encoder` and `PatchCritic`.

    Reference:
        Dumoulin et al. (2017), https://arxiv.org/abs/1610.07629, for styles as affine parameters; Choi et al. (2020),
        StarGAN v2, https://arxiv.org/abs/1912.01865, for a critic with an output for each domain; Choi et al. (2018),
        https://arxiv.org/abs/1711.09020, for one that names them
    """

    conditional = True
    usual: ClassVar = {"network": "resnet", "widths": (32, 64), "likelihood": "optimal_gaussian"}

    def __init__(
        self,
        channels,
        widths,
        latent_dim,
        likelihood,
        label_names=(),
        blocks=3,
        critic_widths=(32, 64, 128),
        adversarial=1.0,
        naming=1.0,
        content=0.5,
        structure=0.25,
        beta=1.0,
        free_bits=0.0,
        seed=None,
        **kwargs,
    ):
        if len(label_names) < 2:
            raise ValueError(f"`label_names` must name two styles or more. Received: {list(label_names)}")
        terms = {"adversarial": adversarial, "naming": naming, "content": content, "structure": structure}
        for name, value in terms.items():
            if value < 0:
                raise ValueError(f"`{name}` must be non-negative. Received: {name}={value}")
        shape = (None, None, channels)
        encoder = Encoder(shape, latent_dim, "resnet", widths, seed=seed)
        decoder = StyleDecoder(channels, tuple(widths)[::-1], latent_dim, len(label_names), likelihood, blocks)
        super().__init__(encoder, decoder, beta, free_bits, seed, **kwargs)
        self.label_names, self.weights_of_terms = list(label_names), terms
        self.critic_widths = tuple(critic_widths)
        self.critic = PatchCritic(self.critic_widths, outputs=2 * self.styles)
        self.critic.build((None, *shape))
        self.more_trackers = [Mean(name=name) for name in (*terms, "critic")]

    @classmethod
    def assemble(cls, image_shape, latent_dim, *, network, widths, hidden, dropout, likelihood, seed, **options):
        only_spatial_resnet("styles", image_shape, network, dropout)
        return cls(image_shape[-1], widths, latent_dim, likelihood, seed=seed, **options)

    @property
    def styles(self):
        """How many there are."""
        return len(self.label_names)

    @property
    def margin(self):
        """Radius of the receptive field of `render` in pixels, a multiple of the factor."""
        # Two of each level's strided convolution, and two of each residual block at half its resolution.
        seen = sum(6 * 2**level for level in range(len(self.encoder.widths)))
        return -(-(seen + self.decoder.margin) // self.factor) * self.factor

    def call(self, images, training=False, labels=None):
        weights = self.style_of(images, labels)
        mean, log_var = self.encoder(images, training=training)
        z = self.sampler(mean, log_var)
        parameters = self.crop(self.decoder(z, weights, training=training), images)
        return {"mean": mean, "log_var": log_var, "z": z, "weights": weights, "parameters": parameters}

    def style_of(self, images, labels=None):
        """Weights `(batch, styles)` of the styles that `labels` names; without them, of `predicted_style`."""
        return self.predicted_style(images) if labels is None else as_label_weights(labels, self.label_names)

    def predicted_style(self, images):
        """The style that the critic takes each picture for: weights `(batch, styles)`, one of them 1, the others 0."""
        _, named = self.judge(images)
        votes = ops.sum(keras.activations.log_softmax(named, axis=-1), axis=(1, 2))
        return ops.one_hot(ops.argmax(votes, axis=-1), self.styles, dtype="float32")

    def judge(self, images):
        """Log-odds that a patch is a real one of each style, and that it is of each style: two `(b, h, w, styles)`."""
        scores, _ = self.critic(images)
        return scores[..., : self.styles], scores[..., self.styles :]

    def parameters_of(self, z, images, training=False, labels=None):
        return self.crop(self.decoder(z, self.style_of(images, labels), training=training), images)

    def decode_in_style(self, z, weights=None):
        """`{"image": E[x|z, s]}` in [0, 1], float32; without `weights` halfway between all styles."""
        return {"image": self.likelihood.mean(self.decoder(float32(z), weights))}

    def decode_with_context(self, outputs, z):
        return self.decode_in_style(z, outputs["weights"])["image"]

    def generate(self, noise, temperature=1.0, *, labels=None, seed=None, size=None):
        """`{"image"}` of standard normal `noise` in a style, as `VAE.generate`: a code of the prior, decoded.

        Without `labels` every style in turn.
        """
        noise = self.noise(noise, seed, size)
        labels = in_turn(noise, self.label_names) if labels is None else labels
        return self.decode_in_style(self.prior.sample(noise, temperature), as_label_weights(labels, self.label_names))

    def reconstruct(self, images, labels=None):
        return self.render(images, self.style_of(images, labels))

    def render(self, images, weights):
        """`{"image"}`: the content of `images` in a style; deterministic.

        Args:
            images: Shape `(batch, height, width, channels)`, of any size, in [0, 1].
            weights: Of each style, `(batch, styles)` or `(1, styles)`; any numbers: the styles are mixed linearly.
        """
        return {"image": self.crop(self.decode_in_style(self.codes(images), weights)["image"], images)}

    def endpoints(self, image, latent):
        """As `LatentModel.endpoints`; `labels` are weights of the styles, `(batch, styles)`, as `render` takes them."""
        labels = {"labels": (image[0], self.styles)}
        reconstruct = Endpoint({"image": image}, lambda image: self.reconstruct(image), chooses=True, note=ASKS_CRITIC)
        return {
            **super().endpoints(image, latent),
            "reconstruct": reconstruct,
            "decode": Endpoint({"z": latent, **labels}, lambda z, labels: self.decode_in_style(z, labels), "decoder"),
            "generate": self.drawing(
                {"noise": latent, **labels}, lambda noise, labels: self.generate(noise, labels=labels)
            ),
            "stylize": Endpoint(
                {"image": image, **labels}, lambda image, labels: self.render(image, labels), "stylizer"
            ),
        }

    @property
    def in_words(self):
        styles = f"{', '.join(self.label_names)}, or a mixture of them"
        return "variational autoencoder of styles", f"it renders an image in the style {styles}"

    def examples(self, images, rng):
        """As `LatentModel.examples`; `labels` are each picture's own style, and the one after it."""
        own = ops.convert_to_numpy(self.predicted_style(images))
        return {**super().examples(images, rng), "labels": [own, np.roll(own, 1, axis=-1)]}

    def part_losses(self, images, labels):
        """Losses of encoder and decoder, and of the critic; the bound's loss; and terms by example."""
        outputs = self(images, labels=labels, training=True)
        distortion, rate = self.elbo_terms(images, training=True, outputs=outputs)
        loss = self.bound_loss(outputs, distortion, rate)
        other = other_styles(labels, self.styles)
        styles = ops.one_hot(other, self.styles, dtype="float32")
        # The codes of the bound, noise and all: else the decoder would see from the missing noise when it is judged.
        codes = tf.stop_gradient(outputs["z"])
        rendered = self.crop(self.decoder(codes, styles, training=True), images)
        rendered = self.likelihood.mean(rendered)
        read, _ = self.encoder(rendered, training=True)
        # One pass over both: rows that are real, then rows that are not.
        real, named = (ops.split(part, 2) for part in self.judge(ops.concatenate([float32(images), rendered])))
        terms = {
            "adversarial": patch_cross_entropy(1.0, scores_of(real[1], other)),
            "naming": style_cross_entropy(named[1], other),
            "content": 0.5 * ops.mean(ops.square(tf.stop_gradient(outputs["mean"]) - read), axis=(1, 2, 3)),
            "structure": 1.0 - structure(images, rendered),
        }
        critic = patch_cross_entropy(1.0, scores_of(real[0], labels)) + patch_cross_entropy(
            0.0, scores_of(real[1], other)
        )
        critic += style_cross_entropy(named[0], labels)
        values = ops.cast(ops.prod(ops.shape(images)[1:]), "float32")
        judged = sum(weight * batch_mean(terms[name]) for name, weight in self.weights_of_terms.items())
        losses = (loss + values * judged, values * batch_mean(critic))
        return losses, loss, (distortion, rate, *terms.values(), critic)

    def selection_loss(self, means):
        """None: no figure of pictures that are not rendered shows the best epoch."""
        return None

    def gradient_terms(self, images, **labels):
        with tf.GradientTape(persistent=True) as tape:
            losses, loss, terms = self.part_losses(images, **labels)
            scaled = [self.scaled_loss(one) for one in losses]
        critics = self.critic.trainable_variables
        own = {id(weight) for weight in critics}
        makers = [weight for weight in self.trainable_variables if id(weight) not in own]
        return self.per_loss_gradients(tape, zip(scaled, (makers, critics), strict=True)), loss, *terms

    def get_config(self):
        config = super().get_config()
        del config["encoder"], config["decoder"]  # made from the settings
        return {
            **config,
            "channels": self.image_shape[-1],
            "widths": self.encoder.widths,
            "latent_dim": self.encoder.latent_dim,
            "likelihood": keras.saving.serialize_keras_object(self.likelihood),
            "label_names": list(self.label_names),
            "blocks": self.decoder.blocks,
            "critic_widths": self.critic_widths,
            **dict(self.weights_of_terms),
        }


def other_styles(labels, styles):
    """A style for each picture that is not its own, `(batch,)` int32: one place on, two places on, … by row in turn."""
    rows = ops.arange(ops.shape(labels)[0], dtype="int32")
    return ops.mod(ops.cast(labels, "int32") + 1 + ops.mod(rows, styles - 1), styles)


def scores_of(scores, labels):
    """Scores of the style of each picture, `(b, h, w, 1)`, of those of all, `(b, h, w, styles)`."""
    return ops.sum(scores * ops.one_hot(labels, scores.shape[-1])[:, None, None], axis=-1, keepdims=True)


def style_cross_entropy(log_odds, labels):
    """`-log C` of the style of each picture: means over patches, `(b,)`, nats."""
    return -ops.mean(scores_of(keras.activations.log_softmax(log_odds, axis=-1), labels), axis=(1, 2, 3))


def structure(x, y):
    """The mean correlation of two pictures' luminance in 7×7 windows, SSIM's third factor, within [-1, 1]; `(b,)`.

    `(cov + c) / (std_x * std_y + c)` with `c = 0.03**2 / 2`: neither brightness nor contrast counts, and where both are
    flat, they agree.

    Reference:
        Wang et al. (2004), Image quality assessment: from error visibility to structural similarity, equation 10
    """
    x, y = luminance(x), luminance(y)

    def mean(maps):
        return tf.nn.avg_pool2d(maps, WINDOW, 1, "VALID")

    mean_x, mean_y = mean(x), mean(y)
    variances = (ops.relu(mean(v * v) - m * m) for v, m in ((x, mean_x), (y, mean_y)))
    std_x, std_y = (ops.sqrt(variance + 1e-8) for variance in variances)
    return ops.mean((mean(x * y) - mean_x * mean_y + STEADY) / (std_x * std_y + STEADY), axis=(1, 2, 3))
