"""A page of compressed pictures: original, what its file opens as, the difference, bytes beside those of others."""

import html
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, features

from tfvae import metrics
from tfvae.commands.pages.compressed_template import FIGURE, PAGE
from tfvae.pixels import pixels as floats
from tfvae.whole_files import whole_file, write_whole

COPIES = "pictures"  # the folder of the pictures, beside the page
SHOWN = 1600  # pixels of their longer side
PIXELATED = 128  # pixels a side, below which the page shows pixels as squares
AMPLIFIED = 8  # times: what is shown of a difference
MOST_COMPARED = 4_000_000  # pixels of a picture, above which others take too long
# As Pillow writes them: name, format, arguments, what must be built in.
OTHERS = (
    ("JPEG", "JPEG", {"subsampling": "4:2:0", "optimize": True}, "jpg"),
    ("WebP", "WEBP", {"method": 6}, "webp"),
    ("AVIF", "AVIF", {"speed": 4}, "avif"),
)


@dataclass(frozen=True)
class Item:
    """One picture of the page.

    Attributes:
        name: What stands above it; any text.
        before: uint8 `(height, width, 1 or 3)`.
        after: What its file opens as, likewise.
        size: Bytes of the file.
        quality: At which it was compressed.
    """

    name: str
    before: np.ndarray
    after: np.ndarray
    size: int
    quality: float


def write_page(folder: Path, items: Iterable[Item], title: str) -> Path:
    """Writes `index.html` and the pictures that it shows into `folder`; returns the path of the page."""
    (folder / COPIES).mkdir(parents=True, exist_ok=True)
    figures = [_figure(folder, number, item) for number, item in enumerate(items, 1)]
    path = folder / "index.html"
    write_whole(path, PAGE.substitute(title=html.escape(title), figures="\n".join(figures)))
    return path


def psnr(before: np.ndarray, after: np.ndarray) -> float:
    """That of `tfvae.metrics.psnr`, of bytes."""
    return float(metrics.psnr(*(floats(image)[None] for image in (before, after)))[0])


def at_psnr(pixels: np.ndarray, wanted: float, format_: str, options: dict) -> tuple[int, float]:
    """Bytes and PSNR of the smallest file of a format that has a PSNR of `wanted`, or of its best one."""
    image, low, high = _pillow(pixels), 1, 100
    best = (0, 0.0)
    while low <= high:
        middle = (low + high) // 2
        file = io.BytesIO()
        image.save(file, format=format_, quality=middle, **({} if image.mode == "L" else options))
        with Image.open(io.BytesIO(file.getvalue())) as opened:
            found = len(file.getvalue()), psnr(pixels, np.asarray(opened.convert(image.mode)).reshape(pixels.shape))
        if found[1] >= wanted:
            best, high = found, middle - 1
        else:
            best, low = (best if best[1] >= wanted else found), middle + 1
    return best


def _figure(folder: Path, number: int, item: Item) -> str:
    difference = np.clip(128 + AMPLIFIED * (item.after.astype(np.int16) - item.before), 0, 255).astype(np.uint8)
    pictures = []
    for kind, pixels in (("original", item.before), ("opened", item.after), ("difference", difference)):
        name = f"{COPIES}/{number:04d}-{kind}.png"
        image = _pillow(pixels)
        image.thumbnail((SHOWN, SHOWN))
        with whole_file(folder / name) as file:
            image.save(file, "PNG")
        pictures.append(f'<a href="{name}"><img src="{name}" alt="{kind}" loading="lazy">{kind}</a>')
    own = psnr(item.before, item.after)
    rows = [_row(f"tfvae, quality {item.quality:g}", item.before, item.size, own)]
    if item.before.shape[0] * item.before.shape[1] <= MOST_COMPARED:
        for name, format_, options, feature in OTHERS:
            if features.check(feature):
                rows.append(_row(name, item.before, *at_psnr(item.before, own, format_, options)))
    return FIGURE.substitute(
        name=html.escape(item.name),
        small="small" if max(item.before.shape[:2]) <= PIXELATED else "",
        pictures="\n".join(pictures),
        rows="\n".join(rows),
    )


def _row(name: str, pixels: np.ndarray, size: int, quality: float) -> str:
    bits = 8 * size / (pixels.shape[0] * pixels.shape[1])
    return f"<tr><td>{name}</td><td>{size:,}</td><td>{bits:.3f}</td><td>{quality:.2f}</td></tr>"


def _pillow(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
