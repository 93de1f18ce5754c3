"""The evidence lower bound of held-out images, with the quality of their reconstructions."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfvae.data import DataConfig, Images
from tfvae.evaluation.context import EvaluationContext
from tfvae.evaluation.measurements import Measurement, mean_measurement
from tfvae.inputs import check_labels, given
from tfvae.metrics.image_quality import psnr, ssim, ssim_window

BINARY, GREY = "mass of binary pixels", "cross-entropy of grey levels"
LEVELS, DENSITY = "mass of 256 levels", "density"


@dataclass(frozen=True)
class Bounds:
    """Terms of the bound, a value an image, float64 `(n,)`.

    Attributes:
        distortion: -log p(x|z) for one z of the posterior, nats (or the autoencoder's own measure).
        rate: KL(q(z|x) || p(z)), nats.
        dims: Values in the image.
        kind: What the distortion measures; only like kinds can be compared.
    """

    distortion: np.ndarray
    rate: np.ndarray
    dims: np.ndarray
    kind: str

    @property
    def elbo(self) -> np.ndarray:
        return -(self.distortion + self.rate)

    @property
    def is_code_length(self) -> bool:
        """Whether the pixels have a probability rather than a density, so that bits per dim mean something."""
        return self.kind in (BINARY, LEVELS)


def measure(context: EvaluationContext) -> dict[str, Measurement]:
    """ELBO and its terms (one posterior sample an image), PSNR and SSIM of the reconstruction from the posterior mean.

    Figures `elbo`, `rate`, `bits_per_dim`, `bits_per_pixel` (of a codec: its rate, in bits) where they exist,
    `distortion`, `psnr`, `ssim`: means over images of each image's own value, so that sizes may differ. PSNR and SSIM
    compare with the images the model saw, so with their binarised pixels where those are binarised.
    """
    terms, quality, windows = _pass(context, context.images, with_quality=True)
    context.known["bounds"] = terms
    has_prior = context.model.prior is not None
    protocol = {"samples_per_image": 1 if has_prior else 0, "distortion": terms.kind, **context.conditions()}
    nats, figures = "nats per image", {}
    if has_prior:
        figures["elbo"] = mean_measurement(terms.elbo, f"{nats}, higher is better", protocol)
        figures["rate"] = mean_measurement(terms.rate, nats)
    figures["distortion"] = mean_measurement(
        terms.distortion, nats if has_prior else f"{terms.kind} per image", protocol
    )
    if hasattr(context.model, "compress"):
        pixels = terms.dims / context.model.image_shape[-1]
        figures["bits_per_pixel"] = mean_measurement(terms.rate / (pixels * np.log(2.0)), "bits per pixel of a file")
    if has_prior and terms.is_code_length:
        # Each image by its own number of dimensions, then the mean.
        bits = -terms.elbo / (terms.dims * np.log(2.0))
        figures["bits_per_dim"] = mean_measurement(bits, "bits per dimension", protocol)
    figures["psnr"] = mean_measurement(quality[0], "dB, reconstructions, higher is better")
    window = windows[0] if len(windows) == 1 else windows
    figures["ssim"] = mean_measurement(quality[1], "reconstructions, 1 is equal", {"ssim_window": window})
    return figures


def bounds(context: EvaluationContext, images: Images) -> Bounds:
    """The terms for `images` (the subject's own or others), with the subject's seed and preparation."""
    return _pass(context, images, with_quality=False)[0]


def evaluate(
    model: Any,
    images: Images | np.ndarray,
    *,
    labels: np.ndarray | None = None,
    data_config: DataConfig | None = None,
    batch_size: int = 64,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The figures of `measure` as plain numbers: what a training program writes into its report.

    `elbo = -(rate + distortion)`. The noise of the model and of the binarisation is drawn from `seed`; the model's own
    random state is left as it was, so that evaluating in the middle of a training changes nothing in it.

    Args:
        model: A `VAE`, an `Autoencoder`, or any other latent model of this library.
        images: What to measure on: `(n, height, width, channels)`, uint8 or float in [0, 1], which is rounded to 8
            bits; or `Images`, whose sizes may differ where the model takes any size.
        labels: Of an array, for a conditional model, whose figures are then those of p(x|y): class indices `(n,)`.
        data_config: The `[data]` section the model was trained with; None: images as they are.
        batch_size: Most images in a step, fewer where they are large; part of the protocol, because the posterior
            samples are drawn batch by batch.
        seed: Of the posterior samples and of the binarisation.
        progress: Called with (images done, images in all) after each batch.

    Returns:
        `distortion` (nats per example), `psnr` (dB), `ssim`; with a prior also `rate` and `elbo` (nats per example;
        higher is better); `bits_per_dim` where the likelihood gives the pixels a probability rather than a density
        (a `Bernoulli` does so only for pixels that are all 0 or 1); `intervals`, the 95 % confidence interval of each
        over images; and `protocol`, how they were measured.

    Raises:
        ValueError: When there are no images, or a label is none of the model's.
    """
    data_config = data_config or DataConfig(source="array")
    context = EvaluationContext(model, images, data_config, batch_size=batch_size, seed=seed)
    if labels is not None:
        check_labels(np.asarray(labels), model.label_names)
        context.images.labels, context.images.label_names = np.asarray(labels, np.int32), list(model.label_names)
    if progress:
        context.progress = lambda what, done, total: progress(done, total)
    figures = measure(context)
    shared: dict[str, Any] = {
        "images": len(images),
        "seed": seed,
        "batch_size": batch_size,
        "binarised": data_config.binarize,
    }
    shared["reconstruction"] = "from the posterior mean" if model.prior is not None else "from the code"
    return {
        **{name: figure.value for name, figure in figures.items()},
        "intervals": {name: figure.interval for name, figure in figures.items()},
        "protocol": shared | figures["ssim"].protocol | figures["distortion"].protocol,
    }


def _pass(context: EvaluationContext, images: Images, with_quality: bool) -> tuple[Bounds, np.ndarray, list[int]]:
    """The terms; PSNR and SSIM `(2, n)` when asked for; and the sizes of the SSIM windows."""
    step = context.compiled(_step)
    columns: list[np.ndarray] = []
    windows: set[int] = set()
    binary, done = True, 0
    with seeded(context.model, context.seed):
        for x, labels in context.labelled_batches(images):
            window = ssim_window(x.shape[1], x.shape[2]) if with_quality else 0
            values, batch_is_binary = step(context.model, x, window, labels)
            columns.append(np.asarray(values, "float64"))
            windows.add(window)
            binary = binary and bool(batch_is_binary)
            done += x.shape[0]
            context.progress("ELBO", done, len(images))
    distortion, rate, dims, *quality = np.concatenate(columns, axis=1)
    terms = Bounds(distortion, rate, dims, distortion_kind(context.model, binary))
    return terms, np.array(quality), sorted(windows)


def _step(model, x, window, labels):
    """Rows distortion, rate, dims and, with a window, psnr and ssim, `(3 or 5, batch)`; are all pixels 0 or 1?"""
    distortion, rate = model.elbo_terms(x, training=False, **given(labels))
    shape = tf.shape(x)
    dims = tf.fill(shape[:1], tf.cast(tf.reduce_prod(shape[1:]), tf.float32))
    values = [distortion, rate, dims]
    if window:
        reconstruction = model.reconstruction_for_metrics(x, **given(labels))
        values += [psnr(x, reconstruction), ssim(x, reconstruction, window)]
    return tf.stack(values), all_binary(x)


def all_binary(x: tf.Tensor) -> tf.Tensor:
    """Whether every pixel is 0 or 1, a boolean scalar."""
    return tf.reduce_all((x == 0.0) | (x == 1.0))


def distortion_kind(model: Any, binary: bool) -> str:
    """What a distortion of this model is; `binary` says whether all pixels were 0 or 1."""
    if model.prior is None:
        return model.distortion  # an autoencoder's own: squared error or cross-entropy, summed over the picture
    if not model.likelihood.discrete:
        return DENSITY
    if not model.likelihood.binary:
        return LEVELS
    # On grey pixels the Bernoulli terms are a cross-entropy, the probability of nothing.
    return BINARY if binary else GREY


@contextlib.contextmanager
def seeded(model: keras.Model, seed: int) -> Iterator[None]:
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
