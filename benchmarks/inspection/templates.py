"""`python -m benchmarks inspection --data FOLDER --boxes FILE`: pieces beside templates of them, and no network.

FOLDER holds a sub-folder of templates (`--good`) and others of pieces with the same file names; FILE says where the
defects are: `file,x1,y1,x2,y2`, in pixels. Every other piece, in the order of names, chooses each contender's
threshold: the one that finds most boxes with at most one false region a piece. It is then held against the other half,
which had no part in the settings of `compare` either.

A region finds the box that the centre of its own box lies in, grown by `NEAR` pixels, one at most: a region over all of
a piece finds nothing. One that finds none is false. Controls: the absolute difference of registered pictures at a
threshold, alone and averaged, and ours without registration.

Pieces whose boxes are blanked, by `BLANKED` pixels more, pass for good ones: those of the first half calibrate a
threshold for `ALPHA` as `tfvae inspect` does, which the other half is held against as well.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import header, line, machine, progress, publish
from tfvae.errors import UserError

OURS = "template"
THRESHOLDS = np.linspace(0.1, 0.9, 9)
FALSE = 1.0  # regions a piece that are admitted
NEAR = 2  # pixels
BLANKED = 5  # pixels
ALPHA = 0.05
RESAMPLINGS = 2000
COLUMNS = ("x1", "y1", "x2", "y2")
Boxes = np.ndarray  # (boxes, 4): left, top, right, bottom


def main(options: argparse.Namespace) -> None:
    """Measures, prints the table, and writes `-o`."""
    facts = run(options)
    publish(facts, table(facts), options.words, options.out)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The figures of every contender."""
    from tfvae.data.reading import Preparation, read_picture
    from tfvae.metrics.conformal import guaranteed_rate, least_pieces
    from tfvae.metrics.conformal import threshold as threshold_of

    pieces = _pieces(options.data, options.good, options.boxes)
    least = 2 * least_pieces(ALPHA)
    if len(pieces) < least:
        raise UserError(f"--boxes: {options.boxes} names {len(pieces)} pieces. Accepted: {least} or more.")
    how = Preparation(channels=1, max_side=2**30)
    counts: dict[str, list[np.ndarray]] = defaultdict(list)
    good: list[float] = []
    ours: list[np.ndarray] = []
    for index, (template, piece, boxes) in enumerate(pieces):
        progress(f"{index + 1}/{len(pieces)}")
        found = maps(*(read_picture(str(path), how) for path in (template, piece)))
        for name, each in found.items():
            counts[name].append(np.array([matched(each, limit, boxes) for limit in THRESHOLDS]))
        good.append(float(_blanked(found[OURS], boxes).max()))
        ours.append(found[OURS].astype(np.float16))  # for the calibrated threshold, which is known at the end
    progress("")
    halves = np.arange(0, len(pieces), 2), np.arange(1, len(pieces), 2)
    total = np.array([len(boxes) for _, _, boxes in pieces])
    scores = np.array(good)
    limit = threshold_of(scores[halves[0]], ALPHA)
    at = np.array([matched(ours[index], limit, pieces[index][2]) for index in halves[1]])
    return {
        **machine(("numpy", "scipy")),
        "settings": {"seed": options.seed, "false_regions": FALSE, "near": NEAR},
        "pieces": [len(half) for half in halves],
        "boxes": [int(total[half].sum()) for half in halves],
        "rows": {name: _figures(np.array(found), total, halves, options.seed) for name, found in counts.items()},
        "calibrated": {
            "alpha": ALPHA,
            "guaranteed": guaranteed_rate(len(halves[0]), ALPHA),
            "threshold": limit,
            "false_alarms": int((scores[halves[1]] > limit).sum()),
            **_rates(at, total[halves[1]], options.seed),
        },
    }


def maps(template: np.ndarray, piece: np.ndarray) -> dict[str, np.ndarray]:
    """The map of each contender, in [0, 1]; that of `OURS` is what `tfvae.applications.compare` gives."""
    from scipy import ndimage

    from tfvae.applications.channels import floats
    from tfvae.applications.inspection.template import difference, registered

    seen = floats(piece)
    moved, known = registered(template, piece)
    plain = np.where(known, np.abs(moved - seen).max(axis=2), 0.0)
    return {
        OURS: difference(moved, seen, known),
        f"{OURS}, not registered": difference(floats(template), seen),
        "absolute difference": plain,
        **{f"absolute difference, mean of {side}×{side}": ndimage.uniform_filter(plain, side) for side in (3, 5)},
    }


def matched(found: np.ndarray, limit: float, boxes: Boxes) -> tuple[int, int]:
    """How many of the boxes regions of a map above a threshold find, and how many regions find none."""
    from scipy import ndimage

    parts = ndimage.find_objects(ndimage.label(found > limit, np.ones((3, 3)))[0])
    if not parts:
        return 0, 0
    centres = np.array([[(each.start + each.stop - 1) / 2 for each in part[::-1]] for part in parts])[:, None]
    inside = np.all((boxes[:, :2] - NEAR <= centres) & (centres <= boxes[:, 2:] + NEAR), axis=2)  # (regions, boxes)
    away = np.where(inside, np.abs((boxes[:, :2] + boxes[:, 2:]) / 2 - centres).sum(axis=2), np.inf)
    finds = inside.any(axis=1)
    return len(set(away[finds].argmin(axis=1))), int((~finds).sum())


def _figures(found: np.ndarray, total: np.ndarray, halves: tuple[np.ndarray, ...], seed: int) -> dict[str, Any]:
    """Of `(pieces, thresholds, 2)`: the threshold that the first half chooses, and the rates of both halves at it."""
    hits, false = found[halves[0]].sum(axis=0).T
    admitted = false <= FALSE * len(halves[0])
    best = int(np.where(admitted, hits, -1).argmax()) if admitted.any() else int(false.argmin())
    tuned, held_back = (_rates(found[half, best], total[half], seed) for half in halves)
    return {"threshold": float(THRESHOLDS[best]), "tuned": tuned, "held_back": held_back}


def _rates(found: np.ndarray, total: np.ndarray, seed: int) -> dict[str, Any]:
    """Recall of boxes and false regions a piece, with 95 % intervals of a bootstrap over the pieces."""
    drawn = np.random.default_rng(seed).integers(0, len(total), (RESAMPLINGS, len(total)))
    rates = {}
    for name, values, per in (("recall", found[:, 0], total), ("false", found[:, 1], np.ones_like(total))):
        resampled = values[drawn].sum(axis=1) / per[drawn].sum(axis=1)
        interval = np.quantile(resampled, [0.025, 0.975]).tolist()
        rates[name] = {"value": float(values.sum() / per.sum()), "interval": interval}
    return rates


def _blanked(found: np.ndarray, boxes: Boxes) -> np.ndarray:
    found = found.copy()
    for left, top, right, bottom in np.maximum(boxes + np.array([-1, -1, 1, 1]) * BLANKED, 0).astype(int):
        found[top : bottom + 1, left : right + 1] = 0
    return found


def _pieces(folder: Path, good: str, file: Path) -> list[tuple[Path, Path, Boxes]]:
    """Template, piece and boxes of each piece that the file names."""
    boxes: dict[str, list[list[float]]] = defaultdict(list)
    try:
        with open(file, newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                boxes[row["file"]].append([float(row[column]) for column in COLUMNS])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"--boxes: {file} is no table with file,{','.join(COLUMNS)} ({error!r}).") from error
    found = []
    for name in sorted(boxes):
        others = sorted(path for path in folder.glob(f"*/{name}") if path.parent.name != good)
        if not others or not (folder / good / name).is_file():
            raise UserError(f"--boxes: {folder} has no '{name}' both in '{good}' and in another sub-folder.")
        found += [(folder / good / name, path, np.array(boxes[name])) for path in others]
    return found


def table(facts: dict[str, Any]) -> list[str]:
    """The facts as lines of text."""
    (tuned, held_back), (_, boxes), at = facts["pieces"], facts["boxes"], facts["calibrated"]
    lines = [
        f"{tuned} pieces choose the threshold, {held_back} with {boxes} boxes are held back; 95 % in brackets.",
        "",
        *header(["", "threshold", "recall, chosen on", "false", "recall, held back", "false"], 1),
    ]
    for name, row in facts["rows"].items():
        rates = [_shown(row[half][rate]) for half in ("tuned", "held_back") for rate in ("recall", "false")]
        lines.append(line([name, f"{row['threshold']:.2f}", *rates]))
    lines += [
        "",
        f"Calibrated at alpha = {at['alpha']:g} (guaranteed {at['guaranteed']:.3f}; threshold {at['threshold']:.3f}): "
        f"{at['false_alarms']} of {held_back} pieces fail outside of their boxes; recall {_shown(at['recall'])}.",
    ]
    return lines


def _shown(figure: dict[str, Any]) -> str:
    low, high = figure["interval"]
    return f"{figure['value']:.3f} ({low:.3f} – {high:.3f})"
