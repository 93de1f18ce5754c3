"""Reads many picture files in worker processes that may hang or die without taking the program with them."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from tfvae.data import reader_process
from tfvae.data.data_key import KEY_VARIABLE, hide_key
from tfvae.data.reading import Preparation
from tfvae.decoding import UnreadableError

WORKERS = 2
MEMORY_LIMIT = 1536 * 2**20  # bytes of address space a worker: two of them and TensorFlow stay below 4 GB
TIME_LIMIT = 20.0  # seconds a file
START_LIMIT = 120.0  # seconds for a worker to import NumPy and Pillow on a busy machine
IN_FLIGHT = 256 * 2**20  # bytes of decoded pixels that may wait for their turn


class Stored(Protocol):
    """A picture file that has no path of its own. Reading `data` may raise `UnreadableError`."""

    @property
    def data(self) -> bytes: ...


@dataclasses.dataclass(frozen=True)
class Content:
    """A picture file that is in memory only."""

    name: str
    data: bytes = dataclasses.field(repr=False)


Picture = TypeVar("Picture", bound=Path | Stored)


def read_pictures(
    paths: Iterable[Picture],
    how: Preparation,
    *,
    look: bool = False,
    noted: list[dict[str, Any]] | None = None,
    time_limit: float = TIME_LIMIT,
    script: str = reader_process.__file__,
) -> Iterator[tuple[Picture, np.ndarray | str]]:
    """Each path, in order, with its pixels or with the reason why it has none.

    Args:
        paths: Picture files, by path or as what is in them; the latter are asked for their content by a thread.
        how: Sizes and filters.
        look: Read headers only; instead of pixels come `[height, width, channels]`.
        noted: Gets what `reading.read_picture` notes of each picture that could be read, in any order.
        time_limit: Seconds after which a file is given up.
        script: The worker program; tests put a slow or a dying one here.

    Yields:
        `(path, pixels)` with uint8 pixels `(height, width, 1 or 3)`, or `(path, reason)`.
    """
    side = max(how.max_side, how.height, how.width)
    window = int(np.clip(IN_FLIGHT // (3 * side * side), WORKERS, 32))
    workers: list[_Worker] = []
    local = threading.local()

    def read(path: Picture) -> np.ndarray | str:
        if not hasattr(local, "worker"):
            local.worker = _Worker(how, look, time_limit, script, [] if noted is None else noted)
            workers.append(local.worker)
        return local.worker.read(path)

    waiting: deque[tuple[Picture, Future[np.ndarray | str]]] = deque()
    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="pictures")
    try:
        for path in paths:
            waiting.append((path, pool.submit(read, path)))
            if len(waiting) >= window:
                path, answer = waiting.popleft()
                yield path, answer.result()
        while waiting:
            path, answer = waiting.popleft()
            yield path, answer.result()
    finally:
        for _, answer in waiting:
            answer.cancel()
        for worker in workers:
            worker.close()
        pool.shutdown(wait=True)
        for worker in workers:
            worker.close()  # one that was just starting


def look_at_pictures(files: Iterable[Path | Stored], how: Preparation) -> np.ndarray:
    """`(height, width, channels)` from the headers of the readable files, int64 of shape `(n, 3)`."""
    answers = [result for _, result in read_pictures(files, how, look=True) if not isinstance(result, str)]
    return np.array(answers, np.int64).reshape(-1, 3)


def _request(file: Path | Stored) -> tuple[bytes, bytes]:
    """What `reader_process` is asked: a line, and the content where the line is its length."""
    if isinstance(file, Path):
        # ASCII JSON carries any file name: surrogates stand for bytes that are no UTF-8.
        return json.dumps(os.path.abspath(file)).encode("ascii"), b""
    content = file.data
    return b"%d" % len(content), content


class _Worker:
    """One process at a time that runs `reader_process.py`; a new one takes the place of one that died."""

    def __init__(self, how: Preparation, look: bool, time_limit: float, script: str, noted: list):
        options = {"how": dataclasses.asdict(how), "look": look, "memory": MEMORY_LIMIT}
        # -P keeps this folder off the path: our module names must not shadow the standard library's.
        self.command = [sys.executable, "-P", script, json.dumps(options)]
        self.look = look
        self.time_limit = time_limit
        self.noted = noted
        self.process: subprocess.Popen[bytes] | None = None
        self.closed = False

    def read(self, path: Path | Stored) -> np.ndarray | str:
        if self.closed:
            return "stopped"
        try:
            line, content = _request(path)
        except UnreadableError as reason:
            return str(reason)
        if self.process is None:
            self._start()
        assert self.process is not None and self.process.stdin is not None
        try:
            self.process.stdin.write(line + b"\n")
            self.process.stdin.write(content)
            self.process.stdin.flush()
        except OSError:
            return self._died()
        reply, late = self._receive(self.time_limit)
        if late:
            self._end()
            return f"took longer than {self.time_limit:g} s to decode"
        if reply is None:
            return self._died()
        status, shape, body, notes = reply
        if status == reader_process.REFUSED:
            return body.decode("utf-8", "replace")
        self.noted.extend(json.loads(notes))
        return np.array(shape) if self.look else np.frombuffer(body, np.uint8).reshape(shape)

    def close(self) -> None:
        self.closed = True
        self._end()

    def _start(self) -> None:
        # One thread a process: BLAS would reserve address space for every core.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        environment.pop(KEY_VARIABLE, None)  # A decoder that a picture takes over must not find the key.
        hide_key()
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        reply, _ = self._receive(START_LIMIT)
        if reply is None and not self.closed:
            self._end()
            raise RuntimeError(f"the picture reader does not start: {self.command}")

    def _receive(self, limit: float) -> tuple[tuple[int, tuple[int, int, int], bytes, bytes] | None, bool]:
        """The next reply (None when the process ended instead), and whether the time limit ended it."""
        process = self.process
        assert process is not None and process.stdout is not None
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(limit, give_up)
        timer.daemon = True
        timer.start()
        try:
            header = process.stdout.read(reader_process.REPLY.size)
            if len(header) < reader_process.REPLY.size:
                return None, late.is_set()
            status, height, width, channels, length, noted = reader_process.REPLY.unpack(header)
            body, notes = process.stdout.read(length), process.stdout.read(noted)
            if len(body) < length or len(notes) < noted:
                return None, late.is_set()
            return (status, (height, width, channels), body, notes), False
        finally:
            timer.cancel()

    def _died(self) -> str:
        process = self.process
        code = process.wait() if process is not None else 0
        self._end()
        return f"the decoder crashed on it (exit code {code})"

    def _end(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was buffered for a dead process
                    pipe.close()
