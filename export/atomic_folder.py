"""A bundle appears as a whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tfvae.errors import UserError
from tfvae.whole_files import is_alive

REPORT = "export_report.json"


def check_place(out: Path) -> None:
    """Raises `UserError` unless `out` is free, an empty folder, or a bundle, which may be replaced."""
    if out.is_dir() and ((out / REPORT).is_file() or not any(out.iterdir())):
        return
    if out.exists() or out.is_symlink():
        raise UserError(
            f"{out}: exists and is no export bundle (no {REPORT} in it), so it is left alone. "
            "Accepted: a new path, an empty folder, or an earlier bundle."
        )
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UserError(f"{out}: cannot be made, since {parent} is no folder that can be written to.")


@contextlib.contextmanager
def placed(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out`, which takes the place of `out` when the block ends without an exception.

    Until then `out` is what it was: an export that is killed leaves an earlier bundle untouched. The temporary folder
    carries the process's number, and is removed when the block fails, or by a later export when the process died.
    """
    out = out.absolute()
    check_place(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(out)
    partial = out.with_name(f".{out.name}.partial-{os.getpid()}")
    partial.mkdir()
    try:
        yield partial
        check_place(out)
        _replace(out, partial)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _replace(out: Path, partial: Path) -> None:
    if not out.exists():
        partial.rename(out)
        return
    # A folder that holds something cannot be renamed over, so the earlier bundle steps aside first.
    old = out.with_name(f".{out.name}.old-{os.getpid()}")
    out.rename(old)
    try:
        partial.rename(out)
    except OSError:
        old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _remove_leftovers(out: Path) -> None:
    """Temporary folders of exports to the same place whose process is no more."""
    for kind in ("partial", "old"):
        for folder in out.parent.glob(f".{out.name}.{kind}-*"):
            number = folder.name.rpartition("-")[2]
            if not number.isdigit() or is_alive(int(number)):
                continue
            if kind == "old" and not out.exists():
                folder.rename(out)  # killed between the two renames: the earlier bundle goes back to its place
            else:
                shutil.rmtree(folder, ignore_errors=True)
