"""How figures were measured, what must agree before they are compared, and the file they are kept in."""

import json
import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tfvae
from tfvae.errors import UserError
from tfvae.evaluation.context import EvaluationContext
from tfvae.whole_files import read_json, write_whole

# Reported, and free to differ: where the same images lay, what measured them, and in what portions.
FREE = ("source", "batch_size", "versions")
FORMAT = 1  # of the file


def protocol(context: EvaluationContext, source: str, split: str) -> dict[str, Any]:
    """What all figures of one evaluation share, JSON-ready."""
    return {
        "source": source,
        "split": split,
        "images": len(context.images),
        "sha256": context.images.digest(),
        "binarised": context.data_config.binarize,
        "seed": context.seed,
        "batch_size": context.batch_size,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of Python and what figures depend on: as the modules themselves say, for packages go by several names."""
    modules = {"tfvae": tfvae, "tensorflow": tf, "keras": keras, "numpy": np}
    return {"python": platform.python_version()} | {name: module.__version__ for name, module in modules.items()}


def write_evaluation(path: Path, evaluation: Any, **facts: Any) -> None:
    """Writes an `Evaluation` as JSON: `format`, `facts`, `protocol`, and `figures` by name, each with its own part of
    the protocol."""
    figures = {name: asdict(figure) for name, figure in evaluation.figures.items()}
    record = {"format": FORMAT, **facts, "protocol": evaluation.protocol, "figures": figures}
    record["left_out"] = evaluation.left_out
    write_whole(path, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def read_evaluation(path: Path) -> dict[str, Any]:
    """A file of `write_evaluation`. Raises `UserError` when it is none."""
    record = read_json(path)
    whole = all(isinstance(record.get(key), dict) for key in ("protocol", "figures"))
    if not whole or not all(_is_figure(figure) for figure in record["figures"].values()):
        raise UserError(f"{path}: no evaluation. Accepted: what `tfvae evaluate RUN -o OUT.json` writes.")
    return record


def _is_figure(figure: Any) -> bool:
    if not isinstance(figure, dict) or not isinstance(figure.get("protocol"), dict):
        return False
    interval = figure.get("interval")
    numbers = [figure.get("value"), *(interval or [])]
    return all(isinstance(number, int | float) for number in numbers) and len(interval or [0, 0]) == 2


def unlike(
    first: Mapping[str, Any], second: Mapping[str, Any], figures: Collection[str] | None = None
) -> list[tuple[str, Any, Any]]:
    """In what the protocols of two records differ: (field, value of the first, value of the second) each.

    Args:
        first: A record of `read_evaluation`.
        second: Another.
        figures: Names of the figures that are to be compared; None for all. One that only one record holds is
            compared with nothing.
    """
    found = _differences("", first["protocol"], second["protocol"])
    shared = [name for name in first["figures"] if name in second["figures"] and (figures is None or name in figures)]
    for name in shared:
        own, other = (record["figures"][name]["protocol"] for record in (first, second))
        found += _differences(f"{name}: ", own, other)
    return found


def _differences(where: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    fields = [name for name in dict.fromkeys([*first, *second]) if name not in FREE]
    return [(where + name, first.get(name), second.get(name)) for name in fields if first.get(name) != second.get(name)]


def comparison(
    records: Sequence[Mapping[str, Any]], names: Sequence[str], figures: Sequence[str] | None = None
) -> list[list[str]]:
    """Rows of text: a figure each, with its value in every record, the difference from the first, and what the
    intervals say.

    Two 95 % intervals that do not overlap mean a difference at well over 95 %; two that overlap leave it open.

    Args:
        records: Of `read_evaluation`, two or more.
        names: One for each record, for the heading and for messages.
        figures: Which figures; None for all that any record holds.

    Raises:
        UserError: When the protocols are unlike, or there is nothing to compare.
    """
    first = records[0]
    for name, record in zip(names[1:], records[1:], strict=True):
        found = unlike(first, record, figures)
        if found:
            told = "; ".join(f"{field} {_brief(a)} and {_brief(b)}" for field, a, b in found[:4])
            more = f"; and {len(found) - 4} more" if len(found) > 4 else ""
            raise UserError(f"{names[0]} and {name} were measured by unlike protocols: {told}{more}.")
    held = dict.fromkeys(figure for record in records for figure in record["figures"])
    chosen = [figure for figure in held if figures is None or figure in figures]
    if not chosen:
        raise UserError(f"nothing to compare. Figures in these files: {', '.join(held) or 'none'}.")
    heading = ["figure", names[0]]
    for name in names[1:]:
        heading += [name, "difference", "95 % intervals"]
    rows = [heading]
    for figure in chosen:
        cells = [record["figures"].get(figure) for record in records]
        row = [figure, _shown(cells[0])]
        for cell in cells[1:]:
            row += [_shown(cell), *_beside(cells[0], cell)]
        rows.append(row)
    return rows


def _shown(figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return "—"
    if not figure["interval"]:
        return f"{figure['value']:.4f}"
    low, high = figure["interval"]
    return f"{figure['value']:.4f} ({low:.4f} – {high:.4f})"


def _beside(first: Mapping[str, Any] | None, second: Mapping[str, Any] | None) -> tuple[str, str]:
    if first is None or second is None:
        return "", ""
    difference = f"{second['value'] - first['value']:+.4f}"
    if not first["interval"] or not second["interval"]:
        return difference, ""
    (low, high), (other_low, other_high) = first["interval"], second["interval"]
    return difference, "overlap" if low <= other_high and other_low <= high else "apart"


def _brief(value: Any) -> str:
    """A value for a message; a hash by its first digits."""
    if value is None:
        return "not given"
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else text
