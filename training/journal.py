"""What a run says while it goes: progress lines, metrics.csv, TensorBoard events, sample grids."""

import csv
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.applications.latent.generate import draws_texture, largest_size, noise_shape
from tfvae.errors import UserError
from tfvae.pictures import grid, reconstruction_picture, restoration_picture, save_png
from tfvae.whole_files import whole_file

SAMPLES = 64


class Journal:
    """Writes the story of a run into its directory and onto the terminal.

    Args:
        path: The run directory.
        total_steps: Steps until the end.
        batch_size: Images in a step.
        step: Where this session starts; rows of later epochs, left by a killed session, are dropped.
    """

    def __init__(self, path: Path, total_steps: int, batch_size: int, epoch: int, step: int):
        self.csv_path = path / "metrics.csv"
        self.samples = path / "samples"
        self.total_steps, self.batch_size = total_steps, batch_size
        self.rows = [row for row in read_rows(self.csv_path) if int(row["epoch"]) <= epoch]
        self.events = tf.summary.create_file_writer(str(path / "tensorboard"))
        self.first_step, self.start = step, time.monotonic()
        self.shown = 0.0

    def progress(self, epoch: str, step: int, logs: dict[str, Any]) -> None:
        """A line that is overwritten on a terminal, once a second; silent when the output is a file."""
        now = time.monotonic()
        if not sys.stdout.isatty() or now - self.shown < 1:
            return
        self.shown = now
        print(f"\r\x1b[K{epoch}  {_figures(logs)}  {self.pace(step)}", end="", flush=True)

    def pace(self, step: int) -> str:
        """Images per second since the session began, and the time left at that rate."""
        seconds = max(time.monotonic() - self.start, 1e-9)
        rate = (step - self.first_step) / seconds
        left = (self.total_steps - step) / rate if rate else float("inf")
        return f"{rate * self.batch_size:,.0f} images/s, {duration(left)} left"

    def epoch(self, epoch: int, name: str, step: int, row: dict[str, float], note: str = "") -> None:
        """One row of metrics.csv, its events, and a line."""
        self.rows.append({"epoch": epoch, "step": step, **row})
        # All of it each time: a killed run never leaves half a row.
        with whole_file(self.csv_path, "w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(self.rows[-1]))
            writer.writeheader()
            writer.writerows(self.rows)
        with self.events.as_default():
            for key, value in row.items():
                tf.summary.scalar(key, value, step=step)
        self.events.flush()
        clear = "\r\x1b[K" if sys.stdout.isatty() else ""
        print(f"{clear}{name}  {_figures(row)}  {self.pace(step)}{note}", flush=True)

    def picture(self, name: str, step: int, pixels: np.ndarray) -> None:
        save_png(self.samples / f"{name}.png", pixels)
        with self.events.as_default():
            tf.summary.image("samples", pixels[None], step=step)


def sample_picture(model: Any, images: np.ndarray, seed: int) -> np.ndarray:
    """Draws from fixed latents, so that the grids of all epochs compare; a model without a prior rebuilds `images`."""
    if not hasattr(model, "generate"):
        return comparison_picture(model, list(images[:8]))
    shape = model.latent_shape
    count = SAMPLES
    if shape[0] is None:
        shape = noise_shape(model, *(largest_size(model) or images.shape[1:3]))
        count = 16 if draws_texture(model) else SAMPLES
    noise = np.random.default_rng(seed).standard_normal((count, *shape)).astype("float32")
    return grid(np.asarray(model.generate(noise)["image"]))


def comparison_picture(model: Any, images: Sequence[np.ndarray], columns: int = 8) -> np.ndarray:
    """Images next to what the model makes of them: their reconstructions, or themselves degraded and restored again."""
    if not hasattr(model, "restoration_example"):
        rebuilt = [np.asarray(model.reconstruct(image[None])["image"])[0] for image in images]
        if model.frames > 1:  # of a clip, frame next to frame
            columns = model.frames
            images, rebuilt = ([x for clip in clips for x in np.split(clip, columns)] for clips in (images, rebuilt))
        return reconstruction_picture(images, rebuilt, columns)
    examples = [model.restoration_example(image[None]) for image in images]
    degraded, restored = ([np.asarray(example[name])[0] for example in examples] for name in ("degraded", "image"))
    std = [np.asarray(example["std"])[0] for example in examples] if "std" in examples[0] else None
    return restoration_picture(images, degraded, restored, std, columns=columns)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of metrics.csv; empty when there is none yet.

    Raises:
        UserError: When it is damaged; it names the row.
    """
    if not path.is_file():
        return []
    rows: list[dict[str, Any]] = []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, strict=True):
                if None in row or None in row.values() or not {"epoch", "step"} <= row.keys():
                    raise ValueError("its cells are not those of the columns epoch, step, …")
                numbers = {key: _number(value) for key, value in row.items()}
                if not all(isinstance(numbers[key], int) for key in ("epoch", "step")):
                    raise ValueError("epoch and step must be whole numbers")
                rows.append(numbers)
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(
            f"{path}: damaged in row {len(rows) + 1} ({error}). Cut it off there, or remove the file."
        ) from error
    return rows


def duration(seconds: float) -> str:
    """`1 h 02 min`, `3 min 20 s`, `12 s`."""
    if not np.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _number(text: str) -> float | int:
    return int(text) if text.isdigit() else float(text)


def _figures(row: dict[str, Any]) -> str:
    shown = [key for key in ("elbo", "distortion", "rate", "val_elbo", "val_distortion") if key in row]
    if row.get("rate") == 0 and "distortion" in row:
        shown = [key for key in shown if "elbo" not in key and key != "rate"]
    return "  ".join(f"{key} {float(row[key]):.2f}" for key in shown)


def reading(done: int, total: int) -> None:
    """One line, on a terminal, that counts the images read."""
    if sys.stdout.isatty() and (done % 100 == 0 or done == total):
        print(f"\rreading images: {done:,}{f' of {total:,}' if total else ''} \x1b[K", end="\r", flush=True)
