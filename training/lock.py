"""Mutual exclusion of writers: a lock file in the folder they write to, which names its owner and outlives none."""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from tfvae.errors import UserError

try:
    import fcntl
except ImportError:  # Windows: there the lock's age alone says whether its owner lives
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
# The owner touches its lock every so many seconds. One that another machine left untouched for longer is nobody's.
BEAT, STALE = 20.0, 120.0


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Within, this process alone writes to `folder`, which is made, and removed again where nothing was written.

    The system lets go of the lock of a process of this machine when it ends, however it ends.

    Raises:
        UserError: When another process writes there: which, where and since when, and how to break the lock.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _taken(folder / LOCK)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}).") from error
    ended = threading.Event()
    threading.Thread(target=_beat, args=(folder / LOCK, ended), name="lock", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        with contextlib.suppress(OSError):
            if _is_at(file, folder / LOCK):
                os.unlink(folder / LOCK)
        file.close()
        with contextlib.suppress(OSError):
            folder.rmdir()  # if it is empty


def _taken(path: Path) -> IO[str]:
    """The lock at `path`, open and this process's."""
    while True:
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 (open as long as it is held)
        free = _locked(file)
        if _is_at(file, path):
            break
        file.close()  # its owner has removed it in between
    owner = _owner(file)
    age = time.time() - os.fstat(file.fileno()).st_mtime
    # The system vouches for processes of this machine only.
    dead = (free and owner.get("host") == socket.gethostname()) or age > STALE
    if free is False or (owner and not dead):
        file.close()
        who = f"process {owner.get('process', '?')} on {owner.get('host', '?')}, since {owner.get('since', '?')}"
        raise UserError(
            f"{path.parent}: another process writes there: {who}. Wait for it or stop it, or name another folder; "
            f"if it is no more, remove {path}."
        )
    file.truncate(0)
    since = datetime.now().astimezone().isoformat(" ", "seconds")
    json.dump({"process": os.getpid(), "host": socket.gethostname(), "since": since}, file)
    file.flush()
    return file


def _locked(file: IO[str]) -> bool | None:
    """Whether nobody else has the file locked, and now this process has; None where that cannot be known."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _owner(file: IO[str]) -> dict[str, Any]:
    """What the lock says; empty for a new one, and for one that was torn."""
    file.seek(0)
    try:
        owner = json.load(file)
    except (ValueError, RecursionError):
        return {}
    return owner if isinstance(owner, dict) else {}


def _beat(path: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT):
        with contextlib.suppress(OSError):
            os.utime(path)
