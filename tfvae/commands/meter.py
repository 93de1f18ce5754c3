"""A line on the terminal: how much of a command's work is done, how fast, and how long the rest will take."""

import sys
import time
from typing import Any


class Meter:
    """Shows nothing where there is no terminal; leaving its `with` block leaves an empty line.

    Args:
        total: How much there is to do.
        unit: What that is counted in, many of them.
    """

    def __init__(self, total: float, unit: str):
        self.total, self.unit, self.shown = total, unit, sys.stderr.isatty()
        self.begun = self.before = 0.0  # when the clock started, and how much was done by then

    def show(self, done: float, text: str = "") -> None:
        """`text`, by default how much is done, with the rate and the time left."""
        if not self.shown:
            return
        rate = ""
        if self.begun:
            speed = (done - self.before) / max(time.monotonic() - self.begun, 1e-6)
            rate = f", {speed:.2f} {self.unit} a second, {(self.total - done) / max(speed, 1e-6):.0f} s left"
        else:  # the first part compiles: the rate is that since then
            self.begun, self.before = time.monotonic(), done
        text = text or f"{done:,.0f} of {self.total:,.0f} {self.unit}"
        print(f"\r\x1b[K{text}{rate}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """An empty line, for what is said next."""
        if self.shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def __enter__(self) -> "Meter":
        return self

    def __exit__(self, *_: Any) -> None:
        self.clear()
