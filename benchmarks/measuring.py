"""What all benchmarks share: contenders that take turns, the machine, and how results are published."""

import csv
import io
import json
import os
import platform
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

OURS = "tfvae"


def publish(
    facts: dict[str, Any], lines: list[str], words: list[str], out: Path | None, picture: np.ndarray | None = None
) -> None:
    """Prints the table; writes the facts with the command that found them to `out`, and the picture beside them.

    Args:
        facts: What was measured; gets a `command`.
        lines: The table.
        words: What was typed after `python -m benchmarks`.
        out: A file, or None: printed only.
        picture: What there is to look at.
    """
    facts["command"] = shlex.join(["python", "-m", "benchmarks", *words])
    print("\n".join(lines))
    if out is None:
        return
    out.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\n{out}")
    if picture is not None:
        from tfvae.pictures import save_png

        print(save_png(out.with_suffix(".png"), picture))


def machine(packages: tuple[str, ...] = ("keras", "numpy", "torch")) -> dict[str, Any]:
    """Processor and versions."""
    from importlib.metadata import PackageNotFoundError, version

    import tensorflow as tf

    import tfvae

    versions = {"python": platform.python_version(), "tfvae": tfvae.__version__, "tensorflow": tf.__version__}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    devices = [device.name for device in tf.config.list_physical_devices("GPU")]
    return {"cpu": names[0] if names else platform.processor(), "gpus": devices, "versions": versions}


def unrest(facts: dict[str, Any]) -> list[str]:
    """A line that says so when others used the machine as the measurement began; else none."""
    load = facts["load_at_start"]
    return [f"Not a quiet machine: load {load:.1f} at the start. Repeat when others rest."] if load >= 0.5 else []


def progress(line: str) -> None:
    """On a terminal one line that changes; elsewhere a line each."""
    if sys.stderr.isatty():
        print(f"\r{line:70}", end="\r", file=sys.stderr, flush=True)
    elif line:
        print(line, file=sys.stderr, flush=True)


def spread(values) -> dict[str, float]:
    import numpy as np

    return {"median": float(np.median(values)), "lowest": float(values.min()), "highest": float(values.max())}


def in_range(values: dict[str, float], style: str) -> str:
    return f"{values['median']:{style}} ({values['lowest']:{style}} – {values['highest']:{style}})"


def heading(facts: dict[str, Any]) -> list[str]:
    """The model, the machine and the versions."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    gpus = f" and {', '.join(facts['gpus'])}" if facts["gpus"] else ""
    model = facts["model"]
    return [
        f"{facts['task']}: {model['kind']} of {model['weights']:,} weights.",
        f"{facts['cpu']}, {facts['cores']} cores{gpus}; {versions}.",
        *unrest(facts),
    ]


def write_table(path: Path, columns: Sequence[str], rows: Iterable[dict[str, str]]) -> None:
    """Rows as CSV, the file whole or not at all."""
    from tfvae.whole_files import write_whole

    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_whole(path, text.getvalue())


def header(names: list[str], words: int) -> list[str]:
    """Two lines of a Markdown table: so many columns of words, then numbers, which stand at the right."""
    return [line(names), line(["---"] * words + ["---:"] * (len(names) - words))]


def line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


@dataclass(frozen=True)
class Contender:
    """One of the things compared: `turn()` does its work once and returns images/s (matmul: GFLOP/s)."""

    name: str
    group: str
    turn: Callable[[], float]
    gflop: float = 0.0  # of a training step, for one image; 0 = not counted


def cores() -> int:
    """Processors this process may use: every side runs with as many threads."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def alternate(sides: list[Contender], rounds: int, report: Callable[[str], None]) -> np.ndarray:
    """Rates, shape `(rounds, sides)`: A B C D, A B C D, …, after a round that only warms up."""
    rates = []
    for number in range(rounds + 1):
        row = []
        for side in sides:
            report(f"round {number}/{rounds}: {side.name}" if number else f"warming up: {side.name}")
            row.append(side.turn())
        rates.append(row)
    return np.array(rates[1:])
