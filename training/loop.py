"""The training loop: epochs of steps, from any step, to the same end.

`vae.fit` trains a model too. This loop exists because a run must be able to stop after any step and go on as if it
had not: `fit` knows epochs only, and overwrites the weights with their average when it returns.
"""

import contextlib
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from tfvae.data import Splits, evaluation_batches, steps_per_epoch, training_batches
from tfvae.errors import UserError
from training import checkpoint
from training.config import RunConfig
from training.journal import Journal, sample_picture

CHECK_EVERY = 20  # Executions between looks at the count of skipped steps: each look waits for the device.


@dataclass
class Progress:
    """Where a run stands; saved with every checkpoint."""

    step: int = 0
    epoch: int = 0  # epochs completed
    best: float = float("inf")  # lowest validation loss, at the final beta
    best_epoch: int = 0
    seconds: float = 0.0  # of training so far, over all sessions
    images: int = 0  # images trained on in `seconds`


class Stopped(Exception):  # noqa: N818 (no error: somebody asked)
    """The run was asked to stop, and saved itself first."""


def train(model: keras.Model, splits: Splits, config: RunConfig, path: Path, resume: bool) -> Progress:
    """Trains until the last epoch or until validation stops improving; `path/model.keras` is the best so far.

    Args:
        model: Compiled, with its optimiser built.
        splits: Images to train on and to validate on (none: the last epoch is kept).
        config: The run.
        path: The run directory.
        resume: Continue from the newest checkpoint in it.

    Raises:
        Stopped: After Ctrl-C or SIGTERM; the state was saved.
        UserError: When too many steps in a row had gradients that are not finite.
    """
    settings, strategy = config.training, tf.distribute.get_strategy()
    progress = Progress()
    if resume and (saved := checkpoint.restore(path / "checkpoints", model)):
        progress = Progress(**saved)
    batch_size = min(settings.batch_size, len(splits.train))
    epoch_steps = steps_per_epoch(splits.train, settings.batch_size)
    total_steps = settings.epochs * epoch_steps
    batches = training_batches(
        splits.train, settings.batch_size, seed=settings.seed, config=config.data, start_step=progress.step
    )
    validation = validation_batches(splits, config)
    preview = next(
        iter(evaluation_batches(splits.measured[1], 8, seed=settings.seed, config=config.data, crop=config.data.crop))
    ).numpy()
    journal = Journal(path, total_steps, batch_size, progress.epoch, progress.step)
    model.make_train_function()
    iterator = iter(strategy.experimental_distribute_dataset(batches) if settings.strategy != "none" else batches)
    started, before = time.monotonic(), progress.seconds
    last_save, executions = started, 0

    def save() -> None:
        progress.seconds = before + time.monotonic() - started
        checkpoint.save(path / "checkpoints", model, vars(progress))

    with stop_requests() as asked:
        while progress.epoch < settings.epochs and not _out_of_patience(progress, settings.patience):
            name = f"epoch {progress.epoch + 1}/{settings.epochs}"
            first, end = progress.epoch * epoch_steps, (progress.epoch + 1) * epoch_steps
            if progress.step - first < settings.steps_per_execution:
                model.reset_metrics()
            logs: dict = {}
            while progress.step < end:
                logs = model.train_function(iterator)
                progress.step += settings.steps_per_execution
                progress.images += settings.steps_per_execution * batch_size
                executions += 1
                journal.progress(name, progress.step, logs)
                if executions % CHECK_EVERY == 0:
                    _check_skipped(model, settings.max_skipped_steps, path)
                if asked or time.monotonic() - last_save > 60 * settings.checkpoint_minutes:
                    save()
                    last_save = time.monotonic()
                if asked:
                    raise Stopped(f"stopped at step {progress.step:,} of {total_steps:,}")
            _check_skipped(model, settings.max_skipped_steps, path)
            row = {key: float(value) for key, value in (logs or model.get_metrics_result()).items()}
            row["skipped"] = int(model.skipped_steps.value.numpy())
            progress.epoch += 1
            with averaged(model):
                if validation is not None:
                    measured = model.evaluate(validation, verbose=0, return_dict=True)
                    row.update({f"val_{key}": float(value) for key, value in measured.items()})
                # Judged at the final beta: during a warm-up the loss itself rises while the model improves.
                beta = float(model.beta.value.numpy()) if hasattr(model, "beta") else 1.0
                value = row["val_distortion"] + beta * row["val_rate"] if validation is not None else -progress.epoch
                note = ""
                if value < progress.best:
                    progress.best, progress.best_epoch, note = value, progress.epoch, "  *"
                    checkpoint.save_model(path / "model.keras", model)
                journal.picture(
                    f"epoch-{progress.epoch:04d}", progress.step, sample_picture(model, preview, settings.seed)
                )
            journal.epoch(progress.epoch, name, progress.step, row, note)
            save()
            last_save = time.monotonic()
    if not (path / "model.keras").is_file():
        raise UserError(f"{path}: no epoch ended with a finite validation loss, so there is no model to keep.")
    return progress


def validation_batches(splits: Splits, config: RunConfig) -> tf.data.Dataset | None:
    """Validation images in batches, kept in memory once drawn; None when there are none."""
    if not len(splits.validation):
        return None
    settings = config.training
    batches = evaluation_batches(
        splits.validation, settings.batch_size, seed=settings.seed, config=config.data, crop=config.data.crop
    )
    if settings.strategy != "none":
        # A last batch smaller than the number of replicas fails.
        batches = batches.unbatch().batch(min(settings.batch_size, len(splits.validation)), drop_remainder=True)
    return batches


@contextlib.contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """Within, the weights are their exponential moving averages, if the optimiser keeps any."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not optimizer.use_ema:
        yield
        return
    averages = optimizer._model_variables_moving_average
    weights = optimizer._trainable_variables
    # Copies, not Keras's swap by sums and differences: that would not bring back the same bits.
    kept = [weight.value.numpy() for weight in weights]
    for weight, average in zip(weights, averages, strict=True):
        weight.assign(average.value)
    try:
        yield
    finally:
        for weight, value in zip(weights, kept, strict=True):
            weight.assign(value)


@contextlib.contextmanager
def stop_requests() -> Iterator[list[int]]:
    """A list that SIGINT (once; twice interrupts) and SIGTERM append to, so that a step is never torn."""
    asked: list[int] = []

    def note(number, _frame):
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.append(number)
        print("\nstopping after this step …", flush=True)

    former = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _out_of_patience(progress: Progress, patience: int) -> bool:
    return bool(patience) and progress.epoch - progress.best_epoch >= patience


def _check_skipped(model: keras.Model, ceiling: int, path: Path) -> None:
    skipped = int(model.skipped_in_a_row.value.numpy())
    if skipped >= ceiling:
        raise UserError(
            f"{path}: the gradients of {skipped} steps in a row were not finite; the last good state is in "
            "checkpoints/. Try a lower training.learning_rate, or training.clip_norm=100."
        )
