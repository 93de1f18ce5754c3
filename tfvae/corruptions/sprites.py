"""Words and logos as small pictures in one flat array, drawn once with Pillow, sampled anywhere with tensors.

A sprite has two values a pixel: its cover, and its ink: the part of the cover that has the mark's colour; the rest
(`cover - ink`) is its shade, the shadow or outline with which stock photographs make marks visible on any ground.
"""

import functools
import math
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

LEVELS = (64, 32, 16)  # heights in pixels; the next larger one is sampled, so that small marks do not alias
RANDOM_WORDS = 72
FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Bold"),
    *("DejaVuSerif-Italic", "DejaVuSansMono-Bold", "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "cmss10"),
)
WORDS = (
    *("SAMPLE", "PREVIEW", "DRAFT", "PROOF", "CONFIDENTIAL", "COPYRIGHT", "DO NOT COPY", "Watermark", "stock photo"),
    *("© 2024", "© 2019 Studio", "© All rights reserved", "Photography", "photo by Anna", "J. Smith Photo", "PREMIUM"),
    *("www.example.com", "example.org", "@photographer", "#12345678", "ID 4829173", "2021-07-14", "12/03/1998 14:05"),
    *("For approval only", "NOT FOR SALE", "Museum Archive", "Gallery", "Collection No. 27", "EDITORIAL USE", "DEMO"),
    *(
        "Trial version",
        "Unregistered",
        "Property of",
        "Images & Co",
        "Pictures",
        "Fine Art",
        "Mountain View",
        "Evening",
    ),
)
LOGOS = 48


class Sprites(NamedTuple):
    """`pixels` `(p, 2)` uint8 (cover, ink); of each sprite and level its `offset` into them, `height` and `width`.

    The three tables are int32 `(sprites, levels)`. A sprite lies in rows of its width and has an empty border.
    """

    pixels: np.ndarray
    offset: np.ndarray
    height: np.ndarray
    width: np.ndarray


@functools.cache
def words() -> Sprites:
    """Words of a photographer's trade and random strings, in many typefaces, filled, outlined or with a shadow."""
    # A fixed seed: the bank is part of the program, not of a run.
    rng = np.random.default_rng(0)
    alphabet = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789  .-&"))
    texts = [*WORDS, *("".join(rng.choice(alphabet, rng.integers(2, 15))).strip() or "A" for _ in range(RANDOM_WORDS))]
    return _packed([_word(text, FONTS[i % len(FONTS)], rng) for i, text in enumerate(texts)])


@functools.cache
def logos() -> Sprites:
    """Emblems: rings, shields, polygons and stars, alone or about letters, filled or drawn with a line."""
    rng = np.random.default_rng(1)
    return _packed([_logo(rng) for _ in range(LOGOS)])


def joined(*banks: Sprites) -> Sprites:
    """Several banks as one."""
    starts = np.cumsum([0, *(len(bank.pixels) for bank in banks[:-1])], dtype=np.int32)
    offsets = [bank.offset + start for bank, start in zip(banks, starts, strict=True)]
    parts = [np.concatenate([getattr(bank, name) for bank in banks]) for name in ("pixels", "height", "width")]
    return Sprites(parts[0], np.concatenate(offsets), parts[1], parts[2])


def sample(
    sprites: Sprites, which: tf.Tensor, size: tf.Tensor, u: tf.Tensor, v: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Cover and ink in [0, 1], both `(b, h, w)`, of one sprite for each image, interpolated linearly.

    Args:
        sprites: The bank.
        which: Index of the sprite, `(b,)` int32.
        size: Height in pixels at which the sprite is drawn, `(b,)`.
        u, v: Where each pixel lies along and across the sprite, in pixels from its middle, `(b, h, w)`.
    """
    level = tf.reduce_sum(tf.cast(size[:, None] <= tf.constant(LEVELS[1:], tf.float32), tf.int32), axis=1)
    offset, height, width = (tf.gather_nd(t, tf.stack([which, level], 1))[:, None, None] for t in sprites[1:])
    scale = tf.cast(height, tf.float32) / size[:, None, None]
    # Outside, the place is clipped to the border, which is empty.
    column = tf.clip_by_value(u * scale + (tf.cast(width, tf.float32) - 1) / 2, 0.0, tf.cast(width, tf.float32) - 1.001)
    row = tf.clip_by_value(v * scale + (tf.cast(height, tf.float32) - 1) / 2, 0.0, tf.cast(height, tf.float32) - 1.001)
    left, top = tf.floor(column), tf.floor(row)
    right_share, low_share = (column - left)[..., None], (row - top)[..., None]
    first = offset + tf.cast(top, tf.int32) * width + tf.cast(left, tf.int32)
    pixels = tf.constant(sprites.pixels)

    def at(step: tf.Tensor | int) -> tf.Tensor:
        return tf.cast(tf.gather(pixels, first + step), tf.float32)

    upper = at(0) + right_share * (at(1) - at(0))
    lower = at(width) + right_share * (at(width + 1) - at(width))
    cover, ink = tf.unstack((upper + low_share * (lower - upper)) / 255.0, axis=-1)
    return cover, ink


def width_at(sprites: Sprites, which: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Width in pixels, `(b,)`, of sprites drawn `size` pixels high."""
    return size * tf.gather(tf.constant(sprites.width[:, 0] / sprites.height[:, 0], tf.float32), which)


def _font(name: str, size: float) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf", size=size)


def _word(text: str, font_name: str, rng: np.random.Generator) -> np.ndarray:
    """A word at the largest level, `(height, width, 2)`."""
    height = LEVELS[0]
    font = _font(font_name, 0.72 * height)
    style = rng.choice(["filled", "outlined", "shadow", "edged"], p=[0.5, 0.15, 0.2, 0.15])
    line = int(rng.integers(2, 4))
    left, _, right, _ = font.getbbox(text, anchor="lm")
    canvas = (round(right - left) + 14, height)
    place = (7 - left, height / 2)

    def drawn(shift: int = 0, stroke: int = 0) -> np.ndarray:
        picture = Image.new("L", canvas)
        ImageDraw.Draw(picture).text(
            (place[0] + shift, place[1] + shift), text, fill=255, font=font, anchor="lm", stroke_width=stroke
        )
        return np.asarray(picture, np.float32)

    plain = drawn()
    if style == "filled":
        return np.stack([plain, plain], -1)
    if style == "outlined":
        outline = drawn(stroke=line) * (1 - plain / 255)
        return np.stack([outline, outline], -1)
    under = drawn(shift=line) * rng.uniform(0.4, 0.9) if style == "shadow" else drawn(stroke=line)
    return np.stack([np.maximum(plain, under), plain], -1)


def _logo(rng: np.random.Generator) -> np.ndarray:
    """An emblem at the largest level, `(height, height, 2)`, drawn four times as large for smooth edges."""
    side = 4 * LEVELS[0]
    picture = Image.new("L", (side, side))
    pen = ImageDraw.Draw(picture)
    line = int(rng.integers(8, 26))
    solid = rng.random() < 0.35
    outer = 0.46 * side
    kind = rng.choice(["ring", "polygon", "star", "box"])
    if kind == "ring":
        pen.ellipse([side / 2 - outer, side / 2 - outer, side / 2 + outer, side / 2 + outer], None, 255, line)
    elif kind == "box":
        pen.rounded_rectangle(
            [0.05 * side, 0.2 * side, 0.95 * side, 0.8 * side], int(rng.integers(0, 60)), None, 255, line
        )
    else:
        corners = int(rng.integers(3, 9))
        radii = [outer] if kind == "polygon" else [outer, outer * rng.uniform(0.4, 0.7)]
        count = corners * len(radii)
        points = [
            (
                side / 2 + radii[k % len(radii)] * math.sin(2 * math.pi * k / count),
                side / 2 - radii[k % len(radii)] * math.cos(2 * math.pi * k / count),
            )
            for k in range(count)
        ]
        pen.line([*points, *points[:2]], fill=255, width=line, joint="curve")
    if solid:
        ImageDraw.floodfill(picture, (side // 2, side // 2), 255)
    inside = rng.choice(["letters", "disc", "cross", "nothing"], p=[0.6, 0.15, 0.1, 0.15])
    ink = 0 if solid else 255
    if inside == "letters":
        letters = "".join(rng.choice(list("ABCDEFGHKLMNPRSTVWX©&"), rng.integers(1, 4)))
        font = _font(str(rng.choice(FONTS)), 0.55 * side / len(letters) ** 0.8)
        pen.text((side / 2, side / 2), letters, fill=ink, font=font, anchor="mm")
    elif inside == "disc":
        radius = side * rng.uniform(0.08, 0.2)
        pen.ellipse([side / 2 - radius, side / 2 - radius, side / 2 + radius, side / 2 + radius], ink)
    elif inside == "cross":
        pen.line([0.3 * side, 0.3 * side, 0.7 * side, 0.7 * side], ink, line)
        pen.line([0.3 * side, 0.7 * side, 0.7 * side, 0.3 * side], ink, line)
    cover = np.asarray(picture.resize((LEVELS[0], LEVELS[0]), Image.Resampling.BOX), np.float32)
    return np.stack([cover, cover], -1)


def _packed(pictures: list[np.ndarray]) -> Sprites:
    """A bank of `pictures` `(height, width, 2)`, reduced by the mean of 2 × 2 pixels to each further level."""
    pixels, tables, offset = [], [], 0
    for picture in pictures:
        divisor = LEVELS[0] // LEVELS[-1]
        picture = np.pad(picture, ((0, 0), (0, -picture.shape[1] % divisor), (0, 0)))
        for level in LEVELS:
            step = LEVELS[0] // level
            small = picture.reshape(level, step, -1, step, 2).mean((1, 3))
            small[[0, -1]] = 0.0
            small[:, [0, -1]] = 0.0
            pixels.append(np.round(small).astype(np.uint8).reshape(-1, 2))
            tables.append((offset, *small.shape[:2]))
            offset += len(pixels[-1])
    offsets, heights, widths = np.array(tables, np.int32).reshape(len(pictures), len(LEVELS), 3).transpose(2, 0, 1)
    return Sprites(np.concatenate(pixels), offsets, heights, widths)
