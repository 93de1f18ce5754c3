"""What comes after the last frames of a film, frame by frame."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.layers.padding import pad_to_multiple
from tfvae.pixels import pixels


class Continuation:
    """Continues clips of any length and size with a model of moving pictures, for as long as is wanted.

    Args:
        model: A `VideoVAE`.
    """

    def __init__(self, model: Any):
        self.model = model
        self.remember = tf.function(model.remember, reduce_retracing=True)
        self.advance = tf.function(self._advance, reduce_retracing=True)

    def __call__(self, recent: np.ndarray, count: int, temperature: float = 0.0, seed: int = 0) -> Iterator[np.ndarray]:
        """The `count` frames that follow, one at a time: float32 `(b, height, width, channels)` in [0, 1].

        Args:
            recent: Clips, `(b, t, height, width, channels)`; uint8, or float in [0, 1]. The model learnt with
                `model.context` frames.
            count: How many frames.
            temperature: 0 for the mean prediction; 1 for one of the things that may happen, as likely as the model
                thinks them; between and beyond: less and more than usual.
            seed: Of the noise: equal seeds, equal motion.

        Raises:
            ValueError: When the clips have no frame, or other channels than the model.
        """
        if recent.ndim != 5 or not recent.shape[1] or recent.shape[-1] != self.model.channels:
            raise ValueError(
                f"`recent` must be (b, t, h, w, {self.model.channels}) with t from 1. Received: {recent.shape}"
            )
        batch, length, height, width, channels = recent.shape
        flat = pixels(recent).reshape(batch * length, height, width, channels)
        padded = pad_to_multiple(flat, self.model.factor, mirror=True)
        state, last = self.remember(tf.reshape(padded, (batch, length, *padded.shape[1:])))
        for frame in range(count):
            key = tf.constant([seed & 0x7FFFFFFF, frame])
            state, last = self.advance(state, last, key, tf.constant(temperature, tf.float32))
            yield last.numpy()[:, :height, :width]

    def _advance(self, state, last, key, temperature):
        def draw(state):
            shape = (*tf.unstack(tf.shape(state)[:3]), self.model.latent_dim)
            return temperature * tf.random.stateless_normal(shape, key, alg="philox")

        state, frame, _ = self.model.advance(state, last, draw)
        return state, frame
