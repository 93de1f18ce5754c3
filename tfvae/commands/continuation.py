"""`tfvae continue`: a film that goes on where it ended."""

import argparse
import sys
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfvae import pictures
from tfvae.applications.video.continuation import Continuation
from tfvae.commands.meter import Meter
from tfvae.commands.shared import images_of, place, say
from tfvae.data.images import with_channels
from tfvae.errors import UserError
from tfvae.runs import Run, open_run
from tfvae.video import WRITTEN, Film, FilmWriter

RATE = 10  # frames a second, where no film says
SHOWN = 24  # predicted frames in the picture, at most


def continue_film(arguments: argparse.Namespace) -> None:
    """`tfvae continue`: the film, and the frames that the model sees coming; a picture of them beside it."""
    run = open_run(arguments.run, arguments.data)
    out, _ = place(arguments.out, run.path / "continued.mp4", WRITTEN)
    if arguments.source and out.exists() and out.samefile(arguments.source):
        raise UserError(f"{out}: -o would replace the film that is continued. Name another file.")
    film = Film(arguments.source) if arguments.source else None
    model = run.load_unfused()
    if model.frames < 2:
        raise UserError(
            f"continue: {run.path} holds a {type(model).__name__}, which knows single pictures. "
            "Use a run that learnt motion: python -m training --data FILM --recipe video."
        )
    given = _frames(film, run, model) if film else _held_out(run, model)
    first = next(given)
    recent: deque[np.ndarray] = deque(maxlen=model.context)
    shown = []
    rate, aspect = (film.rate, film.aspect) if film else (RATE, 1)
    meter = Meter(arguments.frames, "frames")
    with meter, FilmWriter(out, rate, first.shape[:2], aspect=aspect) as writer:
        for frame in (first, *given):
            writer.write(frame)
            recent.append(frame)
        seen = writer.count
        coming = Continuation(model)(
            np.stack(recent)[None], arguments.frames, temperature=arguments.temperature, seed=arguments.seed
        )
        for index, (frame,) in enumerate(coming):
            writer.write(frame)
            if index < SHOWN:
                shown.append(pictures.to_uint8(frame))
            meter.show(index + 1)
    if film and film.damage:
        print(f"tfvae: {film.path}: {film.damage}", file=sys.stderr)
    sheet = pictures.grid([*recent, *shown], columns=max(len(recent), 4))
    png = pictures.save_png(out.with_suffix(".png"), sheet)
    say(
        out,
        f"({seen} frames and {arguments.frames} that follow), and {png}: the last {len(recent)} frames, what follows",
    )


def _frames(film: Film, run: Run, model: Any) -> Iterator[np.ndarray]:
    """The frames of a film as the model takes them."""
    settings = run.data_config
    size = (settings.height, settings.width) if settings.height else film.size
    scale = min(1.0, settings.max_side / max(size))
    size = tuple(max(1, round(scale * side)) for side in size)
    for frame in film.frames(size=size):
        yield with_channels(frame, model.channels)


def _held_out(run: Run, model: Any) -> Iterator[np.ndarray]:
    """The given frames of the first clip that the run was not trained on."""
    clip = images_of(run, model, None)[0]
    yield from np.split(clip, model.frames)[: model.context]
