"""The process that reads pictures within limits: a file that hangs or crashes a decoder costs this process only.

Run by its path, so that it starts in a fraction of a second and carries no TensorFlow.
"""

import importlib
import json
import os
import signal
import struct
import sys
import types
from pathlib import Path

REPLY = struct.Struct(">BIIIQI")  # status, height, width, channels, bytes of pixels or reason, bytes of what was noted
PIXELS, REFUSED, READY = range(3)


def load_reader():
    """`tfvae.data.reading`, with empty packages around it: their own would bring TensorFlow."""
    data = Path(__file__).resolve().parent
    for name, folder in (("tfvae", data.parent), ("tfvae.data", data)):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(folder)]
    return importlib.import_module("tfvae.data.reading")


def main(reading) -> None:
    """Answers each request on stdin with one reply on stdout, until stdin ends.

    A request is a line of JSON: the path of a picture file, or the number of bytes of one that follow. A reply is
    `REPLY`, the pixels or the reason, and what was noted of the picture (`reading.read_picture`) as JSON.
    """
    import numpy as np

    options = json.loads(sys.argv[1])
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a C library that prints must not end up among the replies
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends this process
    _limit_memory(options["memory"])
    refusal = sys.modules[reading.open_checked.__module__].UnreadableError
    how = reading.Preparation(**options["how"])
    replies.write(REPLY.pack(READY, 0, 0, 0, 0, 0))
    replies.flush()
    requests = sys.stdin.buffer
    for line in iter(requests.readline, b""):
        body: bytes | memoryview = b""
        noted: list[dict] = []
        asked = json.loads(line)
        source = requests.read(asked) if isinstance(asked, int) else asked
        try:
            if options["look"]:
                header = (PIXELS, *reading.look_at_picture(source, how))
            else:
                pixels = np.ascontiguousarray(reading.read_picture(source, how, noted))
                header, body = (PIXELS, *pixels.shape), pixels.data.cast("B")
        except refusal as reason:
            header, body = (REFUSED, 0, 0, 0), str(reason).encode("utf-8", "replace")
        notes = json.dumps(noted).encode("ascii")
        replies.write(REPLY.pack(*header, len(body), len(notes)))
        replies.write(body)
        replies.write(notes)
        replies.flush()


def _limit_memory(limit: int) -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        pass  # Windows has no such limits and macOS refuses some: the time limit still holds


if __name__ == "__main__":
    main(load_reader())
