"""`python -m benchmarks video RUN`: predicted frames compared with a copy of the last one, frame by frame.

Clips are windows of the run's held-out frames, or of `--data`. Every side is given the same `--context` frames:

- ours: the mean prediction (z = 0);
- copy: the last given frame, again and again;
- best of k: of k draws, the one whose mean PSNR over the frames is highest, as Denton and Fergus (2018) publish it. It
  looks at the truth to choose, so it is no prediction; it says whether what happened is among what is drawn.

A figure is the mean over clips of the PSNR of one predicted frame, `10 log10(1 / mse)` with pixels in [0, 1]; what ours
is ahead by is the mean of the differences within a clip. Its standard error takes clips as independent, which windows
of one film are not.

Reference:
    Denton and Fergus (2018), https://arxiv.org/abs/1802.07687
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import OURS, machine, progress, publish
from tfvae.errors import UserError

COPY, BEST = "copy", "best draw"
SHOWN = 4  # clips in the picture


def main(options: argparse.Namespace) -> None:
    """Runs the comparison, prints the table, and writes `-o` and the picture beside it."""
    facts, picture = run(options)
    publish(facts, table(facts), options.words, options.out, picture)


def run(options: argparse.Namespace) -> tuple[dict[str, Any], np.ndarray]:
    """The facts: the machine, a row for every predicted frame; and the picture."""

    from tfvae.applications.video.continuation import Continuation
    from tfvae.data import load, load_images
    from tfvae.runs import open_run

    load_at_start = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    opened = open_run(options.run)
    model = opened.load_unfused()
    if model.frames < 2:
        raise UserError(f"{options.run} holds a {type(model).__name__}. Accepted: a run of --recipe video.")
    context = options.context or model.context
    length = context + options.frames
    config = replace(opened.prepared_like(model), frames=length)
    if options.data:
        source, (clips, _) = options.data, load_images(options.data, config)
    else:
        part, clips = load(config, seed=opened.seed).measured
        source = f"{part} frames of {Path(config.source).name}"
    if not len(clips):
        raise UserError(f"No film of {source} has {length} frames. Accepted: fewer --frames, or --data.")
    kept = np.unique(np.linspace(0, len(clips) - 1, min(len(clips), options.count)).astype(int))
    continuation = Continuation(model)
    values: dict[str, list[np.ndarray]] = {OURS: [], COPY: [], BEST: []}
    shown: list[np.ndarray] = []
    wanted = set(kept[np.linspace(0, len(kept) - 1, min(len(kept), SHOWN)).astype(int)])
    for done, index in enumerate(kept):
        clip = np.stack(np.split(clips[index], length)).astype(np.float32) / 255.0
        given, truth = clip[:context], clip[context:]
        mean = np.concatenate(list(continuation(given[None], options.frames)))
        # All draws of a clip at once: the noise differs from row to row.
        repeated = np.repeat(given[None], options.samples, axis=0)
        drawn = np.stack(list(continuation(repeated, options.frames, 1.0, options.seed + int(index))), axis=1)
        each = np.stack([psnr(draw, truth) for draw in drawn])
        best = int(each.mean(axis=1).argmax())
        sides = {OURS: psnr(mean, truth), COPY: psnr(np.broadcast_to(given[-1:], truth.shape), truth), BEST: each[best]}
        for name, value in sides.items():
            values[name].append(value)
        if index in wanted:
            shown += [*given, *truth, *given, *mean, *given, *drawn[best]]
        progress(f"{done + 1} of {len(kept)} clips")
    progress("")
    return {
        **machine(("keras", "numpy")),
        "load_at_start": load_at_start,
        "model": {"kind": type(model).__name__, "weights": model.count_params()},
        "settings": {
            "data": source,
            "clips": len(kept),
            "of": len(clips),
            "context": context,
            "frames": options.frames,
            "draws": options.samples,
            "seed": options.seed,
        },
        "rows": rows({name: np.stack(value) for name, value in values.items()}),
    }, _picture(shown, length)


def psnr(frames: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Of each frame, dB, `(t,)`; at most 100, where frames are equal."""
    errors = np.mean(np.square(np.clip(frames, 0, 1) - truth, dtype=np.float64), axis=(1, 2, 3))
    return -10 * np.log10(np.maximum(errors, 1e-10))


def rows(values: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """A row for every predicted frame, from PSNRs `(clips, frames)` by side."""
    ahead = values[OURS] - values[COPY]
    clips = len(ahead)
    errors = (ahead.std(axis=0, ddof=1) / np.sqrt(clips)).tolist() if clips > 1 else [None] * ahead.shape[1]
    return [
        {
            "frame": frame + 1,
            **{name: float(value[:, frame].mean()) for name, value in values.items()},
            "tfvae_ahead_db": float(ahead[:, frame].mean()),
            "standard_error": errors[frame],
        }
        for frame in range(ahead.shape[1])
    ]


def table(facts: dict[str, Any]) -> list[str]:
    """The facts as Markdown."""
    settings, model = facts["settings"], facts["model"]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    every = "" if settings["clips"] == settings["of"] else f", evenly spaced among {settings['of']}"
    lines = [
        f"video: {model['kind']} of {model['weights']:,} weights; {facts['cpu']}; {versions}.",
        f"{settings['clips']} clips{every} of {settings['data']}; {settings['context']} frames given, PSNR in dB of "
        f"each that follows; the best of {settings['draws']} draws is chosen by the truth.",
        "",
        f"| frame | {OURS}, mean | copy of the last | {BEST} | {OURS} is ahead by |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in facts["rows"]:
        error = "" if row["standard_error"] is None else f" ± {row['standard_error']:.2f}"
        values = " | ".join(f"{row[name]:.2f}" for name in (OURS, COPY, BEST))
        lines.append(f"| {row['frame']} | {values} | {row['tfvae_ahead_db']:+.2f}{error} |")
    beaten = sum(row["tfvae_ahead_db"] > 0 for row in facts["rows"])
    return [*lines, "", f"{OURS} beats the copy in {beaten} of {len(facts['rows'])} frames."]


def _picture(frames: list[np.ndarray], length: int) -> np.ndarray:
    """For each clip three rows: what happened, the mean prediction, the best draw, each after the given frames."""
    from tfvae.pictures import grid

    return grid(frames, columns=length)
