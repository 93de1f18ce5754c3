"""`python -m benchmarks draws RUN …`: draws from the prior beside held-out pictures, in the features of one classifier.

The classifier learns the labels of the first run's training pictures, and every row is measured in its features, with
as many pictures on each side. `legible` is the share that it names with a probability of 0.9 or more: a picture between
two classes is none. The controls of the same run: training pictures, which no model can beat; the first model before
training; and draws of the normal distribution that has the mean and covariance of the training pixels.
"""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from benchmarks.measuring import header, line, machine, progress, publish
from tfvae.errors import UserError
from tfvae.pixels import to_uint8

SURE = 0.9  # least probability of a class, of a legible picture
SHOWN = 64
MOST_LEARNT = 10_000  # pictures whose covariance the trivial method takes
Temperature = float | Sequence[float]  # or one for each level of hierarchical models
FIGURES = ("legible", "frechet", "precision", "recall", "coverage")


def main(options: argparse.Namespace) -> None:
    """Measures, prints the table, and writes `-o` and a sheet of the last row's draws beside it."""
    facts, sheet = run(options)
    publish(facts, table(facts), options.words, options.out, sheet)


def run(options: argparse.Namespace) -> tuple[dict[str, Any], np.ndarray]:
    """The facts, and a sheet of draws of the last run at the last temperature."""
    from tfvae.applications.latent.generate import temperatures
    from tfvae.data import load_own
    from tfvae.data.labels import label_by_table
    from tfvae.evaluation.classifier import train_classifier
    from tfvae.evaluation.features import Features
    from tfvae.metrics.frechet import frechet_distance
    from tfvae.metrics.precision_recall import NEIGHBOURS, neighbour_values
    from tfvae.pictures import grid
    from tfvae.runs import open_run

    opened = [open_run(path) for path in options.runs]
    models = [(run.path.resolve().name, run.load_unfused()) for run in opened]
    for name, model in models:
        for temperature in options.temperatures:
            try:
                temperatures(model, temperature)
            except ValueError as error:
                raise UserError(f"draws: {name}: {error}") from error
    splits = load_own(opened[0], models[0][1])
    train, held_out = splits.train, splits.measured[1]
    if options.labels:
        train, held_out = (label_by_table(images, options.labels)[0] for images in (train, held_out))
    if train.labels is None or not train.uniform:
        raise UserError(f"{opened[0].path}: needs pictures of one size with labels, for a classifier; see --labels.")
    classifier = train_classifier(*_labelled(train), options.seed, lambda done, of: progress(f"classifier {done}/{of}"))
    count = min(options.count, len(held_out), len(train))
    rng = np.random.default_rng(options.seed)
    real = held_out.take(np.sort(rng.permutation(len(held_out))[:count])).array
    features_of = Features(classifier.extract, {}).of
    features = features_of(real)
    rows: list[dict[str, Any]] = []
    shown = None
    for name, temperature, drawn in _sets(models, train, count, options):
        progress(f"{name}, {count:,} pictures")
        mine = features_of(drawn)
        balls = {key: float(np.mean(column)) for key, column in neighbour_values(features, mine, NEIGHBOURS).items()}
        rows.append(
            {"pictures": name, "temperature": temperature, "legible": _legible(classifier, mine)}
            | {"frechet": float(frechet_distance(features, mine)), **balls}
        )
        shown = drawn if temperature is not None else shown
    assert shown is not None
    facts = {
        "benchmark": "draws",
        "machine": machine(),
        "seed": options.seed,
        "count": count,
        "classifier": {
            "classes": classifier.classes,
            "accuracy": classifier.accuracy(*_labelled(held_out)),
        },
        "held_out_legible": _legible(classifier, features),
        "rows": rows,
    }
    return facts, grid(shown[:SHOWN].astype(np.float32) / 255.0, columns=8)


def _sets(models, train, count: int, options) -> Iterator[tuple[str, Temperature | None, np.ndarray]]:
    """What is compared with the held-out pictures: its name, a temperature if it is a trained model's, uint8 pictures.

    The controls come first.
    """
    rng = np.random.default_rng((options.seed, 1))
    yield "training pictures", None, train.take(np.sort(rng.choice(len(train), count, replace=False))).array
    few = train.take(np.sort(rng.permutation(len(train))[:MOST_LEARNT])).array
    yield "the normal distribution of the pixels", None, _normal(few, count, rng)
    _, first = models[0]
    untrained = type(first).from_config(first.get_config())
    yield "the first model before training", None, _drawn(untrained, count, 1.0, options)
    for name, model in models:
        for temperature in options.temperatures:
            yield name, temperature, _drawn(model, count, temperature, options)


def _labelled(images: Any) -> tuple[np.ndarray, np.ndarray]:
    """The pictures that have a label, uint8, and their labels."""
    known = images.take(np.flatnonzero(images.labels >= 0))
    return known.array, known.labels


def _drawn(model: Any, count: int, temperature: Temperature, options) -> np.ndarray:
    from tfvae.applications import generate

    return to_uint8(generate(model, count, options.seed, temperature))


def _normal(pictures: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draws of the normal distribution with the mean and the covariance of the pixels: weighted sums of deviations."""
    flat = pictures.reshape(len(pictures), -1).astype(np.float32) / 255.0
    weights = rng.standard_normal((count, len(flat)), dtype=np.float32) / np.sqrt(len(flat))
    mean = flat.mean(axis=0)
    return to_uint8((mean + weights @ (flat - mean)).reshape(count, *pictures.shape[1:]))


def _legible(classifier, features: np.ndarray) -> float:
    """The share whose likeliest class has a probability of `SURE` or more."""
    chances = keras.ops.softmax(classifier.head(features.astype(np.float32)))
    return float(np.mean(np.max(keras.ops.convert_to_numpy(chances), axis=1) >= SURE))


def table(facts: dict[str, Any]) -> list[str]:
    """The facts as a Markdown table: a row for each set of pictures."""
    classifier, count = facts["classifier"], f"{facts['count']:,}"
    rows = []
    for row in facts["rows"]:
        factors = np.ravel([] if row["temperature"] is None else row["temperature"])
        temperature = ", ".join(f"{factor:g}" for factor in factors)
        figures = [f"{row['legible']:.1%}", f"{row['frechet']:.1f}", *(f"{row[name]:.2f}" for name in FIGURES[2:])]
        rows.append([row["pictures"], temperature, *figures])
    return [
        f"{count} pictures beside {count} held-out ones, of which {facts['held_out_legible']:.1%} are legible, in the "
        f"features of a classifier of {classifier['classes']} classes ({classifier['accuracy']:.1%} right).",
        "",
        *header(["pictures", "temperature", "legible", "Fréchet distance", *FIGURES[2:]], 1),
        *map(line, rows),
    ]
