"""Noise: Gaussian, Poisson, salt and pepper. It is not clipped, so that its moments are the stated ones."""

from dataclasses import dataclass, field
from typing import ClassVar

import tensorflow as tf

from tfvae.corruptions.base import Corrupted, Corruption, bounded
from tfvae.corruptions.draws import Draws, Setting


@dataclass(frozen=True)
class GaussianNoise(Corruption):
    """`x + std * n`, `n` standard normal and independent in every pixel and channel.

    `std` is in units of the pixel range: 0.1 is what papers on 8-bit pictures call sigma = 25.5.
    """

    kind: ClassVar[str] = "gaussian"
    std: Setting = field(default=(0.0, 0.2), metadata=bounded(0, 10))

    def apply(self, image: tf.Tensor, damage: tf.Tensor, draws: Draws) -> Corrupted:
        return Corrupted(
            image + draws.setting(self.std, 1, 1, 1) * draws.normal(*tf.unstack(tf.shape(image)[1:])), damage
        )


@dataclass(frozen=True)
class PoissonNoise(Corruption):
    """`k / peak`, `k` Poisson with mean `peak * x`: mean x, variance x / peak. `peak` is the photons at white.

    Values outside [0, 1] are clipped first: there is no negative light. TensorFlow draws Poisson numbers on the
    processor only and not under XLA, and this kind takes several times as long as the Gaussian one.
    """

    kind: ClassVar[str] = "poisson"
    allows_xla: ClassVar[bool] = False
    peak: Setting = field(default=(10.0, 200.0), metadata=bounded(0.01, 1e6))

    def apply(self, image: tf.Tensor, damage: tf.Tensor, draws: Draws) -> Corrupted:
        peak = draws.setting(self.peak, 1, 1, 1)
        rate = peak * tf.clip_by_value(image, 0.0, 1.0)
        counts = tf.random.stateless_poisson(tf.shape(image), draws.next_seed(), rate, dtype=tf.float32)
        return Corrupted(tf.ensure_shape(counts, image.shape) / peak, damage)


@dataclass(frozen=True)
class SaltPepper(Corruption):
    """The share `amount` of the pixels becomes black or white (all channels), one as likely as the other."""

    kind: ClassVar[str] = "salt_pepper"
    amount: Setting = field(default=(0.0, 0.1), metadata=bounded(0, 1))

    def apply(self, image: tf.Tensor, damage: tf.Tensor, draws: Draws) -> Corrupted:
        amount = draws.setting(self.amount, 1, 1, 1)
        u = draws.uniform(*tf.unstack(tf.shape(image)[1:3]), 1)
        # One draw says both whether and which: below amount / 2 pepper, from there up to amount salt.
        return Corrupted(tf.where(u < amount, tf.cast(2 * u >= amount, tf.float32), image), damage)
