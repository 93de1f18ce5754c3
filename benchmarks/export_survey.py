"""`python -m benchmarks export_survey`: every model with every network, briefly trained, exported, held to the bounds.

What a person's own network will meet on its way out of Keras, as one table: worst figures over the encoder, decoder and
autoencoder of each combination, with a batch of one and with an open batch.
"""

import argparse
import functools
import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import keras

import tfvae
from export.artefacts import Artefact
from export.bundle import export_run
from export.parity import BOUNDS
from tfvae.data import DataConfig, load, steps_per_epoch, training_batches
from tfvae.toml_sections import write_toml

SEED, BATCH, EPOCHS = 0, 64, 10
DATA = DataConfig(source="digits")
LATENTS: dict[str, dict[str, Any]] = {
    "vector": {"image_shape": (8, 8, 1), "latent_dim": 8},
    "spatial": {"image_shape": (None, None, 1), "latent_dim": 4},
}
Say = Callable[[str], None]


class Row(NamedTuple):
    """One combination, and what its bundle is like."""

    model: str
    network: str
    latent: str
    artefacts: list[Artefact]


def main(options: argparse.Namespace) -> int:
    """Surveys and prints the table. Exit code: 1 when anything is out of its bound, else 0."""
    rows = []
    for row in survey(options.only, functools.partial(print, flush=True)):
        rows.append(row)
    text = table(rows)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    return int(any(not artefact.written for row in rows for artefact in row.artefacts))


def combinations() -> list[tuple[str, str, str]]:
    """Model, network and latent of everything that can be put together."""
    return [
        (model, network, latent)
        for model, cls in tfvae.MODELS.items()
        if hasattr(cls, "decode")
        for latent in LATENTS
        for network in cls.networks(spatial=latent == "spatial")
    ]


def survey(only: str, say: Say) -> Iterator[Row]:
    """Trains and exports the combinations whose name holds `only`, one after the other."""
    onnx = all(importlib.util.find_spec(package) for package in ("tf2onnx", "onnxruntime"))
    for names in combinations():
        if only not in " ".join(names):
            continue
        say(f"{' '.join(names)} …")
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder, "-".join(names))
            train(run, *names)
            size = None if names[2] == "vector" else (8, 8)
            yield Row(*names, export_run(run, size=size, say=lambda line: None, onnx=onnx))


def train(path: Path, model: str, network: str, latent: str) -> None:
    """A run directory with what `EPOCHS` epochs of the digits make of a model: its ranges are those of a real one."""
    keras.utils.set_random_seed(SEED)
    cls = tfvae.MODELS[model]
    # An autoencoder has its own distortion.
    likelihood = "optimal_gaussian" if cls.stochastic else None
    trained = cls.from_shape(**LATENTS[latent], network=network, widths=(32, 64), likelihood=likelihood)
    trained.compile(keras.optimizers.Adam(2e-3))
    images = load(DATA, seed=SEED).train
    batches = training_batches(images, BATCH, seed=SEED, config=DATA)
    trained.fit(batches, steps_per_epoch=steps_per_epoch(images, BATCH), epochs=EPOCHS, verbose=0, shuffle=False)
    path.mkdir()
    (path / "config.toml").write_text(write_toml({"data": DATA}) + f"\n[training]\nseed = {SEED}\n", encoding="utf-8")
    trained.save(path / "model.keras")


def table(rows: list[Row]) -> str:
    """Markdown: a combination a row, a variant a column; the worst figure, bold where it is out of bound."""
    variants = [name for name in BOUNDS if any(_mine(row, name) for row in rows)]
    head = [f"{name} ({asdict(BOUNDS[name])['limit']:g}{_unit(name)})" for name in variants]
    lines = ["| model | network | latent | " + " | ".join(head) + " | int8 size |"]
    lines.append("| --- | --- | --- |" + " ---: |" * (len(variants) + 1))
    for row in rows:
        cells = [_cell(_mine(row, variant)) for variant in variants]
        sizes = [a.facts["size_ratio"] for a in row.artefacts if a.facts.get("variant") == "int8"]
        cells.append(f"{min(sizes):.2f}–{max(sizes):.2f}" if sizes else "")
        lines.append(f"| {row.model} | {row.network} | {row.latent} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mine(row: Row, variant: str) -> list[Artefact]:
    return [artefact for artefact in row.artefacts if artefact.facts.get("variant", "saved_model") == variant]


def _unit(variant: str) -> str:
    return " dB" if BOUNDS[variant].measure == "psnr_drop_db" else ""


def _cell(artefacts: list[Artefact]) -> str:
    if not artefacts:
        return ""
    refused = [artefact for artefact in artefacts if not artefact.verdicts]
    verdicts = [artefact.worst for artefact in artefacts if artefact.verdicts]
    worst = max((verdict.value for verdict in verdicts), default=float("nan"))
    text = f"{worst:.3f}" if verdicts and verdicts[0].measure == "psnr_drop_db" else f"{worst:.1e}"
    if refused:
        text += f", {len(refused)} refused by the runtime"
    return text if all(artefact.written for artefact in artefacts) else f"**{text}**"
