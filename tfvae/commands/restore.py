"""`tfvae restore` and `tfvae enhance`: pictures in, pictures out, in their own size, format and depth."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, PngImagePlugin

from tfvae.applications.restoration.restore import restore as restore_tiled
from tfvae.applications.restoration.restore import tile_margin
from tfvae.applications.tiles import smallest_side
from tfvae.commands.jobs import Job, Plan, Progress, carry_out, close, plan_of
from tfvae.commands.masks import DrawnMasks, Given, SharedOverlays
from tfvae.commands.prior_restorer import PriorRestorer
from tfvae.commands.shared import say
from tfvae.data.remarks import remarks
from tfvae.errors import UserError
from tfvae.file_names import fitting
from tfvae.pictures.files import EditablePicture, open_picture, save
from tfvae.runs import Run, open_run
from tfvae.whole_files import whole_file

# From a picture, what is given of it, and a progress, to what `Restored` holds.
Engine = Callable[[np.ndarray, Given, Progress], Any]


def restore(arguments: argparse.Namespace) -> None:
    """`tfvae restore`: damage and noise taken out, one picture or a folder of them."""
    run = open_run(arguments.run)
    scale = run.data_config.black, run.data_config.white
    extras = [f"sample{index + 1}" for index in range(arguments.samples)]
    extras += ["uncertainty"] if arguments.uncertainty else []
    reserved = [arguments.mask, *arguments.mask.rglob("*")] if arguments.mask else []
    plan = plan_of(arguments.source, arguments.out, run.path / "restored", extras, reserved)
    drawn = DrawnMasks(arguments.mask, arguments.source if plan.many else None) if arguments.mask else None
    model = run.load_unfused()
    engine = _engine(run, model, arguments)
    masks = drawn or (SharedOverlays(plan, model, scale) if arguments.auto else lambda job, pixels: Given(pixels))
    noted: list[dict[str, Any]] = []

    def work(job: Job, progress: Progress) -> None:
        picture = _opened(job, scale, noted)
        given = masks(job, picture.pixels)
        restored = engine(given.pixels, given, progress)
        _write(job, job.out, restored.image, picture)
        for index, sample in enumerate(restored.samples):
            _write(job, job.beside(f"sample{index + 1}"), sample, picture, quiet=True)
        if arguments.uncertainty:
            _write_uncertainty(job.beside("uncertainty"), restored.std)

    _run(plan, work, arguments, "restore", scale, noted)


def enhance(arguments: argparse.Namespace) -> None:
    """`tfvae enhance`: light, contrast and colour, as far as `--strength` says."""
    run = open_run(arguments.run)
    scale = run.data_config.black, run.data_config.white
    plan = plan_of(arguments.source, arguments.out, run.path / "enhanced", [], [])
    model = run.load_unfused()
    if not hasattr(model, "restore") or model.takes_mask:
        raise UserError(
            f"enhance: {run.path} holds a {type(model).__name__}, which does not enhance whole pictures. "
            "Use a run that was trained to: python -m training --recipe enhance."
        )
    _check_tile(model, arguments.tile, "enhance")
    noted: list[dict[str, Any]] = []

    def work(job: Job, progress: Progress) -> None:
        picture = _opened(job, scale, noted)
        strength = {"strength": arguments.strength, "uncertainty": False}
        restored = restore_tiled(model, picture.pixels, tile=arguments.tile, progress=progress, **strength)
        _write(job, job.out, restored.image, picture)

    _run(plan, work, arguments, "enhance", scale, noted)


def _engine(run: Run, model: Any, arguments: argparse.Namespace) -> Engine:
    """What restores a picture: the model, where it was trained to, else its prior."""
    if not hasattr(model, "restore"):
        return PriorRestorer(run, model, arguments)
    if arguments.method not in (None, "model"):
        raise UserError(
            f"restore: --method {arguments.method} is for runs that learnt pictures, not their restoration. "
            f"{run.path} holds a {type(model).__name__}: leave it out."
        )
    if arguments.noise is not None:
        raise UserError("restore: --noise is for --method map and langevin; this run's model sees the noise itself.")
    if model.takes_mask and not (arguments.mask or arguments.auto):
        raise UserError(
            f"restore: {run.path} fills what a mask marks. Add --mask M (white is filled), or --auto for a folder."
        )
    _check_tile(model, arguments.tile, "restore")

    def engine(pixels: np.ndarray, given: Given, progress: Progress) -> Any:
        return restore_tiled(
            model,
            pixels,
            given.known,
            samples=arguments.samples,
            seed=arguments.seed,
            uncertainty=arguments.uncertainty,
            tile=arguments.tile,
            progress=progress,
        )

    return engine


def _check_tile(model: Any, tile: int | None, command: str) -> None:
    least = smallest_side(tile_margin(model), model.factor)
    if tile is not None and tile < least:
        raise UserError(f"{command}: --tile must be {least} or more for this model. Received: {tile}.")


def _run(
    plan: Plan,
    work: Callable[[Job, Progress], None],
    arguments: argparse.Namespace,
    command: str,
    scale: tuple[float, float],
    noted: list[dict[str, Any]],
) -> None:
    """Everything, then the page, then what is said last: of all pictures together, what was taken for white."""
    done = carry_out(plan, work)
    for phrase in remarks(noted):
        print(f"tfvae: note: {phrase}", file=sys.stderr)
    if done and (plan.many or arguments.page):
        page = _write_page(plan, done, command, getattr(arguments, "uncertainty", False), scale)
        say(page, "with all pictures before and after")
    close(plan, done, command)


def _opened(job: Job, scale: tuple[float, float], noted: list[dict[str, Any]]) -> EditablePicture:
    picture = open_picture(job.source, *scale)
    noted.append({"scale": picture.scale, "reached": picture.reached, "several": False})  # which its own notes say
    return picture


def _write(job: Job, path: Path, pixels: np.ndarray, picture: EditablePicture, quiet: bool = False) -> None:
    lost = save(path, pixels, picture)
    for note in () if quiet else (*picture.notes, *lost):
        print(f"tfvae: {job.name}: {note}", file=sys.stderr)


def _write_uncertainty(path: Path, std: np.ndarray) -> None:
    """Standard deviations as colours, dark to bright; the file says what the brightest stands for."""
    levels = std.mean(axis=2, dtype=np.float32)
    # Not the largest: one pixel would make all others black. Of large pictures every so-manyth will do.
    step = max(1, int((levels.size / 2**20) ** 0.5))
    top = max(float(np.quantile(levels[::step, ::step], 0.995)), 1 / 255)
    colours = (matplotlib.colormaps["magma"](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
    picture = Image.fromarray(colours[np.clip(levels * (255 / top), 0, 255).astype(np.uint8)])
    text = PngImagePlugin.PngInfo()
    text.add_text("Description", f"standard deviation of each pixel: black is 0, brightest {top:.3g}, of white = 1")
    with whole_file(path) as file:
        picture.save(file, format="PNG", pnginfo=text)


def _write_page(plan: Plan, done: list[Job], command: str, uncertain: bool, scale: tuple[float, float]) -> Path:
    from tfvae.commands.pages.before_after import Item, write_page

    items = [
        Item(job.name, job.source, job.out, job.beside("uncertainty") if uncertain else None, scale=scale)
        for job in done
    ]
    folder = plan.folder if plan.many else plan.folder / fitting(done[0].out.stem, "_page")
    return write_page(folder, items, {"restore": "Restored pictures", "enhance": "Enhanced pictures"}[command])
