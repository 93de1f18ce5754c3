"""The images an export is calibrated on and checked with."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfvae.data import DataConfig, Images, evaluation_batches
from tfvae.errors import UserError

CALIBRATION_IMAGES = 200
HELD_OUT_IMAGES = 64
# Of large images fewer are needed, as each holds many places, and fewer are taken, so that an export stays minutes.
PIXELS = 4_000_000
FEWEST_IMAGES = 16
# Side of a spatial model's .tflite files where nothing says otherwise; a multiple of every factor.
DEFAULT_SIDE = 256


@dataclass(frozen=True)
class Samples:
    """Float32 images in [0, 1], all of one size, shape `(n, height, width, channels)`.

    Attributes:
        calibration: Training images, from which int8 ranges are taken.
        held_out: Images the model was not trained on, where the run kept any.
        split: Where `held_out` comes from: `test`, `validation`, or `train` when the run kept nothing back.
        names: The names of the held-out images.
    """

    calibration: np.ndarray
    held_out: np.ndarray
    split: str
    names: list[str]


def draw_samples(
    splits: Any,
    config: DataConfig,
    size: tuple[int, int],
    seed: int,
    frames: int = 1,
    held_out_images: int = HELD_OUT_IMAGES,
) -> Samples:
    """Images evenly spaced through the training and the held-out images, prepared as in evaluation.

    Args:
        splits: All images of the run.
        config: How they are prepared.
        size: `(height, width)` of what is drawn, in pixels.
        seed: Of the binarisation.
        frames: Of a film in one image, one below the other.
        held_out_images: At most so many are held out.
    """
    training, (split, held_out) = splits.train, splits.measured
    most = max(FEWEST_IMAGES, PIXELS // (size[0] * size[1]))
    chosen = spread(len(held_out), min(held_out_images, most))

    def prepared(images: Images, indices: list[int]) -> np.ndarray:
        same_size = Images.from_array(np.stack([fitted(images[index], size, frames) for index in indices]))
        batches = evaluation_batches(same_size, 32, seed=seed, config=config)
        return np.concatenate([np.asarray(batch, np.float32) for batch in batches])

    return Samples(
        calibration=prepared(training, spread(len(training), min(CALIBRATION_IMAGES, most))),
        held_out=prepared(held_out, chosen),
        split=split,
        names=[held_out.names[index] for index in chosen],
    )


def static_size(
    image_shape, config: DataConfig, asked: tuple[int, int] | None, common: tuple[int, int] | None = None
) -> tuple[int, int]:
    """Height and width of the `.tflite` files, which need fixed ones; of a model of films those of a frame.

    A vector latent has its own size. A spatial one takes what was asked for, else the crop the run trained on, else
    the size of its images, else 256×256.

    Args:
        image_shape: Of the model.
        config: Of the run.
        asked: What was asked for.
        common: The size of all images, where they have one.
    """
    own = tuple(image_shape[:2])
    if own != (None, None):
        if asked not in (None, own):
            raise UserError(f"--size: this model takes {own[0]}x{own[1]} only. Received: {asked[0]}x{asked[1]}.")
        return own
    if asked:
        return asked
    if config.crop:
        return config.crop, config.crop
    if config.height:
        return config.height, config.width
    return common if common and max(common) <= DEFAULT_SIDE else (DEFAULT_SIDE, DEFAULT_SIDE)


def spread(count: int, wanted: int) -> list[int]:
    """At most `wanted` different indices below `count`, evenly spaced from the first to the last."""
    return sorted({int(index) for index in np.linspace(0, count - 1, min(count, wanted)).round()})


def fitted(pixels: np.ndarray, size: tuple[int, int], frames: int = 1) -> np.ndarray:
    """The centre of `pixels`, `(h, w, c)`, at `size`; a smaller picture is continued by its mirror image.

    Of `frames` one below the other, at `size` together, the centre of each.
    """
    if frames > 1:
        return np.concatenate([fitted(frame, (size[0] // frames, size[1])) for frame in np.split(pixels, frames)])
    for axis, side in enumerate(size):
        missing = max(0, side - pixels.shape[axis])
        before = missing // 2
        widths = [(before, missing - before) if i == axis else (0, 0) for i in range(3)]
        pixels = np.pad(pixels, widths, mode="symmetric")
        start = (pixels.shape[axis] - side) // 2
        pixels = pixels.take(range(start, start + side), axis=axis)
    return pixels


def cut(images: np.ndarray, height: int, width: int, frames: int = 1) -> np.ndarray:
    """The top left corner of `images` `(n, h, w, c)`, at most `height` × `width`; negative sides are what is left out.

    Of `frames` one below the other, the corner of each.
    """
    count, _, _, channels = images.shape
    corners = images.reshape(count, frames, -1, *images.shape[2:])[:, :, :height, :width]
    return corners.reshape(count, -1, corners.shape[3], channels)
