"""`python -m benchmarks probes RUN …`: what a linear classifier reads off codes, beside PCA and the pixels.

A logistic regression learns the labels of training pictures from their codes, from as many principal components of
their pixels, from all of their pixels, and from the codes of the same encoder before training. Inputs are scaled to
mean 0 and variance 1; the weight of the penalty is the best of `PENALTIES` on a fifth of the training pictures.
Accuracy is that of the held-out pictures; intervals are percentiles of 1,000 bootstrap samples of these, of the
difference from PCA by the same samples on both sides.
"""

import argparse
import warnings
from typing import Any

import numpy as np

from benchmarks.measuring import header, line, machine, progress, publish
from tfvae.errors import UserError

PENALTIES = (0.01, 0.1, 1.0)  # scikit-learn's C: the smaller, the more it is held back
SAMPLES = 1000
MOST_STEPS = 100  # of the solver


def main(options: argparse.Namespace) -> None:
    """Measures, prints the table, and writes `-o`."""
    facts = run(options)
    publish(facts, table(facts), options.words, options.out)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The facts: four rows for each run."""
    from tfvae.runs import open_run

    rows: list[dict[str, Any]] = []
    for path in options.runs:
        opened = open_run(path)
        model = opened.load_unfused()
        train, held_out = _examples(opened, model, options)
        known = {"run": opened.path.resolve().name, "data": opened.data_config.source}
        counts = {"classes": len(np.unique(train.labels)), "train": len(train), "held_out": len(held_out)}
        right: dict[str, np.ndarray] = {}
        for name, of in _inputs(model, train, options.seed):
            progress(f"{known['run']}: {name}")
            inputs, others = of(train), of(held_out)
            right[name], penalty = _probe(inputs, train.labels, others, held_out.labels, options.seed)
            rows.append(known | counts | {"input": name, "numbers": inputs.shape[1], "penalty": penalty})
        rng = np.random.default_rng((options.seed, 7))
        drawn = rng.integers(0, len(held_out), (SAMPLES, len(held_out)))
        for row in rows[-len(right) :]:
            mine = right[row["input"]]
            row |= {"accuracy": float(mine.mean()), "interval": _interval(mine[drawn])}
            if row["input"] != "PCA":
                gain = mine.astype(float) - right["PCA"]
                row |= {"above_pca": float(gain.mean()), "above_pca_interval": _interval(gain[drawn])}
        majority = np.bincount(held_out.labels).max() / len(held_out)
        rows[-1] |= {"majority": float(majority)}
    return {"benchmark": "probes", "machine": machine(("keras", "numpy", "scikit-learn")), "rows": rows}


def _examples(opened: Any, model: Any, options: argparse.Namespace) -> tuple[Any, Any]:
    """Training and held-out pictures with labels that enough training pictures have."""
    from tfvae.commands.code_tables import label_texts
    from tfvae.data import load_own
    from tfvae.data.labels import label_by_table

    splits = load_own(opened, model)
    parts = [splits.train, splits.measured[1]]
    if options.labels:
        parts = [label_by_table(images, options.labels)[0] for images in parts]
    train, held_out = parts
    if train.labels is None or held_out.labels is None or not train.uniform or not held_out.uniform:
        raise UserError(f"{opened.path}: needs pictures of one size with labels; see --labels.")
    # As names, because a table numbers the labels of each part by itself.
    names = [label_texts(images, 0, len(images)) or [] for images in (train, held_out)]
    known, counts = np.unique([name for name in names[0] if name], return_counts=True)
    classes = [str(name) for name, count in zip(known, counts, strict=True) if count >= options.least]
    if len(classes) < 2:
        raise UserError(f"{opened.path}: fewer than two classes of {options.least} training pictures or more.")
    kept = []
    for images, own in zip((train, held_out), names, strict=True):
        labels = np.array([classes.index(name) if name in classes else -1 for name in own])
        some = images.take(np.flatnonzero(labels >= 0))
        some.labels, some.label_names = labels[labels >= 0], classes
        kept.append(some)
    order = np.random.default_rng((options.seed, 6)).permutation(len(kept[0]))[: options.count]
    return kept[0].take(np.sort(order)), kept[1]


def _inputs(model: Any, train: Any, seed: int):
    """`(name, function of images)` of what the classifier sees."""
    import keras
    from sklearn.decomposition import PCA

    def pixels(images):
        return images.array.reshape(len(images), -1).astype(np.float32) / 255

    codes = model.embed(train.take(np.arange(1)))
    units = min(codes.shape[1], len(train))
    yield "codes", model.embed
    pca = PCA(units, svd_solver="randomized" if units < 500 else "auto", random_state=seed).fit(pixels(train))
    yield "PCA", lambda images: pca.transform(pixels(images))
    yield "pixels", pixels
    keras.utils.set_random_seed(seed)
    yield "codes before training", type(model).from_config(model.get_config()).embed


def _probe(inputs: np.ndarray, labels: np.ndarray, others: np.ndarray, truth: np.ndarray, seed: int):
    """Whether each of the others is named right, `(n,)`, and the penalty's weight."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def fitted(weight, places):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=weight, max_iter=MOST_STEPS))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # as far as it has come is what is compared
            return model.fit(inputs[places], labels[places])

    order = np.random.default_rng((seed, 5)).permutation(len(labels))
    judges, learns = order[: len(order) // 5], order[len(order) // 5 :]
    scores = [fitted(weight, learns).score(inputs[judges], labels[judges]) for weight in PENALTIES]
    best = PENALTIES[int(np.argmax(scores))]
    return fitted(best, order).predict(others) == truth, best


def _interval(values: np.ndarray) -> list[float]:
    """95 % of the means of bootstrap samples, `(samples, n)`."""
    return [float(value) for value in np.percentile(values.mean(axis=1), [2.5, 97.5])]


def table(facts: dict[str, Any]) -> list[str]:
    """The facts as a Markdown table for each run."""
    lines: list[str] = []
    for name in dict.fromkeys(row["run"] for row in facts["rows"]):
        rows = [row for row in facts["rows"] if row["run"] == name]
        first = rows[0]
        lines += [
            f"{name} ({first['data']}): {first['classes']} classes, {first['train']:,} pictures to learn from, "
            f"{first['held_out']:,} held out, of which the largest class has {rows[-1]['majority']:.1%}.",
            "",
            *header(["a linear classifier of", "numbers", "accuracy", "95 %", "above PCA", "95 %"], 1),
        ]
        for row in rows:
            gain = ["", ""]
            if "above_pca" in row:
                gain = [f"{row['above_pca']:+.1%}", " – ".join(f"{end:+.1%}" for end in row["above_pca_interval"])]
            interval = " – ".join(f"{end:.1%}" for end in row["interval"])
            lines.append(line([row["input"], f"{row['numbers']:,}", f"{row['accuracy']:.1%}", interval, *gain]))
        lines.append("")
    return lines[:-1]
