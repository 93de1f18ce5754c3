"""A page on which pictures before and after restoration are compared: opens from disk, offline, on a phone as well."""

import html
import math
import os
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from tfvae.commands.pages.before_after_template import FIGURE, PAGE
from tfvae.data.reading import Preparation, read_picture
from tfvae.whole_files import whole_file, write_whole

MAX_SIDE = 2000  # pixels of the copies that the page shows; the originals are linked
MAX_PIXELS = 1 << 30  # of an original, far above any scan: only a bomb has more
LOSSLESS = 512 * 512  # pixels, up to which a copy is without loss
QUALITY = 88  # of those copies: a difference that WebP makes must not be taken for one that the model made
PIXELATED = 128  # pixels a side, below which the page shows pixels as squares
COPIES = "pictures"  # the folder of the copies, beside the page


@dataclass(frozen=True)
class Item:
    """One picture of the page.

    Attributes:
        name: What stands above it; any text.
        before: The picture as it was found.
        after: The picture as it was restored, of the same proportions.
        uncertainty: A picture of how unsure the model was, or None.
        figures: Numbers that stand below it, by their names, each formatted or a number, such as `{"PSNR": "31.2 dB"}`.
        scale: The numbers that are black and white in `before` (`data.black`, `data.white`).
    """

    name: str
    before: Path
    after: Path
    uncertainty: Path | None = None
    figures: Mapping[str, str | float] = field(default_factory=dict)
    scale: tuple[float, float] = (0.0, 0.0)


def write_page(
    folder: str | Path, items: Iterable[Item], title: str, sides: tuple[str, str] = ("before", "after")
) -> Path:
    """Write `index.html` and the reduced pictures it shows into `folder`; returns the path of the page.

    The page asks for nothing but those pictures: no script, font or style comes from elsewhere. The originals are not
    copied but linked, relative to the page, so that folder and originals can move together.

    Args:
        folder: Where to; made where it is not there. Files of an earlier page are overwritten.
        items: The pictures; names may repeat and may hold any characters.
        title: Of the page.
        sides: What stands on the left and on the right of each picture's slider.

    Raises:
        ValueError: When there are no items, or before and after are not of the same proportions.
        tfvae.decoding.UnreadableError: When a picture cannot be read.
    """
    folder = Path(folder)
    (folder / COPIES).mkdir(parents=True, exist_ok=True)
    left, right = (html.escape(side) for side in sides)
    figures = [_figure(folder, number, item, left, right) for number, item in enumerate(items, 1)]
    if not figures:
        raise ValueError("`items` must hold at least one picture. Received: 0 items.")
    count = "1 picture" if len(figures) == 1 else f"{len(figures)} pictures"
    page = PAGE.substitute(
        title=html.escape(title),
        count=count,
        figures="\n".join(figures),
        many="" if len(figures) > 1 else " hidden",
        left=left,
        right=right,
    )
    path = folder / "index.html"
    write_whole(path, page)
    return path


def _figure(folder: Path, number: int, item: Item, left: str, right: str) -> str:
    """The HTML of one picture, whose reduced copies are written into the folder; `left` and `right` are its sides."""
    places, size = {}, (0, 0)
    for kind, source in (("before", item.before), ("after", item.after), ("uncertainty", item.uncertainty)):
        if source is None:
            continue
        copy = folder / COPIES / f"{number:04d}-{kind}.webp"
        width, height = _write_copy(Path(source), copy, item.scale if kind == "before" else (0.0, 0.0))
        # Reduced and enlarged pictures compare as well; their sides agree up to the rounding of a scale.
        if size != (0, 0) and abs(width * size[1] - height * size[0]) > max(*size, width, height):
            raise ValueError(
                f"`items` must have pictures of the same proportions before and after. "
                f"Received: {size[0]} x {size[1]} and {width} x {height} for '{item.name}'."
            )
        size = size if size != (0, 0) else (width, height)
        places[kind] = (f"{COPIES}/{copy.name}", _link(folder, Path(source)))
    layer = ""
    if "uncertainty" in places:
        layer = (
            f'<img class="uncertainty" src="{places["uncertainty"][0]}" alt="uncertainty of {html.escape(item.name)}" '
            'loading="lazy" decoding="async">'
        )
    return FIGURE.substitute(
        number=number,
        name=html.escape(item.name),
        small=" small" if max(size) <= PIXELATED else "",
        width=size[0],
        height=size[1],
        left=left,
        right=right,
        before=places["before"][0],
        after=places["after"][0],
        uncertainty=layer,
        unsure="" if layer else " hidden",
        links=" ".join(
            f'<a href="{html.escape(link)}">{({"before": left, "after": right}).get(kind, kind)}</a>'
            for kind, (_, link) in places.items()
        ),
        figures="".join(
            f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(_number(value))}</dd></div>"
            for name, value in item.figures.items()
        ),
    )


def _write_copy(source: Path, target: Path, scale: tuple[float, float]) -> tuple[int, int]:
    """Write the picture, upright and at most `MAX_SIDE` pixels a side, as WebP; returns its width and height."""
    how = Preparation(max_side=MAX_SIDE, max_pixels=MAX_PIXELS, black=scale[0], white=scale[1])
    pixels = read_picture(str(source), how)
    shown = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    # What is small shows its single pixels, and costs little without loss.
    with whole_file(target) as file:
        shown.save(file, "WEBP", lossless=math.prod(shown.size) <= LOSSLESS, quality=QUALITY)
    return shown.size


def _link(folder: Path, source: Path) -> str:
    """The address of the original, relative to the page; absolute where no relative path leads there (Windows)."""
    try:
        path = Path(os.path.relpath(source.resolve(), folder.resolve())).as_posix()
    except ValueError:
        return source.resolve().as_uri()
    return urllib.parse.quote(path)


def _number(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
