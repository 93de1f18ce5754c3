"""What decides about a picture of `tfvae inspect`: a run, or templates; both calibrated with good pieces."""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfvae.applications.inspection.inspect import Inspected, inspect, least_tile
from tfvae.applications.inspection.template import compare
from tfvae.commands.jobs import Progress
from tfvae.commands.meter import Meter
from tfvae.commands.shared import model_that
from tfvae.data.folder import LISTED, list_files, name_within
from tfvae.data.gathering import preparation
from tfvae.data.own import load_own
from tfvae.data.reading import Preparation, read_picture
from tfvae.decoding import UnreadableError
from tfvae.errors import UserError
from tfvae.metrics.conformal import guaranteed_rate, least_pieces
from tfvae.metrics.conformal import threshold as threshold_of
from tfvae.pictures.files import MAX_PIXELS
from tfvae.runs import ModelFile, Run, open_run

USUAL = 0.5  # of the map of a model: as the most suspicious pixel of a usual good piece
ALPHA = 0.05  # where no run says otherwise
NO_DEVICE = "This is no medical device: it makes no diagnosis."
Pieces = Iterator[tuple[str, np.ndarray]]


@dataclass(frozen=True)
class Detector:
    """A detector of anomalies, calibrated.

    Attributes:
        how: How pictures are read.
        find: From a picture's pixels and name to its map and score; raises `UnreadableError` where it has none.
        scores: Those of held-out good pieces.
        alpha: The share of false alarms that is admitted; `scores` are enough for it.
        about: What it is, in words.
        usual: Of the map, where a good piece may be; None: half the threshold.
        pixels: Of the largest piece that gave a score; None where that is not known, or all are of one size.
    """

    how: Preparation
    find: Callable[[np.ndarray, str, Progress | None], Inspected]
    scores: np.ndarray
    alpha: float
    about: str
    usual: float | None = None
    pixels: int | None = None

    @property
    def threshold(self) -> float:
        """The score above which a piece fails."""
        return threshold_of(self.scores, self.alpha)

    @property
    def levels(self) -> tuple[float, float]:
        """Of the map: what is shown without colour, and the threshold."""
        limit = self.threshold
        return (limit / 2 if self.usual is None else self.usual), limit

    @property
    def facts(self) -> dict[str, Any]:
        """What the verdicts rest on, JSON-ready."""
        return {
            "description": f"tfvae inspect with {self.about}. {NO_DEVICE}",
            "threshold": self.threshold,
            "alpha": self.alpha,
            "guaranteed_false_alarm_rate": guaranteed_rate(len(self.scores), self.alpha),
            "calibration_pieces": len(self.scores),
        }


def detector(arguments: argparse.Namespace) -> Detector:
    """The one that is asked for. Raises `UserError` where it cannot be had, before any picture is inspected."""
    return _of_run(arguments) if arguments.template is None else _of_templates(arguments)


def _of_run(arguments: argparse.Namespace) -> Detector:
    run = open_run(arguments.run)
    model = _inspector(run)
    if model.calibration is None:
        raise UserError(
            f"inspect: the model of {run.path} was never calibrated, so it has no threshold. "
            "Let the training end, or call tfvae.applications.calibrate."
        )
    scores = np.array(model.calibration["scores"])
    alpha = _enough(scores, model.calibration["alpha"] if arguments.alpha is None else arguments.alpha)
    if arguments.tile is not None and arguments.tile < least_tile(model):
        raise UserError(
            f"inspect: --tile must be {least_tile(model)} or more for this model. Received: {arguments.tile}."
        )
    return Detector(
        _preparation(run, model),
        lambda pixels, name, progress: inspect(model, pixels, arguments.tile, progress),
        scores,
        alpha,
        run.path.resolve().name,
        USUAL,
        model.calibration.get("pixels"),
    )


def _of_templates(arguments: argparse.Namespace) -> Detector:
    """Templates, calibrated with the pieces that a run held out or with those of a folder."""
    if arguments.tile is not None:
        raise UserError("inspect: --tile is for a model, and --template compares whole pictures.")
    if not arguments.template.exists():
        raise UserError(f"{arguments.template}: there is no such file or folder.")
    alpha, how = arguments.alpha, Preparation(max_side=2**30, max_pixels=MAX_PIXELS)
    if arguments.good is None:
        run = open_run(arguments.run)
        model = _inspector(run)
        alpha, how = model.alpha if alpha is None else alpha, _preparation(run, model)
        held_out = load_own(run, model).test
        count, pieces = len(held_out), zip(held_out.names, held_out, strict=True)
    else:
        files = list_files(arguments.good)[0]
        if not files:
            raise UserError(f"{arguments.good}: neither a run nor a folder of good pieces ({LISTED} files).")
        names = [name_within(path, arguments.good) for path in files]
        count, pieces = len(files), zip(names, (_read(path, how) for path in files), strict=True)
    alpha = ALPHA if alpha is None else alpha
    _enough(np.zeros(count), alpha)  # better said before the work
    template_of = _templates(arguments.template, how)

    def find(pixels: np.ndarray, name: str, progress: Progress | None = None) -> Inspected:
        template = template_of(name)
        if template.shape[:2] != pixels.shape[:2]:
            sizes = [f"{shape[1]}x{shape[0]}" for shape in (pixels.shape, template.shape)]
            raise UnreadableError(f"is {sizes[0]}, and its template {sizes[1]}")
        return compare(template, pixels)

    scores = _calibrated(pieces, count, template_of, find)
    about = f"template {arguments.template.name}, calibrated with {(arguments.good or arguments.run).resolve().name}"
    return Detector(how, find, scores, _enough(scores, alpha), about)


def _calibrated(
    pieces: Pieces,
    count: int,
    template_of: Callable[[str], np.ndarray],
    find: Callable[[np.ndarray, str], Inspected],
) -> np.ndarray:
    """The scores of good pieces that are not their own templates, sorted."""
    scores, meter = [], Meter(count, "good pieces")
    try:
        for done, (name, pixels) in enumerate(pieces, start=1):
            try:
                if not np.array_equal(template_of(name), pixels):
                    scores.append(find(pixels, name).score)
            except UnreadableError as error:
                raise UserError(f"inspect: good piece '{name}': {error}.") from None
            meter.show(done)
    finally:
        meter.clear()
    if len(scores) < count:
        same = count - len(scores)
        print(f"tfvae: note: {same:,} of {count:,} good pieces are the template, and do not calibrate", file=sys.stderr)
    return np.sort(scores)


def _templates(path: Path, how: Preparation) -> Callable[[str], np.ndarray]:
    """From a picture's name to its template: the one that there is, or that of the same name in a folder."""
    if path.is_file():
        only = _read(path, how)
        return lambda name: only

    def read(name: str) -> np.ndarray:
        found = [place for place in (path / name, path / Path(name).name) if place.is_file()]
        if not found:
            raise UnreadableError(f"has no template '{Path(name).name}' in {path}")
        return read_picture(str(found[0]), how)

    return read


def _read(path: Path, how: Preparation) -> np.ndarray:
    try:
        return read_picture(str(path), how)
    except UnreadableError as error:
        raise UserError(f"{path}: {error}.") from None


def _inspector(run: Run) -> Any:
    return model_that(run, "inspect", "inspects nothing", "--recipe inspect", "inspect")


def _enough(scores: np.ndarray, alpha: float) -> float:
    """`alpha`, if there are enough good pieces for it."""
    least = least_pieces(alpha)
    if len(scores) < least:
        raise UserError(
            f"inspect: --alpha {alpha:g} takes {least:,} or more good pieces that were held out. Received: "
            f"{len(scores):,}, enough for --alpha {1 / (len(scores) + 1):.2g} or more."
        )
    return alpha


def _preparation(run: Run, model: Any) -> Preparation:
    """How pictures are read: as those were that the run was trained on."""
    how = dataclasses.replace(preparation(run.prepared_like(model)), max_pixels=MAX_PIXELS)
    return dataclasses.replace(how, max_side=2**30) if isinstance(run, ModelFile) else how
