"""`python -m benchmarks painting`: photographs painted with one painting each, beside what is done without.

Every photograph is painted with every painting, by `tfvae stylize --from`. The sliced Wasserstein distance of the
neighbourhoods of a Laplacian pyramid (Karras et al. 2018) to the painting, as large as it hangs beside the photograph,
is that of its two finest levels (strokes) and of all. Beside it stand those of the photograph itself, of Reinhard's
colour transfer (three lines), and of one half of the painting to the other: the floor. A quilt of windows of one
orientation (Efros and Freeman 2001, section 4; slow) is made once for each painting.

`way` is where a rendering lies between the floor, 0, and Reinhard's, 1; counted where there is a way to go: Reinhard's
is at least 1.3 times the floor. The SSIM of the edges says what is left of the photograph. With `--painters` a
classifier is asked, too: see `painters`.
"""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import OURS, machine, progress, publish, unrest
from tfvae.errors import UserError

PHOTOGRAPH, REINHARD, QUILT, FLOOR = "photograph", "Reinhard", "quilt", "other half of the painting"
FINE = ("1", "1/2")  # levels of the pyramid on which strokes are
APART = 1.3  # times the floor from which on Reinhard's leaves a way to go
LEAST = 56  # pixels each way of what is compared, for the last level of the pyramid
ANY_SIZE = 2**31  # no painting is reduced on the way in


def main(options: argparse.Namespace) -> None:
    """Measures, prints the table, and writes `-o` and the sheet beside it."""
    facts, sheet = run(options)
    publish(facts, table(facts), options.words, options.out, sheet)


def run(options: argparse.Namespace) -> tuple[dict[str, Any], np.ndarray]:
    """The facts: a row for each photograph and painting; and the sheet: paintings above, photographs on the left."""
    from benchmarks.measuring import cores
    from benchmarks.painting import painters
    from benchmarks.painting.rivals import quilt, reinhard
    from tfvae.applications.styles.paint import hung, paint
    from tfvae.pictures import PAPER, grid, save_png
    from tfvae.pixels import pixels, to_uint8

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    photos, paintings = read(options.data, options.side), read(options.paintings, ANY_SIZE)
    rows: list[dict[str, Any]] = []
    shown = (to_uint8(hung(pixels(painting), (options.side, options.side))) for _, painting in paintings)
    cells = [np.full((1, 1, 3), PAPER, np.uint8), *shown]
    for place, (photo_name, photo) in enumerate(photos):
        cells.append(photo)
        for number, (painting_name, painting) in enumerate(paintings):
            progress(f"{photo_name} as {painting_name}")
            model = hung(pixels(painting), photo.shape[:2])
            if min(*photo.shape[:2], *model.shape[:2], max(model.shape[:2]) // 2) < LEAST:
                raise UserError(f"painting: {photo_name} or {painting_name} has too few pixels: halves need {LEAST}.")
            began = time.perf_counter(), time.process_time()
            painted = paint(photo, painting, seed=options.seed)
            took = time.perf_counter() - began[0], time.process_time() - began[1]
            made = {PHOTOGRAPH: photo, REINHARD: reinhard(photo, model), OURS: painted}
            if number % len(photos) == place:
                made[QUILT] = quilt(made[REINHARD], model)
            rows.append({"photo": photo_name, "painting": painting_name, "seconds": took, **judged(made, photo, model)})
            cells.append(painted)
            if options.renderings:
                for name in {OURS, QUILT} & made.keys():
                    stem = f"{Path(photo_name).stem}_{Path(painting_name).stem}{'' if name == OURS else '_quilt'}"
                    save_png(options.renderings / f"{stem}.png", made[name])
    progress("")
    facts = {
        **machine(("numpy", "scipy", "scikit-image")),
        "cores": cores(),
        "load_at_start": load,
        "settings": {"photos": len(photos), "paintings": len(paintings), "side": options.side, "seed": options.seed},
        "rows": rows,
        "summary": summary(rows),
    }
    if options.painters:
        facts["painters"] = painters.asked(photos, paintings, options.side, options.seed)
        progress("")
    return facts, grid(cells, columns=1 + len(paintings))


def read(sources: Sequence[Path], side: int) -> list[tuple[str, np.ndarray]]:
    """Names and RGB pixels of all pictures of files and folders, the longer side at most so long."""
    from tfvae.data import DataConfig, load_images

    found = []
    for source in sources:
        like = DataConfig(source=str(source), channels=3, max_side=side)
        images, refused = load_images(source, like=like)
        for refusal in refused:
            progress(f"refused {refusal.name}: {refusal.reason}")
        found += list(zip(images.names, images, strict=True))
    if not found:
        raise UserError(f"painting: no picture in {', '.join(map(str, sources))} can be used.")
    return found


def judged(made: dict[str, np.ndarray], photo: np.ndarray, painting: np.ndarray) -> dict[str, Any]:
    """Distances to the painting, the way that is left of Reinhard's, and SSIM of luminance and edges."""
    from tfvae.applications.styles.stylize import content_kept

    one, other = halved(painting)
    distances = {name: distance(painting, each) for name, each in made.items()}
    distances[FLOOR] = distance(one, other)
    floor, reinhard = distances[FLOOR], distances[REINHARD]
    ways = {
        name: {
            key: (distances[name][key] - floor[key]) / (reinhard[key] - floor[key])
            for key in floor
            if reinhard[key] >= APART * floor[key]
        }
        for name in (OURS, QUILT)
        if name in made
    }
    kept = {name: dict(zip(("ssim", "edges"), content_kept(photo, each), strict=True)) for name, each in made.items()}
    return {"distance": distances, "way": ways, "kept": kept}


def halved(painting: np.ndarray) -> list[np.ndarray]:
    """The two halves of a picture, cut across its longer side."""
    axis = int(painting.shape[1] > painting.shape[0])
    return np.split(painting, [painting.shape[axis] // 2], axis=axis)


def distance(painting: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """Of the finest levels and of all, in thousandths of a standard deviation of the painting."""
    from tfvae.metrics.sliced_wasserstein import pyramid_distance
    from tfvae.pixels import pixels

    found = pyramid_distance([painting], [pixels(other)])
    return {"fine": float(np.mean([found[level] for level in FINE])), "all": found["mean"]}


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """For each side: cells, medians of the way, the share of cells that are at most half-way, mean SSIM of edges."""
    found: dict[str, Any] = {}
    for side in (OURS, QUILT):
        own = [row for row in rows if side in row["distance"]]
        found[side] = {"cells": len(own), "edges": float(np.mean([row["kept"][side]["edges"] for row in own]))}
        for key in ("fine", "all"):
            ways = [row["way"][side][key] for row in own if key in row["way"][side]]
            half = float(np.mean(np.array(ways) <= 0.5)) if ways else None
            found[side][key] = {"cells": len(ways), "median": float(np.median(ways)) if ways else None, "half": half}
    found[REINHARD] = {"edges": float(np.mean([row["kept"][REINHARD]["edges"] for row in rows]))}
    return found


def table(facts: dict[str, Any]) -> list[str]:
    """The facts as Markdown."""
    from benchmarks.measuring import header, line
    from benchmarks.painting import painters

    rows, settings = facts["rows"], facts["settings"]
    lines = [
        f"painting: {settings['photos']} photographs of at most {settings['side']} pixels × {settings['paintings']} "
        f"paintings, seed {settings['seed']}; {facts['cpu']}, {facts['cores']} cores.",
        *unrest(facts),
        "",
        *header(["means over the photographs: strokes, all", PHOTOGRAPH, REINHARD, OURS, FLOOR, "edges", "CPU s"], 1),
    ]
    for painting in dict.fromkeys(row["painting"] for row in rows):
        own = [row for row in rows if row["painting"] == painting]
        means = [
            ", ".join(f"{np.mean([row['distance'][name][key] for row in own]):.0f}" for key in ("fine", "all"))
            for name in (PHOTOGRAPH, REINHARD, OURS, FLOOR)
        ]
        edges = np.mean([row["kept"][OURS]["edges"] for row in own])
        lines.append(line([painting, *means, f"{edges:.2f}", f"{np.mean([row['seconds'][1] for row in own]):.1f}"]))
    lines.append("")
    for name, found in facts["summary"].items():
        ways = [
            f"{words}: median {found[key]['median']:.2f} of the way to Reinhard's, {found[key]['half']:.0%} of "
            f"{found[key]['cells']} cells at most half-way"
            for key, words in (("fine", "strokes"), ("all", "all levels"))
            if found.get(key, {}).get("cells")
        ]
        lines.append("; ".join([f"{name}: SSIM of edges {found['edges']:.2f}", *ways]))
    return [*lines, "", *painters.table(facts["painters"])] if "painters" in facts else lines
