"""Atomic files: written next to their place and renamed, so that each is whole or not there; read whole or refused."""

import contextlib
import errno
import functools
import hashlib
import itertools
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tfvae.errors import UserError

PART = ".part"  # of a file that does not have its name yet: .HOST-PROCESS-NUMBER.part
# Some file systems (FUSE, network, Windows for a file that is only read) cannot be asked to write through.
CANNOT_SYNC = {errno.EINVAL, errno.ENOSYS, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP}
_numbers = itertools.count()


def part_of(path: Path, suffix: str = "") -> Path:
    """Where this process writes `path` before it has its name: short, whatever the name, and swept when it is killed.

    Args:
        path: Of the file; its folder is made.
        suffix: What the unfinished file must end in, where its writer asks for that.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep_once(path.parent.absolute())
    return path.with_name(f".{_host()}-{os.getpid()}-{next(_numbers)}{PART}{suffix}")


def put_in_place(part: Path, path: Path) -> None:
    """Gives a finished file its name once it is on the disk."""
    with part.open("rb") as file:
        sync(file)
    os.replace(part, path)


def sync(file: IO[Any]) -> None:
    """`fsync`, where the file system has it."""
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in CANNOT_SYNC:
            raise


@contextlib.contextmanager
def whole_path(path: str | Path, suffix: str = "") -> Iterator[Path]:
    """A path to write to that becomes `path` when the block ends well, and is removed otherwise."""
    path = Path(path)
    part = part_of(path, suffix)
    try:
        yield part
        put_in_place(part, path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_file(path: str | Path, mode: str = "wb", **options: Any) -> Iterator[Any]:
    """`whole_path`, opened: `mode` and `options` are those of `open`."""
    with whole_path(path) as part, open(part, mode, **options) as file:
        yield file


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Text, as UTF-8, or bytes as a file."""
    with whole_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def sweep(folder: Path) -> None:
    """Removes the unfinished files in `folder` whose writers, processes of this machine, are no more."""
    for part in folder.glob(f".{_host()}-*{PART}*"):
        process = part.name.split("-")[1]
        if process.isdigit() and not is_alive(int(process)):
            with contextlib.suppress(OSError):
                part.unlink()


def is_alive(process: int) -> bool:
    """Whether this machine runs a process of this number."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def read_json(path: Path) -> dict[str, Any]:
    """The table in a JSON file. Raises `UserError`, in one line, for one that is missing or damaged."""
    try:
        table = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged: not valid JSON ({' '.join(str(error).split())[:200]}).") from error
    if not isinstance(table, dict):
        raise UserError(f"{path}: damaged: holds a {type(table).__name__}, not a table.")
    return table


def read_arrays(path: Path) -> dict[str, Any]:
    """The arrays of an `.npz` file by name; every check sum is looked at, and nothing is unpickled.

    Raises:
        ValueError: With the reason, whatever is wrong with the file.
    """
    import numpy as np  # Here, because commands that are mistyped are refused without it.

    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:  # of the zip file, its compression, or the headers of the arrays
        raise ValueError(" ".join(f"{type(error).__name__}: {error}".split())[:200]) from error
    if odd := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
        raise ValueError(f"'{odd[0]}' is no array")
    return arrays


@functools.cache
def _sweep_once(folder: Path) -> None:
    sweep(folder)


@functools.cache
def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode("utf-8", "surrogateescape")).hexdigest()[:8]
