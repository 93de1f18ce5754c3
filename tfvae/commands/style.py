"""`tfvae stylize` and `tfvae styles`: pictures in a style that was learnt, and styles found by clustering."""

import argparse
import csv
import sys
from typing import Any

import numpy as np

from tfvae import pictures, video
from tfvae.applications.styles.style_weights import cluster_styles, latent_statistics, parse_style
from tfvae.applications.styles.stylize import content_kept, stylizer
from tfvae.applications.styles.stylize import stylize as stylize_tiled
from tfvae.applications.tiles import smallest_side
from tfvae.commands.jobs import Job, Progress, carry_out, close, plan_of
from tfvae.commands.shared import images_of, place, say
from tfvae.commands.video import rerender_film
from tfvae.errors import UserError
from tfvae.pictures.files import open_picture, save
from tfvae.runs import Run, open_run
from tfvae.whole_files import whole_file

SHOWN = 8  # pictures of each group in the picture of `styles`


def stylize(arguments: argparse.Namespace) -> None:
    """`tfvae stylize`: one picture, a folder of them or a film, in a style or a mixture of several."""
    run = open_run(arguments.run)
    if arguments.source.is_file() and arguments.source.suffix.lower() in video.SUFFIXES:
        return _stylize_film(run, arguments)
    for name in ("fps", "size", "steady"):
        if getattr(arguments, name) is not None:
            raise UserError(f"stylize: --{name} is for films, and {arguments.source} is none.")
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
        lost = save(job.out, rendered, picture)
        kept, edges = content_kept(picture.pixels, rendered)
        for note in (*picture.notes, *lost, f"content kept: SSIM {kept:.3f} of luminance, {edges:.3f} of its edges"):
            print(f"tfvae: {job.name}: {note}", file=sys.stderr)

    done = carry_out(plan, work)
    if done and (plan.many or arguments.page):
        from tfvae.commands.pages.before_after import Item, write_page

        folder = plan.folder if plan.many else plan.folder / f"{done[0].out.stem}_page"
        items = [Item(job.name, job.source, job.out, scale=scale) for job in done]
        say(write_page(folder, items, f"In the style {arguments.style}"), "with all pictures before and after")
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
    run = open_run(arguments.run, arguments.data)
    out, _ = place(arguments.out, run.path / "styles.csv", (".csv",))
    model = run.load_model()
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
    model = run.load_unfused()
    if not hasattr(model, "render"):
        raise UserError(
            f"{command}: {run.path} holds a {type(model).__name__}, which learnt no styles. Use a run that was trained "
            "to: python -m training --recipe styles --data FOLDER, a sub-folder for each style."
        )
    return model


def weights_of(model: Any, style: str, extrapolate: bool, command: str) -> np.ndarray:
    """What `--style` says, for this model."""
    try:
        return parse_style(style, model.label_names, extrapolate)
    except ValueError as error:
        raise UserError(f"{command}: --style: {error}") from error
