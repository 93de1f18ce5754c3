"""`tfvae styles --invent`: styles that nobody painted in, drawn from the prior of the styles of many paintings."""

import argparse
import csv
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tfvae import pictures
from tfvae.applications.channels import flat
from tfvae.applications.styles.paint import hung, paint
from tfvae.applications.styles.space import SIDE, Mixture, StyleSpace, part_statistics
from tfvae.commands.meter import Meter
from tfvae.commands.shared import place, say
from tfvae.data.folder import LISTED, list_files, name_within
from tfvae.decoding import UnreadableError
from tfvae.errors import UserError
from tfvae.pictures.files import open_picture
from tfvae.pixels import to_uint8
from tfvae.whole_files import whole_file

PHOTOGRAPHS = 3  # on which styles are shown
COLUMNS = ("style", "painting", "share", "other painting", "its share", "nearest painting", "distance")


def invent(arguments: argparse.Namespace) -> None:
    """A table of new styles, each by two paintings and their shares, and a picture of them on photographs."""
    out, _ = place(arguments.out, Path("styles.csv"), (".csv",))
    photographs = [
        hung(pixels, (SIDE, SIDE)) for _, pixels in opened(arguments.source, pictures_of(arguments.source), PHOTOGRAPHS)
    ]
    paths, space = styles_of(arguments.invent)
    names = [name_within(path, arguments.invent) for path in paths]
    found = space.draw(arguments.count, arguments.seed, arguments.temperature)
    if not found:
        raise UserError(
            f"styles: no style of the prior is new to these {len(names):,} paintings. Give more of them that differ, "
            "or a higher --temperature."
        )
    if len(found) < arguments.count:
        print(f"tfvae: {len(found)} of {arguments.count} styles: no more are new to these paintings", file=sys.stderr)
    rows = []
    with Meter(len(found), "styles") as meter:
        for number, mixture in enumerate(found):
            meter.show(number)
            rows += shown(mixture, photographs, [paths[one] for one in mixture.paintings])
    with whole_file(out, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(described(f"style{number + 1}", mixture, space, names) for number, mixture in enumerate(found))
    sheet = pictures.save_png(out.with_suffix(".png"), pictures.grid(rows, columns=2 + len(photographs)))
    say(out, f"and {sheet}: a row for each style, its two paintings first")
    first = found[0]
    paintings = " ".join(f"--from {shlex.quote(str(paths[one]))}" for one in first.paintings)
    print(f"style1 on a picture: tfvae stylize IN {paintings} --shares {first.shares[0]:.2f},{first.shares[1]:.2f}")


def shown(mixture: Mixture, photographs: Sequence[np.ndarray], paths: Sequence[Path]) -> list[np.ndarray]:
    """The two paintings, and the photographs in the style, uint8."""
    paintings = [next(opened(path, [path]))[1] for path in paths]
    cells = [hung(painting, (SIDE, SIDE)) for painting in paintings]
    cells += [paint(photograph, paintings, shares=mixture.shares) for photograph in photographs]
    return [to_uint8(cell) for cell in cells]


def described(name: str, mixture: Mixture, space: StyleSpace, names: Sequence[str]) -> list[str]:
    """A row of `COLUMNS`."""
    pairs = zip(mixture.paintings, mixture.shares, strict=True)
    nearest, distance = space.nearest(mixture.code)
    shares = [cell for painting, share in pairs for cell in (names[painting], f"{share:.2f}")]
    return [name, *shares, names[nearest], f"{distance:.2f}"]


def styles_of(folder: Path) -> tuple[list[Path], StyleSpace]:
    """The paintings of a folder, and the space of their styles."""
    if folder.is_file():
        raise UserError(f"styles: --invent {folder}: must be a folder of paintings.")
    paths: list[Path] = []
    statistics = []
    found = pictures_of(folder)
    with Meter(len(found), "paintings") as meter:
        for path, pixels in opened(folder, found):
            meter.show(len(paths))
            try:
                statistics.append(part_statistics(pixels))
            except ValueError as reason:
                print(f"tfvae: refused {path}: {reason}", file=sys.stderr)
                continue
            paths.append(path)
    try:
        return paths, StyleSpace.of_statistics(statistics)
    except ValueError as reason:
        raise UserError(f"styles: --invent {folder}: {reason}.") from None


def pictures_of(source: Path) -> list[Path]:
    """The picture, or those of a folder."""
    if not source.exists():
        raise UserError(f"styles: {source}: there is no such file or folder.")
    found = list_files(source)[0] if source.is_dir() else [source]
    if not found:
        raise UserError(f"styles: {source}: no picture in it. Accepted: a folder that holds {LISTED} files.")
    return found


def opened(source: Path, paths: Sequence[Path], most: int | None = None) -> Iterator[tuple[Path, np.ndarray]]:
    """The first pictures of a source that can be read, float32 in [0, 1], on white; the others are named."""
    found = 0
    for path in paths:
        if found == most:
            return
        try:
            picture = open_picture(path)
        except UnreadableError as reason:
            if not source.is_dir():
                raise UserError(f"styles: {path}: {reason}.") from None
            print(f"tfvae: refused {path}: {reason}", file=sys.stderr)
            continue
        found += 1
        yield path, flat(picture.pixels, picture.alpha)
    if not found:
        raise UserError(f"styles: {source}: no picture of it can be read.")
