"""A folder of pictures, whatever else lies in it."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath

import numpy as np

from tfvae.data.gathering import Gathering, chosen
from tfvae.data.reading import Preparation
from tfvae.data.workers import Picture, look_at_pictures, read_pictures
from tfvae.errors import UserError

SUFFIXES = (
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif",
    ".mpo", ".pgm", ".ppm", ".pbm", ".pnm",
)  # fmt: skip
# Folders in which a NAS, macOS, Windows and file systems keep thumbnails, deleted files and snapshots.
KEPT_BY_SYSTEMS = {
    *("@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot"),
    *("$recycle.bin", "recycler", "system volume information"),
    *("__macosx", "network trash folder", "temporary items", "lost+found"),
}
LISTED = "PNG, JPEG, WebP, BMP, TIFF, GIF, PNM"


def list_files(folder: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Candidate pictures under `folder` in sorted order, and every other file with the reason why it is none.

    Hidden files and folders are skipped, and folders that systems keep for themselves are not gone into. A file without
    a suffix is a candidate: its content decides.
    """
    candidates: list[Path] = []
    others: list[tuple[Path, str]] = []
    for path, problem in _walk(folder):
        if problem:
            others.append((path, problem))
        elif reason := wrong_suffix(path):
            others.append((path, reason))
        elif not os.path.exists(path):
            others.append((path, "a link that leads nowhere"))
        elif not os.path.isfile(path):
            others.append((path, "not a regular file"))
        else:
            candidates.append(path)
    return candidates, others


def wrong_suffix(path: PurePath) -> str:
    """Why a file of this name is no picture, or ""."""
    if not path.suffix or path.suffix.lower() in SUFFIXES:
        return ""
    return f"suffix '{path.suffix}' is not one of a picture that is read ({LISTED})"


def gather_folder(folder: Path, into: Gathering, limit: int, seed: int) -> None:
    """Every picture under `folder`; its first-level sub-folders are the labels when there are any."""
    candidates, others = list_files(folder)
    if not candidates and not others:
        raise UserError(f"data.source: folder '{folder}' is empty. Accepted: a folder that holds {LISTED} files.")
    for path, reason in others:
        into.refuse(name_within(path, folder), reason)
    candidates = [candidates[index] for index in chosen(len(candidates), limit, seed)]
    count = gather_files(candidates, into, lambda path: name_within(path, folder), f"'{folder}'")
    into.description = f"{count:,} pictures of folder '{folder.name or folder}'"


def gather_files(files: Sequence[Picture], into: Gathering, name_of: Callable[[Picture], str], where: str) -> int:
    """Reads picture files, labelled by the first-level folders of their names when there are any; returns how many.

    Args:
        files: In the order in which they are to be.
        into: Gets the pictures, and the files that cannot be read beside those that it has refused already.
        name_of: The name of a file, with `/` between folders.
        where: What they lie in, for the message.

    Raises:
        UserError: When none can be read.
    """
    read: list[str] = []
    into.progress(0, len(files))
    for done, (file, result) in enumerate(read_pictures(files, into.how, noted=into.noted), start=1):
        if isinstance(result, str):
            into.refuse(name_of(file), result)
        else:
            into.add_prepared(result, name_of(file))
            read.append(name_of(file))
        into.progress(done, len(files))
    into.refused.sort(key=lambda refusal: refusal.name)
    if not read:
        first = f", for example {into.refused[0].name}: {into.refused[0].reason}" if into.refused else ""
        raise UserError(
            f"data.source: no picture could be read in {where} ({len(into.refused):,} files refused{first})."
        )
    into.label_by_folder(read)
    return len(read)


def gather_picture(path: Path, into: Gathering) -> None:
    """One picture file."""
    ((_, result),) = read_pictures([path], into.how, noted=into.noted)
    if isinstance(result, str):
        raise UserError(f"data.source: '{path}' could not be read: {result}.")
    into.add_prepared(result, path.name)
    into.description = f"picture '{path.name}'"


def look_at_folder(folder: Path, how: Preparation, limit: int, seed: int) -> np.ndarray:
    """`(height, width, channels)` from the headers of the readable pictures, shape `(n, 3)`."""
    candidates, _ = list_files(folder)
    return look_at_pictures((candidates[index] for index in chosen(len(candidates), limit, seed)), how)


def _walk(top: Path) -> Iterator[tuple[Path, str]]:
    """Files below `top`, sorted, each with "" or with what is wrong; links to folders are followed once."""
    seen: set[tuple[int, int]] = set()
    stack: list[tuple[Path, str]] = [(top, "")]  # not a recursion: folders may be nested a thousand deep
    while stack:
        path, problem = stack.pop()
        if problem or not (path is top or os.path.isdir(path)):
            yield path, problem
            continue
        try:
            facts = os.stat(path)
            if (facts.st_dev, facts.st_ino) in seen:
                continue
            seen.add((facts.st_dev, facts.st_ino))
            names = sorted(os.listdir(path), reverse=True)
        except OSError as error:
            yield path, f"folder cannot be listed: {error.strerror}"
            continue
        for name in names:
            if name.casefold() in KEPT_BY_SYSTEMS and os.path.isdir(path / name):
                stack.append((path / name, "a folder of thumbnails or deleted files that the system keeps"))
            elif not name.startswith("."):
                stack.append((path / name, ""))


def name_within(path: Path, folder: Path) -> str:
    """The path within the folder, as text that can be printed whatever bytes it holds."""
    return path.relative_to(folder).as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "replace")
