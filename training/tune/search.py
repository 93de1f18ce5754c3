"""The search itself: keras-tuner's oracle proposes settings, the project's own loop trains them."""

import contextlib
import gc
import io
import json
import math
import shutil
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import keras_tuner
import tensorflow as tf

from tfvae.data import Splits
from tfvae.errors import UserError
from tfvae.evaluation import evaluate
from tfvae.whole_files import read_json, write_whole
from training import run
from training.config import RunConfig, shortened, with_epochs
from training.journal import duration
from training.loop import Stopped
from training.tune.space import Searched, apply, own_values

FIGURES = ("elbo", "psnr", "ssim")
CONTINUES, EPOCHS = "tuner/trial_id", "tuner/epochs"  # what Hyperband adds to the values of a trial


@dataclass(frozen=True)
class Search:
    """What is asked for; a search that is continued must be the same but for `trials` and `minutes`."""

    kind: Literal["random", "hyperband"]
    objective: Literal["elbo", "psnr"]
    trials: int  # 0: as many as Hyperband's brackets hold
    epochs: int  # most of a trial
    minutes: float  # after which no trial begins; 0 = no limit
    config: RunConfig
    space: list[Searched]


def search(plan: Search, splits: Splits, path: Path) -> list[dict[str, Any]]:
    """Trains trial after trial into `path/trials`; one that was stopped in the middle goes on first.

    Returns:
        The facts of every trial so far, in order: `trial`, `continues`, `values` (by setting), `status`, `epochs`,
        `best_epoch`, `weights`, `seconds`, the validation figures, and `message` where it failed.

    Raises:
        KeyboardInterrupt: After Ctrl-C; the trial saved itself first.
        UserError: When the disk is full.
    """
    oracle = _oracle(plan, path / "oracle")
    total = plan.trials or _brackets_hold(oracle)
    began, best = time.monotonic(), max((score(row, plan) for row in read_rows(path)), default=-math.inf)
    while not plan.minutes or time.monotonic() - began < 60 * plan.minutes:
        trial = oracle.create_trial("tuner0")
        if trial.status != "RUNNING":
            break
        place = f"trial {int(trial.trial_id) + 1} of {total}"
        row = _trial(plan, oracle, trial, splits, path, place)
        write_whole(path / "trials" / f"{trial.trial_id}.json", json.dumps(row, indent=2))
        if row["status"] == "completed":
            oracle.update_trial(trial.trial_id, {plan.objective: row[plan.objective]}, step=row["epochs"])
        trial.status, trial.message = row["status"].upper(), row.get("message")
        oracle.end_trial(trial)
        oracle.save()  # Once more, as keras-tuner saves before it strikes the trial off the running ones.
        mark = "  *" if score(row, plan) > best else ""
        best = max(best, score(row, plan))
        print(f"{place}: {described(row, plan)}{mark}", flush=True)
    else:
        print(f"{plan.minutes:g} minutes are over; the same command with more goes on from here")
    return read_rows(path)


def score(row: dict[str, Any], plan: Search) -> float:
    """The objective of a trial, higher is better; minus infinity of one that failed."""
    return row[plan.objective] if row["status"] == "completed" else -math.inf


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The facts of every trial that ended, in order."""
    return [read_json(file) for file in sorted(path.glob("trials/*.json"), key=lambda f: int(f.stem))]


def described(row: dict[str, Any], plan: Search) -> str:
    """One line: settings, epochs, score, cost."""
    settings = ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in row["values"].items())
    if row["status"] != "completed":
        return f"{settings}: failed ({row['message']})"
    elbo = f"ELBO {row['elbo']:,.2f} nats, " if "elbo" in row else ""
    again = f", {row['epochs']} epochs" if plan.kind == "hyperband" else ""
    return f"{settings}{again}: validation {elbo}PSNR {row['psnr']:.2f} dB; {duration(row['seconds'])}"


def _trial(plan: Search, oracle: Any, trial: Any, splits: Splits, path: Path, place: str) -> dict[str, Any]:
    """Trains one proposal and measures the model it kept on the validation images."""
    drawn = trial.hyperparameters.values
    values = {searched.key: searched.value(drawn[searched.key]) for searched in plan.space}
    row: dict[str, Any] = {"trial": int(trial.trial_id), "values": values, "status": "failed"}
    if CONTINUES in drawn:
        row["continues"] = int(drawn[CONTINUES])
    folder = path / "trials" / _home(oracle, trial)
    epochs = int(drawn.get(EPOCHS, plan.epochs))
    began = time.monotonic()
    try:
        with _told(folder, place):
            total_steps = run.steps_in_all(with_epochs(plan.config, plan.epochs), splits)
            config = shortened(with_epochs(apply(plan.config, values), epochs), total_steps)
            # The schedule is that of the longest trial, so that a shorter one is its beginning.
            progress, weights = run.fit(config, splits, folder, resume=True, total_steps=total_steps)
            model = keras.saving.load_model(folder / run.MODEL, compile=False)
            figures = evaluate(
                model,
                splits.validation,
                data_config=config.data,
                batch_size=config.training.batch_size,
                seed=config.training.seed,
            )
    except Stopped as stopped:
        raise KeyboardInterrupt from stopped
    except (UserError, tf.errors.ResourceExhaustedError) as error:
        if isinstance(error.__cause__, OSError):
            raise  # A full disk is no fault of the settings.
        message = str(error).removeprefix(f"{folder}: ")
        return {**row, "message": " ".join(message.split())[:300], "seconds": round(time.monotonic() - began, 1)}
    finally:
        keras.backend.clear_session()  # Graphs of a trial would stay in memory until the last one.
        gc.collect()
    if plan.kind == "random":
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    row |= {
        "status": "completed",
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch,
        "weights": weights,
        "seconds": round(time.monotonic() - began, 1),
        **{name: figures[name] for name in FIGURES if name in figures},
    }
    if not math.isfinite(row.get(plan.objective, math.nan)):
        return {**row, "status": "failed", "message": f"{plan.objective} is {row.get(plan.objective)}"}
    return row


def _home(oracle: Any, trial: Any) -> str:
    """The run directory of a trial: that of the trial it continues, if any."""
    while CONTINUES in trial.hyperparameters.values:
        trial = oracle.get_trial(trial.hyperparameters.values[CONTINUES])
    return trial.trial_id


def _oracle(plan: Search, folder: Path) -> Any:
    """keras-tuner's oracle with all it knows from earlier sessions."""
    hyperparameters = keras_tuner.HyperParameters()
    for searched in plan.space:
        searched.declare(hyperparameters)
    options = {
        "objective": keras_tuner.Objective(plan.objective, "max"),
        "hyperparameters": hyperparameters,
        "seed": plan.config.training.seed + 1,  # keras-tuner takes 0 for "any"
        "max_consecutive_failed_trials": 10**9,
    }
    oracle: Any
    if plan.kind == "random":
        oracle = _RandomSearch(max_trials=plan.trials, **options)
    else:
        oracle = _Hyperband(max_epochs=plan.epochs, **options)
        oracle.max_trials = plan.trials or None
    oracle.verbose = 0
    oracle.first_values = own_values(plan.config, plan.space)
    folder.mkdir(parents=True, exist_ok=True)
    oracle._set_project_dir(str(folder.parent), folder.name)
    if (folder / "oracle.json").is_file():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            oracle.reload()
        # A trial drawn a moment before a kill, of which nothing else was saved: it is drawn again.
        for lost in set(oracle.trials) - set(oracle.start_order):
            del oracle.trials[lost]
    return oracle


class _Ours:
    """What both oracles do otherwise than keras-tuner's.

    The first trial is the recipe as it is, so that a search cannot end with anything worse. Files are whole or not
    there: keras-tuner's own could be cut short by a kill.
    """

    first_values: dict[str, Any] | None = None

    def _random_values(self) -> dict[str, Any] | None:
        if self.first_values is not None and not self.start_order:  # type: ignore[attr-defined]
            return dict(self.first_values)
        return super()._random_values()  # type: ignore[misc]

    def save(self) -> None:
        write_whole(self._get_oracle_fname(), json.dumps(self.get_state(), indent=2))  # type: ignore[attr-defined]

    def _save_trial(self, trial: Any) -> None:
        folder = Path(self._get_trial_dir(trial.trial_id))  # type: ignore[attr-defined]
        write_whole(folder / "trial.json", json.dumps(trial.get_state(), indent=2))


class _RandomSearch(_Ours, keras_tuner.oracles.RandomSearchOracle):
    """Independent draws."""


class _Hyperband(_Ours, keras_tuner.oracles.HyperbandOracle):
    """Many short trials, of which the best third goes on (Li et al. 2018, https://arxiv.org/abs/1603.06560)."""


def _brackets_hold(oracle: Any) -> int:
    """How many trials Hyperband will make, those that continue counted again."""
    brackets = range(oracle._get_num_brackets())
    return sum(oracle._get_size(one, turn) for one in brackets for turn in range(oracle._get_num_rounds(one)))


@contextlib.contextmanager
def _told(folder: Path, place: str) -> Iterator[None]:
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
