"""A prior fitted to the codes of a model that is trained: the last part of a run, or of a copy of one."""

import itertools
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfvae.data import Images, Splits, evaluation_batches, steps_per_epoch, training_batches
from tfvae.errors import UserError
from training.build import prior_of
from training.checkpoint import save_model
from training.config import RunConfig
from training.journal import duration

# Where pictures are cut or mirrored anew in every epoch, their codes are taken so many times.
PASSES = 4
LARGEST_BATCH = 256  # images encoded at once
SHOWN = 10  # lines of progress


def fit(path: Path, config: RunConfig, splits: Splits) -> dict[str, Any]:
    """Fits the prior of `config` to the codes of `path/model.keras`, which then has it; returns facts for the report.

    Raises:
        UserError: Where the prior is not one for such codes.
    """
    began, settings = time.monotonic(), config.prior
    model = keras.saving.load_model(path / "model.keras", compile=False)
    passes = PASSES if config.data.augment or config.data.crop else 1
    batch = min(LARGEST_BATCH, config.training.batch_size)
    stream = training_batches(splits.train, batch, seed=config.training.seed, config=config.data)
    held_out = _whole(splits.validation, config) if len(splits.validation) else None
    batches = passes * steps_per_epoch(splits.train, batch, config.data.crops)
    images = itertools.islice(stream, batches)
    codes = min(len(splits.train), batch) * batches
    steps = {"steps": settings.steps} if settings.steps else {}
    at_most = f", at most {settings.steps:,} steps" if settings.steps else ""
    print(f"fitting the prior: {settings.kind}, {codes:,} codes{at_most}", flush=True)

    def say(epoch: int, epochs: int, log_prob: float) -> None:
        if epoch % max(1, epochs // SHOWN) == 0 or epoch == epochs:
            print(f"  epoch {epoch}/{epochs}  log p(z) {log_prob:.2f}", flush=True)

    try:
        course = model.fit_prior(
            images,
            prior_of(config),
            validation_data=held_out,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            seed=config.training.seed,
            progress=say,
            **steps,
        )
    except ValueError as error:
        raise UserError(f"[prior]: {error}") from error
    save_model(path / "model.keras", model)
    seconds = time.monotonic() - began
    best = f", best epoch {np.argmax(course) + 1} of {len(course)}" if held_out and len(course) > 1 else ""
    print(f"fitted in {duration(seconds)}{best}", flush=True)
    return {"kind": settings.kind, "codes": codes, "seconds": round(seconds, 1), "log_prob": course}


def _whole(images: Images, config: RunConfig) -> list[Any]:
    return list(
        evaluation_batches(images, LARGEST_BATCH, seed=config.training.seed, config=config.data, crop=config.data.crop)
    )
