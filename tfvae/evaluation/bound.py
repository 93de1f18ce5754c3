"""The evidence lower bound of held-out images, with the quality of their reconstructions."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfvae.applications.batches import largest_batch
from tfvae.data import DataConfig, Images, evaluation_batches
from tfvae.evaluation.image_quality import psnr, ssim, ssim_window


def evaluate(
    model: Any,
    images: Images,
    *,
    data_config: DataConfig,
    batch_size: int = 64,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Figures of `model` on `images`: means over images of each image's own value.

    `elbo = -(rate + distortion)`, estimated with one posterior sample an image. PSNR and SSIM compare the
    reconstruction from the posterior mean with the images the model saw, so with their binarised pixels where
    `data_config.binarize`. The noise of the model and of the binarisation is drawn from `seed`; the model's own
    random state is left as it was, so that evaluating in the middle of a training changes nothing in it.

    Args:
        model: A `VAE`, an `Autoencoder`, or any other latent model of this library.
        images: What to measure on; sizes may differ from image to image where the model takes any size.
        data_config: The `[data]` section the model was trained with.
        batch_size: Most images in a step, fewer where they are large; part of the protocol, because the posterior
            samples are drawn batch by batch.
        seed: Of the posterior samples and of the binarisation.
        progress: Called with (images done, images in all) after each batch.

    Returns:
        `distortion` (nats per example), `psnr` (dB), `ssim`; with a prior also `rate` and `elbo` (nats per example;
        higher is better); `bits_per_dim` where the likelihood gives the pixels a probability rather than a density
        (a `Bernoulli` does so only for pixels that are all 0 or 1); and `protocol`, how they were measured.

    Raises:
        ValueError: When there are no images.
    """
    if len(images) == 0:
        raise ValueError("`images` must hold at least one image. Received: 0 images.")
    height, width = images.shapes[:, :2].max(axis=0)
    batch_size = largest_batch(batch_size, int(height), int(width))
    step = tf.function(_measure, reduce_retracing=True)
    columns: list[np.ndarray] = []
    windows: set[int] = set()
    binary = True
    done = 0
    with _seeded(model, seed):
        for x in evaluation_batches(images, batch_size, seed=seed, config=data_config):
            window = ssim_window(x.shape[1], x.shape[2])
            values, batch_is_binary = step(model, x, window)
            columns.append(np.asarray(values, "float64"))
            windows.add(window)
            binary = binary and bool(batch_is_binary)
            done += x.shape[0]
            if progress:
                progress(done, len(images))
    distortion, rate, dims, psnr_values, ssim_values = np.concatenate(columns, axis=1)
    figures: dict[str, Any] = {}
    if model.has_prior:
        figures["elbo"] = float(-np.mean(distortion + rate))
        figures["rate"] = float(np.mean(rate))
    figures["distortion"] = float(np.mean(distortion))
    figures["psnr"] = float(np.mean(psnr_values))
    figures["ssim"] = float(np.mean(ssim_values))
    if model.has_prior and _gives_probabilities(model.likelihood, binary):
        # Each image by its own number of dimensions, then the mean: sizes may differ.
        figures["bits_per_dim"] = float(np.mean((distortion + rate) / (dims * np.log(2.0))))
    figures["protocol"] = {
        "images": done,
        "seed": seed,
        "batch_size": batch_size,
        "binarised": data_config.binarize,
        "samples_per_image": 1 if model.has_prior else 0,
        "ssim_window": sorted(windows)[0] if len(windows) == 1 else sorted(windows),
        # An autoencoder's distortion is its own: squared error or cross-entropy, summed over the picture.
        "distortion": getattr(model, "distortion", "nats"),
        "reconstruction": "from the posterior mean" if model.has_prior else "from the code",
    }
    return figures


def _measure(model, x, window):
    """Rows distortion, rate, dims, psnr, ssim for one batch, shape `(5, batch)`; and whether all pixels are 0 or 1."""
    distortion, rate = model.elbo_terms(x, training=False)
    reconstruction = model.reconstruct(x)["image"]
    shape = tf.shape(x)
    dims = tf.fill(shape[:1], tf.cast(tf.reduce_prod(shape[1:]), tf.float32))
    values = [distortion, rate, dims, psnr(x, reconstruction), ssim(x, reconstruction, window)]
    return tf.stack(values), tf.reduce_all((x == 0.0) | (x == 1.0))


def _gives_probabilities(likelihood: Any, binary: bool) -> bool:
    # On grey pixels the Bernoulli terms are a cross-entropy, the probability of nothing.
    return bool(likelihood.discrete) and (binary or not likelihood.binary)


@contextlib.contextmanager
def _seeded(model: keras.Model, seed: int) -> Iterator[None]:
    """The model draws its noise from `seed` within, and goes on afterwards as if nothing had happened."""
    states = [variable for variable in model.variables if variable.name == "seed_generator_state"]
    before = [np.array(state.value) for state in states]
    try:
        for index, state in enumerate(states):
            # A state is (key, counter): neighbouring keys are independent streams, neighbouring counters are not.
            state.assign(np.array([(seed + index) % 2**32, 0], dtype=np.uint32))
        yield
    finally:
        for state, value in zip(states, before, strict=True):
            state.assign(value)
