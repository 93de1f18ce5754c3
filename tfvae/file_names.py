"""Names of files: as a person types them, and those that are derived from others, which fit and are distinct."""

import hashlib
import os
from pathlib import Path, PurePath

LONGEST = 255  # bytes of a name, on the file systems of Linux, macOS and Windows


def user_path(text: str | Path) -> Path:
    """A path as in a shell: `~` and `~user` are home folders, unless something has that very name, as `~draft.png`."""
    path = Path(text)
    return path if os.path.lexists(path) else Path(os.path.expanduser(path))


def fitting(stem: str, ending: str) -> str:
    """`stem` and `ending`; a stem that is too long for a file system is cut, and ends in a hash of all of it."""
    whole = os.fsencode(stem)
    room = LONGEST - len(os.fsencode(ending))
    if len(whole) <= room:
        return stem + ending
    mark = f"~{hashlib.sha256(whole).hexdigest()[:8]}"
    return whole[: room - len(mark)].decode("utf-8", "ignore") + mark + ending


def distinct(parent: PurePath, stem: str, ending: str, taken: set[str]) -> PurePath:
    """`parent / (stem + ending)`, with a number where that is in `taken`, to which it is added.

    Names that differ in capitals only are one, as on the disks of macOS and Windows.
    """
    path, again = parent / fitting(stem, ending), 1
    while str(path).lower() in taken:
        again += 1
        path = parent / fitting(stem, f"_{again}{ending}")
    taken.add(str(path).lower())
    return path
