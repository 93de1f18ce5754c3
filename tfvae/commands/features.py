"""`tfvae embed` and `neighbours`: pictures as codes, for other work, and which of them are alike."""

import argparse
import contextlib
import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfvae import pictures
from tfvae.applications.latent.alike import duplicate_groups, nearest
from tfvae.applications.latent.embed import embed_in_batches
from tfvae.commands.code_tables import SUFFIXES, code_table
from tfvae.commands.evaluate import progress_line
from tfvae.commands.pages.code_map import write_map
from tfvae.commands.projector import FILES, projector
from tfvae.commands.shared import images_of, place, say
from tfvae.data import Images
from tfvae.errors import UserError
from tfvae.runs import open_run
from tfvae.whole_files import whole_file, write_whole

MAPPED = 5000  # codes at most that a map is drawn of, evenly spaced
GROUPS = 24  # of near-duplicates in a picture
ALIKE = 8  # pictures of a group in it


def embed(arguments: argparse.Namespace) -> None:
    """`tfvae embed`: codes and variances with names and labels, a map of them, and what else is asked for."""
    run = open_run(arguments.run, arguments.data)
    out, _ = place(arguments.out, run.path / "codes.npz", SUFFIXES)
    if arguments.projector and arguments.projector.is_file():
        raise UserError(f"embed: --projector must be a folder. {arguments.projector} is a file.")
    model = run.load_unfused()
    if arguments.duplicates is not None and not model.stochastic:
        raise UserError(
            f"embed: --duplicates is for codes that are unsure of something. {run.path} holds a {type(model).__name__}."
        )
    images = images_of(run, model, arguments.source)
    mapped = np.unique(np.linspace(0, len(images) - 1, min(len(images), MAPPED)).astype(int))
    shown: list[np.ndarray] = []
    whole: list[tuple[np.ndarray, np.ndarray]] = []
    with contextlib.ExitStack() as files:
        table = files.enter_context(code_table(out, images))
        tensors = files.enter_context(projector(arguments.projector, images)) if arguments.projector else None
        for first, codes, variances in _portions(model, images, arguments.batch_size):
            table.add(codes, variances)
            if tensors:
                tensors.add(codes)
            own = mapped[(mapped >= first) & (mapped < first + len(codes))]
            shown.append(codes[own - first])
            if arguments.duplicates is not None:
                assert variances is not None
                whole.append((codes, variances))
    points = np.concatenate(shown)
    say(out, f"and the map {_draw_map(out.with_suffix('.png'), points, images, mapped)}")
    if arguments.projector:
        written = "" if tensors is None or tensors.side else " (too many pictures for a sprite)"
        say(
            arguments.projector / FILES[0],
            f"and what belongs to it: tensorboard --logdir {arguments.projector}{written}",
        )
    if arguments.map:
        say(write_map(out.with_suffix(".html"), points, images.take(mapped), f"{run.path.resolve().name}: codes"))
    if arguments.duplicates is not None:
        _write_duplicates(out, images, whole, arguments.duplicates)


def neighbours(arguments: argparse.Namespace) -> None:
    """`tfvae neighbours`: the pictures of a source whose codes lie nearest to that of one."""
    run = open_run(arguments.run)
    out, _ = place(arguments.out, run.path / "neighbours.csv", (".csv", ".json"))
    model = run.load_unfused()
    query = images_of(run, model, str(arguments.picture))
    if len(query) != 1:
        raise UserError(f"neighbours: PICTURE must be one picture. Received: {arguments.picture}, {len(query)} images.")
    code = next(embed_in_batches(model, query))[0][0]
    images = images_of(run, model, arguments.source)
    portions = (codes for _, codes, _ in _portions(model, images, arguments.batch_size))
    found = nearest(portions, code, arguments.count, arguments.distance)
    rows = [
        {"rank": rank, "name": images.names[index], "distance": distance}
        for rank, (index, distance) in enumerate(found, 1)
    ]
    if out.suffix.lower() == ".json":
        facts = {"picture": str(arguments.picture), "distance": arguments.distance, "neighbours": rows}
        write_whole(out, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    else:
        with whole_file(out, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["rank", "name", "distance"])
            writer.writerows([row["rank"], row["name"], f"{row['distance']:.8g}"] for row in rows)
    for row in rows:
        print(f"{row['distance']:10.4g}  {row['name']}")
    sheet = pictures.grid([query[0], *(images[index] for index, _ in found)])
    say(out, f"and the picture, then the most alike, {pictures.save_png(out.with_suffix('.png'), sheet)}")


def _portions(model: Any, images: Images, batch_size: int) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
    """`(index of the first, codes, variances)`, with progress on a terminal."""
    told = progress_line() if sys.stderr.isatty() else None
    first = 0
    for codes, variances in embed_in_batches(model, images, batch_size):
        yield first, codes, variances
        first += len(codes)
        if told:
            told("codes", first, len(images))


def _draw_map(path: Path, points: np.ndarray, images: Images, mapped: np.ndarray) -> Path:
    """The map as a picture: points in the colours of their classes, or thumbnails where there are none."""
    some = images if len(mapped) == len(images) else images.take(mapped)
    share = "" if len(mapped) == len(images) else f" of {len(images):,}"
    title = f"{len(points):,}{share} codes of {points.shape[1]} numbers"
    # Without classes to colour, the images themselves say what lies where.
    alike = some.labels is None or len(np.unique(some.labels)) == 1
    thumbnails = [some[index] for index in range(len(some))] if alike else None
    return pictures.save_png(
        path, pictures.latent_map(points, some.labels, some.label_names, title=title, images=thumbnails)
    )


def _write_duplicates(out: Path, images: Images, whole: list[tuple[np.ndarray, np.ndarray]], threshold: float) -> None:
    """`OUT-duplicates.csv`, a row a picture, and `OUT-duplicates.png`, a row of pictures a group."""
    codes, variances = (np.concatenate(part) for part in zip(*whole, strict=True))
    try:
        groups = duplicate_groups(codes, variances, threshold)
    except ValueError as error:
        raise UserError(f"embed: --duplicates: {error}") from error
    table = out.with_name(f"{out.stem}-duplicates.csv")
    with whole_file(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["group", "name", "distance"])
        for number, group in enumerate(groups, 1):
            writer.writerows([number, images.names[index], f"{distance:.4g}"] for index, distance in group)
    pictured = sum(map(len, groups))
    count = (
        f"{len(groups):,} groups of near-duplicates, {pictured:,} of {len(images):,} pictures, at most {threshold:g}"
    )
    if not groups:
        say(table, f"({count})")
        return
    columns = min(ALIKE, max(map(len, groups)))
    rows = [[images[index] for index, _ in group[:columns]] for group in groups[:GROUPS]]
    blank = np.full_like(rows[0][0], 255)
    cells = [cell for row in rows for cell in (*row, *[blank] * (columns - len(row)))]
    sheet = pictures.save_png(table.with_suffix(".png"), pictures.grid(cells, columns=columns))
    say(table, f"and {sheet} ({count})")
