"""One run from its settings to its report."""

import contextlib
import dataclasses
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import tfvae
from tfvae.data import Splits, crops_of_each, load, steps_per_epoch, training_batches
from tfvae.data.own import check_place, manifest
from tfvae.errors import UserError
from tfvae.runs import MANIFEST
from tfvae.toml_sections import check_text
from tfvae.whole_files import PART, write_whole
from training import build, calibration, choose, devices, fitted_prior, lock, report, same_run, uncertainty
from training.checkpoint import disk_full_is_told, newest_progress
from training.config import CONFIG, RunConfig, merge, read_config, shortened
from training.journal import duration, reading
from training.loop import Progress, Stopped, train
from training.request import Request

MODEL, CHECKPOINTS = "model.keras", "checkpoints"
IMAGES_OF_A_MEAN = 10_000  # whose mean a decoder that can starts at

# TensorFlow's own advice about its own deprecations is not for the person who trains.
tf.get_logger().setLevel("ERROR")


@dataclass(frozen=True)
class Settled:
    """What is known before the first step."""

    config: RunConfig
    splits: Splits
    path: Path
    reasons: list[str]  # of what was chosen by looking at the data


def start(request: Request, out: Path | None) -> None:
    """A new run: settings from the recipe (or chosen from the data), then what was asked for."""
    settled = settle(
        request, lambda config: _join(config, out, Path(request.recipe or _name_of(config.data.source)).stem)
    )
    with _alone(settled.config, settled.path):
        if devices.is_chief(settled.config.training):
            new_directory(settled.path, "")  # another training may have begun while the images were read
        _execute(settled.config, settled.splits, settled.path, settled.reasons, resume=False)


def settle(request: Request, place: Callable[[RunConfig], Path]) -> Settled:
    """The complete config and its images; `place` names the directory, or refuses it before anything is read."""
    config, asked, where = request.config, request.asked, request.where
    build.check_model(config.model, config.objective)
    own_prior = bool(request.recipe) or "kind" in asked.get("prior", {})
    if own_prior:
        build.check_prior(config.prior, config.model.kind)
    build.check_frames(config.model, config.data.frames)
    check_text(_absolute(config.data.source))  # that of a folder above it may be of other bytes
    path = place(config)
    reasons: list[str] = []
    if not request.recipe:
        kind = tfvae.MODELS[config.model.kind]
        latent = asked.get("model", {}).get("latent", "")
        chosen, reasons = choose.choose_shape(config.data, config.training.seed, hasattr(kind, "fit_prior"), latent)
        known = build.objective_defaults(config.model.kind)
        if own_prior:
            chosen.pop("prior", None)  # its other settings are for the prior that was chosen
        chosen["objective"] = {key: value for key, value in chosen["objective"].items() if key in known}
        config = read_config(merge(chosen, asked), where)
        build.check_prior(config.prior, config.model.kind)
    splits = load_images(config, path)
    if not request.recipe:
        # Without a distribution over the pixels to choose, the default stays.
        chooses = not issubclass(kind, tfvae.Autoencoder)
        likelihood, why = choose.choose_likelihood(splits.train) if chooses else ({}, [])
        epochs, why_epochs = choose.choose_epochs(
            len(splits.train), config.training.batch_size, config.model.latent == "spatial"
        )
        reasons += why + why_epochs
        config = read_config(merge(chosen, likelihood, epochs, asked), where)
        print("no recipe, so these were chosen (--set overrides):")
        for reason in reasons:
            print(f"  - {reason}")
    if config.training.precision == "auto":
        print(f"precision: {devices.precision('auto')}, the faster one here (auto)")
    config = _complete(config, splits)
    own_epochs = request.recipe and "epochs" not in asked.get("training", {})
    own_warm_up = "beta" in asked.get("objective", {}) or "warmup_steps" in asked.get("training", {})
    if not own_epochs and not own_warm_up:
        config = shortened(config, steps_in_all(config, splits))  # a recipe's warm-ups are for its own epochs
    calibration.check(config, splits)
    return Settled(config, splits, path, reasons)


def resume(path: Path, config: RunConfig) -> None:
    """The run at `path`, from its newest checkpoint."""
    check_place(config.data, str(path))
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, source=_absolute(config.data.source)))
    devices.join(config.training)
    with _alone(config, path):
        _execute(config, load_images(config, path), path, [], resume=True)


def fit(
    config: RunConfig, splits: Splits, path: Path, resume: bool, total_steps: int | None = None
) -> tuple[Progress, int]:
    """Builds the model and trains it in `path`; returns how far it came and the number of its weights.

    Args:
        config: The run.
        splits: Its images.
        path: The run directory; it is made.
        resume: Continue from the newest checkpoint in it, if there is one.
        total_steps: Length of the learning rate's schedule, where it is not that of this training.

    Raises:
        Stopped: After Ctrl-C or SIGTERM; the state was saved.
    """
    with build.scope(config.training):
        model = build.build_model(config, _image_shape(config, splits))
        if hasattr(model.prior, "adapt"):
            model.prior.adapt(_first(splits, config, model.prior.components))
        if getattr(model.decoder, "starts_at_mean", False):
            model.decoder.start_at_mean(_first(splits, config, IMAGES_OF_A_MEAN))
        if config.training.init:
            build.start_from(model, config.training.init)
        build.compile_model(model, config.training, total_steps or steps_in_all(config, splits))
        if resume and (saved := newest_progress(path / CHECKPOINTS)):
            # Before anything is written: a run that is refused stays as it was.
            same_run.check(saved.get("identity"), same_run.identity(config, splits), path)
        elif not (path / CONFIG).exists():
            write_whole(path / MANIFEST, json.dumps(manifest(splits, config.data), indent=1) + "\n")
        write_whole(path / CONFIG, config.toml())
        weights = sum(int(variable.value.shape.num_elements()) for variable in model.trainable_variables)
        print(f"model: {config.model.kind}, {config.model.network}, {weights:,} weights; run directory: {path}")
        return train(model, splits, config, path, resume), weights


def steps_in_all(config: RunConfig, splits: Splits) -> int:
    """Of the whole training."""
    epoch = steps_per_epoch(splits.train, config.training.batch_size, config.data.crops)
    return config.training.epochs * epoch


def _execute(config: RunConfig, splits: Splits, path: Path, reasons: list[str], resume: bool) -> None:
    began = time.monotonic()
    with devices.place(config.training, path, resume) as place:
        try:
            progress, weights = fit(config, splits, place, resume)
        except Stopped as stopped:
            print(f"{stopped}; continue with: python -m training --out {path} --resume")
            devices.wait()
            raise KeyboardInterrupt from stopped
        if devices.is_chief(config.training):
            spent = duration(time.monotonic() - began)
            print(f"trained in {spent}; best epoch {progress.best_epoch}; measuring …", flush=True)
            finish(config, splits, path, progress, reasons, weights)


def finish(config: RunConfig, splits: Splits, path: Path, progress: Progress, reasons: list[str], weights: int) -> None:
    """What follows the last epoch: a prior, a threshold or an uncertainty that is fitted, and the report."""
    with disk_full_is_told(path):
        try:
            prior = fitted_prior.fit(path, config, splits) if config.prior.fitted else None
        except KeyboardInterrupt:
            print(f"stopped before the prior was fitted; fit it with: python -m training --out {path} --resume")
            raise
        inspection = calibration.fit(path, config, splits) if calibration.wanted(config) else None
        restoration = uncertainty.fit(path, config, splits) if uncertainty.wanted(config, splits) else None
        fitted = {"prior": prior, "inspection": inspection, "uncertainty": restoration}
        figures = report.write(path, config, splits, progress, reasons, weights, fitted)
    shown = {key: value for key, value in figures.items() if isinstance(value, float)}
    print(f"test: {', '.join(f'{key} {value:.4g}' for key, value in shown.items())}")
    print(f"report: {path / 'report.md'}")


def _first(splits: Splits, config: RunConfig, count: int) -> np.ndarray:
    """So many training images, as the model sees them."""
    batches = training_batches(
        splits.train, min(count, len(splits.train)), seed=config.training.seed, config=config.data
    )
    return next(iter(batches)).numpy()


def _alone(config: RunConfig, path: Path) -> contextlib.AbstractContextManager[None]:
    """Within, no other process trains in `path`. Workers that are not the chief have folders of their own."""
    return lock.held(path) if devices.is_chief(config.training) else contextlib.nullcontext()


def load_images(config: RunConfig, path: Path) -> Splits:
    # Read before the run directory exists, so a source that cannot be read leaves none behind.
    splits = load(config.data, seed=config.training.seed, progress=reading)
    print(splits.description)
    for refusal in splits.refused[:10]:
        print(f"  refused {refusal.name}: {refusal.reason}")
    if len(splits.refused) > 10:
        print(f"  … and {len(splits.refused) - 10:,} more, all named in {path / 'report.json'}")
    return dataclasses.replace(splits, train=splits.train.balanced()) if config.data.balance else splits


def _complete(config: RunConfig, splits: Splits) -> RunConfig:
    """The config with the sizes the data turned out to have, so that it alone repeats the run."""
    data = config.data
    if not data.channels:
        data = dataclasses.replace(data, channels=splits.train.channels)
    if config.model.latent == "vector":
        size = splits.train.common_size
        if size is None:
            raise UserError(
                "data: the pictures have unequal sizes, and a vector latent needs one. "
                "Accepted: --set data.height=64 --set data.width=64, or --set model.latent=spatial."
            )
        if data.crop:
            size = (data.crop, data.crop)
        data = dataclasses.replace(data, height=size[0], width=size[1]) if not data.crop else data
    if not data.crops:
        data = dataclasses.replace(data, crops=crops_of_each(splits.train, config.training.batch_size, data))
        print(f"crops: {data.crops} of each picture in an epoch (0: as many as make about 100 batches)")
    # A run is opened from other folders, too.
    paths: dict[str, Any] = {
        name: _absolute(getattr(data, name)) for name in ("source", "manual_dir", "key_file", "labels")
    }
    data = dataclasses.replace(data, **paths)
    training = dataclasses.replace(
        config.training, init=_absolute(config.training.init), precision=devices.precision(config.training.precision)
    )
    objective = config.objective
    if config.model.conditional or tfvae.MODELS[config.model.kind].conditional:
        if not splits.train.label_names:
            raise UserError(
                "data: the model is conditional, and these pictures have no labels. "
                "Accepted: a folder with a sub-folder for each class, data.labels, or a data set with labels."
            )
        objective = {**objective, "label_names": splits.train.label_names}
    if data.frames:
        objective = {**objective, "frames": data.frames}
    return dataclasses.replace(config, data=data, training=training, objective=objective)


def _absolute(source: str) -> str:
    return str(Path(source).resolve()) if source and Path(source).exists() else source


def _image_shape(config: RunConfig, splits: Splits) -> tuple[int, int, int]:
    height, width = (config.data.crop,) * 2 if config.data.crop else (config.data.height, config.data.width)
    return height, width, splits.train.channels


def _join(config: RunConfig, out: Path | None, name: str) -> Path:
    """The new directory, once all workers are here; the chief alone looks whether it is new."""
    if config.training.strategy == "multiworker" and out is None:
        raise UserError("--strategy multiworker needs --out DIR, one folder that every worker sees.")
    devices.join(config.training)
    return new_directory(out, name) if out is None or devices.is_chief(config.training) else out


def new_directory(out: Path | None, name: str) -> Path:
    """`out`, which must hold no run; or the first of runs/NAME, runs/NAME-2, … that is free."""
    if out is None:
        candidates = (Path("runs") / (name if n == 1 else f"{name}-{n}") for n in range(1, 10_000))
        return next(path for path in candidates if not path.exists())
    if out.is_file():
        raise UserError(f"--out: {out} is a file. Accepted: a folder that is new or empty.")
    if (out / CONFIG).is_file():
        raise UserError(f"--out: {out} holds a run already. Add --resume to continue it, or name another folder.")
    # A run killed in its first moments may have left a torn config, and its lock, which is looked at when it is taken.
    if out.is_dir() and any(entry.suffix != PART and entry.name != lock.LOCK for entry in out.iterdir()):
        raise UserError(f"--out: {out} is not empty. Accepted: a folder that is new or empty.")
    return out


def _name_of(source: str) -> str:
    stem = source.split(":", 1)[1] if source.startswith("tfds:") else Path(source.rstrip("/")).stem
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-") or "run"
