"""A page with a map of codes: a thumbnail at the place of each, to move among; one file that opens from disk."""

import base64
import html
import io
import json
import math
from pathlib import Path

import numpy as np
from PIL import Image

from tfvae.commands.code_tables import label_texts
from tfvae.commands.pages.code_map_template import PAGE
from tfvae.commands.projector import thumbnail
from tfvae.data import Images
from tfvae.pictures.charts import plane
from tfvae.whole_files import write_whole

MOST = 2000  # thumbnails of a page, evenly spaced
SIDE = 48  # pixels of one


def write_map(path: Path, codes: np.ndarray, images: Images, title: str) -> Path:
    """Writes the page; returns its path.

    Args:
        path: Of the file.
        codes: `(n, d)`; those of more than `MOST` images are thinned out.
        images: As many.
        title: Of the page; any text.
    """
    points, axes = plane(codes.astype(np.float64))
    kept = np.unique(np.linspace(0, len(points) - 1, min(len(points), MOST)).astype(int))
    images, points = images.take(kept), points[kept]
    labels = label_texts(images, 0, len(images)) or [""] * len(images)
    centred = points - (points.max(axis=0) + points.min(axis=0)) / 2
    scale = float(np.abs(centred).max()) or 1.0
    places = [[round(float(x), 4), round(float(y), 4)] for x, y in centred / scale]
    data = {"places": places, "names": images.names, "labels": labels, "side": SIDE, "across": _across(len(images))}
    count = f"{len(images):,} of {len(codes):,} codes" if len(images) < len(codes) else f"{len(codes):,} codes"
    page = PAGE.substitute(
        title=html.escape(title),
        about=html.escape(f"{count} of {codes.shape[1]} numbers; {', '.join(filter(None, axes))}"),
        # No `<`, so that no name can end the script or begin a comment in it.
        data=json.dumps(data, ensure_ascii=True).replace("<", "\\u003c"),
        sprite=_sprite(images),
    )
    write_whole(path, page)
    return path


def _across(count: int) -> int:
    """Thumbnails in a row of the sprite."""
    return math.isqrt(count - 1) + 1


def _sprite(images: Images) -> str:
    """All thumbnails in one PNG, base64."""
    across = _across(len(images))
    sprite = np.full((-(-len(images) // across) * SIDE, across * SIDE, 3), 255, np.uint8)
    for index, image in enumerate(images):
        top, left = (SIDE * place for place in divmod(index, across))
        sprite[top : top + SIDE, left : left + SIDE] = thumbnail(image, SIDE)
    file = io.BytesIO()
    Image.fromarray(sprite).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
