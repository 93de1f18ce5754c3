"""Latent dynamics: what happens next in a film, given its last frames."""

from dataclasses import replace
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfvae.distributions import float32
from tfvae.endpoint import VARIANTS, Endpoint
from tfvae.layers.padding import pad_to_multiple
from tfvae.layers.recurrent import ConvGRU
from tfvae.layers.strips import frames_of, strip_of
from tfvae.models.base import VariationalModel, only_spatial_resnet
from tfvae.networks.video_frames import FrameDecoder, FrameEncoder
from tfvae.objectives import FLOOR, estimate_loss, sum_per_example

ZEROS = "`encode` and `reconstruct` are in the SavedModel alone: `continue` with noise of zeros is `reconstruct`."
MOVES = "int8 is left out: pixels are moved by flows of fractions of a pixel, which 8 bits round."


@keras.saving.register_keras_serializable(package="tfvae")
class VideoVAE(VariationalModel):
    """A state-space VAE of clips whose first frames are given, with a learnt prior of what each new frame brings.

        h_t = GRU(h_{t-1}, features(x_{t-1}))        what is known before frame t
        u_t = mu(h_t) + sigma(h_t) * z_t             what is new in it; z_t ~ N(0, 1), so u_t ~ N(mu, sigma**2)
        x_t ~ N(mean, std**2 | h_t, u_t, x_{t-1})    the frame before, moved and changed (`FrameDecoder`)

    After the given frames, x_{t-1} is the predicted mean, while training as in use: what the model learns to continue
    are its own predictions. So the bound is a sum over the predicted frames t > C,

        log p(x_{>C} | x_{<=C}) >= sum_t E_q[log p(x_t | z_{<=t}, x_{<=C})] - KL(q(z_t | z_{<t}, x_{<=t}) || N(0, 1))

    and the KL from q(u_t) to the learnt prior is that from q(z_t) to N(0, 1), because u_t is an affine map of z_t.

    | symbol | meaning | name in the code |
    | --- | --- | --- |
    | x_{<=C} | the frames that are given | the first `context` of `frames` |
    | h_t | what is known | `state` |
    | q(z_t\\|z_{<t}, x_{<=t}) | posterior of what is new, standardised by the prior | `mean`, `log_var` |
    | p(x_t\\|z_{<=t}, x_{<=C}) | likelihood | `parameters` |
    | E[x_t\\|z = 0] | the mean prediction | `estimate` |

    In addition to the bound, the loss has that of the prediction where nothing unexpected happens, z = 0, frame by
    frame (see `estimate_loss`): minimising it maximises the mean PSNR of the predicted frames.

    Clips are strips: frames one below the other, `(b, frames * h, w, channels)` (`tfvae.layers.strips`). Latents and
    parameters are laid out likewise; those of given frames are the prior's (KL 0) and have no probability.

    Args:
        channels: 1 or 3.
        widths: Filters at a quarter and at an eighth of the resolution.
        latent_dim: Units of a latent place, 8×8 pixels of one frame.
        frames: Of a clip.
        context: How many of them are given.
        floor: Of the mean squared error whose logarithm is the estimate's loss: see `estimate_loss`.
        beta, free_bits, seed: As in `VAE`.

    Raises:
        ValueError: If `widths` are not two, or `context` leaves nothing to predict.

    Reference:
        Denton and Fergus (2018), https://arxiv.org/abs/1802.07687; Fraccaro et al. (2016), SRNN,
        https://arxiv.org/abs/1605.07571
    """

    usual: ClassVar = {"network": "resnet", "widths": (32, 64), "likelihood": "bernoulli"}

    def __init__(
        self,
        channels,
        widths,
        latent_dim,
        frames=12,
        context=4,
        floor=FLOOR,
        beta=1.0,
        free_bits=0.0,
        seed=None,
        **kwargs,
    ):
        if len(widths) != 2:
            raise ValueError(f"`widths` must be of 2 levels. Received: widths={widths}")
        if not 1 <= context < frames:
            raise ValueError(f"`context` must be from 1 to `frames` - 1. Received: context={context}, frames={frames}")
        if floor <= 0:
            raise ValueError(f"`floor` must be positive. Received: floor={floor}")
        encoder, decoder = (part(channels, widths, latent_dim) for part in (FrameEncoder, FrameDecoder))
        super().__init__(encoder, decoder, beta, free_bits, seed, **kwargs)
        self.channels, self.widths, self.latent_dim = channels, tuple(widths), latent_dim
        self.frames, self.context, self.floor = frames, context, floor
        self.transition = ConvGRU(self.widths[1])
        encoder.build((None, None, None, channels))
        decoder.build((None, None, None, self.widths[1]))
        self.transition.build(*[(None, None, None, self.widths[1])] * 2)

    @classmethod
    def assemble(cls, image_shape, latent_dim, *, network, widths, hidden, dropout, likelihood, seed, **options):
        only_spatial_resnet("clips", image_shape, network, dropout)
        return cls(image_shape[-1], widths, latent_dim, seed=seed, **options)

    def remember(self, clips):
        """The state and the last frame after given frames `(b, t, h, w, channels)`, sides multiples of 8."""
        seen = self._features(clips)
        state = ops.zeros_like(seen[:, -1])
        for place in range(clips.shape[1] - 1):  # `advance` looks at the last one
            state = self.transition(state, seen[:, place])
        return state, float32(clips[:, -1])

    def advance(self, state, last, draw):
        """One frame further: the next state, and mean and log-standard deviation of the next frame, float32.

        Args:
            state: What `remember` or `advance` returned, `(b, h / 8, w / 8, widths[1])`.
            last: The frame before, given or predicted, `(b, h, w, channels)`.
            draw: From the state to z, `(b, h / 8, w / 8, latent_dim)`; zeros: nothing unexpected happens.
        """
        quarter, eighth = self.encoder(last)
        state = self.transition(state, eighth)
        state = self.decoder.learn(state, draw(state))
        return state, *self.decoder(state, quarter, last)

    def predict_frames(self, clips, draws):
        """Continues given frames.

        Args:
            clips: The given frames, `(b, t, h, w, channels)`, sides multiples of 8.
            draws: For each frame to predict, the function `draw` of `advance`. Where it gives n times as many z, there
                are n continuations of each clip, all of the first one first.

        Returns:
            Means and log-standard deviations, each `(b, len(draws), h, w, channels)`, float32.
        """
        state, last = self.remember(clips)
        means, log_stds = [], []
        for draw in draws:
            state, last, log_std = self.advance(state, last, draw)
            means.append(last)
            log_stds.append(log_std)
        return ops.stack(means, axis=1), ops.stack(log_stds, axis=1)

    def infer(self, images, noise=None, estimated=True):
        """`{"mean", "log_var", "z", "parameters", "estimate"}` of clips, all strips, float32.

        Args:
            images: Strips, `(b, frames * h, w, channels)`.
            noise: Standard normal, a strip like z, for the posterior; drawn where it is None.
            estimated: Whether the estimate is wanted.
        """
        clips = self._clips(images)
        given, count = clips[:, : self.context], self.frames - self.context
        seen = self._features(clips[:, self.context :])
        noise = None if noise is None else frames_of(noise, self.frames)
        means: list[Any] = []
        log_vars: list[Any] = []
        zs: list[Any] = []

        def posterior(place):
            def draw(state):
                own = state[: ops.shape(seen)[0]]  # the other half is the estimate's
                mean, log_var = self.encoder.posterior(own, seen[:, place])
                if noise is None:
                    z = self.sampler(mean, log_var)
                else:
                    z = mean + ops.exp(0.5 * log_var) * noise[:, self.context + place]
                for values, value in zip((means, log_vars, zs), (mean, log_var, z), strict=True):
                    values.append(value)
                return ops.concatenate([z, ops.zeros_like(z)]) if estimated else z

            return draw

        # The two predictions run side by side, as one batch: with what the posterior knows, and with z = 0.
        doubled = ops.concatenate([given, given]) if estimated else given
        predicted, log_std = self.predict_frames(doubled, [posterior(place) for place in range(count)])
        own = slice(0, ops.shape(given)[0])
        outputs = {
            name: self._latent_strip(values) for name, values in (("mean", means), ("log_var", log_vars), ("z", zs))
        }
        outputs["parameters"] = self._parameters(given, predicted[own], log_std[own], images)
        if estimated:
            outputs["estimate"] = self._strip(given, predicted[ops.shape(given)[0] :], images)
        return outputs

    def call(self, images, training=False):
        return self.infer(images)

    def encode(self, images):
        """Posterior along its own mean: what is new in each frame if all before were as its mean says."""
        outputs = self.infer(images, self._no_noise(images), estimated=False)
        return {name: outputs[name] for name in ("mean", "log_var")}

    def decode_with_context(self, outputs, z):
        given = self.likelihood.mean(outputs["parameters"])  # where frames are given, they are the mean
        return self.predict_clip(given, z)["image"]

    def predict_clip(self, image, noise):
        """`{"image"}`: the first `context` frames of a strip, continued with z = `noise`, a strip like `mean`.

        Zeros give the mean prediction, standard normal noise one of the things that may happen. What `image` shows
        after the given frames, and `noise` before, is not looked at.
        """
        given, noise = self._clips(image)[:, : self.context], frames_of(float32(noise), self.frames)
        draws = [lambda state, place=place: noise[:, place] for place in range(self.context, self.frames)]
        return {"image": self._strip(given, self.predict_frames(given, draws)[0], image)}

    def reconstruct(self, images):
        """`{"image"}`: clips whose first frames are given, and the others predicted: the mean prediction."""
        return self.predict_clip(images, self._no_noise(images))

    def endpoints(self, image, latent):
        """`continue` is `predict_clip`; with noise of zeros it is `reconstruct`, so that it alone becomes a file."""
        strips, variants = {"image": image}, VARIANTS[:-1]
        found = {
            "encode": Endpoint(strips, lambda image: self.encode(image), note=ZEROS),
            "reconstruct": Endpoint(strips, lambda image: self.reconstruct(image)),
            "continue": Endpoint({**strips, "noise": latent}, self.predict_clip, "continuation", note=MOVES),
        }
        return {name: replace(endpoint, variants=variants) for name, endpoint in found.items()}

    @property
    def in_words(self):
        clip = f"clips of {self.frames} frames, one below the other, of which the first {self.context} are given"
        return "model of films", f"it continues {clip}"

    def examples(self, images, rng):
        """As `LatentModel.examples`, of clips; `noise` is 0, the mean prediction, and standard normal."""
        shape = (len(images), *self.code_shape(*images.shape[1:3]))
        noise = rng.standard_normal(shape).astype(np.float32)
        return {"image": [images], "noise": [np.zeros_like(noise), noise]}

    def auxiliary_loss(self, outputs, images):
        pairs = (self._predicted(strips) for strips in (float32(images), outputs["estimate"]))
        truth, estimate = (ops.reshape(clips, (-1, *clips.shape[2:])) for clips in pairs)
        loss = estimate_loss(truth, estimate, self.floor)
        return ops.sum(ops.reshape(loss, (-1, self.frames - self.context)), axis=1)

    def log_weights(self, images, encoded, noise, labels=None):
        """As `VAE.log_weights`; the posterior of a frame depends on the draws before it, so `encoded` is not used."""
        noise = float32(noise)
        images = ops.broadcast_to(images, (ops.shape(noise)[0], *ops.shape(images)[1:]))
        outputs = self.infer(images, noise, estimated=False)
        log_ratio = outputs["log_var"] + ops.square(noise) - ops.square(outputs["z"])
        predicted = self._predicted(log_ratio)  # in the given frames z is not drawn
        return self.likelihood.log_prob(images, outputs["parameters"]) + 0.5 * sum_per_example(predicted)

    def _predicted(self, strips):
        """Those frames of strips that are not given."""
        return frames_of(strips, self.frames)[:, self.context :]

    def _clips(self, images):
        """Strips as clips whose sides are multiples of 8: `(b, frames, h, w, channels)`, mirrored at the edge."""
        clips = frames_of(float32(images), self.frames)
        flat = ops.reshape(clips, (-1, *ops.shape(clips)[2:]))
        flat = pad_to_multiple(tf.ensure_shape(flat, (None, *clips.shape[2:])), self.factor, mirror=True)
        return _unflat(flat, self.frames)

    def _features(self, clips):
        """Features at an eighth of the resolution, `(b, t, h / 8, w / 8, widths[1])`."""
        count = clips.shape[1]
        flat = tf.ensure_shape(ops.reshape(clips, (-1, *ops.shape(clips)[2:])), (None, *clips.shape[2:]))
        return _unflat(self.encoder(flat)[1], count)

    def _strip(self, given, predicted, images):
        """Given and predicted frames as a strip of the size of `images`."""
        frames = ops.concatenate([given, predicted], axis=1)
        size = ops.shape(images)
        return strip_of(frames[:, :, : size[1] // self.frames, : size[2]])

    def _parameters(self, given, mean, log_std, images):
        parts = ((given, mean), (ops.zeros_like(given), log_std), (ops.zeros_like(given), ops.ones_like(mean)))
        return ops.concatenate([self._strip(*pair, images) for pair in parts], axis=-1)

    def _latent_strip(self, values):
        values = ops.stack(values, axis=1)
        given = ops.zeros_like(values[:, :1])
        return strip_of(ops.concatenate([given] * self.context + [values], axis=1))

    def _no_noise(self, images):
        shape = ops.shape(images)
        height, width = -(-(shape[1] // self.frames) // self.factor), -(-shape[2] // self.factor)
        return tf.zeros((shape[0], self.frames * height, width, self.latent_dim))

    def get_config(self):
        config = super().get_config()
        del config["encoder"], config["decoder"]  # made from the settings
        return {
            **config,
            "channels": self.channels,
            "widths": self.widths,
            "latent_dim": self.latent_dim,
            "frames": self.frames,
            "context": self.context,
            "floor": self.floor,
        }


def _unflat(flat, count):
    """`(b * count, h, w, c)` as `(b, count, h, w, c)`."""
    shape = tf.shape(flat)
    return tf.ensure_shape(
        tf.reshape(flat, (shape[0] // count, count, shape[1], shape[2], shape[3])), (None, count, *flat.shape[1:])
    )
