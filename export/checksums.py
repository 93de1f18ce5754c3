"""`SHA256SUMS`: what every file of a bundle was when it was written.

The format is that of `sha256sum`, so `sha256sum -c SHA256SUMS` reads it, too. It proves integrity, not authenticity:
who can change a file can also change its line. To prove *who* made a bundle, sign `SHA256SUMS` with means
of their own (`gpg --detach-sign`, `ssh-keygen -Y sign`, `cosign sign-blob`), and keep the signature next to the folder.
"""

import contextlib
import hashlib
import os
import re
from pathlib import Path

from tfvae.errors import UserError

SUMS = "SHA256SUMS"


def write(folder: Path) -> None:
    """Write `SHA256SUMS` into `folder`, over every file in it: the last thing a bundle gets. Empty folders go."""
    for place, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(place)
    (folder / SUMS).write_text(_rendered(folder), encoding="utf-8", newline="\n")


def check(folder: Path) -> int:
    """How many files `folder` holds; all are what `SHA256SUMS` says, and there are no others.

    The file of sums is compared as a whole with the one that would be written now, so that it cannot have been changed
    in any byte either.

    Raises:
        UserError: That names the file which was changed, is missing, or does not belong to the bundle.
    """
    try:
        listed = (folder / SUMS).read_bytes()
    except OSError:
        raise UserError(f"{folder}: no export bundle that can be verified (no {SUMS} in it).") from None
    found = _rendered(folder)
    if listed == found.encode():
        return found.count("\n") + 1  # and SHA256SUMS itself
    raise UserError(f"{folder}: refused: {_difference(_parsed(listed, folder), _parsed(found.encode(), folder))}")


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _rendered(folder: Path) -> str:
    return "".join(f"{digest(folder / name)}  {name}\n" for name in _files(folder) if name != SUMS)


def _files(folder: Path) -> list[str]:
    """The files of a bundle, in order. Raises `UserError` for whatever else is in it: sums would not hold it."""
    found, folders = [], [""]
    while folders:
        inner = folders.pop()
        try:
            entries = list(os.scandir(folder / inner))
        except OSError as error:
            raise UserError(f"{folder}: refused: {inner or 'it'} cannot be listed ({error.strerror}).") from None
        if inner and not entries:
            raise UserError(f"{folder}: refused: {inner} is an empty folder; a bundle holds plain files only.")
        for entry in entries:
            name = f"{inner}/{entry.name}" if inner else entry.name
            if not name.isprintable():
                raise UserError(f"{folder}: refused: {name!a} is no name of a bundle's file.")
            if entry.is_dir(follow_symlinks=False):
                folders.append(name)
            elif entry.is_file(follow_symlinks=False):
                found.append(name)
            else:
                # What a link points to is not in the bundle, and may change under it.
                raise UserError(
                    f"{folder}: refused: {name} is a link or a special file; a bundle holds plain files only."
                )
    return sorted(found, key=lambda name: name.split("/"))


def _parsed(content: bytes, folder: Path) -> dict[str, str]:
    sums = {}
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        match = re.fullmatch(rb"([0-9a-f]{64})  (.+)", line)
        if not match:
            raise UserError(f"{folder}: refused: {SUMS} was changed: line {number} is no SHA-256 and file name.")
        sums[match[2].decode("utf-8", "backslashreplace")] = match[1].decode()
    return sums


def _difference(listed: dict[str, str], found: dict[str, str]) -> str:
    problems = [
        *(f"{name} was changed" for name in listed if name in found and listed[name] != found[name]),
        *(f"{name} is missing" for name in listed if name not in found),
        *(f"{name} does not belong to it" for name in found if name not in listed),
    ]
    if not problems:
        return f"{SUMS} was changed."
    more = f", and {len(problems) - 3} more files" if len(problems) > 3 else ""
    return f"{', '.join(problems[:3])}{more} (compared with {SUMS})."
