"""A folder of pictures, whatever else lies in it."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfvae.data.gathering import Gathering, chosen
from tfvae.data.reading import Preparation
from tfvae.data.workers import read_pictures
from tfvae.errors import UserError

SUFFIXES = (
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif",
    ".mpo", ".pgm", ".ppm", ".pbm", ".pnm",
)  # fmt: skip
LISTED = "PNG, JPEG, WebP, BMP, TIFF, GIF, PNM"


def list_files(folder: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Candidate pictures under `folder` in sorted order, and every other file with the reason why it is none.

    Hidden files and folders are skipped. A file without a suffix is a candidate: its content decides.
    """
    candidates: list[Path] = []
    others: list[tuple[Path, str]] = []
    for path, problem in _walk(folder, set()):
        if problem:
            others.append((path, problem))
        elif path.suffix and path.suffix.lower() not in SUFFIXES:
            others.append((path, f"suffix '{path.suffix}' is not one of a picture that is read ({LISTED})"))
        elif not path.exists():
            others.append((path, "a link that leads nowhere"))
        elif not path.is_file():
            others.append((path, "not a regular file"))
        else:
            candidates.append(path)
    return candidates, others


def gather_folder(folder: Path, into: Gathering, limit: int, seed: int) -> None:
    """Every picture under `folder`; its first-level sub-folders are the labels when there are any."""
    candidates, others = list_files(folder)
    if not candidates and not others:
        raise UserError(f"data.source: folder '{folder}' is empty. Accepted: a folder that holds {LISTED} files.")
    for path, reason in others:
        into.refuse(name_within(path, folder), reason)
    candidates = [candidates[index] for index in chosen(len(candidates), limit, seed)]
    read: list[str] = []
    into.progress(0, len(candidates))
    for done, (path, result) in enumerate(read_pictures(candidates, into.how), start=1):
        name = name_within(path, folder)
        if isinstance(result, str):
            into.refuse(name, result)
        else:
            into.add_prepared(result, name)
            read.append(name)
        into.progress(done, len(candidates))
    into.refused.sort(key=lambda refusal: refusal.name)
    if not read:
        first = f", for example {into.refused[0].name}: {into.refused[0].reason}" if into.refused else ""
        raise UserError(
            f"data.source: no picture could be read in '{folder}' ({len(into.refused):,} files refused{first})."
        )
    into.label_by_folder(read)
    into.description = f"{len(read):,} pictures of folder '{folder.name or folder}'"


def gather_picture(path: Path, into: Gathering) -> None:
    """One picture file."""
    ((_, result),) = read_pictures([path], into.how)
    if isinstance(result, str):
        raise UserError(f"data.source: '{path}' could not be read: {result}.")
    into.add_prepared(result, path.name)
    into.description = f"picture '{path.name}'"


def look_at_folder(folder: Path, how: Preparation, limit: int, seed: int) -> np.ndarray:
    """`(height, width, channels)` from the headers of the readable pictures, shape `(n, 3)`."""
    candidates, _ = list_files(folder)
    candidates = [candidates[index] for index in chosen(len(candidates), limit, seed)]
    answers = [result for _, result in read_pictures(candidates, how, look=True) if not isinstance(result, str)]
    return np.array(answers, np.int64).reshape(-1, 3)


def _walk(folder: Path, seen: set[str]) -> Iterator[tuple[Path, str]]:
    """Files below `folder`, sorted, each with "" or with what is wrong; links to folders are followed once."""
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield folder, f"folder cannot be listed: {error.strerror}"
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(Path(entry.path), seen)
        else:
            yield Path(entry.path), ""


def name_within(path: Path, folder: Path) -> str:
    """The path within the folder, as text that can be printed whatever bytes it holds."""
    return path.relative_to(folder).as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "replace")
