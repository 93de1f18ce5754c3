"""The health of a run: vital signs at each epoch's end, findings when they first appear, bad steps explained."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfvae.data import DataConfig, Images, Splits, evaluation_batches, training_batches, training_indices
from tfvae.errors import UserError
from tfvae.health import Course, Examination, Explanation, Finding, Vitals, explain, findings
from tfvae.health.callback import final_loss
from tfvae.health.findings import ENOUGH
from tfvae.whole_files import read_json, write_whole
from training.config import RunConfig

FILE = "health.json"
ROW = {"epoch", "loss", "findings"}  # what is in each row besides the vital signs
LOOK_AT = 500  # images; Burda et al. (2016) count active units over as many


class Watch:
    """Looks at a model that is being trained and writes `health.json`; what it measures changes nothing.

    Args:
        path: The run directory.
        model: Compiled.
        splits: Images; the validation images are looked at, or the training images where those are too few.
        config: The run.
        epoch: Epochs completed; what a killed session wrote about later ones is dropped.
        writes: Whether to write and print; False on workers that are not the chief.
    """

    def __init__(self, path: Path, model: Any, splits: Splits, config: RunConfig, epoch: int, writes: bool = True):
        self.path, self.model, self.splits, self.config, self.writes = path / FILE, model, splits, config, writes
        record = read(path)
        self.epochs: list[dict[str, Any]] = [row for row in record["epochs"] if row["epoch"] <= epoch]
        self.told = {finding["name"] for row in self.epochs for finding in row["findings"]}
        steps = int(model.first_skip.steps.value.numpy())
        first = record["first_skip"]
        self.first_skip = first if first and first["step"] < steps else None
        self.examination = Examination(model, config.training.seed)
        self.images = sample(_looked_at(splits), config.data)

    def epoch(self, number: int, figures: dict[str, float]) -> dict[str, float]:
        """Measures the model at the end of epoch `number`; returns the columns to add to its row of figures."""
        vitals = self.examination(self.images)
        losses = [row["loss"] for row in self.epochs]
        loss = final_loss(self.model, figures, vitals.beta)
        course = self.course((*losses, loss), figures)
        found = findings(vitals, course)
        row = {"epoch": number, "loss": loss, **vitals.as_table(), "findings": [asdict(finding) for finding in found]}
        self.epochs.append(_plain(row))
        self._write()
        for finding in found:
            if finding.name not in self.told:
                self.say(f"health: {finding}")
                self.told.add(finding.name)
        columns: dict[str, float] = {"active_units": vitals.active_units}
        return columns if vitals.gap is None else {**columns, "aggregate_gap": vitals.gap}

    def course(self, losses: tuple[float | None, ...], figures: dict[str, float]) -> Course:
        """The training so far, as `findings` reads it."""
        return Course(
            steps=int(self.model.first_skip.steps.value.numpy()),
            losses=tuple(loss for loss in losses if loss is not None and not math.isnan(loss)),
            gradient_norm=figures.get("gradient_norm", 0.0),
            gradient_peak=figures.get("gradient_peak", 0.0),
            skipped=int(self.model.skipped_steps.value.numpy()),
            loss_scaled=isinstance(self.model.optimizer, keras.optimizers.LossScaleOptimizer),
            explanation=Explanation(**self.first_skip["explanation"]) if self.first_skip else None,
            learning_rate=self.config.training.learning_rate,
        )

    def look_for_skips(self) -> None:
        """Explains the first skipped step, once; the batch is made again from its number."""
        step = int(self.model.first_skip.result())
        if step < 0 or self.first_skip is not None:
            return
        settings, images = self.config.training, self.splits.train
        stream = training_batches(
            images, settings.batch_size, seed=settings.seed, config=self.config.data, start_step=step
        )
        crops = self.config.data.crops
        indices = training_indices(images, settings.batch_size, seed=settings.seed, step=step, crops=crops)
        counts = {"distortion": self.model.first_skip.distortion, "rate": self.model.first_skip.rate}
        explanation = explain(
            self.model,
            next(iter(stream)).numpy(),
            [images.names[index] for index in indices],
            [term for term, count in counts.items() if int(count.value.numpy())],
            settings.seed,
        )
        self.first_skip = {"step": step, "explanation": asdict(explanation)}
        self._write()
        # Of a loss scale that looks for its limit there is nothing to say.
        if explanation.term != "loss scale":
            self.say(f"step {step:,} was skipped: {explanation.seen}. Remedy: {explanation.remedy}.")

    def say(self, line: str) -> None:
        if self.writes:
            print(f"\n{line}", flush=True)

    def _write(self) -> None:
        if self.writes:
            text = json.dumps({"first_skip": self.first_skip, "epochs": self.epochs}, indent=1, allow_nan=False)
            write_whole(self.path, f"{text}\n")


def read(path: Path) -> dict[str, Any]:
    """The record of the run at `path`; an empty one where nothing is written yet."""
    if not (path / FILE).is_file():
        return {"first_skip": None, "epochs": []}
    record = read_json(path / FILE)
    epochs = record.get("epochs")
    whole = isinstance(epochs, list) and all(isinstance(row, dict) and row.keys() >= ROW for row in epochs)
    if not whole or "first_skip" not in record:
        raise UserError(f"{path / FILE}: damaged: not what a training writes. Remove it; it is begun again.")
    return record


def sample(images: Images, config: DataConfig, seed: int = 0) -> list[np.ndarray]:
    """At most `LOOK_AT` images in batches, spread evenly over all of them."""
    chosen = images.take(np.linspace(0, len(images) - 1, min(LOOK_AT, len(images))).astype(int))
    return [batch.numpy() for batch in evaluation_batches(chosen, 64, seed=seed, config=config, crop=config.crop)]


def _looked_at(splits: Splits) -> Images:
    """Images enough for every check to have its say."""
    return splits.validation if len(splits.validation) >= ENOUGH else splits.train


def of_the_kept_model(model: Any, splits: Splits, config: RunConfig, record: dict[str, Any]) -> dict[str, Any]:
    """What the report says about health: the vital signs of the kept model, and the findings of the whole run.

    Returns:
        `vitals`, a table of `Vitals`; `findings`, each with `first_epoch` and `last_epoch`, the lasting ones first;
        `first_skip`, the explanation of the first skipped step, or None; and `epochs`, how many were watched.
    """
    vitals: Vitals = Examination(model, config.training.seed)(sample(_looked_at(splits), config.data))
    found: dict[str, dict[str, Any]] = {}
    for row in record["epochs"]:
        for finding in row["findings"]:
            first = found.get(finding["name"], {}).get("first_epoch", row["epoch"])
            found[finding["name"]] = {**finding, "first_epoch": first, "last_epoch": row["epoch"]}
    return {
        "vitals": _plain(vitals.as_table()),
        "findings": sorted(found.values(), key=lambda finding: -finding["last_epoch"]),
        "first_skip": record["first_skip"],
        "epochs": len(record["epochs"]),
    }


def as_finding(table: dict[str, Any]) -> Finding:
    return Finding(table["name"], table["seen"], table["remedy"])


def _plain(value: Any) -> Any:
    """`value` for JSON, which has no infinities: what is not finite becomes null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
