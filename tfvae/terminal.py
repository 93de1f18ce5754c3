"""Output that cannot end the work: a reader that has gone, and an encoding without the letter."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def patient_output() -> Iterator[None]:
    """Within, writing to stdout and stderr never raises: a program's files matter more than what it says of them.

    Letters that the encoding of a terminal or a log has not are written as `\\xd7`. When a pipe or a terminal is closed
    at its other end, what is written there is dropped from then on.
    """
    kept = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_Patient(stream) for stream in kept)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(ValueError):  # closed
                stream.flush()
        sys.stdout, sys.stderr = kept


class _Patient:
    def __init__(self, stream: Any):
        self._stream = stream
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        with self._dropped():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._dropped():
            self._stream.flush()

    @contextlib.contextmanager
    def _dropped(self) -> Iterator[None]:
        try:
            yield
        except OSError:  # EPIPE of a pipe, EIO of a terminal
            with contextlib.suppress(OSError, AttributeError, ValueError):
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, self._stream.fileno())
                os.close(nothing)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
