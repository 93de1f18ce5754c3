"""-log p(x) by importance sampling: many draws from the posterior, decoded in portions, summed as they come."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.data import DataConfig, Images
from tfvae.data.array_batches import MOST_PIXELS
from tfvae.evaluation.bound import BINARY, LEVELS, all_binary, distortion_kind
from tfvae.evaluation.context import EvaluationContext, UnmeasurableError
from tfvae.evaluation.measurements import Measurement, bootstrap_measurement, mean_measurement
from tfvae.inputs import given
from tfvae.objectives import bound_from_sums, effective_samples, merged_sums, weight_sums

MOST_SAMPLES = 500  # draws decoded at once: five hundred digits of 28×28 are 1.6 MB, which a processor keeps near
NOISE = 29  # keeps this noise apart from the other uses of a seed


@dataclass(frozen=True)
class Marginal:
    """Estimates for each image, in order, float64 `(n,)`.

    Attributes:
        nll: `-log(1/k sum w)`, nats: above the true `-log p(x)` in expectation, and the nearer the larger k is.
        effective_samples: `(sum w)**2 / sum w**2` of the k draws, from 1 to k.
        dims: Values in the image.
        kind: What `p(x|z)` measures, as of `distortion_kind`.
    """

    nll: np.ndarray
    effective_samples: np.ndarray
    dims: np.ndarray
    kind: str


def marginal_likelihood(
    model: Any,
    images: Images,
    *,
    data_config: DataConfig,
    k: int = 1000,
    seed: int = 0,
    batch_size: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> Marginal:
    """Importance-sampled negative log-likelihood of each image, `-log(1/k sum_i p(x|z_i) p(z_i) / q(z_i|x))`.

    Each image is encoded once; its k draws are decoded in portions of at most `samples_at_once`, and only sums of
    weights are kept: memory does not grow with k. The noise of a portion depends on (seed, index of the image, index
    of the portion) alone, so that the value of an image does not depend on the batch it is in.

    Args:
        model: A model with `encode`, `posterior_noise` and `log_weights`, such as `VAE`.
        images: What to measure on; sizes may differ from image to image where the model takes any size.
        data_config: The `[data]` section the model was trained with; its `binarize` is used.
        k: Draws an image.
        seed: Of the noise and of the binarisation.
        batch_size: Images in a step; of no influence on the values, beyond the last digits.
        progress: Called with (images done, images in all) after each step.

    Raises:
        ValueError: When `k` is not positive, there are no images, or the model has no posterior.

    Reference:
        Burda, Grosse and Salakhutdinov (2016), section 5.1, https://arxiv.org/abs/1509.00519
    """
    context = EvaluationContext(model, images, data_config, batch_size=batch_size, seed=seed, k=k)
    if progress:
        context.progress = lambda what, done, total: progress(done, total)
    return _estimate(context)


def measure(context: EvaluationContext) -> dict[str, Measurement]:
    """`nll`, its `nll_bits_per_dim` where pixels have a probability, and the median of the effective samples.

    Raises:
        UnmeasurableError: For a model without a posterior and a prior.
    """
    if not _has_evidence(context.model):
        raise UnmeasurableError(f"a {type(context.model).__name__} has no p(x): it has no prior or no posterior")
    result = context.remembered("marginal", lambda: _estimate(context))
    protocol = {"k": context.k, "distortion": result.kind, **context.conditions()}
    figures = {"nll": mean_measurement(result.nll, "nats per image, lower is better", protocol)}
    if result.kind in (BINARY, LEVELS):
        bits = result.nll / (result.dims * np.log(2.0))
        figures["nll_bits_per_dim"] = mean_measurement(bits, "bits per dimension", protocol)
    effective = result.effective_samples
    figures["effective_samples"] = bootstrap_measurement(
        lambda chosen: float(np.median(effective[chosen])),
        len(effective),
        context.seed,
        f"of {context.k} draws, median over images",
        protocol,
    )
    return figures


def samples_at_once(k: int, height: int, width: int) -> int:
    """Draws of one image that are decoded together: all k, or as many as pixels allow; part of what the noise is."""
    return max(1, min(k, MOST_SAMPLES, MOST_PIXELS // (height * width)))


def noise_key(seed: int, index: Any, portion: Any) -> tf.Tensor:
    """The seed of one portion of one image's noise: two int32 for TensorFlow's stateless operations."""
    key = tf.constant([seed & 0x7FFFFFFF, (seed >> 31) & 0x7FFFFFFF], tf.int32)
    for word in (NOISE, index, portion):
        key = tf.random.fold_in(key, word, alg="philox")
    return key


def _has_evidence(model: Any) -> bool:
    """Whether there is a p(x): a prior and a posterior, and codes that can be decoded alone."""
    return hasattr(model, "log_weights") and hasattr(model, "decode")


def _estimate(context: EvaluationContext) -> Marginal:
    if context.k < 1:
        raise ValueError(f"`k` must be positive. Received: k={context.k}")
    if not _has_evidence(context.model):
        raise ValueError(f"`model` must have a posterior and a prior. Received: {type(context.model).__name__}")
    step = context.compiled(_batch_values)
    columns: list[np.ndarray] = []
    dims: list[int] = []
    binary, done = True, 0
    for x, labels in context.labelled_batches():
        at_once = samples_at_once(context.k, x.shape[1], x.shape[2])
        values, batch_is_binary = step(context.model, x, context.seed, tf.constant(done), context.k, at_once, labels)
        columns.append(np.asarray(values, "float64"))
        dims += [int(np.prod(x.shape[1:]))] * x.shape[0]
        binary = binary and bool(batch_is_binary)
        done += x.shape[0]
        context.progress("NLL", done, len(context.images))
    bound, effective = np.concatenate(columns, axis=1)
    return Marginal(-bound, effective, np.array(dims), distortion_kind(context.model, binary))


def _batch_values(model, x, seed, first, k, at_once, labels):
    """Rows bound and effective samples, shape `(2, batch)`, of the images whose first has this index; are all pixels
    0 or 1?"""
    encoded = model.encode(x, **given(labels))

    def of_image(row):
        # One image at a time: its k draws fill the processor, and the memory of a step is that of one portion.
        image = x[row : row + 1]
        posterior = {name: value[row : row + 1] for name, value in encoded.items()}
        label = None if labels is None else labels[row : row + 1]

        def portion(number, samples):
            noise = model.posterior_noise(posterior, samples, noise_key(seed, first + row, number))
            return weight_sums(model.log_weights(image, posterior, noise, **given(label)))

        sums = portion(0, at_once)
        for number in tf.range(1, k // at_once):
            sums = merged_sums(sums, portion(number, at_once))
        if k % at_once:
            sums = merged_sums(sums, portion(k // at_once, k % at_once))
        return tf.stack([bound_from_sums(sums, k), effective_samples(sums)])

    rows = tf.range(tf.shape(x)[0])
    values = tf.map_fn(of_image, rows, fn_output_signature=tf.TensorSpec((2,), tf.float32))
    return tf.transpose(values), all_binary(x)
