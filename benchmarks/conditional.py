"""`python -m benchmarks conditional RUN`: whether a picture drawn under a label is taken for one of that label.

A classifier learns the run's training pictures; its accuracy is that on pictures the run has held out. It then reads as
many draws of each class as of every other. The controls of the same run: the model before training, the draws read
against other labels than the asked ones, and real held-out pictures. `likeliest label` is the accuracy of the model
itself as a classifier, argmax_y of log p(x|z, y) at the posterior mean.
"""

import argparse
from typing import Any

import numpy as np

from benchmarks.measuring import header, line, machine, progress, publish
from tfvae.errors import UserError

STEPS = 5_000  # of the classifier: two minutes of two cores for 28×28
SHOWN = 10  # draws of each class in the picture


def main(options: argparse.Namespace) -> None:
    """Measures, prints the table, and writes `-o` and a sheet of draws beside it."""
    facts, sheet = run(options)
    publish(facts, table(facts), options.words, options.out, sheet)


def run(options: argparse.Namespace) -> tuple[dict[str, Any], np.ndarray]:
    """The facts, and a sheet: a column for each class."""
    from tfvae.applications import generate
    from tfvae.commands.shared import held_out_images
    from tfvae.data import load
    from tfvae.evaluation.classifier import train_classifier
    from tfvae.pictures import grid
    from tfvae.runs import open_run

    opened = open_run(options.run)
    model = opened.load_unfused()
    if not model.conditional or model.image_shape[0] is None:
        raise UserError(f"{options.run}: no conditional model of pictures of one size. Accepted: mnist_conditional.")
    splits = load(opened.data_config, seed=opened.seed)
    held_out = held_out_images(opened, splits)
    train, labels = splits.train, np.asarray(splits.train.labels)
    classifier = train_classifier(
        train.array, labels, options.seed, lambda done, of: progress(f"classifier {done}/{of}"), STEPS
    )

    def read(images: np.ndarray) -> np.ndarray:
        portions = np.array_split(images, max(1, len(images) // 500))
        return np.concatenate(
            [classifier.names[np.argmax(classifier.head(classifier.extract(x)), 1)] for x in portions]
        )

    classes = len(model.label_names)
    each = -(-options.count // classes)
    asked = np.arange(each * classes) % classes
    untrained = type(model).from_config(model.get_config())
    draws = {
        name: generate(drawn, len(asked), options.seed, options.temperature, labels=asked)
        for name, drawn in (("trained", model), ("untrained", untrained))
    }
    seen = {name: read(images) for name, images in draws.items()}
    real, truth = held_out.array.astype(np.float32) / 255.0, np.asarray(held_out.labels)
    likeliest = np.concatenate(
        [np.asarray(model.likeliest_labels(x)) for x in np.array_split(real, len(real) // 500 + 1)]
    )
    facts = {
        "benchmark": "conditional",
        "run": opened.path.resolve().name,
        "machine": machine(),
        "seed": options.seed,
        "temperature": options.temperature,
        "draws": len(asked),
        "classes": list(model.label_names),
        "as_asked": float(np.mean(seen["trained"] == asked)),
        "as_asked_by_class": [float(np.mean(seen["trained"][asked == label] == label)) for label in range(classes)],
        "other_label": float(np.mean(seen["trained"] == (asked + 1) % classes)),
        "untrained": float(np.mean(seen["untrained"] == asked)),
        "real": float(np.mean(read(real) == truth)),
        "likeliest_label": float(np.mean(likeliest == truth)),
        "held_out": len(truth),
    }
    return facts, grid(draws["trained"][: SHOWN * classes], columns=classes)


def table(facts: dict[str, Any]) -> list[str]:
    """The facts as a Markdown table: what was read, and the share that is as it should be."""
    draws, held_out = f"{facts['draws']:,} draws", f"{facts['held_out']:,} held-out pictures"
    rows = [("the model", draws, facts["as_asked"])]
    rows += [
        (f"the model, label {name}", f"{facts['draws'] // len(facts['classes']):,} draws", share)
        for name, share in zip(facts["classes"], facts["as_asked_by_class"], strict=True)
    ]
    rows += [
        ("the model before training", draws, facts["untrained"]),
        ("the model, read against the next label", draws, facts["other_label"]),
        ("real pictures: the classifier's accuracy", held_out, facts["real"]),
        ("real pictures, by the model's likeliest label", held_out, facts["likeliest_label"]),
    ]
    return [
        *header(["pictures of", "how many", "read as asked"], 2),
        *(line([*row[:2], f"{row[2]:.2%}"]) for row in rows),
    ]
