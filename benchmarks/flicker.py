"""`python -m benchmarks flicker RUN --data FILM`: flicker of a film that a model made, held together or not.

What the model makes of a frame is its rendering in `--style`, where it is named, else its reconstruction. With `--from
PAINTING` instead of a run it is the frame painted with that. The sides:

- frame by frame: the function alone;
- steady: the same pictures held together along the motion of the film (`tfvae.applications.video.steady`);
- running mean: the same pictures, each blended with the one before it at the same weight, whatever moves. It shows what
  a filter over time costs that does not look at the motion;
- carried, with `--from`: strokes move along the motion of the film (`tfvae.applications.styles.film`).

With `--moving N` the style goes from each painting to the next in N frames; a frame by itself is painted with shares of
the two.

Flicker is the warping error of Lai et al. (2018): flow and occlusions are those of the film itself, whose own value is
printed beside, as what remains when nothing is done. PSNR and SSIM say how far a side is from frame by frame:
steadiness is easily had by blurring, and then these fall. Frames a second are those of the function and of all that
`steady` does, in turns within one run, without reading and writing.
"""

import argparse
import itertools
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import machine, progress, publish
from tfvae.errors import UserError

PLAIN, STEADY, MEAN, INPUT = "frame by frame", "steady", "running mean", "the film itself"
CARRIED = "carried"
SHOWN = 4  # frames in the picture
Function = Callable[[np.ndarray], np.ndarray]
EVERY = 25  # frames between two words about the progress


def main(options: argparse.Namespace) -> None:
    """Runs the comparison, prints the table, and writes `-o` and the picture beside it."""
    facts, picture = run(options)
    publish(facts, table(facts), options.words, options.out, picture)


def run(options: argparse.Namespace) -> tuple[dict[str, Any], np.ndarray]:
    """The facts: the machine, a row for every side; and the comparison picture."""

    from benchmarks.measuring import cores
    from tfvae.applications.video.steady import STRENGTH
    from tfvae.video import Film

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    film = Film(options.data)
    height, width = film.size
    size = (round(options.width * height / width), options.width)
    frames = list(film.frames(options.frames, size=size))
    if len(frames) < 3:
        raise UserError(f"{options.data}: three frames or more are needed. It holds {len(frames)}.")
    if not options.paintings:
        from tfvae.runs import open_run

        model, carried = open_run(options.run).load_unfused(), None
        made, function = _function(model, options.style)
        kind = {"kind": type(model).__name__, "weights": model.count_params()}
    else:
        made, function, carried = _painter(options.paintings, options.moving)
        kind = {"kind": "none", "weights": 0}
    rows, outputs = compare(frames, function, STRENGTH, carried)
    return {
        **machine(("keras", "numpy", "av", "opencv-python-headless")),
        "cores": cores(),
        "load_at_start": load,
        "task": "film",
        "model": kind,
        "settings": {
            "film": options.data.name,
            "frames": len(frames),
            "size": list(size),
            "function": made,
            "strength": STRENGTH,
        },
        "sides": rows,
    }, _picture(frames, outputs)


def compare(
    frames: list[np.ndarray], function: Function, strength: float, carried: Function | None = None
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """A row of figures for every side, and the frames of the sides by name, `(n, height, width, 3)`."""
    from tfvae.applications.video.steady import flicker_error, steady
    from tfvae.metrics.image_quality import psnr, ssim
    from tfvae.pixels import pixels

    function(frames[0])  # compiles
    seconds = {PLAIN: 0.0, STEADY: 0.0}
    plain: list[np.ndarray] = []
    held: list[np.ndarray] = []
    mean: list[np.ndarray] = []
    timed = steady(frames, _timed(function, plain, seconds), strength)
    for place in range(len(frames)):
        if place % EVERY == 0:
            progress(f"frame {place + 1}/{len(frames)}")
        started = time.perf_counter()
        held.append(next(timed))
        seconds[STEADY] += time.perf_counter() - started
        now = pixels(plain[-1])
        mean.append(now if not mean else now + np.float32(strength) * (mean[-1] - now))
    progress("")
    outputs = {PLAIN: np.stack([pixels(x) for x in plain]), STEADY: np.stack(held), MEAN: np.stack(mean)}
    if carried is not None:
        started = time.perf_counter()
        outputs[CARRIED] = np.stack([pixels(carried(frame)) for frame in frames])
        seconds[CARRIED] = time.perf_counter() - started
    rows: list[dict[str, Any]] = [{"side": INPUT, "flicker": flicker_error(frames, frames)}]
    for name, pictures in outputs.items():
        row: dict[str, Any] = {"side": name, "flicker": flicker_error(frames, pictures)}
        row["of_frame_by_frame"] = row["flicker"] / rows[min(1, len(rows) - 1)]["flicker"] if name != PLAIN else 1.0
        if name != PLAIN:
            pairs = [(a[None], b[None]) for a, b in zip(pictures, outputs[PLAIN], strict=True)]
            row["psnr"] = float(np.mean([psnr(a, b)[0] for a, b in pairs]))
            row["ssim"] = float(np.mean([ssim(a, b)[0] for a, b in pairs]))
        if name in seconds:
            row["frames_per_second"] = len(frames) / seconds[name]
        rows.append(row)
    return rows, outputs


def table(facts: dict[str, Any]) -> list[str]:
    """The facts as Markdown."""
    from benchmarks.measuring import header, heading, line

    settings = facts["settings"]
    height, width = settings["size"]

    def cell(row: dict[str, Any], name: str, style: str) -> str:
        return f"{row[name]:{style}}" if name in row else ""

    return [
        *heading(facts),
        "",
        f"{settings['function']} of {settings['frames']} frames of {settings['film']} at {width}×{height}, "
        f"strength {settings['strength']:g}. Flicker: warping error along the film's own flow, × 1000.",
        "",
        *header(["side", "flicker", "of frame by frame", "PSNR to it, dB", "SSIM to it", "frames/s"], 1),
        *(
            line(
                [
                    row["side"],
                    f"{1000 * row['flicker']:.3f}",
                    cell(row, "of_frame_by_frame", ".0%"),
                    cell(row, "psnr", ".2f"),
                    cell(row, "ssim", ".4f"),
                    cell(row, "frames_per_second", ".1f"),
                ]
            )
            for row in facts["sides"]
        ),
    ]


def _function(model: Any, style: str | None) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
    """What is made of a frame, in words and as a function."""
    if style is not None:
        from tfvae.applications.styles.style_weights import parse_style
        from tfvae.applications.styles.stylize import stylizer

        if not hasattr(model, "render"):
            raise UserError(f"--style is for runs that learnt styles. This one holds a {type(model).__name__}.")
        try:
            return f"Rendering in the style {style}", stylizer(model, parse_style(style, model.label_names))
        except ValueError as error:
            raise UserError(f"--style: {error}") from error
    if model.image_shape[0] is not None or model.image_shape[2] != 3:
        raise UserError(
            "the model must take coloured pictures of any size. Received: one of pictures "
            f"{tuple(model.image_shape)}. A run with a spatial latent does: --set model.latent=spatial."
        )
    from tfvae.applications.latent.reconstruct import reconstruct

    return "Reconstruction", lambda frame: reconstruct(model, frame[None])[0]


def _painter(paths: Sequence[Path], moving: int | None) -> tuple[str, Function, Function]:
    """What is made of a frame, in words, by itself, and after the one before it."""
    from benchmarks.painting import ANY_SIZE, read
    from tfvae.applications.styles.film import film_painter, way_at
    from tfvae.applications.styles.paint import paint, without_margins

    found = read(paths, ANY_SIZE)
    paintings = [without_margins(painting) for _, painting in found]
    numbers = itertools.chain([0], itertools.count())  # the first call is `compare`'s trial

    def alone(frame: np.ndarray) -> np.ndarray:
        number = next(numbers)
        if moving is None:
            return paint(frame, paintings)
        first, way = way_at(number, len(paintings), moving)
        return paint(frame, paintings[first : first + 2], shares=[1.0 - way, way])

    words = f"Painted with {', '.join(name for name, _ in found)}"
    words += "" if moving is None else f", {moving} frames from each to the next"
    return words, alone, film_painter(paintings, moving=moving)


def _timed(function: Callable, made: list[np.ndarray], seconds: dict[str, float]) -> Callable[[np.ndarray], np.ndarray]:
    def timed(frame: np.ndarray) -> np.ndarray:
        started = time.perf_counter()
        made.append(function(frame))
        seconds[PLAIN] += time.perf_counter() - started
        return made[-1]

    return timed


def _picture(frames: list[np.ndarray], outputs: dict[str, np.ndarray]) -> np.ndarray:
    """Rows: the film and the sides; columns: frames evenly from the second on, with what they have in memory."""
    from tfvae.pictures import grid
    from tfvae.pixels import to_uint8

    places = np.linspace(1, len(frames) - 1, min(SHOWN, len(frames) - 1)).round().astype(int)
    rows = [np.stack(frames), *outputs.values()]
    return grid([to_uint8(row[place]) for row in rows for place in places], columns=len(places))
