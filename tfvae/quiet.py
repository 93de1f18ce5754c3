"""TensorFlow's notes on the machine, kept from people who asked for something else."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@contextlib.contextmanager
def native_messages_held() -> Iterator[None]:
    """What is written to file descriptor 2 within is dropped, or shown after all when an exception leaves.

    TensorFlow 2.21 writes a dozen lines about oneDNN and CUDA while it is loaded, before it has read its own log
    level, so nothing but the descriptor can keep them back. A person who set TF_CPP_MIN_LOG_LEVEL to 0 or 1 wants
    to see them: then nothing is held.
    """
    if os.environ.setdefault(LEVEL, "2") in ("0", "1"):
        yield
        return
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
        shown = os.dup(2)
    except OSError:  # a process without stderr has nothing to keep quiet
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(shown, 2)
            held.seek(0)
            with contextlib.suppress(OSError):
                os.write(2, held.read())
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)
