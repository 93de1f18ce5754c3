"""A map of what stands out, as colours over its picture."""

import matplotlib
import numpy as np
from PIL import Image, ImageDraw

MOST = 0.7  # of the picture that the brightest colour hides
FRAME = (230, 30, 30)


def heat_picture(
    pixels: np.ndarray, found: np.ndarray, low: float, threshold: float, boxes: list[tuple[int, int, int, int]]
) -> np.ndarray:
    """`pixels` under the colours of a map, uint8 `(height, width, 3)`: none up to `low`, half of them at `threshold`.

    Args:
        pixels: The picture, uint8 `(height, width, 1 or 3)`.
        found: The map, `(height, width)`.
        low: Of the map, where it shows nothing.
        threshold: Of the map; as far above it again the colours end.
        boxes: Left, top, width and height of what gets a frame, in pixels.
    """
    share = np.clip(0.5 * (found - low) / max(threshold - low, 1e-6), 0.0, 1.0)
    table = np.asarray(matplotlib.colormaps["inferno"](np.linspace(0, 1, 256))[:, :3] * 255, np.float32)
    colours = table[np.rint(share * 255).astype(np.uint8)]
    cover = (MOST * share)[:, :, None]
    mixed = pixels.astype(np.float32) * (1 - cover) + cover * colours
    picture = Image.fromarray(np.rint(mixed).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    line = max(1, max(found.shape) // 400)
    for left, top, width, height in boxes:
        pen.rectangle([left - line, top - line, left + width - 1 + line, top + height - 1 + line], None, FRAME, line)
    return np.asarray(picture)
