"""`tfvae inspect`: pictures or a film in; scores, verdicts, heat maps and regions out."""

import argparse
import dataclasses
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfvae.applications.inspection.inspect import regions
from tfvae.commands.detectors import NO_DEVICE, Detector, detector
from tfvae.commands.inspection_files import (
    CSV,
    JSON,
    PICTURES,
    Row,
    row_of,
    write_page_of,
    write_pictures,
    write_tables,
)
from tfvae.commands.jobs import Job, Plan, Progress, carry_out, plan_of
from tfvae.commands.meter import Meter
from tfvae.commands.shared import place, say
from tfvae.data.reading import prepare, read_picture
from tfvae.data.remarks import remarks
from tfvae.errors import UserError
from tfvae.file_names import distinct
from tfvae.metrics.conformal import p_values
from tfvae.runs import open_run
from tfvae.video import SUFFIXES, Film

FRAMES = 100  # of a film whose pictures are kept and shown, the most suspicious ones
LARGER = 2  # times the pixels of the largest piece that calibrated: a picture above is told


def inspect(arguments: argparse.Namespace) -> int:
    """`tfvae inspect`. Returns 1 when a picture or a frame fails, else 0."""
    default = Path("inspected") if arguments.run is None else open_run(arguments.run).path / "inspected"
    out, _ = place(arguments.out, default, ("",))
    if arguments.source.is_file() and arguments.source.suffix.lower() in SUFFIXES:
        film = Film(arguments.source)
        found = detector(arguments)
        return _finish(out, found, *_of_film(film, out, found), "frames")
    plan = plan_of(arguments.source, out, default, PICTURES, [])
    plan = dataclasses.replace(plan, jobs=list(_named_apart(plan)))
    found = detector(arguments)
    return _finish(plan.folder, found, *_of_pictures(plan, found), "pictures")


def _of_pictures(plan: Plan, detector: Detector) -> tuple[list[Row], list[Row], bool, str]:
    """A row each; those that are shown, which are all; whether `seen` was written; and what could not be used."""
    rows: list[Row] = []
    noted: list[dict[str, Any]] = []
    seen = bool(detector.how.height)  # the page compares pictures of one shape

    def work(job: Job, progress: Progress) -> None:
        rows.append(_row(job, read_picture(str(job.source), detector.how, noted), detector, seen, progress))

    carry_out(plan, work)
    for phrase in remarks(noted):
        print(f"tfvae: note: {phrase}", file=sys.stderr)
    rest = f"the other {len(rows):,} are done" if rows else "there are no others"
    refused = f"{len(plan.refused):,} of the pictures could not be used, {rest}" if plan.refused else ""
    return rows, rows, seen, refused


def _of_film(film: Film, folder: Path, detector: Detector) -> tuple[list[Row], list[Row], bool, str]:
    """As `_of_pictures`, of frames; the pictures of `FRAMES` of them stay."""
    rows: list[Row] = []
    shown: list[Row] = []
    meter = Meter(film.count, "frames")
    try:
        for number, frame in enumerate(film.frames()):
            stem = f"{film.path.stem}_{number:06d}"
            job = Job(film.path, f"{film.path.name}#{number:06d}", folder / f"{stem}.png")
            rows.append(_row(job, prepare(Image.fromarray(frame), detector.how), detector, True, None))
            shown = _sorted([*shown, rows[-1]])
            for row in shown[FRAMES:]:
                for what in PICTURES:
                    row.job.beside(what).unlink()
            del shown[FRAMES:]
            meter.show(number + 1)
    finally:
        meter.clear()
    return rows, shown, True, f"{film.path}: {film.damage}" if film.damage else ""


def _row(job: Job, pixels: np.ndarray, detector: Detector, seen: bool, progress: Progress | None) -> Row:
    """What comes of one picture, whose maps are written."""
    found = detector.find(pixels, job.name, progress)
    parts = regions(found, detector.threshold)
    write_pictures(job, pixels, found, parts, detector.levels, seen)
    return row_of(job, found, parts, float(p_values(detector.scores, np.array(found.score))), detector.threshold)


def _finish(
    folder: Path, detector: Detector, rows: list[Row], shown: list[Row], seen: bool, refused: str, unit: str
) -> int:
    """Writes tables and page, and says what came of it. Raises `UserError` where something was `refused`."""
    failed = sum(row.fails for row in rows)
    if rows:
        facts = detector.facts
        write_tables(folder, _sorted(rows), facts)
        page = write_page_of(folder, _sorted(shown), seen)
        print(
            f"{failed:,} of {len(rows):,} {unit} fail; threshold {facts['threshold']:.6g}, alpha {detector.alpha:g}\n"
            f"of good pieces at most {facts['guaranteed_false_alarm_rate']:.3g} fail, by calibration with "
            f"{facts['calibration_pieces']:,} held-out ones. {NO_DEVICE}"
        )
        most = "" if len(shown) == len(rows) else f" the {len(shown):,} most suspicious;"
        _tell_larger(rows, detector, unit)
        say(page, f"sorted by score;{most} beside it {CSV}, {JSON}, heat maps and masks")
    if refused:
        raise UserError(f"inspect: {refused}.")
    return int(failed > 0)


def _tell_larger(rows: list[Row], detector: Detector, unit: str) -> None:
    """Says where a picture has so many pixels that its maximum is no draw of those that calibrated."""
    larger = sum(math.prod(row.size) > LARGER * detector.pixels for row in rows) if detector.pixels else 0
    if larger:
        print(
            f"tfvae: note: {larger:,} of the {len(rows):,} {unit} have more than {LARGER} times the pixels of the "
            f"largest piece that calibrated ({detector.pixels:,}). With more pixels more good ones "
            "fail than is promised: calibrate with pieces of their size (tfvae.applications.calibrate).",
            file=sys.stderr,
        )


def _sorted(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (-row.score, row.job.name))


def _named_apart(plan: Plan) -> Iterator[Job]:
    """The jobs, whose results are all PNGs: those of a.jpg and a.png must not have one name."""
    taken: set[str] = set()
    for job in plan.jobs:
        inner = job.out.relative_to(plan.folder)
        yield dataclasses.replace(job, out=plan.folder / distinct(inner.parent, inner.stem, ".png", taken))
