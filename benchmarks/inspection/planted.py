"""`python -m benchmarks inspection RUN --data FOLDER --planted N`: one defect of 12 pixels in a large good picture.

Each kind of defect is drawn at N places of the good pictures in FOLDER, one at a time, and its map is held against the
rest of the picture's. *First*: nothing farther than `NEAR` pixels from its middle is as suspicious. *Above*: it is
above the run's own threshold. Controls: the untrained network; how far grey deviates from the picture's mean, averaged
over 5×5 pixels; the same without an average in the picture reduced to `REDUCED` pixels across.
"""

import argparse
import functools
import itertools
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.measuring import OURS, header, line, machine, progress, publish
from tfvae.errors import UserError

DIAMETER = 12  # pixels
PART = 32  # pixels a side of the part that holds a defect
NEAR = 10  # pixels from its middle within which it is found
BORDER = 64  # pixels of a picture without defects
REDUCED = 640  # pixels across
FINER = 8  # times: a defect's outline is drawn that much finer
KINDS = ("dark disc", "faint disc", "disc of its shuffled pixels", "scratch")
Mapped = tuple[np.ndarray, float]  # a map, and the pixels of the picture to one of its own


def main(options: argparse.Namespace) -> None:
    """Measures, prints the table, and writes `-o`."""
    facts = run(options)
    publish(facts, table(facts), options.words, options.out)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """How often each kind of defect is found, by every contender."""
    from benchmarks.inspection import calibrated, untrained_like
    from tfvae.data import load_images

    opened, model = calibrated(options.run)
    images, _ = load_images(options.data, like=opened.prepared_like(model))
    pictures = list(images)
    least = PART + 2 * BORDER
    if min(min(picture.shape[:2]) for picture in pictures) < least:
        raise UserError(f"--planted: the pictures in {options.data} must have sides of {least} pixels or more.")
    contenders: dict[str, Callable[[np.ndarray], Mapped]] = {
        OURS: functools.partial(_map, model),
        "untrained": functools.partial(_map, untrained_like(model, options.seed)),
        "deviation of a 5×5 mean": lambda picture: (_deviation(_grey(picture), 5), 1.0),
        f"deviation of a pixel, reduced to {REDUCED} across": _reduced,
    }
    rows: dict[str, Any] = {}
    spent: dict[str, float] = {}
    for name, contender in contenders.items():
        found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
        for (number, kind), index in itertools.product(enumerate(KINDS), range(options.planted)):
            progress(f"{name}, {kind}: {index + 1}/{options.planted}")
            rng = np.random.default_rng([options.seed, number, index])
            picture = pictures[index % len(pictures)]
            middle = place(picture, rng)
            damaged = planted(picture, kind, middle, rng)
            began = time.process_time()
            mapped = contender(damaged)
            spent[name] = min(spent.get(name, math.inf), time.process_time() - began)
            found[kind].append(peaks(*mapped, middle))
        rows[name] = {kind: {"first": sum(near > rest for near, rest in each)} for kind, each in found.items()}
        if name == OURS:
            for kind, each in found.items():
                rows[name][kind]["above"] = sum(near > model.threshold for near, _ in each)
    good = [float(contenders[OURS](picture)[0].max()) for picture in pictures]
    progress("")
    return {
        **machine(("keras", "numpy")),
        "settings": {"seed": options.seed, "planted": options.planted, "near": NEAR, "diameter": DIAMETER},
        "pictures": {"sizes": [picture.shape[:2] for picture in pictures], "sha256": images.digest()},
        "rows": rows,
        "good": {"threshold": model.threshold, "scores": good},
        "processor_seconds": {"pixels": int(np.prod(pictures[0].shape[:2])), "value": spent[OURS]},
    }


def place(picture: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """Row and column of a defect's middle, anywhere but near the border."""
    height, width = picture.shape[:2]
    edge = BORDER + PART // 2
    return int(rng.integers(edge, height - edge + 1)), int(rng.integers(edge, width - edge + 1))


def planted(picture: np.ndarray, kind: str, middle: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A copy of a picture with one defect, `DIAMETER` pixels from end to end.

    The discs have half and four fifths of the light; the shuffled one holds its own pixels in another order; the
    scratch is 1.5 pixels wide and has 60 % of white.

    Args:
        picture: uint8, `(height, width, channels)`.
        kind: Of `KINDS`.
        middle: Row and column.
        rng: Of the scratch's direction and the shuffled pixels' order.
    """
    top, left = (at - PART // 2 for at in middle)
    at = np.s_[top : top + PART, left : left + PART]
    part = picture[at].astype(np.float64)
    y, x = np.mgrid[0 : PART * FINER, 0 : PART * FINER] / FINER + 0.5 / FINER - PART / 2
    inside = np.hypot(y, x) <= DIAMETER / 2
    if kind == "scratch":
        angle = rng.uniform(0, np.pi)
        inside &= np.abs(y * np.cos(angle) - x * np.sin(angle)) <= 0.75
    cover = inside.reshape(PART, FINER, PART, FINER).mean(axis=(1, 3))[..., None]
    changed = {
        "dark disc": lambda: 0.5 * part,
        "faint disc": lambda: 0.8 * part,
        "scratch": lambda: part + 0.6 * (255 - part),
        "disc of its shuffled pixels": lambda: _shuffled(part, cover, rng),
    }[kind]()
    found = picture.copy()
    found[at] = np.clip(np.round(part + cover * (changed - part)), 0, 255).astype(np.uint8)
    return found


def peaks(found: np.ndarray, scale: float, middle: tuple[int, int]) -> tuple[float, float]:
    """The largest value of a map within `NEAR` pixels of a defect's middle, and the largest elsewhere."""
    reach = max(1, round(NEAR / scale))
    rows, columns = (slice(max(0, int(at / scale) - reach), int(at / scale) + reach + 1) for at in middle)
    near = float(found[rows, columns].max())
    rest = found.copy()
    rest[rows, columns] = -np.inf
    return near, float(rest.max())


def table(facts: dict[str, Any]) -> list[str]:
    """The facts as lines of text."""
    count, good, spent = facts["settings"]["planted"], facts["good"], facts["processor_seconds"]
    sizes = ", ".join(f"{width:,}×{height:,}" for height, width in facts["pictures"]["sizes"])
    lines = [f"{sizes}: one defect at a time, {count} of each kind.", "", *header(["", *KINDS], 1)]
    for name, row in facts["rows"].items():
        lines.append(line([f"{name}, first", *(str(row[kind]["first"]) for kind in KINDS)]))
        if name == OURS:
            lines.append(line([f"{name}, above its threshold", *(str(row[kind]["above"]) for kind in KINDS)]))
    failing = sum(score > good["threshold"] for score in good["scores"])
    return [
        *lines,
        "",
        f"Without a defect {failing} of {len(good['scores'])} pictures fail "
        f"(threshold {good['threshold']:.3g}, highest score {max(good['scores']):.3g}).",
        f"One map of {spent['pixels'] / 1e6:.1f} megapixels: {spent['value']:.1f} s of processor time.",
    ]


def _shuffled(part: np.ndarray, cover: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A part whose covered pixels lie in another order."""
    inside = cover[..., 0] > 0
    found = part.copy()
    found[inside] = rng.permutation(part[inside])
    return found


def _map(model: Any, picture: np.ndarray) -> Mapped:
    from tfvae.applications import inspect

    return inspect(model, picture).map, 1.0


def _grey(picture: np.ndarray) -> np.ndarray:
    return picture.mean(axis=2, dtype=np.float32)


def _deviation(grey: np.ndarray, window: int) -> np.ndarray:
    from scipy import ndimage

    return np.abs(ndimage.uniform_filter(grey, window) - grey.mean())


def _reduced(picture: np.ndarray) -> Mapped:
    from PIL import Image

    grey = Image.fromarray(np.round(_grey(picture)).astype(np.uint8))
    scale = max(1.0, max(grey.size) / REDUCED)
    small = grey.resize([max(1, round(side / scale)) for side in grey.size], Image.Resampling.BOX)
    return _deviation(np.asarray(small, np.float32), 1), scale
