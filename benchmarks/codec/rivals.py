"""The other codecs: what Pillow writes, in memory, at qualities that cover the range."""

import io
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, features

JPEG = "JPEG"
# Of Pillow's writers: format, its arguments, qualities from 0.15 to 2 bits a pixel, what must be built in.
WRITERS: dict[str, tuple[str, dict[str, Any], Sequence[int], str]] = {
    JPEG: ("JPEG", {"subsampling": "4:2:0", "optimize": True}, (4, 7, 10, 15, 22, 32, 45, 60, 72, 82, 90), "jpg"),
    "WebP": ("WEBP", {"method": 6}, (0, 3, 8, 16, 28, 42, 58, 72, 82, 90), "webp"),
    "AVIF": ("AVIF", {"speed": 4}, (12, 22, 32, 42, 52, 62, 72, 82), "avif"),
}


class Coded(NamedTuple):
    """One picture at one quality."""

    quality: float
    bytes: int
    pixels: np.ndarray  # uint8, of the shape of the original


def rivals() -> dict[str, Callable[[np.ndarray], list[Coded]]]:
    """By name, those that this Pillow was built with: from a picture to its files from small to large."""
    found = {}
    for name, (format_, options, qualities, feature) in WRITERS.items():
        if features.check(feature):
            found[name] = _writer(format_, options, qualities)
    return found


def _writer(format_: str, options: dict[str, Any], qualities: Sequence[int]) -> Callable[[np.ndarray], list[Coded]]:
    def write(pixels: np.ndarray) -> list[Coded]:
        image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        mode = image.mode
        own = {key: value for key, value in options.items() if mode != "L" or key != "subsampling"}
        coded = []
        for quality in qualities:
            file = io.BytesIO()
            image.save(file, format=format_, quality=quality, **own)
            with Image.open(io.BytesIO(file.getvalue())) as opened:
                back = np.asarray(opened.convert(mode)).reshape(pixels.shape)
            coded.append(Coded(quality, len(file.getvalue()), back))
        return coded

    return write
