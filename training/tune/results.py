"""What a search leaves: a table, a plot, and its best settings as a recipe."""

import csv
import dataclasses
import math
from pathlib import Path
from typing import Any

from tfvae.data import Splits
from tfvae.pictures import save_png, search_panels
from tfvae.toml_sections import write_toml
from tfvae.whole_files import whole_file, write_whole
from training import run
from training.config import Tables, merge, shortened
from training.journal import duration
from training.tune.curve import write_curve
from training.tune.space import apply
from training.tune.trials import FIGURES, Search, score

UNITS = {"elbo": "ELBO (nats, higher is better)", "psnr": "PSNR (dB)", "ssim": "SSIM"}


def write(plan: Search, rows: list[dict[str, Any]], splits: Splits, path: Path, command: str) -> dict[str, Any]:
    """Writes `trials.csv`, `tune.md`, `best.toml` and pictures into `path`; returns the best trial.

    The picture is `tune.png`; of a curve `curve.png`, with its numbers beside it.
    """
    best = max(rows, key=lambda row: (score(row, plan), -row["trial"]))
    _write_csv(plan, rows, path / "trials.csv")
    if plan.kind == "curve":
        write_curve(plan, rows, path, f"{plan.epochs} epochs, {judges(plan, splits)}", UNITS[plan.objective])
    else:
        _draw_search(plan, rows, best, path)
    write_whole(path / "tune.md", _markdown(plan, rows, best, splits, path, command))
    write_whole(path / "best.toml", _recipe(plan, rows, best, splits, command))
    return best


def named(plan: Search) -> str:
    """What is done, in words."""
    return {"hyperband": "Hyperband", "random": "random search", "curve": "validation curve"}[plan.kind]


def judges(plan: Search, splits: Splits) -> str:
    """The images that trials are judged by, in words."""
    if plan.folds > 1:
        return f"{plan.folds} folds of {len(splits.train) + len(splits.validation):,} images"
    return f"{len(splits.validation):,} validation images"


def _draw_search(plan: Search, rows: list[dict[str, Any]], best: dict[str, Any], path: Path) -> None:
    points = [
        {**{key: _label(value) for key, value in row["values"].items()}, "score": row[plan.objective]}
        for row in rows
        if row["status"] == "completed"
    ]
    logarithmic = {searched.key for searched in plan.space if not searched.values}
    best_point = [row["trial"] for row in rows if row["status"] == "completed"].index(best["trial"])
    picture = search_panels(points, f"validation {UNITS[plan.objective]}", best_point, logarithmic)
    save_png(path / "tune.png", picture)


def _write_csv(plan: Search, rows: list[dict[str, Any]], path: Path) -> None:
    facts = ("trial", "continues", "status")
    spread = [f"{name}_error" for name in FIGURES] if plan.folds > 1 else []
    figures = ("epochs", "best_epoch", "weights", *FIGURES, *spread, "seconds", "message")
    keys = [searched.key for searched in plan.space]
    with whole_file(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*facts, *keys, *figures])
        for found in rows:
            row = found | {f"{name}_error": error for name, error in found.get("errors", {}).items()}
            values = [_label(row["values"][key]) for key in keys]
            writer.writerow([*(row.get(key, "") for key in facts), *values, *(row.get(key, "") for key in figures)])


def _markdown(
    plan: Search, rows: list[dict[str, Any]], best: dict[str, Any], splits: Splits, path: Path, command: str
) -> str:
    keys = [searched.key for searched in plan.space]
    figures = [name for name in FIGURES if any(name in row for row in rows)]
    lines = [
        f"# {path.name}",
        "",
        f"{named(plan)} over {_count(rows)} of at most {plan.epochs} epochs, {_spent(rows)} in all, on "
        f"{splits.description}. Every trial is judged by the {judges(plan, splits)} with the weights it kept; the ELBO "
        f"counts the rate once, whatever the beta of the training.{_about_folds(plan)}",
        "",
        "```sh",
        command,
        "```",
        "",
        "| searched | from |",
        "| --- | --- |",
        *(f"| {searched.key} | {searched} |" for searched in plan.space),
        "",
        "## Trials, the best first",
        "",
        "| " + " | ".join(["trial", *keys, "epochs", *(UNITS[name] for name in figures), "time"]) + " |",
        "|" + " ---: |" * (len(keys) + len(figures) + 3),
    ]
    for row in sorted(rows, key=lambda row: -score(row, plan)):
        number = f"{row['trial'] + 1}" + (f" (goes on from {row['continues'] + 1})" if "continues" in row else "")
        cells = [f"**{number}**" if row is best else number]
        cells += [str(_label(row["values"][key])) for key in keys]
        if row["status"] == "completed":
            cells += [str(row["epochs"]), *(_with_error(row, name) for name in figures)]
        else:
            cells += ["failed: " + row["message"].replace("|", "\\|"), *("" for _ in figures)]
        lines.append("| " + " | ".join([*cells, duration(row["seconds"])]) + " |")
    lines += [
        "",
        "![Validation curve](curve.png)"
        if plan.kind == "curve"
        else "![Score against each searched setting](tune.png)",
        "",
        "The best as a recipe, trained to its end:",
        "",
        "```sh",
        f"python -m training --recipe {path / 'best.toml'}",
        "```",
        "",
    ]
    return "\n".join(lines)


def _recipe(plan: Search, rows: list[dict[str, Any]], best: dict[str, Any], splits: Splits, command: str) -> str:
    """A recipe that trains the best settings for as long as the recipe that was searched around."""
    figures = ", ".join(f"{name} {best[name]:.4g}" for name in FIGURES if name in best)
    head = [
        f"# Command  {command}",
        f"# Data     {splits.description}",
        f"# Search   {named(plan)}, {_count(rows)} of at most {plan.epochs} epochs; {_spent(rows)} in all",
        f"# Result   trial {best['trial'] + 1}, validation: {figures} after {best['epochs']} epochs; "
        f"seed {plan.config.training.seed}, {judges(plan, splits)}",
    ]
    # As in the trials, no warm-up may take more of the training than its first quarter.
    config = shortened(apply(plan.config, best["values"]), run.steps_in_all(plan.config, splits))
    tables: Tables = {name: _said(getattr(config, name)) for name in ("data", "model", "training")}
    return "\n".join(head) + "\n\n" + write_toml(merge(tables, {"objective": config.objective}))


def _said(section: Any) -> dict[str, Any]:
    """The settings of a section that are not its defaults, as in a recipe written by hand."""
    fields = dataclasses.fields(section)
    return {
        field.name: getattr(section, field.name) for field in fields if getattr(section, field.name) != field.default
    }


def _about_folds(plan: Search) -> str:
    if plan.folds == 1:
        return ""
    return (
        f" Each is trained {plan.folds} times, on all images but those that judge it (none of them a test image); "
        "± is the standard error of the mean."
    )


def _with_error(row: dict[str, Any], name: str) -> str:
    if name not in row:
        return ""
    return f"{row[name]:.4g}" + (f" ± {row['errors'][name]:.2g}" if "errors" in row else "")


def _count(rows: list[dict[str, Any]]) -> str:
    failed = sum(row["status"] != "completed" for row in rows)
    return f"{len(rows)} trials" + (f" ({failed} failed)" if failed else "")


def _spent(rows: list[dict[str, Any]]) -> str:
    return duration(math.fsum(row["seconds"] for row in rows))


def _label(value: Any) -> Any:
    return value if isinstance(value, (int, float, str)) else str(value)
