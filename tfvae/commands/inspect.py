"""`tfvae inspect`: pictures in; scores, verdicts, heat maps and regions out."""

import argparse
import csv
import dataclasses
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfvae.applications.inspection.inspect import Region, least_tile, regions
from tfvae.applications.inspection.inspect import inspect as inspect_tiled
from tfvae.commands.jobs import Job, Plan, Progress, carry_out, plan_of
from tfvae.commands.shared import place, say
from tfvae.data.gathering import preparation
from tfvae.data.reading import Preparation, read_picture
from tfvae.data.remarks import remarks
from tfvae.errors import UserError
from tfvae.file_names import distinct
from tfvae.metrics.conformal import guaranteed_rate, least_pieces, p_values
from tfvae.metrics.conformal import threshold as threshold_of
from tfvae.pictures.files import MAX_PIXELS
from tfvae.pictures.grids import save_png
from tfvae.pictures.heat import heat_picture
from tfvae.runs import ModelFile, Run, open_run
from tfvae.whole_files import whole_file, write_whole

CSV, JSON = "inspection.csv", "inspection.json"
USUAL = 0.5  # of the map: as the most suspicious pixel of a usual good piece
NO_DEVICE = "This is no medical device: it makes no diagnosis."


@dataclass(frozen=True)
class Row:
    """What came of one picture."""

    job: Job
    size: tuple[int, int]  # height and width, in pixels
    score: float
    p_value: float
    fails: bool
    regions: list[Region]

    @property
    def verdict(self) -> str:
        return "fail" if self.fails else "pass"


def inspect(arguments: argparse.Namespace) -> int:
    """`tfvae inspect`. Returns 1 when a picture fails, else 0."""
    run = open_run(arguments.run)
    default = run.path / "inspected"
    out, _ = place(arguments.out, default, ("",))
    plan = plan_of(arguments.source, out, default, ["heat", "mask", "seen"], [])
    plan = dataclasses.replace(plan, jobs=list(_named_apart(plan)))
    model = run.load_unfused()
    calibration, alpha = _calibration(run, model, arguments)
    limit = threshold_of(calibration, alpha)
    how = _preparation(run, model)
    rows: list[Row] = []
    noted: list[dict[str, Any]] = []

    def work(job: Job, progress: Progress) -> None:
        pixels = read_picture(str(job.source), how, noted)
        found = inspect_tiled(model, pixels, arguments.tile, progress)
        parts = regions(found, limit)
        value = float(p_values(calibration, np.array(found.score)))
        save_png(job.beside("heat"), heat_picture(pixels, found.map, USUAL, limit, [part.box for part in parts]))
        _write_mask(job.beside("mask"), found.map.shape, parts)
        if how.height:  # the page compares pictures of one shape
            save_png(job.beside("seen"), pixels)
        rows.append(Row(job, pixels.shape[:2], found.score, value, found.score > limit, parts))

    carry_out(plan, work)
    for phrase in remarks(noted):
        print(f"tfvae: note: {phrase}", file=sys.stderr)
    if rows:
        rows.sort(key=lambda row: (-row.score, row.job.name))
        facts = _facts(run, calibration, alpha, limit)
        _write_csv(plan.folder / CSV, rows)
        write_whole(plan.folder / JSON, json.dumps(_coco(rows, facts), indent=1, ensure_ascii=False) + "\n")
        page = _write_page(plan, rows, bool(how.height))
        failed = sum(row.fails for row in rows)
        rate, count = guaranteed_rate(len(calibration), alpha), len(calibration)
        print(f"{failed:,} of {len(rows):,} pictures fail; threshold {limit:.6g}, alpha {alpha:g}")
        print(f"of good pieces at most {rate:.3g} fail, by calibration with {count:,} held-out ones. {NO_DEVICE}")
        say(page, f"sorted by score; beside it {CSV}, {JSON}, heat maps and masks")
    if plan.refused:
        rest = f"the other {len(rows):,} are done" if rows else "there are no others"
        raise UserError(f"inspect: {len(plan.refused):,} of the pictures could not be used, {rest}.")
    return int(any(row.fails for row in rows))


def _named_apart(plan: Plan) -> Iterator[Job]:
    """The jobs, whose results are all PNGs: those of a.jpg and a.png must not have one name."""
    taken: set[str] = set()
    for job in plan.jobs:
        inner = job.out.relative_to(plan.folder)
        yield dataclasses.replace(job, out=plan.folder / distinct(inner.parent, inner.stem, ".png", taken))


def _calibration(run: Run, model: Any, arguments: argparse.Namespace) -> tuple[np.ndarray, float]:
    """Scores of held-out good pieces, and the rate of false alarms; what cannot be met is said first."""
    if not hasattr(model, "inspect"):
        raise UserError(
            f"inspect: {run.path} holds a {type(model).__name__}, which inspects nothing. "
            "Use a run that was trained to: python -m training --recipe inspect."
        )
    if model.calibration is None:
        raise UserError(
            f"inspect: the model of {run.path} was never calibrated, so it has no threshold. "
            "Let the training end, or call tfvae.applications.calibrate."
        )
    scores = np.array(model.calibration["scores"])
    alpha = model.calibration["alpha"] if arguments.alpha is None else arguments.alpha
    least = least_pieces(alpha)
    if len(scores) < least:
        raise UserError(
            f"inspect: --alpha {alpha:g} takes {least:,} or more good pieces that the run held out. Received: "
            f"{len(scores):,}, enough for --alpha {1 / (len(scores) + 1):.2g} or more."
        )
    if arguments.tile is not None and arguments.tile < least_tile(model):
        raise UserError(
            f"inspect: --tile must be {least_tile(model)} or more for this model. Received: {arguments.tile}."
        )
    return scores, alpha


def _preparation(run: Run, model: Any) -> Preparation:
    """How pictures are read: as those were that the run was trained on."""
    how = dataclasses.replace(preparation(run.prepared_like(model)), max_pixels=MAX_PIXELS)
    return dataclasses.replace(how, max_side=2**30) if isinstance(run, ModelFile) else how


def _write_mask(path: Path, shape: tuple[int, ...], parts: list[Region]) -> None:
    """A PNG of one bit: white where a region is."""
    mask = np.zeros(shape, bool)
    for part in parts:
        left, top, width, height = part.box
        mask[top : top + height, left : left + width] |= part.mask
    with whole_file(path) as file:
        Image.fromarray(mask).save(file, format="PNG")


def _write_csv(path: Path, rows: list[Row]) -> None:
    """A line a picture; the box is that of its most suspicious region, in pixels."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["name", "score", "p_value", "verdict", "regions", "left", "top", "width", "height"])
    for row in rows:
        box = row.regions[0].box if row.regions else ("",) * 4
        writer.writerow([row.job.name, f"{row.score:.9g}", f"{row.p_value:.6g}", row.verdict, len(row.regions), *box])
    write_whole(path, text.getvalue())


def _facts(run: Run, calibration: np.ndarray, alpha: float, limit: float) -> dict[str, Any]:
    return {
        "description": f"tfvae inspect with {run.path.resolve().name}. {NO_DEVICE}",
        "threshold": limit,
        "alpha": alpha,
        "guaranteed_false_alarm_rate": guaranteed_rate(len(calibration), alpha),
        "calibration_pieces": len(calibration),
    }


def _coco(rows: list[Row], facts: dict[str, Any]) -> dict[str, Any]:
    """Pictures and regions as COCO has them: boxes as left, top, width, height; masks as run lengths, by columns."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, row in enumerate(rows, start=1):
        entry = {"id": number, "file_name": row.job.name, "height": row.size[0], "width": row.size[1]}
        images.append({**entry, "score": row.score, "p_value": row.p_value, "verdict": row.verdict})
        for part in row.regions:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "bbox": list(part.box),
                    "area": part.area,
                    "score": part.score,
                    "iscrowd": 1,
                    "segmentation": {"size": list(row.size), "counts": run_lengths(part, row.size)},
                }
            )
    return {
        "info": facts,
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "anomaly"}],
    }


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


def _write_page(plan: Plan, rows: list[Row], seen: bool) -> Path:
    from tfvae.commands.pages.before_after import Item, write_page

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
    return write_page(plan.folder, items, "Inspected pictures", sides=("picture", "heat map"))
