"""`python -m benchmarks restoration TASK RUN`: a restoration model compared with classical methods, in one run.

- `denoise`: normal noise of 15, 25 and 50 of 255, not clipped. BM3D, non-local means and wavelets are given how strong
  it is; ours is not.
- `jpeg`: files of quality 10 to 40. The same methods, which are given the true error's standard deviation.
- `inpaint`: 25, 50 and 75 % of all pixels lost, text, scratches, all with the mask. OpenCV's Telea and Navier–Stokes,
  scikit-image's biharmonic equation.
- `holes`: a few holes of 25 to 60 pixels, with the mask; the same methods. Ours lays texture of the picture over its
  estimate; beside it the estimate alone, and the same texture over that of the biharmonic equation: no model in it.
- `dewatermark`: half-transparent marks at unknown places: drawn here, and the model's own kind. Ours also sees
  all pictures of a case at once, as `tfvae restore FOLDER --auto` does, for a mark that is the same on all.
- `enhance`: the model's own corruptions, snapshots (mild) and old prints (strong), drawn here. Auto-contrast,
  auto-levels, CLAHE, grey-world, and grey-world with auto-contrast.
- `like`: the same tones, on one half of a picture; the other half is the photograph whose light and colours it is to
  have. Ours with and without that, and colour transfer.
- `uncertainty`: standard deviations and samples, with and without their calibration (`uncertainty.py`).
- `speed`: a photograph of 24 megapixels through the `tfvae` command, its time and memory (`speed.py`).

Every side gets the same pictures with the same damage from the same seed (`degraded.py`), and its result is
clipped to [0, 1]. A figure is the mean over pictures of each picture's own value; what ours is ahead by is the mean of
the differences within a picture, with its standard error. Rates come from one picture, the sides alternating.
"""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.measuring import OURS, machine, progress, publish, spread
from tfvae.errors import UserError

SPEED, UNCERTAINTY = "speed", "uncertainty"
GIVEN_MASK = "All methods are given the mask."


@dataclass(frozen=True)
class Task:
    """What is compared: cases from a picture and its index, further figures, and words for the reader.

    Attributes:
        cases: From the model and the seed: name of a case to a function `(picture, index) -> Example`.
        caption: What the methods are given.
        figures: More names of `FIGURES` in `compare.py`.
        crop: Side of the part that the comparison picture shows; 0: the whole.
        together: From the model and all examples of a case to one more side, which may learn from them together.
        takes_mask: Whether the model is one that fills what a mask marks.
        ours: Our sides, from the model; None: what it restores, alone.
    """

    cases: Callable[[Any, int], dict[str, Callable]]
    caption: str
    figures: tuple[str, ...] = ()
    crop: int = 0
    together: Callable[[Any, Any], Any] | None = None
    takes_mask: bool = False
    ours: Callable[[Any], list[Any]] | None = None


def main(options: argparse.Namespace) -> None:
    """Runs the comparison, prints the table, and writes `-o` and the picture beside it."""
    if options.task == SPEED:
        if not options.rounds:
            raise UserError("--rounds must be 1 or more for speed. Received: 0.")
        from benchmarks.restoration import speed

        facts = speed.run(options)
        lines, picture = speed.table(facts), None
    elif options.task == UNCERTAINTY:
        from benchmarks.restoration import uncertainty

        facts = uncertainty.run(options)
        lines, picture = uncertainty.table(facts), None
    else:
        from benchmarks.restoration import tables

        facts, picture = run(options)
        lines = tables.table(facts)
    publish(facts, lines, options.words, options.out, picture)


def run(options: argparse.Namespace) -> tuple[dict[str, Any], np.ndarray]:
    """The facts: the machine, a row for every case and side; and the comparison picture."""
    from benchmarks.measuring import cores
    from benchmarks.restoration import compare as compare
    from benchmarks.restoration.baselines import MODULES, baselines

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    task = TASKS[options.task]
    others = baselines(options.task)
    opened, model = compare.restorer(options.run, options.task, task.takes_mask)
    pictures = compare.held_out(opened, model, options.data)
    kept = compare.evenly(len(pictures), options.count)
    own = task.ours(model) if task.ours else [compare.ours(model)]
    sides = [others[0], *own, *others[1:]]
    rows, shown = [], []
    cases = task.cases(model, options.seed)
    for name, case in compare.chosen(cases, options.only).items():
        examples = compare.Examples(pictures, kept, case)
        more = [task.together(model, examples)] if task.together else []
        row, one = compare.measure(name, examples, [*sides, *more], ("PSNR", "SSIM", *task.figures), options.cache)
        rows += row
        shown.append(one)
    rates = compare.rates(sides, shown[0].example, options.rounds) if options.rounds else {}
    progress("")
    facts = {
        **machine(("keras", "numpy", *MODULES)),
        "cores": cores(),
        "load_at_start": load,
        "task": options.task,
        "caption": task.caption,
        "model": {"kind": type(model).__name__, "weights": model.count_params()},
        "settings": {
            **compare.settings(options, opened, model, kept, len(pictures)),
            "rounds": options.rounds,
        },
        "rows": rows,
        "megapixels_per_second": [
            {"side": name, **spread(values), "tfvae_is": spread(rates[OURS] / values), "rounds": values.tolist()}
            for name, values in rates.items()
        ],
    }
    return facts, compare.picture(shown, task.crop)


def _noise(model: Any, seed: int) -> dict[str, Callable]:
    from benchmarks.restoration.degraded import NOISE, noisy

    return {f"σ = {level}": lambda x, index, level=level: noisy(x, index, seed, level) for level in NOISE}


def _files(model: Any, seed: int) -> dict[str, Callable]:
    from benchmarks.restoration.degraded import QUALITIES, compressed

    return {f"quality {quality}": lambda x, index, quality=quality: compressed(x, quality) for quality in QUALITIES}


def _holes(model: Any, seed: int) -> dict[str, Callable]:
    from benchmarks.restoration.degraded import HOLES, holed

    return {kind: lambda x, index, kind=kind: holed(x, index, seed, kind) for kind in HOLES}


def _wide_holes(model: Any, seed: int) -> dict[str, Callable]:
    from benchmarks.restoration.degraded import WIDE_HOLES, holed

    return {kind: lambda x, index, kind=kind: holed(x, index, seed, kind) for kind in WIDE_HOLES}


def _alone_and_ensemble(model: Any) -> list[Any]:
    from benchmarks.restoration.compare import ours

    return [ours(model), ours(model, ensemble=True)]


def _textured(model: Any) -> list[Any]:
    from benchmarks.restoration.compare import textured

    return textured(model)


def _own(model: Any, seed: int) -> dict[str, Callable]:
    from benchmarks.restoration.degraded import corrupted

    return {"the model's own corruptions": lambda x, index: corrupted(x, index, seed, model)}


def _marks(model: Any, seed: int) -> dict[str, Callable]:
    from benchmarks.restoration.degraded import MARKS, watermarked

    drawn = {kind: lambda x, index, kind=kind: watermarked(x, index, seed, kind) for kind in MARKS}
    # One index for all pictures: the same place, opacity and colour.
    shared = {f"{kind}, the same on all": lambda x, index, kind=kind: watermarked(x, 0, seed, kind) for kind in MARKS}
    return {**drawn, **shared, **_own(model, seed)}


def _tones(model: Any, seed: int) -> dict[str, Callable]:
    from benchmarks.restoration.degraded import TONES, toned

    drawn = {kind: lambda x, index, kind=kind: toned(x, index, seed, kind) for kind in TONES}
    return {**drawn, **_own(model, seed)}


def _halves(model: Any, seed: int) -> dict[str, Callable]:
    from benchmarks.restoration.degraded import TONES, beside_its_other_half

    return {kind: lambda x, index, kind=kind: beside_its_other_half(x, index, seed, kind) for kind in TONES}


def _with_and_without_reference(model: Any) -> list[Any]:
    from benchmarks.restoration.compare import like, ours

    return [like(model), ours(model, name=f"{OURS}, without it")]


def _as_a_folder(model: Any, examples: Any) -> Any:
    from benchmarks.restoration.compare import as_a_folder

    return as_a_folder(model, examples)


TASKS = {
    "denoise": Task(
        _noise,
        "BM3D, non-local means and wavelets are given σ (non-blind); tfvae is blind.",
        crop=256,
        ours=_alone_and_ensemble,
    ),
    "jpeg": Task(
        _files,
        "BM3D, non-local means and wavelets are given the standard deviation of the true error; tfvae is blind.",
        crop=256,
        ours=_alone_and_ensemble,
    ),
    "inpaint": Task(_holes, GIVEN_MASK, figures=("known kept",), crop=256, takes_mask=True),
    "holes": Task(_wide_holes, GIVEN_MASK, figures=("neighbourhoods",), takes_mask=True, ours=_textured),
    "dewatermark": Task(
        _marks, "No method is given where the mark is.", figures=("moved elsewhere",), together=_as_a_folder
    ),
    "enhance": Task(_tones, "No method is given what was done to a picture.", figures=("ΔE2000",)),
    "like": Task(
        _halves,
        "All methods but one are given the other half as a reference.",
        figures=("ΔE2000",),
        ours=_with_and_without_reference,
    ),
}
