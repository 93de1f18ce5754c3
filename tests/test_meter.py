"""The line that says how far a command is."""

import sys
import time

from tfvae.commands.meter import Meter


def shown(monkeypatch, capsys, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    clock = iter([100.0, 102.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with Meter(2_000, "rows") as meter:
        meter.show(400)
        meter.show(1_000, "half of it")
    return capsys.readouterr().err


def test_the_rate_is_that_since_the_first_part(monkeypatch, capsys):
    lines = shown(monkeypatch, capsys, terminal=True).split("\r\x1b[K")
    assert lines == ["", "400 of 2,000 rows", "half of it, 300.00 rows a second, 3 s left", ""]


def test_nothing_is_shown_where_there_is_no_terminal(monkeypatch, capsys):
    assert shown(monkeypatch, capsys, terminal=False) == ""
