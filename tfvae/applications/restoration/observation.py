"""What is left of a picture, and how probable it makes each code of a VAE."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.applications.channels import as_known, floats
from tfvae.distributions import normal_log_prob
from tfvae.inputs import as_label_weights
from tfvae.likelihoods.base import GaussianFamily
from tfvae.objectives import sum_per_example


class Observation:
    """`y = A(x) + n` on known pixels, for a picture x that a VAE explains. Arguments as in `restore_with_prior`.

    Attributes:
        image: y, `(height, width, channels)`, float32; zero where it is lost.
        known: Whether a pixel is to be trusted, `(height, width, 1)`, bool.
        shape: Of the picture x.
        guess: A first x, of that shape: y with its holes filled from around them.
        given: `{"labels"}` of a conditional model, what `label` says or the likeliest of the guess; else empty.

    Raises:
        ValueError: For a picture that the model cannot take, a mask of another shape, an operator without noise, or a
            label that the model does not have.
    """

    def __init__(
        self,
        model: Any,
        image: np.ndarray,
        known: np.ndarray | None = None,
        noise_std: float | None = None,
        operator: Callable | None = None,
        size: tuple[int, int] | None = None,
        label: int | None = None,
    ):
        self.model, self.noise_std, self.operator = model, noise_std, operator
        image = np.asarray(image)
        trusted = as_known(known, image)
        given = floats(image)
        self.known = np.ones((*given.shape[:2], 1), bool) if trusted is None else trusted
        self.image = np.where(self.known, given, np.float32(0.0))
        if noise_std is not None and noise_std <= 0:
            raise ValueError(f"`noise_std` must be positive. Received: noise_std={noise_std}")
        if operator is not None and noise_std is None:
            raise ValueError("`noise_std` must be given with an `operator`. Received: noise_std=None")
        self.shape = self._shape(size)
        self.guess = _as_picture(fill(self.image, self.known), self.shape)
        if operator is not None:
            shape = tuple(operator(self.guess[None]).shape[1:])
            if shape != given.shape:
                raise ValueError(
                    f"`operator` must make {given.shape}, the shape of `image`, of {self.shape}. Received: {shape}"
                )

        self.given = self._labels(label)

    def _labels(self, label):
        if not (self.model.conditional and hasattr(self.model, "likeliest_labels")):
            if label is not None:
                raise ValueError(f"`label` must be None: the model is no conditional VAE. Received: label={label}")
            return {}
        labels = self.model.likeliest_labels(self.guess[None]) if label is None else [label]
        return {"labels": as_label_weights(np.asarray(labels), self.model.label_names)}

    def encode(self, x):
        """Mean and log-variance of `q(z|x)`, each `(batch, *latent)`, of pictures `(batch, *shape)`."""
        encoded = self.model.encode(x, **self.given)
        return encoded["mean"], encoded["log_var"]

    def _shape(self, size):
        height, width, channels = self.model.image_shape
        if self.operator is None:
            if size is not None:
                raise ValueError(f"`size` is for an `operator` that changes it. Received: size={size}")
            taken = (height or self.image.shape[0], width or self.image.shape[1], channels)
            if self.image.shape != taken:
                raise ValueError(f"`image` must be {taken}, which the model takes. Received: {self.image.shape}")
            return taken
        if height is not None:
            if size not in (None, (height, width)):
                raise ValueError(f"`size` must be {(height, width)}, the model's. Received: size={size}")
            return height, width, channels
        return (*(size or self.image.shape[:2]), channels)

    def parameters(self, z):
        """Of p(x|z) at the size of the picture: a spatial decoder returns a multiple of its factor."""
        pictures = tf.broadcast_to(self.guess, (tf.shape(z)[0], *self.shape))
        return self.model.parameters_of(z, pictures, **self.given)

    def decode(self, z) -> np.ndarray:
        """`E[x|z]`, `(batch, *shape)`, in [0, 1]."""
        return np.asarray(self.model.likelihood.mean(self.parameters(z)))

    def log_prob(self, z):
        """`log p(y_known|z)`, nats, `(batch,)`."""
        parameters = self.parameters(z)
        if self.noise_std is not None:
            likelihood = self.model.likelihood
            # Not the mean where there is a location: clipped to [0, 1], it would have no gradient beyond.
            normal = isinstance(likelihood, GaussianFamily)
            x = likelihood.location_and_log_std(parameters)[0] if normal else likelihood.mean(parameters)
            seen = x if self.operator is None else self.operator(x)
            return sum_per_example(tf.where(self.known, normal_log_prob(self.image, seen, np.log(self.noise_std)), 0.0))
        # A likelihood sums over an example. With each pixel an example of its own, it gives that of each.
        batch, pixel = tf.shape(parameters)[0], (-1, 1, 1, parameters.shape[-1])
        y = tf.repeat(self.image[None], batch, axis=0)
        each = self.model.likelihood.log_prob(
            tf.reshape(y, (-1, 1, 1, self.image.shape[-1])), tf.reshape(parameters, pixel)
        )
        each = tf.reshape(each, (batch, *self.image.shape[:2], 1))
        return sum_per_example(tf.where(self.known, each, 0.0))

    def log_joint(self, z):
        """`log p(y_known|z) + log p(z)`, nats, `(batch,)`."""
        return self.log_prob(z) + self.model.prior.log_prob(z)

    def clamp(self, x: np.ndarray) -> np.ndarray:
        """`x` with the known pixels put in, where they are known without noise."""
        return x if self.noise_std is not None else np.where(self.known, self.image, x)


def fill(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """`image` with lost pixels taken from the mean of the known ones around them: pull and push over a pyramid.

    Args:
        image: `(height, width, channels)`, float32.
        known: `(height, width, 1)`, bool.

    Returns:
        Same shape; mid-grey where nothing at all is known. Known pixels are unchanged.

    Reference:
        Gortler et al. (1996), The lumigraph, section 3.4
    """
    if known.all():
        return image
    if not known.any():
        return np.full_like(image, 0.5)
    height, width = image.shape[:2]
    even = ((0, height % 2), (0, width % 2), (0, 0))
    weight = _quarters(np.pad(known.astype(np.float32), even))
    mean = _quarters(np.pad(np.where(known, image, 0.0), even)) / np.maximum(weight, 1e-6)
    coarse = fill(mean.astype(np.float32), weight > 0)
    return np.where(known, image, coarse.repeat(2, axis=0).repeat(2, axis=1)[:height, :width])


def _quarters(x: np.ndarray) -> np.ndarray:
    """Sums of 2×2 pixels."""
    return x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]


def _as_picture(y: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`y` at another size and number of channels: where an ascent may start."""
    if y.shape[2] != shape[2]:
        y = np.repeat(y.mean(2, keepdims=True), shape[2], axis=2)
    return y if y.shape == tuple(shape) else np.asarray(tf.image.resize(y, shape[:2]))
