"""`tfvae evaluate` and `tfvae compare`: figures with their protocol, and figures side by side."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tfvae.commands.shared import held_out_images, images_of, place, say
from tfvae.data import Images, load, load_own
from tfvae.errors import UserError, did_you_mean
from tfvae.evaluation import (
    MEASURES,
    Evaluation,
    EvaluationContext,
    Measurement,
    UnmeasurableError,
    assess,
    comparison,
    read_evaluation,
    usual_measures,
    write_evaluation,
)
from tfvae.runs import Run, open_run

WHOLE = "whole source"  # the split of images that were not split


def evaluate(arguments: argparse.Namespace) -> None:
    """`tfvae evaluate`: figures of a run with their protocol."""
    run = open_run(arguments.run, arguments.data)
    if arguments.out:
        place(arguments.out, arguments.out, (".json",))
    names, must = _measures(arguments)
    model = run.load_unfused()
    images, training, split = _parts(run, model, arguments.source, arguments.split)
    seed = run.seed if arguments.seed is None else arguments.seed
    if arguments.count and arguments.count < len(images):
        drawn = np.random.default_rng((seed, 17)).choice(len(images), arguments.count, replace=False)
        images, split = images.take(np.sort(drawn)), f"{arguments.count} of {split}"
    context = EvaluationContext(
        model,
        images,
        run.prepared_like(model),
        # By default as in the run's own report, so that its figures come out again.
        batch_size=arguments.batch_size or int(run.config.get("training", {}).get("batch_size", 64)),
        seed=seed,
        k=arguments.k or EvaluationContext.k,
        features=arguments.features or EvaluationContext.features,
        training=training,
    )
    if sys.stderr.isatty():
        context.progress = progress_line()
    source = arguments.source or run.data_config.source
    try:
        found = assess(context, names, source=source, split=split, must=must)
    except UnmeasurableError as error:
        raise UserError(f"evaluate: {error}.") from error
    title = f"{run.path} on {source}, {split}: {len(images):,} images"
    print("\n".join([title, *table(found), *_left_out(found, arguments.all)]))
    if arguments.out:
        write_evaluation(arguments.out, found, run=str(run.path), model=type(model).__name__)
        say(arguments.out)


def compare(arguments: argparse.Namespace) -> None:
    """`tfvae compare`: evaluations side by side, if their protocols are alike."""
    paths: Sequence[Path] = arguments.files
    if len(paths) < 2:
        raise UserError("compare: needs two files or more, written by `tfvae evaluate RUN -o OUT.json`.")
    records = [read_evaluation(path) for path in paths]
    held = dict.fromkeys(name for record in records for name in record["figures"])
    for name in arguments.figures or ():
        if name not in held:
            raise UserError(f"compare: unknown figure '{name}'.{did_you_mean(name, held)} Known: {', '.join(held)}.")
    rows = comparison(records, [str(path) for path in paths], arguments.figures)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def table(found: Evaluation) -> list[str]:
    """Lines for a person: figures with their intervals, what they say, and how they were measured."""
    names = {name: name.replace("_", " ") for name in found.figures}
    width = max(map(len, names.values()), default=0)
    values = {name: _with_interval(figure) for name, figure in found.figures.items()}
    wide = max(map(len, values.values()), default=0)
    lines = [f"  {names[name]:<{width}}  {values[name]:<{wide}}  {found.figures[name].unit}".rstrip() for name in names]
    lines += [f"  {names[name]}: {figure.note}." for name, figure in found.figures.items() if figure.note]
    own: dict[str, Any] = {}
    for figure in found.figures.values():
        own |= figure.protocol
    # The rest is in the file: what the title says already, and what only a program compares.
    told = [
        f"{key.replace('_', ' ')}: {_told(value)}"
        for key, value in (found.protocol | own).items()
        if key not in ("source", "split", "images", "versions", "interval", "training_sha256")
    ]
    return [*lines, "  95 % intervals over images. Measured with " + ", ".join(told)]


def progress_line() -> Callable[[str, int, int], None]:
    """A line on stderr that says how far a measure is, at what rate, and how long it will take."""
    started: dict[str, float] = {}

    def show(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        begun = started.setdefault(what, now)
        # The first step compiles: the rate is that since then.
        rate = f", {(total - done) * (now - begun) / done:.0f} s left" if now > begun and done < total else ""
        print(
            f"\r\x1b[K{what}: {done:,} of {total:,}{rate}",
            end="\n" if done >= total else "",
            file=sys.stderr,
            flush=True,
        )
        if done >= total:
            started.pop(what)

    return show


def _measures(arguments: argparse.Namespace) -> tuple[list[str], bool]:
    """Names of the measures to take, and whether one that means nothing here is an error."""
    for name in arguments.figures or ():
        if name not in MEASURES:
            hint = did_you_mean(name, MEASURES)
            raise UserError(f"evaluate: unknown figures '{name}'.{hint} Known: {', '.join(MEASURES)}.")
    if arguments.all:
        return list(MEASURES), False
    names = list(arguments.figures or usual_measures())
    if arguments.k and "nll" not in names:
        names.append("nll")
    # What is usual is measured where it means something; what was asked for must.
    return names, bool(arguments.figures)


def _parts(run: Run, model: Any, source: str | None, split: str | None) -> tuple[Images, Images | None, str]:
    """The images to measure on, the run's training images where those are others of the same data, and the split."""
    if source is not None and split is None:
        return images_of(run, model, source), None, WHOLE
    own = source is None or source == run.data_config.source
    if source is None or own:
        splits = load_own(run, model)
    else:
        splits = load(replace(run.prepared_like(model), source=source, limit=0), seed=run.seed)
    if split is None:
        images = held_out_images(run, splits)
        split = "test" if len(splits.test) else "validation"
    else:
        images = getattr(splits, split)
    if len(images) == 0:
        raise UserError(f"evaluate: --split {split}: {source or run.path} has no images in it.")
    return images, splits.train if own and split != "train" else None, split


def _left_out(found: Evaluation, everything: bool) -> list[str]:
    """Why a measure is missing, where all were asked for."""
    return [f"  left out: {name}: {reason}" for name, reason in found.left_out.items()] if everything else []


def _with_interval(figure: Measurement) -> str:
    if figure.interval is None:
        return f"{figure.value:>11.4f}"
    low, high = figure.interval
    below, above = figure.value - low, high - figure.value
    if abs(below - above) <= 1e-6 * max(abs(below), abs(above), 1e-12):
        return f"{figure.value:>11.4f} ± {above:.4f}"
    return f"{figure.value:>11.4f} ({low:.4f} – {high:.4f})"


def _told(value: Any) -> str:
    text = {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    return f"{text[:12]}…" if len(text) == 64 else text
