"""One picture file as the uint8 pixels that a model is given: decoded by `decoding.py`, then fitted and filtered."""

import dataclasses
import math
from typing import Any

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from tfvae.decoding import decoded, on_white, open_checked, orientation_of

GREY_MODES = ("1", "L", "LA", "La", "I", "F")


@dataclasses.dataclass(frozen=True)
class Preparation:
    """What happens to each picture at load; the fields are those of `DataConfig`."""

    height: int = 0
    width: int = 0
    channels: int = 0
    fit: str = "crop"
    max_side: int = 1024
    max_pixels: int = 64_000_000
    black: float = 0.0
    white: float = 0.0
    denoise: int = 0
    contrast: float = 0.0


def read_picture(path: str | bytes, how: Preparation, noted: list[dict[str, Any]] | None = None) -> np.ndarray:
    """Pixels of a picture file, by its path or its content, uint8 of shape `(height, width, 1 or 3)`.

    Args:
        path: Of the file, or what is in it.
        how: Sizes, filters and channels.
        noted: Gets one dictionary: `scale`, `reached` and `several` as in `Decoded`.

    Raises:
        tfvae.decoding.UnreadableError: With the reason.
    """
    with open_checked(path, how.max_pixels) as image:
        size = None
        if image.format in ("JPEG", "MPO"):
            width, height = image.size
            size = (height, width) if orientation_of(image) >= 5 else (width, height)
            # The decoder leaves out frequencies that the reduction would drop: several times faster.
            scale = _reduction(*size, how)
            if scale < 0.5:
                image.draft(None, (math.ceil(2 * scale * width), math.ceil(2 * scale * height)))
        found = decoded(image, how.black, how.white)
        if noted is not None:
            noted.append({"scale": found.scale, "reached": found.reached, "several": found.several})
        pixels = on_white(found.pixels, found.alpha)
        return prepare(Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels), how, size)


def look_at_picture(path: str | bytes, how: Preparation) -> tuple[int, int, int]:
    """Height, width after rotation, and channels (1 or 3) that the header promises."""
    with open_checked(path, how.max_pixels) as image:
        width, height = image.size
        turned_size = image.format != "TIFF" and orientation_of(image, in_header=True) >= 5
        channels = 1 if image.mode in GREY_MODES or image.mode.startswith("I;") else 3
        return (width, height, channels) if turned_size else (height, width, channels)


def prepare(image: Image.Image, how: Preparation, size: tuple[int, int] | None = None) -> np.ndarray:
    """Fits, converts, filters: an upright picture of mode L or RGB as uint8 pixels `(height, width, 1 or 3)`.

    Args:
        image: The picture.
        how: Sizes, filters and channels.
        size: Width and height before the decoder reduced it, if it did: they decide the result's size.
    """
    width, height = size or image.size
    box = None
    if how.height:
        target = (how.width, how.height)
        if how.fit == "crop":
            box = _centre_box(image.size, target)
    else:
        scale = _reduction(width, height, how)
        target = (max(1, round(width * scale)), max(1, round(height * scale)))
    if target != image.size:
        image = image.resize(target, Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
    if how.channels:
        image = image.convert("L" if how.channels == 1 else "RGB")
    elif image.mode == "RGB" and is_grey(np.asarray(image)):
        image = image.getchannel(0)
    if how.denoise:
        image = image.filter(ImageFilter.MedianFilter(how.denoise))
    if how.contrast:
        # One stretch for all channels, or the colours would shift.
        image = ImageOps.autocontrast(image, cutoff=how.contrast, preserve_tone=True)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def is_grey(pixels: np.ndarray) -> bool:
    """Whether red, green and blue (the last axis) agree in every pixel."""
    return bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all())


def _reduction(width: int, height: int, how: Preparation) -> float:
    """The factor (at most 1) by which an upright picture of this size may be reduced before it is prepared."""
    if not how.height:
        return min(1.0, how.max_side / max(width, height))
    return min(1.0, max(how.width / width, how.height / height))


def _centre_box(size: tuple[int, int], target: tuple[int, int]) -> tuple[float, float, float, float]:
    """The largest centred box of the target's proportions: left, upper, right, lower."""
    scale = min(size[0] / target[0], size[1] / target[1])
    width, height = target[0] * scale, target[1] * scale
    left, upper = (size[0] - width) / 2, (size[1] - height) / 2
    return (max(left, 0.0), max(upper, 0.0), min(left + width, size[0]), min(upper + height, size[1]))
