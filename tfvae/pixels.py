"""Pixel values of arrays: [0, 1] as float32 or 0 to 255 as uint8, and what lies outside of that."""

import numpy as np
from PIL import Image, ImageOps

# Pixels are multiples of 1/255; a resize or a jitter may overshoot by less than that.
PIXEL_SLACK = 1 / 255
# All pixels below this in [0, 1]: two grey levels of 255, as where the pixels were divided by 255 twice.
DARK = 2 / 255


def pixels(image: np.ndarray) -> np.ndarray:
    """float32 in [0, 1] of an image or a batch: uint8 is divided by 255, floats are taken to be in [0, 1] already."""
    image = np.asarray(image)
    return image.astype(np.float32) / np.float32(255.0) if image.dtype == np.uint8 else image.astype(np.float32)


def fitted(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A uint8 image scaled and cropped at the centre to height and width of `shape`."""
    if image.shape[:2] == tuple(shape[:2]):
        return image
    grey = image.shape[2] == 1
    picture = ImageOps.fit(Image.fromarray(image[:, :, 0] if grey else image), (shape[1], shape[0]))
    return np.asarray(picture).reshape(*shape[:2], image.shape[2])


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Bytes of pixels: float images in [0, 1] are clipped and rounded, uint8 images are returned as they are."""
    images = np.asarray(images)
    if images.dtype == np.uint8:
        return images
    return np.round(np.clip(images.astype(np.float32), 0.0, 1.0) * 255.0).astype(np.uint8)


def out_of_range(lowest: float, highest: float) -> tuple[str, str] | None:
    """What is wrong with pixels that should lie in [0, 1], and the remedy; None where nothing is.

    Args:
        lowest, highest: The extreme values.
    """
    seen = f"pixel values lie in {lowest:.4g} … {highest:.4g}, and every likelihood here is one of values in [0, 1]"
    if highest > 1 + PIXEL_SLACK:
        white = "255" if highest <= 255 else "65535, where they have 16 bits"
        remedy = f"divide the pixels by {white}" if highest > 2 and lowest >= 0 else "scale the pixels to [0, 1]"
        return seen, f"{remedy} (`python -m training` does so by itself)"
    if lowest < -PIXEL_SLACK:
        return seen, "shift and scale the pixels to [0, 1]: x = (x + 1) / 2 where they are in [-1, 1]"
    if 0 < highest < DARK:
        return f"the brightest pixel is {highest:.4g} of 1", "divide the pixels by 255 once, not twice"
    return None
