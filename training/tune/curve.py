"""A validation curve: one setting, value by value, all others as the recipe has them."""

import csv
import json
from pathlib import Path
from typing import Any

from tfvae.data import Splits
from tfvae.errors import UserError
from tfvae.pictures import save_png, validation_curve
from tfvae.whole_files import whole_file, write_whole
from training.config import RunConfig
from training.tune.space import Searched, parse_range
from training.tune.trials import FIGURES, Proposal, Search, Told, read_rows, trained


def curve_space(text: str, config: RunConfig, pinned: list[str], objective: str) -> list[Searched]:
    """The setting of `--curve KEY=A,B,C`.

    Raises:
        UserError: For anything else, a range, a single value, a setting that `--set` pins, and a key no recipe has.
    """
    searched = parse_range(text, config, "--curve", objective)
    if len(searched.values) < 2 or len(set(map(json.dumps, searched.values))) < len(searched.values):
        raise UserError(f"--curve {searched.key}: expected two or more values, KEY=A,B,C. Received: {text!r}.")
    if searched.key in pinned:
        raise UserError(f"--curve {searched.key}: --set gives it one value already. Accepted: one of the two.")
    return [searched]


def curve(plan: Search, splits: Splits, path: Path) -> list[dict[str, Any]]:
    """Trains each value into `path/trials`; those that are done are not trained again, and one in the middle goes on.

    Returns:
        As `training.tune.search.search`.
    """
    (searched,) = plan.space
    done = {row["trial"] for row in read_rows(path)}
    told = Told(plan, path, len(searched.values))
    for number, value in enumerate(searched.values):
        if number in done:
            continue
        if not told.in_time():
            break
        proposal = Proposal(number, {searched.key: value}, plan.epochs, str(number))
        told.ended(trained(plan, proposal, splits, path, told.place(number)))
    return read_rows(path)


def write_curve(plan: Search, rows: list[dict[str, Any]], path: Path, title: str, label: str) -> None:
    """`curve.csv`, `curve.json` and `curve.png` in `path`.

    Args:
        plan: The search.
        rows: Of it, in the order of the values.
        path: Of the search.
        title: Of the picture.
        label: What the score is, with its unit.
    """
    (searched,) = plan.space
    rows = [row for row in rows if row["status"] == "completed"]
    figures = [name for name in FIGURES if name in rows[0]]
    columns = [*figures, *(f"training_{name}" for name in figures)]
    errors = [f"{name}_error" for name in columns] if plan.folds > 1 else []
    with whole_file(path / "curve.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([searched.key, *columns, *errors, "weights", "seconds"])
        for row in rows:
            spread = [row["errors"][name] for name in columns] if errors else []
            value = row["values"][searched.key]
            shown = value if isinstance(value, (int, float, str)) else json.dumps(value)
            writer.writerow([shown, *(row[name] for name in columns), *spread, row["weights"], row["seconds"]])
    facts = {
        "setting": searched.key,
        "objective": plan.objective,
        "epochs": plan.epochs,
        "folds": plan.folds,
        "points": [{"value": row["values"][searched.key], **_without_values(row)} for row in rows],
    }
    write_whole(path / "curve.json", json.dumps(facts, indent=2) + "\n")
    name = plan.objective
    points = [
        {
            "value": row["values"][searched.key],
            "validation": row[name],
            "training": row[f"training_{name}"],
            "errors": tuple(row["errors"][key] for key in (name, f"training_{name}")) if plan.folds > 1 else None,
        }
        for row in rows
    ]
    save_png(path / "curve.png", validation_curve(points, searched.key, label, title))


def _without_values(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("values", "status")}
