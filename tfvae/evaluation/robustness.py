"""Robustness: how far codes and reconstructions move when an image hardly does."""

from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.corruptions import Corruption, corrupt
from tfvae.corruptions.blur import Blur
from tfvae.corruptions.jpeg import Jpeg
from tfvae.corruptions.noise import GaussianNoise
from tfvae.evaluation.context import EvaluationContext, UnmeasurableError
from tfvae.evaluation.measurements import Measurement, mean_measurement
from tfvae.inputs import given
from tfvae.metrics.active_units import unit_variances

SIZE = 0.05  # of the noise its standard deviation, of the adversary the most that a pixel changes; of the pixel range
PERTURBATIONS: dict[str, Corruption] = {
    "noise": GaussianNoise(std=SIZE),
    "blur": Blur(sigma=1.0),
    "jpeg": Jpeg(quality=25),
}
STEPS, STEP = 10, SIZE / 4  # of the adversary


def measure(context: EvaluationContext) -> dict[str, Measurement]:
    """`code_shift_*` and `reconstruction_shift_*` under noise, blur, JPEG and an adversary.

    A code's shift is `|c(x') - c(x)| / d`, c(x) the posterior mean (or the code) and d the root mean square distance
    between the codes of two of the images: at 1 a code lies as far off as that of another image. A reconstruction's is
    the root mean square difference of those of x' and x. Perturbed pixels are clipped to [0, 1].

    The adversary looks for the x' within `SIZE` of x in every pixel whose code lies farthest from that of x, by
    projected gradient ascent from a random start. Codes that have no gradient (of a codebook) are not attacked.

    Raises:
        UnmeasurableError: For a model that restores, for fewer than two images, or for images of two or four channels.

    Reference:
        Kuzina, Welling and Tomczak (2022), Alleviating adversarial attacks on variational autoencoders with MCMC,
        https://arxiv.org/abs/2203.09940, for what is attacked; Madry et al. (2018), https://arxiv.org/abs/1706.06083
    """
    if hasattr(context.model, "restoration_example"):
        raise UnmeasurableError(f"a {type(context.model).__name__} has codes of damage, which has to move them")
    if len(context.images) < 2:
        raise UnmeasurableError("the codes of a single image have no distances")
    if context.images.shapes[0][2] not in (1, 3):
        raise UnmeasurableError("images of two or four channels are not perturbed")
    distance = np.sqrt(2.0 * np.mean(unit_variances(context.means())))
    if distance == 0:
        raise UnmeasurableError("all images have the same code")
    found: dict[str, list[np.ndarray]] = {}
    step, done = context.compiled(_moved), 0
    for number, (x, labels) in enumerate(context.labelled_batches()):
        seed = tf.constant([context.seed, number], tf.int32)
        for name, values in step(context.model, x, labels, seed).items():
            found.setdefault(name, []).append(np.asarray(values))
        done += x.shape[0]
        context.progress("robustness", done, len(context.images))
    return _figures({name: np.concatenate(parts, axis=1) for name, parts in found.items()}, float(distance))


def _figures(found: dict[str, np.ndarray], distance: float) -> dict[str, Measurement]:
    """From the root mean square changes of codes, reconstructions and images, `(3, images)`, by perturbation."""
    figures: dict[str, Measurement] = {}
    for name, (codes, reconstructions, images) in found.items():
        protocol = {name: _settings(PERTURBATIONS[name]) if name in PERTURBATIONS else f"{SIZE} in {STEPS} steps"}
        figures[f"code_shift_{name}"] = mean_measurement(
            codes / distance, "of the distance between two images' codes, lower is steadier", protocol
        )
        figures[f"reconstruction_shift_{name}"] = mean_measurement(
            255.0 * reconstructions,
            f"grey levels of 255, for {255.0 * images.mean():.1f} of the image, lower is steadier",
            protocol,
        )
    if "attack" in found:
        times = found["attack"][0].mean() / max(found["noise"][0].mean(), 1e-12)
        note = f"an adversary moves codes {times:.1f} times as far as noise of the same size"
        figures["code_shift_attack"] = replace(figures["code_shift_attack"], note=note)
    return figures


def _settings(perturbation: Corruption) -> str:
    table = perturbation.table()
    return ", ".join(f"{name} {value}" for name, value in table.items() if name not in ("kind", "probability"))


def _moved(model: Any, x: tf.Tensor, labels: Any, seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """Root mean square changes of codes, reconstructions and images, `(3, batch)`, under each perturbation."""
    x = tf.cast(x, tf.float32)
    code = model.codes(x, **given(labels))
    rebuilt = model.reconstruction_for_metrics(x, labels)
    seeds = tf.unstack(tf.random.split(seed, len(PERTURBATIONS) + 1))
    others = {
        name: tf.clip_by_value(corrupt(x, [what], own).image, 0.0, 1.0)
        for (name, what), own in zip(PERTURBATIONS.items(), seeds, strict=False)
    }
    found = _attacked(model, x, code, labels, seeds[-1])
    if found is not None:
        others["attack"] = found
    return {
        name: tf.stack(
            [
                _rms(model.codes(other, **given(labels)) - code),
                _rms(model.reconstruction_for_metrics(other, labels) - rebuilt),
                _rms(other - x),
            ]
        )
        for name, other in others.items()
    }


def _attacked(model: Any, x: tf.Tensor, code: tf.Tensor, labels: Any, seed: tf.Tensor) -> tf.Tensor | None:
    """Images within `SIZE` of `x` whose codes lie far from `code`; None where codes have no gradient."""

    def slope(other: tf.Tensor) -> tf.Tensor | None:
        with tf.GradientTape() as tape:
            tape.watch(other)
            shift = tf.reduce_sum(tf.square(model.codes(other, **given(labels)) - code))
        return tape.gradient(shift, other)

    def ascend(number: tf.Tensor, other: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        farther = other + STEP * tf.sign(slope(other))
        within = tf.clip_by_value(tf.clip_by_value(farther, x - SIZE, x + SIZE), 0.0, 1.0)
        return number + 1, tf.ensure_shape(within, other.shape)

    # Where a code is that of the image itself the distance has no slope.
    start = tf.clip_by_value(x + tf.random.stateless_uniform(tf.shape(x), seed, -SIZE, SIZE), 0.0, 1.0)
    start = tf.ensure_shape(start, x.shape)
    if slope(start) is None:
        return None
    return tf.while_loop(lambda number, _: number < STEPS, ascend, (tf.constant(0), start))[1]


def _rms(values: tf.Tensor) -> tf.Tensor:
    """Of each row, `(batch,)`."""
    return tf.sqrt(tf.reduce_mean(tf.square(values), axis=tuple(range(1, len(values.shape)))))
