"""Keeps the chatter of C++ libraries off the screen."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Whatever is written to the process's standard error meanwhile is dropped, unless an exception leaves the block.

    The converter and the TFLite runtime print notes straight to file descriptor 2, past Python's logging and
    warnings; in an error they are the only explanation there is, and are then passed on.
    """
    sys.stderr.flush()
    screen = os.dup(2)
    failed = False
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except Exception:
            failed = True
            raise
        finally:
            sys.stderr.flush()
            os.dup2(screen, 2)
            os.close(screen)
            if failed:
                kept.seek(0)
                sys.stderr.write(kept.read().decode(errors="replace"))
