"""`tfvae animate`, and films through any function of a frame: what `tfvae stylize` does with a film."""

import argparse
import sys
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from tfvae.applications.latent.animate import animate as frames_between
from tfvae.applications.latent.animate import animate_draws
from tfvae.applications.latent.generate import temperatures
from tfvae.applications.video.steady import STRENGTH, steady
from tfvae.commands.latent import asked_label
from tfvae.commands.meter import Meter
from tfvae.commands.shared import picture_of, place, say
from tfvae.errors import UserError
from tfvae.pixels import fitted
from tfvae.runs import open_run
from tfvae.video import WRITTEN, Film, FilmWriter

TINY, ENLARGED = 72, 288  # pixels: up to this side, pictures are enlarged to about that


def animate(arguments: argparse.Namespace) -> None:
    """`tfvae animate`: a film of the way through the codes of pictures, or through draws of the prior."""
    run = open_run(arguments.run)
    out, _ = place(arguments.out, run.path / "walk.mp4", WRITTEN)
    if len(arguments.pictures) == 1:
        raise UserError("animate: one picture leads nowhere. Name two or more, or none for draws of the prior.")
    model = run.load_unfused()
    how = {"frames": arguments.frames, "method": arguments.method, "loop": arguments.loop}
    if arguments.pictures:
        if not hasattr(model, "decode"):
            raise UserError(
                f"animate: {run.path} holds a {type(model).__name__}, whose codes mean nothing without a degraded "
                "picture. Use a VAE or an autoencoder."
            )
        keys = [picture_of(run, model, picture) for picture in arguments.pictures]
        keys = [fitted(key, keys[0].shape) for key in keys]
        frames = frames_between(model, np.stack(keys), **how)
        count = len(keys)
    else:
        if not hasattr(model, "generate"):
            raise UserError(
                f"animate: {run.path} holds a {type(model).__name__}, which has no prior to draw from. Name pictures."
            )
        count = arguments.count
        labels = asked_label(model, arguments.label, "animate")
        try:
            temperatures(model, arguments.temperature)
        except ValueError as error:
            raise UserError(f"animate: {error}") from error
        drawn = {"temperature": arguments.temperature, "size": arguments.size, "labels": labels}
        if model.image_shape[0] is not None and arguments.size not in (None, tuple(model.image_shape[:2])):
            height, width = model.image_shape[:2]
            raise UserError(f"animate: --size: this model draws {height}x{width} only.")
        frames = animate_draws(model, count, arguments.seed, **drawn, **how)
    total = arguments.frames * count if arguments.loop else arguments.frames * (count - 1) + 1
    write_film(out, (_enlarged(frame) for frame in frames), Fraction(arguments.fps), total)


def rerender_film(
    source: Path,
    out: Path,
    function: Callable[[np.ndarray], np.ndarray],
    fps: float | None = None,
    size: tuple[int, int] | None = None,
    strength: float = STRENGTH,
) -> None:
    """A film whose frames went through `function`, held together by `steady`, with the sound of the source.

    Args:
        source: Film to read.
        out: Film to write: .mp4, .webm or .gif.
        function: From a frame, uint8 `(height, width, 3)`, to a picture of its size; uint8, or float in [0, 1].
        fps: Frames a second; None: the film's.
        size: Height and width to work and write in; None: the film's.
        strength: As in `steady`; 0: frame by frame.

    Raises:
        UserError: As `Film` and `FilmWriter`, when `out` is the film itself, and when `strength` is not in [0, 1).
    """
    if not 0 <= strength < 1:
        raise UserError(
            f"{source}: frames are held together with a strength from 0 to below 1. Received: {strength:g}."
        )
    film = Film(source)
    if out.resolve() == film.path.resolve():
        raise UserError(f"{out}: would be written over, and is to be read. Name another place with -o.")
    rate = Fraction(fps).limit_denominator(10**5) if fps else film.rate
    frames = steady(film.frames(rate=rate, size=size), function, strength)
    # Scaled frames have square pixels, as far as the asked size does not say otherwise.
    write_film(out, frames, rate, round(film.count * rate / film.rate), film, 1 if size else film.aspect)
    if film.damage:
        print(f"tfvae: {source}: {film.damage}", file=sys.stderr)


def write_film(
    out: Path,
    frames: Iterable[np.ndarray],
    rate: Fraction,
    total: int,
    source: Film | None = None,
    aspect: Fraction | int = 1,
) -> None:
    """Writes `frames` as they come, with their rate and the time left on a terminal; says where they are.

    Ctrl-C leaves a film of the frames that there are, and says so.
    """
    writer: FilmWriter | None = None
    meter = Meter(total, "frames")
    frames = iter(frames)
    try:
        first = next(frames, None)
        if first is None:
            raise UserError(f"{out}: there are no frames to write.")
        with FilmWriter(out, rate, first.shape[:2], source, aspect) as writer:
            while first is not None:
                writer.write(first)
                meter.show(writer.count)
                first = next(frames, None)
    except KeyboardInterrupt:
        meter.clear()
        if writer is not None and writer.count:
            say(out, f"so far: {writer.count:,} of about {total:,} frames")
        raise
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror or error}.") from error
    finally:
        meter.clear()
    say(out, f"with {writer.count:,} frames, {float(writer.count / rate):.1f} seconds")


def _enlarged(frame: np.ndarray) -> np.ndarray:
    """Tiny frames by a whole factor, so that the model's own pixels can be seen."""
    side = max(frame.shape[:2])
    factor = ENLARGED // side if side <= TINY else 1
    return frame.repeat(factor, axis=0).repeat(factor, axis=1)
