"""The parts of `VideoVAE`: what a frame looks like, and how the next one comes out of it."""

import keras
import tensorflow as tf
from keras import ops

from tfvae.distributions import clip_with_gradient, float32
from tfvae.layers.residual import ResidualBlock
from tfvae.layers.warping import warp
from tfvae.likelihoods.counted import CountedGaussian

QUARTER = 4  # pixels of a fine place; a place of the latent and of the state has twice as many
POSTERIOR_BOUND = 8.0  # bound of a posterior's mean, and of its log-variance below
REACH = 16.0  # pixels that the flow can span between two frames
LOG_STD = -2.0  # at the start: a standard deviation of an eighth of the range
# Surer than five grey levels no frame is predicted: on a black ground, where a surer one gains most, a single digit
# that went elsewhere would weigh more than all the others.
MIN_FRAME_LOG_STD = -4.0


class _Coder(keras.layers.Layer):
    def __init__(self, channels, widths, latent_dim, **kwargs):
        # Frames are not cast to half precision here: what is copied from one to the next must stay as it is.
        super().__init__(autocast=False, **kwargs)
        self.channels, self.widths, self.latent_dim = channels, tuple(widths), latent_dim
        self.image_shape, self.latent_shape = (None, None, channels), (None, None, latent_dim)

    stochastic = True
    factor = 2 * QUARTER

    def _convolution(self, filters, size=3, **options):
        return keras.layers.Conv2D(filters, size, padding="same", **{"dtype": self.dtype_policy, **options})

    def _block(self):
        return ResidualBlock(dtype=self.dtype_policy)

    def _build(self, **channels):
        for name, count in channels.items():
            getattr(self, name).build((None, None, None, count))
        self.built = True

    def get_config(self):
        settings = {"channels": self.channels, "widths": self.widths, "latent_dim": self.latent_dim}
        return {**super().get_config(), **settings}


@keras.saving.register_keras_serializable(package="tfvae")
class FrameEncoder(_Coder):
    """Features of a frame at a quarter and an eighth of its resolution, and the posterior of what is new in it.

    Args:
        channels: Of the frames.
        widths: Filters at the two resolutions.
        latent_dim: Units of a place.

    Call arguments:
        frames: `(b, h, w, channels)`, sides multiples of 8.

    Returns:
        `(b, h / 4, w / 4, widths[0])` and `(b, h / 8, w / 8, widths[1])`.
    """

    def __init__(self, channels, widths, latent_dim, **kwargs):
        super().__init__(channels, widths, latent_dim, **kwargs)
        fine, coarse = self.widths
        self.entrance, self.down = self._convolution(fine), self._convolution(coarse, 2, strides=2)
        self.at_quarter, self.at_eighth = self._block(), self._block()
        self.compare = self._convolution(coarse, activation="leaky_relu")
        # It starts as the prior: at first a frame is taken to hold nothing new.
        self.head = self._convolution(2 * latent_dim, 1, kernel_initializer="zeros", dtype="float32")

    def build(self, input_shape):
        fine, coarse = self.widths
        self._build(entrance=QUARTER**2 * self.channels, at_quarter=fine, down=fine, at_eighth=coarse)
        self._build(compare=2 * coarse, head=coarse)

    def call(self, frames):
        quarter = self.at_quarter(self.entrance(tf.nn.space_to_depth(frames - 0.5, QUARTER)))
        return quarter, self.at_eighth(self.down(quarter))

    def posterior(self, state, seen):
        """`(mean, log_var)` of what the frame with features `seen` has that `state` did not expect; float32."""
        head = float32(self.head(self.compare(ops.concatenate([state, seen], axis=-1))))
        bounded = POSTERIOR_BOUND * ops.tanh(head / POSTERIOR_BOUND)
        mean, log_var = bounded[..., : self.latent_dim], bounded[..., self.latent_dim :]
        # Wider than the prior there is nothing to say, and such noise would grow from frame to frame.
        return mean, ops.where(log_var > 0, ops.tanh(log_var), log_var)


@keras.saving.register_keras_serializable(package="tfvae")
class FrameDecoder(_Coder):
    """The next frame as a change of the last one: moved along a flow, and changed in value where a gate opens.

    `mean = clip(warp(last, flow) + gate * change, 0, 1)`: where flow and gate are zero, what stands still stays as it
    is, bit for bit; so begins an untrained decoder. The clip is straight-through, as a pixel at the end of the range
    must be able to leave it (Bengio et al. 2013, https://arxiv.org/abs/1308.3432).

    Args:
        channels, widths, latent_dim: As in `FrameEncoder`.

    Call arguments:
        state: What is known, `(b, h / 8, w / 8, widths[1])`.
        quarter: Features of the last frame, `(b, h / 4, w / 4, widths[0])`.
        last: The last frame, `(b, h, w, channels)`.

    Returns:
        Mean and log-standard deviation of the next frame, each of the shape of `last`, float32.
    """

    def __init__(self, channels, widths, latent_dim, **kwargs):
        super().__init__(channels, widths, latent_dim, **kwargs)
        fine, coarse = self.widths
        self.likelihood = FrameGaussian()
        self.likelihood.built = True
        self.expect = self._convolution(coarse, activation="leaky_relu")
        self.prior_head = self._convolution(2 * latent_dim, 1, dtype="float32")
        self.news, self.believe = self._convolution(coarse, 1), self._block()
        self.up, self.lateral = self._convolution(4 * fine, 1), self._convolution(fine, 1)
        self.first, self.second = self._block(), self._block()
        # Change and log-deviation of each channel, a gate and a flow, for the pixels of a place.
        outputs = QUARTER**2 * (2 * channels + 3)
        self.head = self._convolution(outputs, 1, kernel_initializer="zeros", dtype="float32")

    def build(self, input_shape):
        fine, coarse = self.widths
        self._build(expect=coarse, prior_head=coarse, news=self.latent_dim, believe=coarse, up=coarse)
        self._build(lateral=fine, first=fine, second=fine, head=fine)

    def learn(self, state, z):
        """`state` after the news `mu(state) + sigma(state) * z`: mu and sigma are the prior's, z is standard normal."""
        mean, log_std = ops.split(float32(self.prior_head(self.expect(state))), 2, axis=-1)
        news = mean + ops.exp(ops.clip(log_std, -4.0, 1.0)) * float32(z)
        # Bounded as a GRU's state is: what is believed is carried on, and must not grow with every frame.
        return ops.tanh(self.believe(state + ops.cast(self.news(news), state.dtype)))

    def call(self, state, quarter, last):
        x = self.second(self.first(tf.nn.depth_to_space(self.up(state), 2) + self.lateral(quarter)))
        maps = tf.nn.depth_to_space(float32(self.head(x)), QUARTER)
        count = self.channels
        change, log_std = maps[..., :count], maps[..., count : 2 * count]
        gate, flow = maps[..., 2 * count : 2 * count + 1], maps[..., 2 * count + 1 :]
        mean = warp(last, REACH * ops.tanh(flow / REACH)) + ops.sigmoid(gate) * ops.tanh(change)
        return mean + tf.stop_gradient(ops.clip(mean, 0.0, 1.0) - mean), log_std + LOG_STD


@keras.saving.register_keras_serializable(package="tfvae")
class FrameGaussian(CountedGaussian):
    """A normal for every value of the frames that are predicted; those that are given have no probability."""

    def parts(self, parameters):
        mean, log_std, counts = super().parts(parameters)
        return mean, clip_with_gradient(log_std, MIN_FRAME_LOG_STD), counts
