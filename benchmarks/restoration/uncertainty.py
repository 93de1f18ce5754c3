"""Whether a restoration's standard deviations and samples are as far from the truth as they say.

The damage is the benchmark's, not as in the training: noise for a model that sees no mask, or JPEG files for one that
was trained on these, holes for one that takes a mask, marks for one that finds them. Beside the calibrated model stand
the same weights as they were before the calibration (the network's own standard deviation, and draws from N(0, I)), and
one standard deviation for all pixels of all pictures, the root mean square of these very errors: what says nothing of
where an error is.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.measuring import OURS, cores, header, line, machine, progress
from tfvae.errors import UserError

MOST = 2**14  # errors of a picture that count
OCTAVES = 3
ALONE = "before calibration"
CONSTANT = "one for all pixels"


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The facts: of each case and side its coverage, calibration, samples and their spectrum."""
    from benchmarks.restoration import TASKS, compare

    opened, model = compare.restorer(options.run)
    if model.uncertainty is None:
        raise UserError(f"{opened.path}: its uncertainty was not calibrated: a training does that at its end.")
    before = opened.load_model()
    before.use_uncertainty(None)
    pictures = compare.held_out(opened, model, options.data)
    kept = compare.evenly(len(pictures), options.count)
    cases = {name: case for task in tasks_of(model) for name, case in TASKS[task].cases(model, options.seed).items()}
    rows = []
    for name, case in compare.chosen(cases, options.only).items():
        found: dict[str, list[dict[str, Any]]] = {OURS: [], ALONE: []}
        for number, example in enumerate(compare.Examples(pictures, kept, case), start=1):
            for side, used in ((OURS, model), (ALONE, before)):
                progress(f"{name}: picture {number}/{len(kept)}: {side}")
                found[side].append(left_open(used, example, (options.seed, number)))
        rows += [{"case": name, "side": side, **figures(each)} for side, each in found.items()]
        rows.append({"case": name, "side": CONSTANT, **constant(found[OURS])})
    progress("")
    return {
        **machine(("keras", "numpy")),
        "cores": cores(),
        "model": {"kind": type(model).__name__, "weights": model.count_params()},
        "settings": compare.settings(options, opened, model, kept, len(pictures)),
        "rows": rows,
    }


def tasks_of(model: Any) -> tuple[str, ...]:
    """The tasks whose damage the model was trained to mend."""
    if model.takes_mask:
        return ("inpaint", "holes")
    if model.finds_damage:
        return ("dewatermark",)
    return ("jpeg",) if {corruption.kind for corruption in model.corruptions} == {"jpeg"} else ("denoise",)


def left_open(model: Any, example: Any, seed: tuple[int, int]) -> dict[str, Any]:
    """Of one picture, where it was restored: errors and their standard deviations, mean squares, power of octaves."""
    from tfvae.applications.restoration.restore import restore
    from tfvae.metrics.sliced_wasserstein import laplacian_pyramid

    restored = restore(model, example.degraded, example.known, samples=1, seed=seed[0])
    assert restored.std is not None
    changed = np.broadcast_to(restored.std > 0, example.original.shape)
    error, std = (example.original - restored.image)[changed], restored.std[changed].astype(np.float64)
    drawn = np.random.default_rng(seed).permutation(error.size)[:MOST]
    anywhere = np.logical_or.reduce(changed, axis=2)
    power = []
    for picture in (example.original, restored.samples[0]):
        bands = laplacian_pyramid(picture, OCTAVES + 1)[:OCTAVES]
        power.append([np.sum(np.square(band[anywhere[:: 2**k, :: 2**k]])) for k, band in enumerate(bands)])
    return {
        "error": error[drawn],
        "std": std[drawn],
        "estimate": np.mean(np.square(error)),
        "sample": np.mean(np.square((example.original - restored.samples[0])[changed])),
        "power": np.array(power),
    }


def figures(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of all pictures of a case; decibels are means over pictures, octaves from the finest on."""
    error, std = (np.concatenate([each[name] for each in found]) for name in ("error", "std"))
    gap = 10 * np.mean([np.log10(each["sample"] / each["estimate"]) for each in found])
    original, sample = np.sum([each["power"] for each in found], axis=0)
    return calibration(error, std) | {
        "sample_below_db": float(gap),
        "octaves_db": (10 * np.log10(sample / original)).tolist(),
    }


def constant(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    error = np.concatenate([each["error"] for each in found])
    return calibration(error, np.full_like(error, np.sqrt(np.mean(np.square(error)))))


def calibration(error: np.ndarray, std: np.ndarray) -> dict[str, float]:
    from scipy import stats

    from tfvae.metrics import coverage, expected_calibration_error

    rank = float(stats.spearmanr(np.abs(error), std).statistic) if np.ptp(std) > 0 else 0.0
    return {
        "coverage": coverage(error, std),
        "calibration_error": expected_calibration_error(error, std),
        "rmse": float(np.sqrt(np.mean(np.square(error)))),
        "std": float(np.sqrt(np.mean(np.square(std)))),
        "rank_correlation": rank,
    }


def table(facts: dict[str, Any]) -> list[str]:
    """Markdown."""
    from benchmarks.restoration.tables import described

    titles = ["within ±2σ", "calibration error", "error, of 255", "σ, of 255", "rank correlation of |error| and σ"]
    lines = [f"{described(facts['settings'])} {facts['cpu']}, {facts['cores']} cores.", ""]
    lines += header(["case", "σ", *titles, "sample below the estimate, dB", "octaves of a sample, dB"], 2)
    for row in facts["rows"]:
        cells = [
            f"{row['coverage']:.1%}",
            f"{row['calibration_error']:.3f}",
            *(f"{255 * row[name]:.2f}" for name in ("rmse", "std")),
            f"{row['rank_correlation']:.2f}",
        ]
        if "octaves_db" in row:
            cells += [f"{row['sample_below_db']:.2f}", ", ".join(f"{value:+.1f}" for value in row["octaves_db"])]
        lines.append(line([row["case"], row["side"], *cells, *[""] * (7 - len(cells))]))
    return lines
