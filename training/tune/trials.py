"""One trial: its settings trained, perhaps once for each fold of the images, and measured on what it did not see."""

import contextlib
import gc
import io
import json
import math
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from tfvae.data import Images, Splits
from tfvae.errors import UserError
from tfvae.evaluation import evaluate
from tfvae.whole_files import read_json, write_whole
from training import run
from training.config import RunConfig, shortened, with_epochs
from training.journal import duration
from training.loop import Stopped
from training.tune.space import Searched, apply

Kind = Literal["random", "hyperband", "curve"]
FIGURES = ("elbo", "psnr", "ssim")
FOLDS = 4  # stream of random numbers by which images are dealt to folds, of those of the seed


@dataclass(frozen=True)
class Search:
    """What is asked for; a search that is continued must be the same but for `trials` and `minutes`."""

    kind: Kind
    objective: Literal["elbo", "psnr"]
    trials: int  # 0: as many as Hyperband's brackets hold
    epochs: int  # most of a trial
    minutes: float  # after which no trial begins; 0 = no limit
    config: RunConfig
    space: list[Searched]
    folds: int = 1  # trainings of a trial, each judged by another part of the images; 1: by those of validation


@dataclass(frozen=True)
class Proposal:
    """What is to be trained.

    Attributes:
        trial: Number of the trial, from 0.
        values: By setting.
        epochs: To train.
        home: Name of its run directory: that of the trial it continues, if any.
        continues: Number of that trial, or None.
    """

    trial: int
    values: dict[str, Any]
    epochs: int
    home: str
    continues: int | None = None


def trained(plan: Search, proposal: Proposal, splits: Splits, path: Path, place: str) -> dict[str, Any]:
    """Trains one proposal, measures the model it kept on the validation images, and writes what was found.

    Of several folds the figures are the mean, `errors` their standard errors, and `folds` those of each.

    Args:
        plan: The search.
        proposal: Of it.
        splits: The images.
        path: Of the search.
        place: What a terminal calls the trial meanwhile.

    Returns:
        The facts of the trial, as of `read_rows`.

    Raises:
        KeyboardInterrupt: After Ctrl-C; the trial saved itself first.
        UserError: When the disk is full.
    """
    row: dict[str, Any] = {"trial": proposal.trial, "values": proposal.values, "status": "failed"}
    if proposal.continues is not None:
        row["continues"] = proposal.continues
    folder = path / "trials" / proposal.home
    began = time.monotonic()
    try:
        parts = [_trained(plan, proposal, part, within, place) for part, within in _folds(plan, splits, folder)]
    except Stopped as stopped:
        raise KeyboardInterrupt from stopped
    except (UserError, tf.errors.ResourceExhaustedError) as error:
        if isinstance(error.__cause__, OSError):
            raise  # A full disk is no fault of the settings.
        message = str(error).removeprefix(f"{folder}: ")
        row |= {"message": " ".join(message.split())[:300], "seconds": round(time.monotonic() - began, 1)}
    else:
        row |= {"status": "completed", **_together(parts), "seconds": round(time.monotonic() - began, 1)}
        if plan.kind != "hyperband":
            for checkpoints in folder.glob("**/checkpoints"):
                shutil.rmtree(checkpoints, ignore_errors=True)
        if not math.isfinite(row.get(plan.objective, math.nan)):
            row |= {"status": "failed", "message": f"{plan.objective} is {row.get(plan.objective)}"}
    write_whole(path / "trials" / f"{proposal.trial}.json", json.dumps(row, indent=2))
    return row


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The facts of every trial that ended, in order."""
    return [read_json(file) for file in sorted(path.glob("trials/*.json"), key=lambda f: int(f.stem))]


def score(row: dict[str, Any], plan: Search) -> float:
    """The objective of a trial, higher is better; minus infinity of one that failed."""
    return row[plan.objective] if row["status"] == "completed" else -math.inf


def described(row: dict[str, Any], plan: Search) -> str:
    """One line: settings, epochs, score, cost."""
    settings = ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in row["values"].items())
    if row["status"] != "completed":
        return f"{settings}: failed ({row['message']})"
    errors = {name: f" ± {error:.2f}" for name, error in row.get("errors", {}).items()}
    elbo = f"ELBO {row['elbo']:,.2f}{errors.get('elbo', '')} nats, " if "elbo" in row else ""
    again = f", {row['epochs']} epochs" if plan.kind == "hyperband" else ""
    psnr = f"PSNR {row['psnr']:.2f}{errors.get('psnr', '')} dB"
    return f"{settings}{again}: validation {elbo}{psnr}; {duration(row['seconds'])}"


class Told:
    """What is printed of the trials of a search, and whether there is time for another."""

    def __init__(self, plan: Search, path: Path, total: int):
        self.plan, self.total, self.began = plan, total, time.monotonic()
        self.best = max((score(row, plan) for row in read_rows(path)), default=-math.inf)

    def in_time(self) -> bool:
        """Whether another trial may begin; if not, it is said."""
        if not self.plan.minutes or time.monotonic() - self.began < 60 * self.plan.minutes:
            return True
        print(f"{self.plan.minutes:g} minutes are over; the same command with more goes on from here")
        return False

    def place(self, trial: int) -> str:
        return f"trial {trial + 1} of {self.total}"

    def ended(self, row: dict[str, Any]) -> None:
        """A line of a trial, with a star where it is the best so far."""
        mark = "  *" if score(row, self.plan) > self.best else ""
        self.best = max(self.best, score(row, self.plan))
        print(f"{self.place(row['trial'])}: {described(row, self.plan)}{mark}", flush=True)


def _folds(plan: Search, splits: Splits, folder: Path) -> list[tuple[Splits, Path]]:
    """What is learnt from and judged by in each training of a trial, and its run directory.

    The images to train and to validate on are dealt to the folds by the seed of the training; each fold judges the
    model of all the others. Frames of a film stay beside each other. The test images have no part in it.
    """
    if plan.folds == 1:
        return [(splits, folder)]
    images = splits.train.joined(splits.validation)
    order = np.arange(len(images))
    if not plan.config.data.frames:
        order = np.random.default_rng((plan.config.training.seed, FOLDS)).permutation(order)
    held = [np.sort(part) for part in np.array_split(order, plan.folds)]
    return [
        (
            replace(splits, train=images.take(np.setdiff1d(order, part)), validation=images.take(part)),
            folder / f"fold{number}",
        )
        for number, part in enumerate(held, 1)
    ]


def _trained(plan: Search, proposal: Proposal, splits: Splits, folder: Path, place: str) -> dict[str, Any]:
    """Epochs, weights and figures of one training."""
    fold = f", {folder.name}" if plan.folds > 1 else ""
    try:
        with _logged(folder, f"{place}{fold}"):
            total_steps = run.steps_in_all(with_epochs(plan.config, plan.epochs), splits)
            config = shortened(with_epochs(apply(plan.config, proposal.values), proposal.epochs), total_steps)
            # The schedule is that of the longest trial, so that a shorter one is its beginning.
            progress, weights = run.fit(config, splits, folder, resume=True, total_steps=total_steps)
            model = keras.saving.load_model(folder / run.MODEL, compile=False)
            found = _figures(model, splits.validation, config)
            if plan.kind == "curve":
                some = np.linspace(0, len(splits.train) - 1, min(len(splits.train), len(splits.validation)))
                learnt = _figures(model, splits.train.take(np.unique(some.astype(int))), config)
                found |= {f"training_{name}": value for name, value in learnt.items()}
    finally:
        keras.backend.clear_session()  # Graphs of a trial would stay in memory until the last one.
        gc.collect()
    return {"epochs": progress.epoch, "best_epoch": progress.best_epoch, "weights": weights, **found}


def _figures(model: Any, images: Images, config: RunConfig) -> dict[str, float]:
    """What a trial is judged by, of some images."""
    batch_size, seed = config.training.batch_size, config.training.seed
    figures = evaluate(model, images, data_config=config.data, batch_size=batch_size, seed=seed)
    return {name: figures[name] for name in FIGURES if name in figures}


def _together(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The facts of one training; of several the means, with standard errors: `s / sqrt(K)` of K of deviation s.

    Trainings that share most of their images are not independent, so that these are a little too small.
    """
    if len(parts) == 1:
        return parts[0]
    figures = [name for name in parts[0] if name not in ("epochs", "best_epoch", "weights")]
    values = {name: np.array([part[name] for part in parts]) for name in figures}
    return {
        "epochs": max(part["epochs"] for part in parts),
        "best_epoch": round(float(np.mean([part["best_epoch"] for part in parts]))),
        "weights": parts[0]["weights"],
        **{name: float(value.mean()) for name, value in values.items()},
        "errors": {name: float(value.std(ddof=1) / math.sqrt(len(parts))) for name, value in values.items()},
        "folds": [{name: part[name] for name in figures} for part in parts],
    }


@contextlib.contextmanager
def _logged(folder: Path, place: str) -> Iterator[None]:
    """What a trial prints goes into `log.txt` of its folder; a terminal shows the last line of it."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "log.txt", "a", encoding="utf-8") as log, contextlib.redirect_stdout(_Tee(log, place)):
        try:
            yield
        finally:
            sys.stdout.write("\n")  # Clears the line.


class _Tee(io.TextIOBase):
    """A log that a terminal, if there is one, shows the last line of."""

    def __init__(self, log: Any, place: str):
        self.log, self.place, self.terminal = log, place, sys.stdout

    def write(self, text: str) -> int:
        if self.terminal.isatty():
            self.terminal.write(f"\r\x1b[K{self.place}: {text.strip()}"[:110] if text.strip() else "\r\x1b[K")
            self.terminal.flush()
        return self.log.write(text)

    def flush(self) -> None:
        self.log.flush()
