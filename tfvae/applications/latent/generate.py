"""Draw images that were never seen."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfvae.data.array_batches import largest_batch
from tfvae.inputs import as_label_weights, in_turn

BLOTCHES = 0.9  # kurtosis of the derivatives of draws over that of reconstructions, below which they show no things
DEFAULT_SIDE = 128  # pixels of a drawn picture where the model leaves its size open


def generate(
    model: Any,
    count: int,
    seed: int,
    temperature: float | Sequence[float] = 1.0,
    size: tuple[int, int] | None = None,
    batch_size: int = 64,
    labels: Any = None,
) -> np.ndarray:
    """Images decoded from draws of the prior: `E[x|z]`, z drawn at a temperature; `temperature * noise` of N(0, I).

    Of a model with a discrete latent the temperature divides the logits of its prior instead.

    The first images of a seed are the same however many are drawn.

    Args:
        model: A latent model with a prior (`model.generate`).
        count: How many images.
        seed: Of the noise.
        temperature: Standard deviation of the draws in units of the prior's: below 1 nearer to the typical image,
            0 the same image `count` times. Of a hierarchical model also one for each level, coarse to fine.
        size: `(height, width)` in pixels, for a model with a spatial latent only; the largest that its prior knows by
            default, 128×128 of one that knows no places.
        batch_size: Most images decoded at once.
        labels: Of a conditional model: of each image or of all, class indices, names, or weights `(count, classes)`;
            None: every class in turn.

    Returns:
        float32 in [0, 1], shape `(count, height, width, channels)`.

    Raises:
        ValueError: When the model has no prior, does not know a label, `count` or a side is not positive, a
            `temperature` is negative or they are not as many as the levels, `size` is given though the model draws one
            size only, or it is more than the prior knows.
    """
    if not hasattr(model, "generate"):
        raise ValueError(f"`model` must have a prior to draw from. Received: {type(model).__name__}")
    if count < 1:
        raise ValueError(f"`count` must be positive. Received: count={count}")
    factors = temperatures(model, temperature)
    height, width = drawn_size(model, size)
    latent_shape = noise_shape(model, height, width)
    batch_size = largest_batch(batch_size, height, width)
    given = {}
    if model.conditional:
        labels = in_turn(range(count), model.label_names) if labels is None else labels
        weights = keras.ops.convert_to_numpy(as_label_weights(labels, model.label_names))
        given["labels"] = np.broadcast_to(weights, (count, weights.shape[1]))
    elif labels is not None:
        raise ValueError(f"`labels` must be None for a model that is not conditional. Received: labels={labels!r}")
    rng = np.random.default_rng(seed)
    images = []
    for start in range(0, count, batch_size):
        noise = rng.standard_normal((min(batch_size, count - start), *latent_shape), dtype=np.float32)
        mine = {name: value[start : start + batch_size] for name, value in given.items()}
        drawn = keras.ops.convert_to_numpy(model.generate(noise, factors, **mine)["image"])
        images.append(drawn[:, :height, :width])
    return np.concatenate(images)


def temperatures(model: Any, temperature: float | Sequence[float]) -> np.ndarray:
    """What `model.generate` takes: one number, `()`, or one for each level of a hierarchical model, float32.

    Raises:
        ValueError: When one is negative, or there are several and not as many as levels.
    """
    found = np.asarray(temperature, np.float32)
    if not np.all(found >= 0):
        raise ValueError(f"`temperature` must not be negative. Received: temperature={temperature}")
    levels = getattr(model, "levels", None)
    if found.ndim and found.shape != (levels,):
        several = f", or one for each of the {levels} levels" if levels else f" for a {type(model).__name__}"
        raise ValueError(f"`temperature` must be a number{several}. Received: temperature={temperature}")
    return found


def noise_shape(model: Any, height: int, width: int) -> tuple[int, ...]:
    """Of the noise of one picture of that size, or of one strip of frames."""
    if model.latent_shape[0] is not None:
        return tuple(model.latent_shape)
    # Each frame is padded to a multiple of the factor, hence the ceiling.
    rows = model.frames * -(-(height // model.frames) // model.factor)
    return rows, -(-width // model.factor), model.latent_shape[-1]


def drawn_size(model: Any, size: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width of the pictures that will be drawn."""
    fixed = tuple(model.image_shape[:2])
    if fixed[0] is None:
        largest = largest_size(model)
        height, width = size or largest or (DEFAULT_SIDE, DEFAULT_SIDE)
        if height < 1 or width < 1:
            raise ValueError(f"`size` must be positive. Received: size={size}")
        if largest and (height > largest[0] or width > largest[1]):
            raise ValueError(f"`size` must be at most {largest}, which is what the prior knows. Received: size={size}")
        return height, width
    if size not in (None, fixed):
        raise ValueError(f"`size` must be {fixed}, the only size this model draws. Received: size={size}")
    return fixed


def largest_size(model: Any) -> tuple[int, int] | None:
    """Height and width of the largest picture that the prior of a spatial latent knows; None where none is."""
    places = getattr(model.prior, "size", None)
    return (places[0] * model.factor, places[1] * model.factor) if places else None


def texture_note(model: Any) -> str:
    """What to say of draws that have no composition, with the remedy where there is one; empty where they have."""
    if not draws_texture(model):
        return ""
    said = "the places of a code are independent under this model's prior: these are textures, not pictures."
    remedy = " One that knows places: python -m training prior RUN --kind autoregressive"
    return said + (remedy if hasattr(model, "fit_prior") else "")


def blotches_note(figures: Mapping[str, Any]) -> str:
    """What to say of draws whose edges are less sparse than those of reconstructions; empty where they are not.

    Args:
        figures: Of draws, of a run's report: `edges` (`tfvae.evaluation.edges`), where it was measured.
    """
    if figures.get("edges", 1.0) >= BLOTCHES:
        return ""
    return (
        "these draws have blotches where pictures have edges: the prior knows colours and light, and no things. More "
        "pictures of one kind are what helps most"
    )


def draws_texture(model: Any) -> bool:
    """Whether what the model draws has no composition: the places of its code are independent under its prior."""
    return model.latent_shape[0] is None and largest_size(model) is None
