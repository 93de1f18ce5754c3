"""What every side makes of the same examples: figures of each picture, rates, and a picture to look at."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image, ImageDraw, ImageFont

from benchmarks.measuring import OURS, progress
from benchmarks.restoration.baselines import AS_IT_CAME, Method, biharmonic, cached, finished
from benchmarks.restoration.degraded import FONTS, Example
from tfvae.applications.restoration.overlay import Overlay, find_overlay, remove_overlay
from tfvae.applications.restoration.restore import enhance, restore
from tfvae.applications.restoration.texture_fill import texture_fill
from tfvae.commands.shared import held_out_images
from tfvae.data import load, load_images
from tfvae.errors import UserError
from tfvae.metrics.image_quality import psnr, ssim
from tfvae.metrics.sliced_wasserstein import SIDE, laplacian_pyramid, sliced_wasserstein
from tfvae.pictures import MAX_CELL, grid
from tfvae.pixels import pixels, to_uint8
from tfvae.runs import Run, open_run

LEVELS = 3  # of the pyramid: a neighbourhood of the coarsest is 28 pixels across
ANY_SIZE = 2**31  # no picture of a benchmark is reduced on the way in


@dataclass(frozen=True)
class Shown:
    """A picture of one case, and what every side made of it."""

    case: str
    example: Example
    results: dict[str, np.ndarray]


@dataclass(frozen=True)
class Examples(Sequence[Example]):
    """Pictures of one case, degraded when they are asked for.

    Attributes:
        pictures: All of the folder.
        kept: Which of them are measured.
        case: From a picture and its index in the folder to the example.
    """

    pictures: Sequence[np.ndarray]
    kept: Sequence[int]
    case: Callable[[np.ndarray, int], Example]

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, place):
        index = self.kept[place]
        return self.case(self.pictures[index], index)


def restorer(path: Path, task: str = "", takes_mask: bool | None = None) -> tuple[Run, Any]:
    """The run and its model; `UserError` where it does not restore, or not with (or without) a mask as is wanted."""
    run = open_run(path)
    model = run.load_model()
    if not hasattr(model, "restore"):
        raise UserError(f"{path}: holds a {type(model).__name__}, which is not trained to restore pictures.")
    if takes_mask is not None and model.takes_mask != takes_mask:
        reason = "wants" if model.takes_mask else "takes no"
        raise UserError(f"{path}: its model {reason} mask: it is not for the task {task}.")
    return run, model


def held_out(run: Run, model: Any, folder: Path | None) -> list[np.ndarray]:
    """Pictures the model was not trained on, float32 in [0, 1] with the model's channels, in order."""
    like = run.prepared_like(model)
    if folder is None:
        images = held_out_images(run, load(like, seed=run.seed))
    else:
        # As they are: nothing of what the run did to its own pictures when it read them.
        images, refused = load_images(folder, replace(like, denoise=0, contrast=0.0, max_side=ANY_SIZE))
        for refusal in refused:
            progress(f"refused {refusal.name}: {refusal.reason}")
    return [pixels(images[index]) for index in range(len(images))]


def evenly(total: int, count: int | None) -> list[int]:
    """Every k-th of `total` pictures, from the first, with the smallest k that leaves no more than `count`."""
    return list(range(0, total, -(-total // min(count or total, total))))


def chosen(cases: dict[str, Callable], word: str) -> dict[str, Callable]:
    """The cases whose name holds `word`; `UserError` where none does."""
    found = {name: case for name, case in cases.items() if word in name}
    if not found:
        raise UserError(f"--only: no case has '{word}' in its name. Cases: {', '.join(cases)}.")
    return found


def settings(options: Any, run: Run, model: Any, kept: Sequence[int], total: int) -> dict[str, Any]:
    """Which pictures were measured, and the seed, of the facts of a benchmark."""
    own = f"held-out pictures of {Path(run.data_config.source).name}"
    return {
        "data": options.data.name if options.data else own,
        "pictures": len(kept),
        "of": total,
        "channels": int(model.image_shape[-1]),
        "seed": options.seed,
    }


def ours(model: Any, ensemble: bool = False, name: str = OURS) -> Method:
    """The model as a contender: what a user of the library gets, given the mask where there is one."""

    def apply(example: Example) -> np.ndarray:
        return restore(model, example.degraded, example.known, uncertainty=False, ensemble=ensemble).image

    return Method(f"{name}, eight orientations" if ensemble else name, apply)


def like(model: Any) -> Method:
    """The model, given a picture whose light and colours are asked for; `UserError` where it takes none."""
    if not hasattr(model, "context"):
        raise UserError(f"like: a run of light and colour is needed. This one holds a {type(model).__name__}.")

    def apply(example: Example) -> np.ndarray:
        return enhance(model, example.degraded, like=example.reference)

    return Method(OURS, apply)


def textured(model: Any) -> list[Method]:
    """What a user gets for wide holes; that without texture; and the control, in which no model takes part."""
    estimate = ours(model)
    return [
        _with_texture(OURS, estimate),
        replace(estimate, name=f"{OURS}, without texture"),
        _with_texture("biharmonic, then our texture", Method("biharmonic", biharmonic, "scikit-image")),
    ]


def _with_texture(name: str, estimate: Method) -> Method:
    def apply(example: Example) -> np.ndarray:
        assert example.known is not None
        return texture_fill(example.degraded, example.known, finished(estimate, example))

    return Method(name, apply, estimate.package, estimate.slow)


def as_a_folder(model: Any, examples: Sequence[Example]) -> Method:
    """The model as a side that sees all pictures first: what they share is taken out, the model does the rest.

    This is what `tfvae restore RUN FOLDER --auto` does, without the files.
    """
    stacks: dict[tuple[int, ...], list[np.ndarray]] = defaultdict(list)
    for example in examples:
        stacks[example.degraded.shape].append(to_uint8(example.degraded))
    overlays = {shape: _shared(stack) for shape, stack in stacks.items()}
    alone = ours(model)

    def apply(example: Example) -> np.ndarray:
        overlay = overlays[example.degraded.shape]
        if overlay is None:
            return alone.apply(example)
        below = pixels(remove_overlay(to_uint8(example.degraded), overlay))
        return restore(model, below, ~overlay.opaque, uncertainty=False).image

    return Method(f"{OURS}, as a folder", apply)


def _shared(stack: Sequence[np.ndarray]) -> Overlay | None:
    """The overlay that pictures of one size share; None where they share none or are too few."""
    try:
        return find_overlay(stack)
    except ValueError:
        return None


def colour_difference(example: Example, result: np.ndarray) -> float:
    """Mean over pixels of CIEDE2000, where 1 can just be seen (Sharma, Wu and Dalal 2005)."""
    from skimage.color import deltaE_ciede2000, gray2rgb, rgb2lab

    pair = (gray2rgb(x[:, :, 0]) if x.shape[2] == 1 else x for x in (example.original, result))
    return float(np.mean(deltaE_ciede2000(*(rgb2lab(x) for x in pair))))


def known_kept(example: Example, result: np.ndarray) -> float:
    """Share of the pixels known to be right that come back exactly, in per cent."""
    assert example.known is not None
    same = (result == example.degraded).all(axis=2)[example.known[:, :, 0] == 1]
    return 100.0 * float(same.mean()) if same.size else 100.0


def moved_elsewhere(example: Example, result: np.ndarray) -> float:
    """Mean absolute error where nothing local was done to the picture, in levels of 255."""
    assert example.damage is not None
    errors = np.abs(result - example.original)[example.damage[:, :, 0] == 0]
    return 255.0 * float(errors.mean()) if errors.size else 0.0


def neighbourhood_distance(example: Example, result: np.ndarray) -> float:
    """Sliced Wasserstein distance of the 7×7 neighbourhoods in the holes, mean of three scales, as `pyramid_distance`.

    In standard deviations of the original's, times 1000. A neighbourhood counts where its midst is lost.
    """
    assert example.known is not None
    bands = (laplacian_pyramid(picture, LEVELS) for picture in (example.original, result))
    distances = []
    for level, pair in enumerate(zip(*bands, strict=True)):
        half = SIDE // 2
        inside = (example.known[:: 2**level, :: 2**level, 0] == 0)[half:-half, half:-half]
        real, other = (sliding_window_view(band, (SIDE, SIDE), axis=(0, 1))[inside] for band in pair)
        axes = (0, 2, 3)  # all but the channels
        mean, std = real.mean(axes, keepdims=True), np.maximum(real.std(axes, keepdims=True), 1e-6)
        distances.append(sliced_wasserstein(*(((x - mean) / std).reshape(len(x), -1) for x in (real, other))))
    return 1000 * float(np.mean(distances))


FIGURES: dict[str, Callable[[Example, np.ndarray], float]] = {
    "PSNR": lambda example, result: float(psnr(example.original[None], result[None])[0]),
    "SSIM": lambda example, result: float(ssim(example.original[None], result[None])[0]),
    "ΔE2000": colour_difference,
    "known kept": known_kept,
    "neighbourhoods": neighbourhood_distance,
    "moved elsewhere": moved_elsewhere,
}


def measure(
    case: str, examples: Sequence[Example], sides: Sequence[Method], figures: Sequence[str], cache: Path | None
) -> tuple[list[dict[str, Any]], Shown]:
    """A row for every side: the mean of each figure over the pictures, and how far ours is ahead of it in PSNR.

    Args:
        case: Its name.
        examples: The pictures, made as they are asked for.
        sides: What is compared; one is named `OURS`.
        figures: Names of `FIGURES`.
        cache: Where slow sides keep results, or None.

    Returns:
        The rows, and the first picture as every side restored it.
    """
    each: dict[str, dict[str, list[float]]] = {side.name: {name: [] for name in figures} for side in sides}
    shown = None
    for number, example in enumerate(examples, start=1):
        results = {}
        for side in sides:
            progress(f"{case}: picture {number}/{len(examples)}: {side.name}")
            results[side.name] = cached(side, example, cache)
            for name in figures:
                each[side.name][name].append(FIGURES[name](example, results[side.name]))
        shown = shown or Shown(case, example, results)
    assert shown is not None
    best = np.array(each[OURS]["PSNR"])
    rows = [
        {"case": case, "side": side.name, **{name: float(np.mean(values)) for name, values in each[side.name].items()}}
        | ({} if side.name == OURS else {"tfvae_ahead_db": paired(best - np.array(each[side.name]["PSNR"]))})
        | {"each": each[side.name]}
        for side in sides
    ]
    return rows, shown


def paired(differences: np.ndarray) -> dict[str, float | None]:
    """Their mean, with its standard error where there are two or more."""
    count = len(differences)
    error = float(differences.std(ddof=1) / np.sqrt(count)) if count > 1 else None
    return {"mean": float(differences.mean()), "standard_error": error}


def rates(sides: Sequence[Method], example: Example, rounds: int) -> dict[str, np.ndarray]:
    """Megapixels/s of each side that does something, shape `(rounds,)`: all restore one picture, in turns."""
    from benchmarks.measuring import Contender, alternate

    size = example.original.shape[0] * example.original.shape[1] / 1e6

    def timed(side: Method) -> Callable[[], float]:
        def turn() -> float:
            started = time.perf_counter()
            side.apply(example)
            return size / (time.perf_counter() - started)

        return turn

    working = [side for side in sides if side.name != AS_IT_CAME]
    found = alternate([Contender(side.name, "restoration", timed(side)) for side in working], rounds, progress)
    return {side.name: found[:, place] for place, side in enumerate(working)}


def picture(shown: Sequence[Shown], crop: int) -> np.ndarray:
    """A row for each case under a row of names: the original, the picture as it came, and each side's result.

    Args:
        shown: One picture of each case.
        crop: Side of the part that is shown, from the centre, in pixels; 0: the whole.

    Returns:
        uint8 RGB picture.
    """
    rows = [[one.example.original, *one.results.values()] for one in shown]
    cells = [centre(to_uint8(image), crop) for row in rows for image in row]
    side = max(max(cell.shape[:2]) for cell in cells)
    names = [label(name, side) for name in ("original", *shown[0].results)]
    return grid([*names, *cells], columns=len(names))


def centre(image: np.ndarray, crop: int) -> np.ndarray:
    """The middle `crop` pixels of height and width, or the whole where it is smaller or `crop` is 0."""
    if not crop:
        return image
    top, left = (max(0, (length - crop) // 2) for length in image.shape[:2])
    return image[top : top + crop, left : left + crop]


def label(text: str, side: int) -> np.ndarray:
    """A name as a cell of a grid whose largest image has this side: as legible once the grid has reduced it."""
    scale = max(1.0, side / MAX_CELL)
    cell = Image.new("L", (side, round(22 * scale)), 255)
    font = ImageFont.truetype(FONTS / "DejaVuSans.ttf", size=round(13 * scale))
    ImageDraw.Draw(cell).text((side / 2, cell.height / 2), text, fill=60, font=font, anchor="mm")
    return np.asarray(cell)[:, :, None]
