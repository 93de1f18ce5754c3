"""`python -m benchmarks textures`: textures synthesised from a part of a photograph, compared with the rest of it.

A texture is drawn from the left (or upper) five eighths of each and compared with the other three, by the sliced
Wasserstein distance of the neighbourhoods of a Laplacian pyramid (Karras et al. 2018). Controls: the exemplar itself
(other real pixels: the floor), image quilting of its pixels (Efros and Freeman 2001), and noise with its spectrum
(Galerne et al. 2011: the ceiling). A RUN is measured beside them; so that it has seen nothing it is compared with:

    python -m benchmarks textures --data FOLDER --prepare EXEMPLARS
    python -m training --data EXEMPLARS --recipe texture …
    python -m benchmarks textures RUN --data FOLDER -o OUT.json

The seam of a periodic picture is the mean absolute difference across its edge, beside that of all
adjacent rows and columns within it.
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import OURS, machine, progress, publish, unrest
from tfvae.errors import UserError

SIDE = 256  # pixels of what is drawn
FLOOR, QUILTED, NOISE = "the exemplar itself", "image quilting", "phase noise"
LEARNT = "codes of the run"
ANY_SIZE = 2**31  # no photograph is reduced on the way in


def main(options: argparse.Namespace) -> None:
    """Writes the exemplars, or runs the comparison, prints the table, and writes `-o` and the sheet beside it."""
    if options.run and options.prepare:
        raise UserError("textures: --prepare takes no RUN.")
    if options.prepare:
        count = prepare(options.data, options.prepare)
        print(f"wrote {options.prepare} and {count} exemplars in it")
        return
    facts, sheet = run(options)
    publish(facts, table(facts), options.words, options.out, sheet)


def prepare(data: Path, folder: Path) -> int:
    """Writes the exemplar of every photograph in `data`, as PNG under its own name. Returns how many."""
    from benchmarks.textures.exemplars import halves
    from tfvae.data import DataConfig
    from tfvae.pictures import save_png

    images = _photographs(DataConfig(source=str(data)))
    for name, image in zip(images.names, images, strict=True):
        save_png(folder / f"{Path(name).with_suffix('')}.png", halves(image)[0])
    return len(images)


def run(options: argparse.Namespace) -> tuple[dict[str, Any], np.ndarray]:
    """The facts: a row for every texture; and the sheet, each exemplar beside what was drawn from it."""

    from benchmarks.measuring import cores
    from benchmarks.textures import exemplars as sides
    from tfvae.data import DataConfig
    from tfvae.pictures import grid
    from tfvae.runs import open_run

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    like, model = DataConfig(source=str(options.data)), None
    if options.run:
        opened = open_run(options.run)
        model = opened.load_unfused()
        like = replace(opened.prepared_like(model), source=str(options.data))
    images = _photographs(like)
    kept = range(0, len(images), -(-len(images) // min(options.count or len(images), len(images))))
    rows, shown = [], []
    for place, index in enumerate(kept, start=1):
        progress(f"{place}/{len(kept)} {images.names[index]}")
        exemplar, rest = sides.halves(images[index])
        drawn = {
            OURS: sides.ours(exemplar, SIDE, options.patch, options.seed, seamless=False),
            QUILTED: sides.quilted(exemplar, SIDE, options.patch, options.seed),
            NOISE: sides.phase_noise(exemplar, options.seed),
            FLOOR: exemplar,
        }
        if model is not None:
            drawn[LEARNT] = sides.learnt(model, exemplar, SIDE, options.patch, options.seed)
        tile = sides.ours(exemplar, SIDE, options.patch, options.seed, seamless=True)
        distances = {name: sides.distance(rest, each, options.seed) for name, each in drawn.items()}
        rows.append({"texture": images.names[index], "distance": distances, "seam": sides.seam(tile)})
        shown += [exemplar[:SIDE, :SIDE], tile]
    progress("")
    facts = {
        **machine(("keras", "numpy", "scipy")),
        "cores": cores(),
        "load_at_start": load,
        "model": model and {"kind": type(model).__name__, "weights": model.count_params()},
        "settings": {
            "data": options.data.name,
            "textures": len(rows),
            "of": len(images),
            "side": SIDE,
            "patch": options.patch,
            "seed": options.seed,
        },
        "rows": rows,
        "at_or_below_quilting": sum(row["distance"][OURS]["mean"] <= row["distance"][QUILTED]["mean"] for row in rows),
        "seams_at_or_below_inside": sum(row["seam"]["across"] <= row["seam"]["inside"] for row in rows),
    }
    return facts, grid(shown, columns=8)


def table(facts: dict[str, Any]) -> list[str]:
    """The facts as Markdown."""
    from benchmarks.measuring import header, line

    settings, rows, model = facts["settings"], facts["rows"], facts["model"]
    names = list(rows[0]["distance"])
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    chosen = "" if settings["textures"] == settings["of"] else f", evenly spaced among {settings['of']}"
    lines = [
        f"textures: {LEARNT}: {model['kind']} of {model['weights']:,} weights." if model else "textures:",
        f"{facts['cpu']}, {facts['cores']} cores; {versions}.",
        *unrest(facts),
        "",
        f"{settings['textures']} photographs of {settings['data']}{chosen}, {settings['side']} pixels drawn from five "
        f"eighths of each, windows of {settings['patch']} pixels, seed {settings['seed']}. Sliced Wasserstein distance "
        "to the other three eighths, in thousandths of a standard deviation; lower is better. Seam: of 255.",
        "",
        *header(["texture", *names, "seam across", "inside"], 1),
    ]
    for row in rows:
        values = [f"{row['distance'][name]['mean']:.0f}" for name in names]
        seam = [f"{255 * row['seam'][name]:.1f}" for name in ("across", "inside")]
        lines.append(line([row["texture"], *values, *seam]))
    means = [f"{np.mean([row['distance'][name]['mean'] for row in rows]):.0f}" for name in names]
    seams = [f"{255 * np.mean([row['seam'][name] for row in rows]):.1f}" for name in ("across", "inside")]
    lines.append(line(["**mean**", *means, *seams]))
    lines += [
        "",
        f"At or below image quilting: {facts['at_or_below_quilting']} of {len(rows)}. Seam at or below the mean of "
        f"adjacent rows and columns: {facts['seams_at_or_below_inside']} of {len(rows)}.",
    ]
    return lines


def _photographs(like: Any) -> Any:
    """All pictures of a source at their own size."""
    from tfvae.data import load_images

    images, refused = load_images(like.source, replace(like, max_side=ANY_SIZE))
    for refusal in refused:
        progress(f"refused {refusal.name}: {refusal.reason}")
    if not len(images):
        raise UserError(f"--data: no picture in {like.source} can be used.")
    return images
