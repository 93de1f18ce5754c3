"""`tfvae restore` and `tfvae enhance`: pictures in, pictures out, in their own size, format and depth."""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, PngImagePlugin

from tfvae.applications.restoration.restore import enhance as enhanced
from tfvae.applications.restoration.restore import noise_level, tile_margin
from tfvae.applications.restoration.restore import restore as restore_tiled
from tfvae.applications.restoration.texture_fill import WIDE, texture_fill, wide
from tfvae.applications.tiles import smallest_side
from tfvae.commands.jobs import Job, Plan, Progress, carry_out, close, plan_of
from tfvae.commands.masks import DrawnMasks, Given, SharedOverlays
from tfvae.commands.prior_restorer import PriorRestorer
from tfvae.commands.shared import named_picture, say
from tfvae.data.remarks import remarks
from tfvae.errors import UserError
from tfvae.file_names import fitting
from tfvae.pictures.files import EditablePicture, open_picture, save
from tfvae.runs import Run, open_run
from tfvae.whole_files import whole_file

# Beyond these an uncertainty is not what it says: decibels of a sample below the estimate (3.0 of a draw from the
# posterior), and shares of errors within two standard deviations (95.4 % of normal ones).
MOST_BELOW, LEAST_HELD, MOST_HELD = 4.0, 0.93, 0.97
NOISES = {"gaussian", "poisson"}  # corruptions whose strength is told
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
    textured, denoises = _textured(model, arguments), _denoises(model)
    for doubt in _doubts(run, model, arguments):
        print(f"tfvae: note: {doubt}", file=sys.stderr)
    masks = drawn or (SharedOverlays(plan, model, scale) if arguments.auto else lambda job, pixels: Given(pixels))
    noted: list[dict[str, Any]] = []
    scales: dict[str, str] = {}

    def work(job: Job, progress: Progress) -> None:
        picture = _opened(job, scale, noted)
        given = masks(job, picture.pixels)
        restored = engine(given.pixels, given, progress)
        image = _with_texture(job, given, restored.image, arguments) if textured else restored.image
        _write(job, job.out, image, picture)
        for index, sample in enumerate(restored.samples):
            _write(job, job.beside(f"sample{index + 1}"), sample, picture, quiet=True)
        if denoises and given.known is None:
            print(f"{job.name}: noise of about {255 * noise_level(given.pixels, restored):.1f} of 255")
        if arguments.uncertainty:
            scales[job.name] = _write_uncertainty(job.beside("uncertainty"), restored.std)
            print(f"{job.name}: standard deviation, of 255: {scales[job.name]}")

    _run(plan, work, arguments, "restore", scale, noted, scales)


def enhance(arguments: argparse.Namespace) -> None:
    """`tfvae enhance`: light, contrast and colour, as far as `--strength` says."""
    run = open_run(arguments.run)
    scale = run.data_config.black, run.data_config.white
    reserved = [arguments.like] if arguments.like else []
    plan = plan_of(arguments.source, arguments.out, run.path / "enhanced", [], reserved)
    model = run.load_unfused()
    if not hasattr(model, "restore") or model.takes_mask:
        raise UserError(
            f"enhance: {run.path} holds a {type(model).__name__}, which does not enhance whole pictures. "
            "Use a run that was trained to: python -m training --recipe enhance."
        )
    if arguments.like and not hasattr(model, "context"):
        raise UserError(f"enhance: --like is for runs of light and colour: {run.path} holds a {type(model).__name__}.")
    _check_tile(model, arguments.tile, "enhance")
    like = named_picture(arguments.like, "enhance: --like", scale) if arguments.like else None
    noted: list[dict[str, Any]] = []

    def work(job: Job, progress: Progress) -> None:
        picture = _opened(job, scale, noted)
        options = {"strength": arguments.strength, "tile": arguments.tile, "progress": progress}
        _write(job, job.out, enhanced(model, picture.pixels, like=like, **options), picture)

    _run(plan, work, arguments, "enhance", scale, noted)


def _engine(run: Run, model: Any, arguments: argparse.Namespace) -> Engine:
    """What restores a picture: the model, where it was trained to, else its prior."""
    if arguments.ensemble and (arguments.samples or not hasattr(model, "restore") or hasattr(model, "context")):
        raise UserError(
            "restore: --ensemble averages estimates of runs that were trained to restore a pixel by its neighbourhood: "
            "leave it out, or --samples."
        )
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
    denoises = _denoises(model)

    def engine(pixels: np.ndarray, given: Given, progress: Progress) -> Any:
        return restore_tiled(
            model,
            pixels,
            given.known,
            samples=arguments.samples,
            seed=arguments.seed,
            uncertainty=arguments.uncertainty or (denoises and given.known is None),
            tile=arguments.tile,
            progress=progress,
            ensemble=arguments.ensemble,
        )

    return engine


def _denoises(model: Any) -> bool:
    """Whether noise all over the picture is what a model takes out, and nothing else: then it can say how much."""
    kinds = {corruption.kind for corruption in getattr(model, "corruptions", ())}
    whole = hasattr(model, "restore") and not (model.takes_mask or model.finds_damage)
    return whole and bool(kinds) and kinds <= NOISES and model.uncertainty is not None


def _textured(model: Any, arguments: argparse.Namespace) -> bool:
    """Whether wide holes get texture of the picture itself: where that is asked for, or nothing speaks against it."""
    if arguments.texture is None:
        # What was laid has no uncertainty: who asks for that gets the estimate that it is of.
        return getattr(model, "takes_mask", False) and not (arguments.samples or arguments.uncertainty)
    if arguments.texture and not (arguments.mask or arguments.auto):
        raise UserError("restore: --texture fills what a mask marks. Add --mask M (white is filled), or --auto.")
    if arguments.texture and arguments.noise is not None:
        raise UserError("restore: --texture would lay windows of the noise that --noise takes out: leave one out.")
    return arguments.texture


def _with_texture(job: Job, given: Given, estimate: np.ndarray, arguments: argparse.Namespace) -> np.ndarray:
    """The estimate with texture in its wide holes, which is said."""
    if given.known is None or not (holes := wide(given.known)).any():
        return estimate
    laid = texture_fill(given.pixels, given.known, estimate, arguments.seed)
    if (laid != estimate).any():
        less = "; the uncertainty and the samples are of the estimate without it"
        print(
            f"tfvae: {job.name}: note: texture from elsewhere in the picture was laid into holes {WIDE} pixels "
            f"wide and more, {holes.mean():.1%} of it: it is invented (--no-texture keeps the model's estimate)"
            f"{less if arguments.samples or arguments.uncertainty else ''}",
            file=sys.stderr,
        )
    return laid


def _doubts(run: Run, model: Any, arguments: argparse.Namespace) -> list[str]:
    """What is to be said of the uncertainty that is asked for, where it is not as large as the error."""
    if not (arguments.samples or arguments.uncertainty) or not hasattr(model, "uncertainty"):
        return []
    table = model.uncertainty
    if table is None:
        return [
            f"the uncertainty of {run.path} was never calibrated: standard deviations and samples are the network's "
            "own guess. A training of a model that restores calibrates when it ends, with validation pictures "
            "(--resume); one of inspection does not: tfvae.applications.calibrate_uncertainty"
        ]
    found, doubts = table.get("measured"), []
    if found and arguments.samples and found["estimate_psnr"] - found["sample_psnr"] > MOST_BELOW:
        doubts.append(
            f"samples of {run.path} are {found['estimate_psnr'] - found['sample_psnr']:.1f} dB below the estimate on "
            f"held-out pictures, and draws from the posterior would be 3.0 dB below: they show more than is uncertain"
        )
    if found and arguments.uncertainty and not LEAST_HELD <= found["coverage"] <= MOST_HELD:
        doubts.append(
            f"two standard deviations of {run.path} hold {found['coverage']:.1%} of the errors on held-out pictures, "
            "and should hold 95.4 %"
        )
    return doubts


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
    scales: Mapping[str, str] | None = None,
) -> None:
    """Everything, then the page, then what is said last: of all pictures together, what was taken for white."""
    done = carry_out(plan, work)
    for phrase in remarks(noted):
        print(f"tfvae: note: {phrase}", file=sys.stderr)
    if done and (plan.many or arguments.page):
        page = _write_page(plan, done, command, scales or {}, scale)
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


def _write_uncertainty(path: Path, std: np.ndarray) -> str:
    """Standard deviations as colours, dark to bright; what they stand for is in the file, and returned in words."""
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
    return f"black 0, median {255 * float(np.median(levels[::step, ::step])):.2f}, brightest {255 * top:.2f}"


def _write_page(
    plan: Plan, done: list[Job], command: str, scales: Mapping[str, str], scale: tuple[float, float]
) -> Path:
    from tfvae.commands.pages.before_after import Item, write_page

    items = [
        Item(
            job.name,
            job.source,
            job.out,
            job.beside("uncertainty") if job.name in scales else None,
            {"standard deviation, of 255": scales[job.name]} if job.name in scales else {},
            scale,
        )
        for job in done
    ]
    folder = plan.folder if plan.many else plan.folder / fitting(done[0].out.stem, "_page")
    return write_page(folder, items, {"restore": "Restored pictures", "enhance": "Enhanced pictures"}[command])
