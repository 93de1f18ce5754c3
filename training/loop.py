"""The training loop: epochs of steps, from any step, to the same end.

`vae.fit` trains a model too. This loop exists because a run must be able to stop after any step and go on as if it
had not: `fit` knows epochs only, and overwrites the weights with their average when it returns.
"""

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvae.data import Splits, evaluation_batches, steps_per_epoch, training_batches
from tfvae.errors import UserError
from training import devices, same_run
from training.checkpoint import Checkpoints, disk_full_is_told, save_model
from training.config import RunConfig
from training.journal import Journal, sample_picture
from training.watch import Watch

# Ctrl-C, the end of a job, and that of a terminal; Windows has no terminal that hangs up.
STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
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
        UserError: When too many steps in a row had gradients that are not finite, the disk is full, or the run to
            resume had other settings or data.
    """
    checkpoints = Checkpoints(path / "checkpoints", model, config.training.keep_checkpoints)
    with disk_full_is_told(path), checkpoints, stop_requests() as asked:
        return _Training(model, splits, config, path, checkpoints, asked, resume).run()


class _Training:
    """A model on its way through the epochs; everything a step changes besides the model is in `progress`."""

    def __init__(
        self,
        model: keras.Model,
        splits: Splits,
        config: RunConfig,
        path: Path,
        checkpoints: Checkpoints,
        asked: list[int],
        resume: bool,
    ):
        self.model, self.settings, self.path = model, config.training, path
        self.checkpoints = checkpoints
        self.identity = same_run.identity(config, splits)
        self.progress = Progress()
        if resume and (saved := checkpoints.restore()):
            same_run.check(saved.pop("identity"), self.identity, path)
            try:
                self.progress = Progress(**saved)
            except TypeError as error:
                raise UserError(
                    f"{checkpoints.folder}: the checkpoint is of another version of tfvae ({error})."
                ) from error
        devices.agree("the step", self.progress.step)
        devices.agree("the fingerprint of the data", same_run.fingerprint(self.identity))
        settings = self.settings
        self.should_stop = devices.StopVote(asked)
        crops = config.data.crops
        self.batch_size = min(settings.batch_size, crops * len(splits.train))
        devices.check_share(self.batch_size)
        self.epoch_steps = steps_per_epoch(splits.train, settings.batch_size, crops)
        self.total_steps = settings.epochs * self.epoch_steps
        self.iterator = devices.distribute(
            lambda share: training_batches(
                splits.train,
                settings.batch_size,
                seed=settings.seed,
                config=config.data,
                start_step=self.progress.step,
                share=share,
                labels=model.conditional,
            )
        )
        self.validate = _validation(model, splits, config)
        some = evaluation_batches(splits.measured[1], 8, seed=settings.seed, config=config.data, crop=config.data.crop)
        self.preview = next(iter(some)).numpy()
        self.journal = Journal(path, self.total_steps, self.batch_size, self.progress.epoch, self.progress.step)
        self.watch = Watch(path, model, splits, config, self.progress.epoch)
        self.earlier, self.started = self.progress.seconds, time.monotonic()
        self.saved_step, self.saved_at = self.progress.step, self.started
        model.make_train_function()

    def run(self) -> Progress:
        while self.progress.epoch < self.settings.epochs and not self._out_of_patience():
            logs = self._steps()
            self._end_epoch(logs)
        if not (self.path / "model.keras").is_file():
            raise UserError(f"{self.path}: no epoch ended with a finite validation loss, so there is no model to keep.")
        return self.progress

    @property
    def _name(self) -> str:
        return f"epoch {self.progress.epoch + 1}/{self.settings.epochs}"

    def _steps(self) -> dict:
        """The steps that are left of this epoch; returns what the last one said."""
        progress, settings, name = self.progress, self.settings, self._name
        end = (progress.epoch + 1) * self.epoch_steps
        if progress.step - (end - self.epoch_steps) < settings.steps_per_execution:
            self.model.reset_metrics()
        logs: dict = {}
        executions = 0
        while progress.step < end:
            logs = self.model.train_function(self.iterator)
            progress.step += settings.steps_per_execution
            progress.images += settings.steps_per_execution * self.batch_size
            executions += 1
            self.journal.progress(name, progress.step, logs)
            if executions % CHECK_EVERY == 0:
                self._check_skipped()
            if self.should_stop():
                self._save()
                raise Stopped(f"stopped at step {progress.step:,} of {self.total_steps:,}")
            if self._checkpoint_is_due():
                self._save()
        self._check_skipped()
        return logs or self.model.get_metrics_result()

    def _end_epoch(self, logs: dict) -> None:
        """Measures and pictures the averaged model, keeps it if it is the best, and saves the state."""
        name, progress = self._name, self.progress
        row = {key: float(value) for key, value in logs.items()}
        row["skipped"] = int(row.pop("skipped_steps"))
        progress.epoch += 1
        row.update(self.watch.epoch(progress.epoch, row))
        with averaged(self.model):
            value: float = -progress.epoch  # without validation images that judge the model, the last epoch is kept
            if self.validate is not None:
                means = {key: float(value) for key, value in self.validate().items()}
                row.update({f"val_{key}": mean for key, mean in means.items()})
                judged = self.model.selection_loss(means)
                value = value if judged is None else judged
            # A model of a warm-up is kept only until the next: a low beta buys figures that will not last.
            passing = progress.best_epoch * self.epoch_steps < self.model.warm_up
            better = math.isfinite(value) and (value < progress.best or passing)
            if better:
                progress.best, progress.best_epoch = value, progress.epoch
                save_model(self.path / "model.keras", self.model)
            picture = sample_picture(self.model, self.preview, self.settings.seed)
        self.journal.picture(f"epoch-{progress.epoch:04d}", progress.step, picture)
        self.journal.epoch(progress.epoch, name, progress.step, row, "  *" if better else "")
        self._save()

    def _checkpoint_is_due(self) -> bool:
        settings = self.settings
        by_step = settings.checkpoint_steps and self.progress.step - self.saved_step >= settings.checkpoint_steps
        return bool(by_step) or time.monotonic() - self.saved_at > 60 * settings.checkpoint_minutes

    def _save(self) -> None:
        self.progress.seconds = self.earlier + time.monotonic() - self.started
        self.checkpoints.save({**vars(self.progress), "identity": self.identity})
        self.saved_step, self.saved_at = self.progress.step, time.monotonic()

    def _out_of_patience(self) -> bool:
        patience = self.settings.patience
        return bool(patience) and self.progress.epoch - self.progress.best_epoch >= patience

    def _check_skipped(self) -> None:
        self.watch.look_for_skips()
        skipped = int(self.model.skipped_in_a_row.value.numpy())
        if skipped >= self.settings.max_skipped_steps:
            raise UserError(
                f"{self.path}: the gradients of {skipped} steps in a row were not finite; the last good state is in "
                "checkpoints/. Try a lower training.learning_rate, or training.clip_norm=100."
            )


def _validation(model: keras.Model, splits: Splits, config: RunConfig) -> Callable[[], dict[str, float]] | None:
    """What measures the model on the validation images; None when there are none."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    # The last batch, too, must divide among the devices: up to one image for each but one of them is left out.
    images = splits.validation.take(np.arange(len(splits.validation) // replicas * replicas))
    if not len(images):
        return None
    batch, seed, data = config.training.batch_size, config.training.seed, config.data
    return devices.evaluator(
        model,
        lambda share: evaluation_batches(
            images, batch, seed=seed, config=data, crop=data.crop, share=share, labels=model.conditional
        ),
    )


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
    """A list that SIGINT (once; twice interrupts), SIGTERM and SIGHUP append to, so that a step is never torn."""
    asked: list[int] = []

    def note(number, _frame):
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.append(number)
        print("\nstopping after this step …", flush=True)

    former = {number: signal.signal(number, note) for number in STOPS}
    try:
        yield asked
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
