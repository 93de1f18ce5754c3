"""What `tfvae inspect` writes: heat maps and masks, a table, COCO's regions, a page."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfvae.applications.inspection.inspect import Inspected, Region
from tfvae.commands.jobs import Job
from tfvae.commands.pages.before_after import Item, write_page
from tfvae.pictures.grids import save_png
from tfvae.pictures.heat import heat_picture
from tfvae.whole_files import whole_file, write_whole

CSV, JSON = "inspection.csv", "inspection.json"
PICTURES = ("heat", "mask", "seen")  # written beside each picture


@dataclass(frozen=True)
class Row:
    """What came of one picture.

    Attributes:
        job: Its name, and where its pictures go.
        size: Height and width, in pixels.
        score: Its map's maximum.
        p_value: Of that score among those of good pieces.
        fails: Whether it is above the threshold.
        regions: What stands out, as COCO's annotations without numbers; the most suspicious first.
    """

    job: Job
    size: tuple[int, int]
    score: float
    p_value: float
    fails: bool
    regions: list[dict[str, Any]]

    @property
    def verdict(self) -> str:
        return "fail" if self.fails else "pass"


def row_of(job: Job, found: Inspected, parts: Sequence[Region], p_value: float, limit: float) -> Row:
    """The row of a picture; masks are kept as run lengths, for a film has many."""
    height, width = found.map.shape
    annotations = [
        {
            "bbox": list(part.box),
            "area": part.area,
            "score": part.score,
            "iscrowd": 1,
            "segmentation": {"size": [height, width], "counts": run_lengths(part, (height, width))},
        }
        for part in parts
    ]
    return Row(job, (height, width), found.score, p_value, found.score > limit, annotations)


def write_pictures(
    job: Job, pixels: np.ndarray, found: Inspected, parts: Sequence[Region], levels: tuple[float, float], seen: bool
) -> None:
    """The heat map, the mask and, where it is `seen`, the picture as it was inspected.

    Args:
        job: Where to.
        pixels: The picture, uint8.
        found: Its map.
        parts: Its regions.
        levels: Of the map: below which no colour is shown, and the threshold.
        seen: Whether the picture itself is written.
    """
    save_png(job.beside("heat"), heat_picture(pixels, found.map, *levels, [part.box for part in parts]))
    _write_mask(job.beside("mask"), found.map.shape, parts)
    if seen:
        save_png(job.beside("seen"), pixels)


def write_tables(folder: Path, rows: Sequence[Row], facts: dict[str, Any]) -> None:
    """`inspection.csv` and `inspection.json`."""
    _write_csv(folder / CSV, rows)
    write_whole(folder / JSON, json.dumps(_coco(rows, facts), indent=1, ensure_ascii=False) + "\n")


def write_page_of(folder: Path, rows: Sequence[Row], seen: bool) -> Path:
    """The page of pictures beside their heat maps, in the order of `rows`; `seen` as in `write_pictures`."""
    items = [
        Item(
            f"{row.job.name}: {row.verdict}",
            row.job.beside("seen") if seen else row.job.source,
            row.job.beside("heat"),
            figures={
                "score": f"{row.score:.4f}",
                "p-value": f"{row.p_value:.3g}",
                "regions": f"{len(row.regions):,}",
            },
        )
        for row in rows
    ]
    return write_page(folder, items, "Inspected pictures", sides=("picture", "heat map"))


def run_lengths(part: Region, size: tuple[int, int]) -> list[int]:
    """COCO's uncompressed run lengths of a region in a picture: pixels off, on, off, …, column after column."""
    height, width = size
    left, top, across, down = part.box
    columns = np.zeros((across, height), bool)
    columns[:, top : top + down] = part.mask.T
    # Only the columns of the box are laid out: of a large picture the rest is one number at each end.
    flat = columns.ravel()
    edges = np.flatnonzero(np.diff(flat.astype(np.int8), prepend=0, append=0))
    turns = np.concatenate([[0], edges + left * height, [height * width]])
    return [int(count) for count in np.diff(turns)]


def _write_mask(path: Path, shape: tuple[int, ...], parts: Sequence[Region]) -> None:
    """A PNG of one bit: white where a region is."""
    mask = np.zeros(shape, bool)
    for part in parts:
        left, top, width, height = part.box
        mask[top : top + height, left : left + width] |= part.mask
    with whole_file(path) as file:
        Image.fromarray(mask).save(file, format="PNG")


def _write_csv(path: Path, rows: Sequence[Row]) -> None:
    """A line a picture; the box is that of its most suspicious region, in pixels."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["name", "score", "p_value", "verdict", "regions", "left", "top", "width", "height"])
    for row in rows:
        box = row.regions[0]["bbox"] if row.regions else ("",) * 4
        writer.writerow([row.job.name, f"{row.score:.9g}", f"{row.p_value:.6g}", row.verdict, len(row.regions), *box])
    write_whole(path, text.getvalue())


def _coco(rows: Sequence[Row], facts: dict[str, Any]) -> dict[str, Any]:
    """Pictures and regions as COCO has them: boxes as left, top, width, height; masks as run lengths, by columns."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, row in enumerate(rows, start=1):
        entry = {"id": number, "file_name": row.job.name, "height": row.size[0], "width": row.size[1]}
        images.append({**entry, "score": row.score, "p_value": row.p_value, "verdict": row.verdict})
        for part in row.regions:
            annotations.append({"id": len(annotations) + 1, "image_id": number, "category_id": 1, **part})
    return {
        "info": facts,
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "anomaly"}],
    }
