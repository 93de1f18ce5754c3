"""What the sides of a restoration benchmark are given: pictures with noise, holes and watermarks, from a fixed seed.

Holes and watermarks are drawn here with Pillow and not by `tfvae.corruptions`, which models are trained on: other
fonts, words, sizes and shapes, so that no training generator marks its own homework. So are the tones of old prints.
"""

import functools
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfvae.pixels import to_uint8

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"  # the same on every machine
NOISE = (15, 25, 50)  # standard deviations of BSD68's tables, of 255
QUALITIES = (10, 20, 30, 40)  # of JPEG, on the scale of libjpeg


@dataclass(frozen=True)
class Example:
    """One picture as it was and as every side gets it.

    Attributes:
        original: float32 in [0, 1], `(height, width, channels)`.
        degraded: The same shape; noise is not clipped, so it may leave [0, 1].
        known: 1 where a pixel is to be trusted, 0 where it is lost, `(height, width, 1)`; None: no method is given it.
        sigma: Standard deviation of the noise, or of the error, in units of [0, 1], for non-blind methods; 0: neither.
        damage: Where the benchmark drew something, `(height, width, 1)` in {0, 1}; only for judging.
        reference: A picture whose light and colours it is to have, of any size; None: no method is given one.
    """

    original: np.ndarray
    degraded: np.ndarray
    known: np.ndarray | None = None
    sigma: float = 0.0
    damage: np.ndarray | None = None
    reference: np.ndarray | None = None


def noisy(picture: np.ndarray, index: int, seed: int, level: float) -> Example:
    """Normal noise of standard deviation `level` / 255, in floats and not clipped.

    Args:
        picture: float32 in [0, 1], `(height, width, channels)`.
        index: Of the picture in its folder: its noise is the same whichever others are measured.
        seed: Of the noise.
        level: Of 255.
    """
    noise = np.random.default_rng([seed, index]).standard_normal(picture.shape)
    sigma = level / 255.0
    return Example(picture, (picture + sigma * noise).astype(np.float32), sigma=sigma)


def compressed(picture: np.ndarray, quality: int) -> Example:
    """A picture out of a real JPEG file of that quality, as Pillow writes it; its `sigma` is the true error's."""
    pixels = to_uint8(picture)
    file = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(file, "JPEG", quality=quality)
    decoded = np.asarray(Image.open(file), np.float32).reshape(picture.shape) / np.float32(255.0)
    return Example(picture, decoded, sigma=float(np.sqrt(np.mean(np.square(decoded - picture)))))


def holed(picture: np.ndarray, index: int, seed: int, kind: str) -> Example:
    """A picture whose lost pixels are black and known to be lost; `kind` is a key of `HOLES` or of `WIDE_HOLES`."""
    kinds = {**HOLES, **WIDE_HOLES}
    rng = np.random.default_rng([seed, index, list(kinds).index(kind)])
    known = 1.0 - kinds[kind](*picture.shape[:2], rng).astype(np.float32)[:, :, None]
    return Example(picture, picture * known, known=known, damage=1.0 - known)


def watermarked(picture: np.ndarray, index: int, seed: int, kind: str) -> Example:
    """A picture under a half-transparent mark at an unknown place; `kind` is a key of `MARKS`.

    `degraded = (1 - a) * picture + a * colour`, where `a` is 0.35 to 0.6 in the letters, less at their smooth edges.
    """
    rng = np.random.default_rng([seed, index, list(MARKS).index(kind)])
    ink = MARKS[kind](*picture.shape[:2], rng)[:, :, None]
    opacity = rng.uniform(0.35, 0.6) * ink
    colour = rng.choice([0.0, 1.0], p=[0.25, 0.75])  # stock agencies mostly print in white
    marked = (1.0 - opacity) * picture + opacity * colour
    return Example(picture, as_a_file(marked), damage=(ink > 0).astype(np.float32))


def corrupted(picture: np.ndarray, index: int, seed: int, model: Any) -> Example:
    """A picture under the corruptions that the model was trained on, saved as a file would be."""
    image, damage = model.corrupt(picture[None], np.array([seed, index], np.int32))
    return Example(picture, as_a_file(np.asarray(image[0])), damage=(np.asarray(damage[0]) > 0).astype(np.float32))


def toned(picture: np.ndarray, index: int, seed: int, kind: str) -> Example:
    """A picture with the tones of a phone or of an old print, saved as a file would be; `kind` is a key of `TONES`."""
    rng = np.random.default_rng([seed, index, list(TONES).index(kind)])
    return Example(picture, as_a_file(np.clip(TONES[kind](picture, rng), 0.0, 1.0)))


def beside_its_other_half(picture: np.ndarray, index: int, seed: int, kind: str) -> Example:
    """The left half of a picture `toned`, and its right half as it was: two photographs of one scene."""
    middle = picture.shape[1] // 2
    example = toned(picture, index, seed, kind)
    return Example(picture[:, :middle], example.degraded[:, :middle], reference=picture[:, middle:])


def as_a_file(picture: np.ndarray) -> np.ndarray:
    """The picture after it was saved in bytes, float32 in [0, 1]."""
    return to_uint8(picture).astype(np.float32) / np.float32(255.0)


def random_pixels(height: int, width: int, rng: np.random.Generator, share: float) -> np.ndarray:
    """Each pixel lost by itself with probability `share`."""
    return rng.random((height, width)) < share


def opaque_text(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Tiled words, opaque, about an eighth of the picture."""
    return _tiled("© PREVIEW", height, width, rng, "DejaVuSans-Bold.ttf", size=0.055, angle=30) > 0.5


def scratches(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Twelve crooked lines across the picture, 1 to 4 pixels wide."""
    canvas = Image.new("L", (width, height))
    draw = ImageDraw.Draw(canvas)
    for _ in range(12):
        start, turn = rng.uniform(0, 1, 2) * (width, height), rng.uniform(0, 2 * np.pi)
        length, thickness = rng.uniform(0.3, 1.0) * max(height, width), int(rng.integers(1, 5))
        turns = turn + np.cumsum(rng.normal(0, 0.08, 24))
        steps = length / 24 * np.stack([np.cos(turns), np.sin(turns)], axis=1)
        points = np.concatenate([[start], start + np.cumsum(steps, axis=0)])
        draw.line([tuple(point) for point in points.tolist()], fill=255, width=thickness, joint="curve")
    return np.asarray(canvas) > 127


def blobs(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Five uneven holes at most, 25 to 60 pixels across and 25 apart, none at the border where there is room."""
    y, x = np.ogrid[:height, :width]
    lost = np.zeros((height, width), bool)
    placed: list[tuple[float, float, float]] = []
    for _ in range(5):
        across = rng.uniform(25, 60)
        for _ in range(100):
            row, column = (rng.uniform(min(50, side / 2), max(side - 50, side / 2)) for side in (height, width))
            if all(np.hypot(row - r, column - c) > (across + other) / 2 + 25 for r, c, other in placed):
                placed.append((row, column, across))
                break
    for row, column, across in placed:
        waves = np.sin(rng.integers(2, 5) * np.arctan2(y - row, x - column) + rng.uniform(0, 2 * np.pi))
        lost |= np.hypot(y - row, x - column) < across / 2 * (1 + 0.12 * waves) / 1.12
    return lost


def tiled_mark(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """'© PREVIEW' all over the picture, aslant."""
    angle = rng.uniform(20, 40) * rng.choice([-1, 1])
    return _tiled("© PREVIEW", height, width, rng, "STIXGeneralBol.ttf", size=rng.uniform(0.05, 0.08), angle=angle)


def single_mark(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """'SAMPLE' once, large, across the middle of the picture."""
    angle = rng.uniform(15, 45) * rng.choice([-1, 1])
    size, diagonal = min(height, width) / 5, int(np.ceil(np.hypot(height, width)))
    canvas = Image.new("L", (diagonal, diagonal))
    centre = diagonal / 2 + rng.uniform(-0.08, 0.08, 2) * (width, height)
    ImageDraw.Draw(canvas).text(
        tuple(centre.tolist()), "SAMPLE", fill=255, font=_font("DejaVuSerif.ttf", size), anchor="mm"
    )
    return _turned(canvas, angle, height, width)


HOLES: dict[str, Callable[..., np.ndarray]] = {
    **{f"{share} % of pixels": functools.partial(random_pixels, share=share / 100) for share in (25, 50, 75)},
    "text": opaque_text,
    "scratches": scratches,
}
WIDE_HOLES: dict[str, Callable[..., np.ndarray]] = {"25 to 60 pixels across": blobs}
MARKS: dict[str, Callable[..., np.ndarray]] = {"SAMPLE, once": single_mark, "© PREVIEW, tiled": tiled_mark}


def snapshot(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposed by up to two thirds of a stop too much or too little, in a light that was a little too warm or cold."""
    warmth = rng.uniform(-0.15, 0.15)
    gains = 2.0 ** (rng.uniform(-0.67, 0.67) + np.array([warmth, 0.0, -warmth])[-picture.shape[2] :])
    return (picture**2.2 * gains) ** (1 / 2.2)


def old_print(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Faded by the dyes, each by itself: black turns grey, white yellow, colours pale, mid-tones lighter or darker."""
    count = picture.shape[2]
    black = rng.uniform(0.05, 0.25) + rng.uniform(-0.05, 0.05, count)
    white = rng.uniform(0.7, 0.98) - np.array([0.0, 0.04, 0.16])[:count] * rng.uniform(0.3, 1.3)
    grey = picture.mean(axis=2, keepdims=True)
    pale = grey + rng.uniform(0.35, 0.85) * (picture - grey)
    return black + (white - black) * pale ** rng.uniform(0.7, 1.6)


TONES: dict[str, Callable[..., np.ndarray]] = {"snapshots": snapshot, "old prints": old_print}


def _tiled(
    words: str, height: int, width: int, rng: np.random.Generator, font: str, size: float, angle: float
) -> np.ndarray:
    """Coverage in [0, 1], `(height, width)`: `words` in rows, `size` of the shorter side high, turned by degrees."""
    letters = _font(font, size * min(height, width))
    diagonal = int(np.ceil(np.hypot(height, width)))
    canvas = Image.new("L", (diagonal, diagonal))
    draw = ImageDraw.Draw(canvas)
    left, top, right, bottom = (int(side) for side in letters.getbbox(words))
    across, down = int(1.35 * (right - left)), int(2.6 * (bottom - top))
    shift = rng.integers(0, across), rng.integers(0, down)
    for row, y in enumerate(range(-int(shift[1]), diagonal, down)):
        for x in range(-int(shift[0]) - (row % 2) * across // 2, diagonal, across):
            draw.text((x, y), words, fill=255, font=letters)
    return _turned(canvas, angle, height, width)


def _turned(canvas: Image.Image, angle: float, height: int, width: int) -> np.ndarray:
    """Coverage in [0, 1], `(height, width)`: the middle of a square canvas, turned by degrees."""
    x, y = (canvas.width - width) // 2, (canvas.height - height) // 2
    turned = canvas.rotate(angle, Image.Resampling.BICUBIC).crop((x, y, x + width, y + height))
    return np.asarray(turned, np.float32) / 255.0


def _font(name: str, size: float) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONTS / name, size=max(6, round(size)))
