"""`python -m benchmarks styles RUN`: whether a picture in a style is taken for one of that style, and kept.

A classifier learns the styles from real crops of the run's training pictures, half of them in grey, so that it cannot
live on colour alone; its accuracy is that on pictures the run has held out. Then every photograph is rendered in every
style, and the classifier is asked what it sees: the share that it takes for the style that was asked for, of the
rendering and of its grey; the SSIM of the luminance of photograph and rendering, and of their edges; and the mean
probability of each style along the way from one style to the next, which should rise from step to step.

A picture is judged by the mean log-probabilities of crops of the size the run was trained on, on a grid over it.
"""

import argparse
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from benchmarks.measuring import machine, progress, publish
from tfvae.errors import UserError

BLEND = (0.0, 0.25, 0.5, 0.75, 1.0)
CROPS = 3_000  # of each style, to train the classifier
DIVISIONS = 4  # crops in each direction on the grid over a picture, at most
SLACK = 1e-3  # by which a probability may fall and still count as not falling: rounding of pixels
SIDE = 512  # pixels of a photograph's longer side


def main(options: argparse.Namespace) -> None:
    """Measures, prints the table, and writes `-o` and the contact sheet beside it."""
    facts, sheet = run(options)
    publish(facts, table(facts), options.words, options.out, sheet)


def run(options: argparse.Namespace) -> tuple[dict[str, Any], np.ndarray]:
    """The facts, and a contact sheet: a row for each photograph, itself and its renderings."""
    from tfvae.applications.styles.stylize import content_kept, stylize
    from tfvae.commands.shared import held_out_images
    from tfvae.commands.style import loaded
    from tfvae.data import DataConfig, load, load_images
    from tfvae.evaluation.classifier import train_classifier
    from tfvae.pictures import grid
    from tfvae.runs import open_run

    opened = open_run(options.run)
    model = loaded(opened, "benchmark styles")
    names, side = model.label_names, opened.data_config.crop or 96
    splits = load(opened.data_config, seed=opened.seed)
    judged = held_out_images(opened, splits)
    crops, labels = real_crops(splits.train, side, CROPS, options.seed)
    classifier = train_classifier(crops, labels, options.seed, lambda done, of: progress(f"classifier {done}/{of}"))

    def seen(image: np.ndarray) -> np.ndarray:
        return probabilities(classifier, image, side)

    told = np.array([np.argmax(seen(image)) for image in judged])
    if options.data:
        like = DataConfig(source=str(options.data), channels=model.image_shape[-1], max_side=SIDE)
        photos, _ = load_images(options.data, like=like)
    else:
        photos = judged.take(
            np.flatnonzero(judged.labels == names.index(options.style)) if options.style in names else []
        )
    if not len(photos):
        raise UserError(
            f"--style: no held-out picture is of style '{options.style}'. Styles: {', '.join(names)}; or name --data."
        )
    photos = photos.take(np.arange(len(photos))[: options.count or None])

    pure = np.eye(len(names), dtype=np.float32)
    rows: list[dict[str, Any]] = []
    cells = []
    for index, photo in enumerate(photos):
        progress(f"photograph {index + 1} of {len(photos)}")
        renderings = [stylize(model, photo, weights, options.strength) for weights in pure]
        cells += [photo, *renderings]
        for style, rendering in enumerate(renderings):
            kept, edges = content_kept(photo, rendering)
            found, grey = seen(rendering), seen(in_grey(rendering))
            rows.append(
                {
                    "photo": photos.names[index],
                    "style": names[style],
                    "recognised": bool(np.argmax(found) == style),
                    "recognised_in_grey": bool(np.argmax(grey) == style),
                    "probability": float(found[style]),
                    "ssim": kept,
                    "ssim_edges": edges,
                }
            )
    pairs = combinations(range(len(names)), 2)
    blends = [blend(model, photos, pure, pair, seen, options.strength, names) for pair in pairs]
    progress("")
    facts = {
        **machine(("keras", "numpy")),
        "styles": names,
        "settings": {"photos": len(photos), "strength": options.strength, "seed": options.seed, "crop": side},
        "classifier": {
            "held_out": len(judged),
            "accuracy": float(np.mean(told == judged.labels)),
            "accuracy_by_style": {
                name: float(np.mean(told[judged.labels == label] == label))
                for label, name in enumerate(names)
                if np.any(judged.labels == label)
            },
        },
        "by_style": [summary(name, [row for row in rows if row["style"] == name]) for name in names],
        "blends": blends,
        "rows": rows,
    }
    return facts, grid(cells, columns=1 + len(names))


def real_crops(images: Any, side: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 crops `(n, side, side, c)` at random, `count` of each label, every second one in grey; and labels."""
    from tfvae.data import DataConfig, training_batches

    config = DataConfig(source="crops", crop=side, augment=("flip",))
    images = images.balanced()
    batch = min(64, len(images))
    stream = training_batches(images, batch, seed=seed, config=config, labels=True)
    pairs = list(stream.take(-(-count * len(images.label_names) // batch)).as_numpy_iterator())
    x = np.concatenate([np.rint(crops * 255).astype(np.uint8) for crops, _ in pairs])
    x[::2] = in_grey(x[::2])
    return x, np.concatenate([labels for _, labels in pairs])


def in_grey(pixels: np.ndarray) -> np.ndarray:
    """uint8 `(…, 3)` whose channels are all the luminance; grey as it is."""
    if pixels.shape[-1] == 1:
        return pixels
    grey = np.rint(pixels @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def probabilities(classifier: Any, image: np.ndarray, side: int) -> np.ndarray:
    """Of each class for a picture: the softmax of the mean log-probabilities of crops on a grid over it."""
    import tensorflow as tf

    height, width = image.shape[:2]
    if min(height, width) < side:
        edges = [(0, max(0, side - length)) for length in (height, width)]
        image = np.pad(image, (*edges, (0, 0)), mode="symmetric")
        height, width = image.shape[:2]
    tops, lefts = (
        np.unique(np.linspace(0, length - side, min(DIVISIONS, -(-length // side))).astype(int))
        for length in (height, width)
    )
    crops = np.stack([image[top : top + side, left : left + side] for top in tops for left in lefts])
    logits = classifier.head(classifier.extract(crops.astype(np.float32) / 255.0))
    return np.asarray(tf.nn.softmax(tf.reduce_mean(tf.nn.log_softmax(logits), axis=0)))


def blend(
    model: Any, photos: Any, pure: np.ndarray, pair: tuple[int, int], seen: Any, strength: float, names: list[str]
) -> dict[str, Any]:
    """The mean probability of both styles of a pair, of the two alone, along the way from the first to the second."""
    from tfvae.applications.styles.stylize import stylize

    first, second = pair
    means = []
    for share in BLEND:
        weights = (1 - share) * pure[first] + share * pure[second]
        found = np.array([seen(stylize(model, photo, weights, strength)) for photo in photos])
        means.append(float(np.mean(found[:, second] / np.maximum(found[:, first] + found[:, second], 1e-9))))
        progress(f"{names[first]} to {names[second]}: {share:g}")
    rising = all(after >= before - SLACK for before, after in pairwise(means))
    return {"from": names[first], "to": names[second], "shares": BLEND, "probability": means, "monotone": rising}


def summary(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the photographs in one style."""
    return {"style": name} | {
        key: float(np.mean([row[key] for row in rows]))
        for key in ("recognised", "recognised_in_grey", "probability", "ssim", "ssim_edges")
    }


def table(facts: dict[str, Any]) -> list[str]:
    """The facts as lines of text."""
    classifier, settings = facts["classifier"], facts["settings"]
    by_style = ", ".join(f"{name} {value:.0%}" for name, value in classifier["accuracy_by_style"].items())
    lines = [
        f"classifier on {classifier['held_out']} held-out real pictures: {classifier['accuracy']:.1%} ({by_style})",
        f"{settings['photos']} photographs, strength {settings['strength']:g}:",
        "",
        f"{'style':24}{'recognised':>12}{'in grey':>10}{'SSIM':>8}{'of edges':>10}",
    ]
    for row in facts["by_style"]:
        lines.append(
            f"{row['style']:24}{row['recognised']:12.1%}{row['recognised_in_grey']:10.1%}"
            f"{row['ssim']:8.3f}{row['ssim_edges']:10.3f}"
        )
    lines.append("")
    for row in facts["blends"]:
        steps = "  ".join(f"{value:.2f}" for value in row["probability"])
        lines.append(f"{row['from']} → {row['to']}: {steps}  {'monotone' if row['monotone'] else 'not monotone'}")
    return lines
