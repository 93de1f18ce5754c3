"""Why a step was not finite: which term, which layer, which images."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfvae.health.unchanged import unchanged

SHOWN = 3  # images named in a sentence
ALONE = 64  # images whose gradient is taken one by one, to find the one that spoils the sum

LOWER = (
    "lower `training.learning_rate` (a third of it), or set `training.clip_norm` to ten times the usual gradient_norm"
)


@dataclass(frozen=True)
class Explanation:
    """Why one step was not finite.

    Attributes:
        term: What was not finite first: `"image"`, `"weight"`, `"layer"`, `"distortion"`, `"rate"`, `"gradient"`,
            `"loss scale"`, or `"nothing"` when the step could not be made to fail again.
        layer: The path of the layer or weight, or "".
        images: The names of the images it happened with; empty when it is not any one of them.
        seen: A sentence.
        remedy: What to do.
    """

    term: str
    layer: str
    images: tuple[str, ...]
    seen: str
    remedy: str


def explain(
    model: Any, images: Any, names: Sequence[str] = (), recorded: Sequence[str] = (), seed: int = 0
) -> Explanation:
    """Takes one training step apart, without taking it; the model is left as it was.

    In order: the pixels, the weights, the output of every layer as it is called, the distortion and the rate, the
    gradients. The first that is not finite is the answer.

    Args:
        model: A compiled latent model of this library.
        images: The batch, float32 `(b, height, width, channels)`.
        names: Of the images; their places in the batch by default.
        recorded: The terms that were not finite when the step ran (`"distortion"`, `"rate"`), said when they are finite
            now, because the weights have moved on.
        seed: Of the noise.
    """
    x = np.asarray(images, np.float32)
    names = list(names) or [f"image {place} of the batch" for place in range(len(x))]
    with unchanged(model, seed):
        for look in (_pixels, _weights, _forward, _backward):
            if explanation := look(model, x, names):
                return explanation
    were = f" Then, the {' and the '.join(recorded)} was not finite." if recorded else ""
    return Explanation(
        "nothing",
        "",
        (),
        f"the same images give finite numbers with the present weights.{were} It was a passing spike.",
        f"if steps are skipped again, {LOWER}",
    )


def _pixels(model: Any, x: np.ndarray, names: list[str]) -> Explanation | None:
    bad = ~np.isfinite(x)
    if not bad.any():
        return None
    where = _images_of(bad, names)
    image, row, column, _ = np.argwhere(bad)[0]
    seen = (
        f"{_named(where)}: {int(bad.sum()):,} of the pixel values are not finite (the first: {x[bad][0]} in row {row}, "
        f"column {column} of {names[image]})"
    )
    return Explanation("image", "", where, seen, "take the images out of the data, or repair them")


def _weights(model: Any, x: np.ndarray, names: list[str]) -> Explanation | None:
    for variable in model.weights:
        values = np.asarray(variable.value)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            count = int((~np.isfinite(values)).sum())
            return Explanation(
                "weight",
                variable.path,
                (),
                f"{count:,} of the {values.size:,} values of the weight {variable.path} are not finite",
                f"go back to an earlier checkpoint, and {LOWER}",
            )
    return None


def _forward(model: Any, x: np.ndarray, names: list[str]) -> Explanation | None:
    with _watched(model) as first:
        _, distortion, rate = model.loss_terms(tf.convert_to_tensor(x), training=True)
    if first:
        path, bad, largest = first[0]
        where = _images_of(bad, names)
        seen = (
            f"{_named(where)}: the output of the layer {path} is not finite (its largest input is {largest:.3g}); "
            "it is the first such layer of the model"
        )
        return Explanation("layer", path, where, seen, LOWER + _narrow(model))
    # The rate first: the code it belongs to is what the distortion was computed from.
    for term, values in (("rate", rate), ("distortion", distortion)):
        bad = ~np.isfinite(np.asarray(values))
        if bad.any():
            where = _images_of(bad, names)
            layer = model.likelihood.path if term == "distortion" else model.encoder.path
            what = "-log p(x|z)" if term == "distortion" else "KL(q(z|x) || p(z))"
            seen = f"{_named(where)}: the {term}, {what}, is not finite though every layer's output is ({layer})"
            return Explanation(term, layer, where, seen, LOWER + _narrow(model))
    return None


def _backward(model: Any, x: np.ndarray, names: list[str]) -> Explanation | None:
    bad, norm = _gradients(model, x, scaled=True)
    if not bad and np.isfinite(norm):
        return None
    if isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer):
        unscaled, plain_norm = _gradients(model, x, scaled=False)
        if not unscaled and np.isfinite(plain_norm):
            scale = float(np.asarray(model.optimizer.dynamic_scale.value))
            return Explanation(
                "loss scale",
                "",
                (),
                f"the gradient overflows float16 at a loss scale of {scale:g}, and is finite without it",
                "nothing: the optimiser halves the scale by itself, and tries a larger one from time to time",
            )
    if not bad:
        # Each is finite, the sum of their squares is not.
        seen = "every gradient is finite, but their norm is beyond float32"
        return Explanation("gradient", "", (), seen, LOWER)
    alone = [place for place in range(min(len(x), ALONE)) if _gradients(model, x[place : place + 1], scaled=True)[0]]
    where = tuple(names[place] for place in alone) if len(alone) < len(x) else ()
    who = _named(where) if alone else "with no image alone, but with all together"
    # Gradients flow backwards: the last weight of the model is where they broke first.
    seen = f"{who}: the gradient of {bad[-1]} is not finite, though the loss is"
    return Explanation("gradient", bad[-1], where, seen, LOWER)


def _gradients(model: Any, x: np.ndarray, scaled: bool) -> tuple[list[str], float]:
    """The weights whose gradients are not finite, in the order of the model; and the norm of all."""
    with tf.GradientTape() as tape:
        loss, _, _ = model.loss_terms(tf.convert_to_tensor(x), training=True)
        if scaled and model.optimizer is not None:
            loss = model.optimizer.scale_loss(loss)
    variables = model.trainable_variables
    gradients = [
        None if gradient is None else tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, variables)
    ]
    bad = [
        variable.path
        for variable, gradient in zip(variables, gradients, strict=True)
        if gradient is not None and not np.isfinite(np.asarray(gradient)).all()
    ]
    return bad, float(tf.linalg.global_norm(gradients))


@contextlib.contextmanager
def _watched(model: Any) -> Iterator[list[tuple[str, np.ndarray, float]]]:
    """A list of (path, what is not finite, largest input) of the layers whose output is not finite, in call order."""
    found: list[tuple[str, np.ndarray, float]] = []
    layers = list(model._flatten_layers(include_self=False))

    def watch(layer):
        inner = layer.call

        def call(*args, **kwargs):
            outputs = inner(*args, **kwargs)
            for output in keras.tree.flatten(outputs):
                values = np.asarray(tf.cast(output, tf.float32)) if tf.is_tensor(output) else np.zeros(0)
                if not found and not np.isfinite(values).all():
                    inputs = [
                        np.asarray(tf.cast(one, tf.float32)) for one in keras.tree.flatten(args) if tf.is_tensor(one)
                    ]
                    largest = max((float(np.abs(one).max()) for one in inputs if one.size), default=float("nan"))
                    found.append((layer.path, ~np.isfinite(values), largest))
            return outputs

        # Past Keras's own __setattr__, which would take the function for a part of the model.
        object.__setattr__(layer, "call", call)

    for layer in layers:
        watch(layer)
    try:
        yield found
    finally:
        for layer in layers:
            object.__delattr__(layer, "call")


def _images_of(bad: np.ndarray, names: list[str]) -> tuple[str, ...]:
    """The names of the rows with anything bad; none when all are."""
    rows = np.array([row.any() for row in bad])
    if len(rows) != len(names) or (rows.all() and len(rows) > 1):
        return ()
    return tuple(name for name, row in zip(names, rows, strict=True) if row)


def _named(images: Sequence[str]) -> str:
    if not images:
        return "with every image of the batch"
    more = f" and {len(images) - SHOWN:,} more" if len(images) > SHOWN else ""
    return f"with {', '.join(images[:SHOWN])}{more}"


def _narrow(model: Any) -> str:
    half = model.dtype_policy.compute_dtype == "float16"
    return '; or train with `training.precision="mixed_bfloat16"`, whose range is float32\'s' if half else ""
