"""`tfvae stylize` and `tfvae styles`: pictures in a style that was learnt or with the paint of one painting, and styles
found by clustering."""

import argparse
import csv
import dataclasses
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tfvae import pictures, video
from tfvae.applications.channels import flat
from tfvae.applications.styles.film import film_painter
from tfvae.applications.styles.paint import SMALLEST, largest_stroke, paint, without_margins
from tfvae.applications.styles.style_weights import cluster_styles, latent_statistics, parse_style
from tfvae.applications.styles.stylize import content_kept, stylizer
from tfvae.applications.styles.stylize import stylize as stylize_tiled
from tfvae.applications.tiles import smallest_side
from tfvae.commands.jobs import Job, Plan, Progress, carry_out, close, plan_of
from tfvae.commands.masks import DrawnMasks
from tfvae.commands.shared import images_of, model_that, named_picture, place, say
from tfvae.commands.video import rerender_film, write_film
from tfvae.decoding import UnreadableError, eight_bits
from tfvae.errors import UserError
from tfvae.pictures.files import EditablePicture, open_picture, save
from tfvae.pixels import fitted, to_uint8
from tfvae.runs import Run, open_run
from tfvae.whole_files import whole_file

FPS = 25  # of a film of one picture whose style moves
SHOWN = 8  # pictures of each group in the picture of `styles`


def stylize(arguments: argparse.Namespace) -> None:
    """`tfvae stylize`: a picture, a folder of them or a film, in a style or several, or from a painting."""
    if arguments.paintings is not None:
        return _paint(arguments)
    run = open_run(arguments.run)
    if _is_film(arguments.source):
        return _stylize_film(run, arguments)
    _only_of_films(arguments, ("fps", "size", "steady"))
    plan = plan_of(arguments.source, arguments.out, run.path / "stylized", [], [])
    model = loaded(run, "stylize")
    weights = weights_of(model, arguments.style, arguments.extrapolate, "stylize")
    least = smallest_side(model.margin, model.factor)
    if arguments.tile is not None and arguments.tile < least:
        raise UserError(f"stylize: --tile must be {least} or more for this model. Received: {arguments.tile}.")

    scale = run.data_config.black, run.data_config.white

    def work(job: Job, progress: Progress) -> None:
        picture = open_picture(job.source, *scale)
        rendered = stylize_tiled(
            model, picture.pixels, weights, arguments.strength, tile=arguments.tile, progress=progress
        )
        _write(job, picture.pixels, rendered, picture)

    _finish(plan, carry_out(plan, work), arguments.page, f"In the style {arguments.style}", scale)


def _paint(arguments: argparse.Namespace) -> None:
    """With the paint of one painting or of several; nothing was learnt."""
    source, mask = arguments.source, arguments.mask
    if _is_film(source) or arguments.moving is not None:
        return _paint_film(arguments)
    _only_of_films(arguments, ("fps", "size"))
    reserved = [*arguments.paintings, *([mask, *mask.rglob("*")] if mask else [])]
    plan = plan_of(source, arguments.out, Path("stylized"), [], reserved)
    paintings = [_painting(path) for path in arguments.paintings]
    masks = DrawnMasks(mask, source if plan.many else None, white="painted") if mask else None

    def work(job: Job, progress: Progress) -> None:
        picture = open_picture(job.source)
        kept = masks(job, picture.pixels).known if masks else None
        most, path = min(
            (largest_stroke(each.shape, picture.pixels.shape), path)
            for each, path in zip(paintings, arguments.paintings, strict=True)
        )
        if arguments.stroke is not None and arguments.stroke > most:
            raise UnreadableError(f"--stroke can be {most:.2g} at most: {path} has no more pixels")
        painted = paint(
            picture.pixels,
            paintings,
            arguments.colour or "painting",
            arguments.stroke,
            arguments.strength,
            kept,
            arguments.seed or 0,
            progress,
            arguments.shares,
        )
        like = picture
        if painted.shape != picture.pixels.shape:  # a grey picture in the colours of a painting
            painted = eight_bits(painted)
            like = dataclasses.replace(picture, pixels=painted, mode="RGB", icc=None)
        _write(job, picture.pixels, painted, like)

    names = " and ".join(path.name for path in arguments.paintings)
    _finish(plan, carry_out(plan, work), arguments.page, f"With the paint of {names}")


def _is_film(source: Path) -> bool:
    return source.is_file() and source.suffix.lower() in video.SUFFIXES


def _paint_film(arguments: argparse.Namespace) -> None:
    source = arguments.source
    film = _is_film(source)
    if arguments.mask is not None:
        raise UserError(f"stylize: --mask is for pictures, and {source} {'is' if film else 'becomes'} a film.")
    frame = None if film else _frame(arguments)
    out, _ = place(arguments.out, Path("stylized") / f"{source.stem}.mp4", video.WRITTEN)
    paintings = [_painting(path) for path in arguments.paintings]
    render = film_painter(
        paintings,
        arguments.shares,
        arguments.colour or "painting",
        arguments.stroke,
        arguments.strength,
        arguments.seed or 0,
        arguments.moving,
    )
    try:
        if frame is None:
            return rerender_film(source, out, render, arguments.fps, arguments.size, strength=0)
        total = arguments.moving * (len(paintings) - 1) + 1
        rate = Fraction(arguments.fps or FPS).limit_denominator(10**5)
        write_film(out, (render(frame) for _ in range(total)), rate, total)
    except ValueError as error:  # of the first frame: paint that is too large for it
        raise UserError(f"stylize: {error}") from error


def _frame(arguments: argparse.Namespace) -> np.ndarray:
    """One picture as a frame of a film, uint8 `(height, width, 3)`."""
    try:
        picture = open_picture(arguments.source)
    except (UnreadableError, OSError) as reason:
        raise UserError(f"stylize: --moving takes one picture or film. {arguments.source}: {reason}.") from None
    pixels = to_uint8(flat(picture.pixels, picture.alpha))
    return fitted(np.repeat(pixels, 3 // pixels.shape[2], axis=2), arguments.size or pixels.shape[:2])


def _only_of_films(arguments: argparse.Namespace, names: Sequence[str]) -> None:
    for name in names:
        if getattr(arguments, name) is not None:
            raise UserError(f"stylize: --{name} is for films, and {arguments.source} is none.")


def _painting(path: Path) -> np.ndarray:
    """Pixels of a painting, float32 in [0, 1], `(h, w, 1 or 3)`."""
    pixels = named_picture(path, "stylize: --from")
    if min(pixels.shape[:2]) < SMALLEST:
        size = "x".join(map(str, pixels.shape[:2]))
        raise UserError(f"stylize: --from {path}: must be {SMALLEST}x{SMALLEST} pixels or more. Received: {size}.")
    return without_margins(pixels)


def _write(job: Job, original: np.ndarray, rendered: np.ndarray, like: EditablePicture) -> None:
    lost = save(job.out, rendered, like)
    kept, edges = content_kept(original, rendered)
    for note in (*like.notes, *lost, f"content kept: SSIM {kept:.3f} of luminance, {edges:.3f} of its edges"):
        print(f"tfvae: {job.name}: {note}", file=sys.stderr)


def _finish(plan: Plan, done: list[Job], page: bool, title: str, scale: tuple[float, float] = (0.0, 0.0)) -> None:
    """The page before/after, of a folder or where it is asked for, and what is said last."""
    if done and (plan.many or page):
        from tfvae.commands.pages.before_after import Item, write_page

        folder = plan.folder if plan.many else plan.folder / f"{done[0].out.stem}_page"
        items = [Item(job.name, job.source, job.out, scale=scale) for job in done]
        say(write_page(folder, items, title), "with all pictures before and after")
    close(plan, done, "stylize")


def _stylize_film(run: Run, arguments: argparse.Namespace) -> None:
    out, _ = place(arguments.out, run.path / "stylized" / f"{arguments.source.stem}.mp4", video.WRITTEN)
    model = loaded(run, "stylize")
    weights = weights_of(model, arguments.style, arguments.extrapolate, "stylize")
    held = {} if arguments.steady is None else {"strength": arguments.steady}
    render = stylizer(model, weights, arguments.strength)
    rerender_film(arguments.source, out, render, arguments.fps, arguments.size, **held)


def styles(arguments: argparse.Namespace) -> None:
    """`tfvae styles`: pictures in groups by the statistics of their codes, as a table that `data.labels` reads."""
    if arguments.invent is not None:
        from tfvae.commands.invent import invent

        return invent(arguments)
    run = open_run(arguments.run, arguments.data)
    out, _ = place(arguments.out, run.path / "styles.csv", (".csv",))
    model = run.load_unfused()
    images = images_of(run, model, arguments.source)
    try:
        labels = cluster_styles(latent_statistics(model, images), arguments.count, arguments.seed)
    except ValueError as error:
        raise UserError(f"styles: {error}.") from error
    with whole_file(out, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "label"])
        writer.writerows((name, f"style{label + 1}") for name, label in zip(images.names, labels, strict=True))
    blank = np.full((1, 1, images.channels), pictures.PAPER, np.uint8)
    rows = [[images[index] for index in np.flatnonzero(labels == label)[:SHOWN]] for label in range(arguments.count)]
    cells = [cell for row in rows for cell in (*row, *[blank] * (SHOWN - len(row)))]
    sheet = pictures.save_png(out.with_suffix(".png"), pictures.grid(cells, columns=SHOWN))
    say(out, f"and {sheet}: a row for each of {arguments.count} styles")


def loaded(run: Run, command: str) -> Any:
    """The model of a run that learnt styles."""
    remedy = "--recipe styles --data FOLDER, a sub-folder for each style"
    return model_that(run, "render", "learnt no styles", remedy, command)


def weights_of(model: Any, style: str, extrapolate: bool, command: str) -> np.ndarray:
    """What `--style` says, for this model."""
    try:
        return parse_style(style, model.label_names, extrapolate)
    except ValueError as error:
        raise UserError(f"{command}: --style: {error}") from error
