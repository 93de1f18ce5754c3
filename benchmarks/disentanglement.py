"""`python -m benchmarks disentanglement RUN …`: the table of disentanglement, out of what runs and evaluations say.

Runs that differ in their seed alone are a row: means over seeds, with the 95 % interval of the mean of MIG by Student's
t, and that of what it is above the first row's by Welch's. Nothing is measured here and nothing typed: settings are
those of `config.toml`, cost that of `report.json`, and figures those of an evaluation in the run's folder, which

    tfvae evaluate RUN --figures elbo,units,mig,dci,sap,factor_vae -o RUN/factors.json

writes.
"""

import argparse
import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.measuring import header, line, write_table
from benchmarks.papers import commands_of, cost_of, evaluations_of, part_of, stages_of
from tfvae.errors import UserError

FIGURES = {  # by column
    "MIG": "mig",
    "DCI disentanglement": "disentanglement",
    "SAP": "sap",
    "FactorVAE score": "factor_vae_score",
    "active units": "active_units",
    "rate (nats)": "rate",
    "PSNR (dB)": "psnr",
}
COLUMNS = (
    "objective",
    "epochs",
    "seeds",
    "MIG",
    "95 %",
    "above the first row",
    *list(FIGURES)[1:],
    "minutes",
    "command",
)
FOLLOWED = "tfvae evaluate {path} --figures elbo,units,mig,dci,sap,factor_vae -o {path}/factors.json"


def main(options: argparse.Namespace) -> None:
    """Prints the table, and writes it as CSV to `-o`."""
    rows = table(options.runs)
    if options.out:
        write_table(options.out, COLUMNS, rows)
    shown = COLUMNS[:-1]
    print("\n".join([*header(list(shown), 1), *(line([row[name] for name in shown]) for row in rows)]))
    if options.out:
        print(f"\n{options.out}")


def table(runs: Sequence[Path]) -> list[dict[str, str]]:
    """A row for each objective, in the order in which the first run of each was named.

    Raises:
        UserError: When a run has no report or no evaluation of its factors, or two have one seed.
    """
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in runs:
        one = facts(path)
        same = groups[one["command"]]
        if one["seed"] in [other["seed"] for other in same]:
            raise UserError(f"disentanglement: {path}: another run of the same settings and seed {one['seed']}.")
        same.append(one)
    rows: list[dict[str, str]] = []
    first = None
    for command, same in groups.items():
        values = {name: np.array([one[name] for one in same]) for name in (*FIGURES, "minutes")}
        mig = values["MIG"]
        row = {"objective": same[0]["objective"], "epochs": same[0]["epochs"], "command": command}
        row |= {"seeds": ", ".join(str(seed) for seed in sorted(one["seed"] for one in same))}
        row |= {"MIG": f"{mig.mean():.3f}", "95 %": _range(*_interval(mig)), "above the first row": ""}
        if first is not None and min(len(mig), len(first)) > 1:
            found = stats.ttest_ind(mig, first, equal_var=False).confidence_interval()
            row["above the first row"] = f"{mig.mean() - first.mean():+.3f} ({_range(found.low, found.high)})"
        row |= {name: f"{each.mean():.3g}" for name, each in values.items() if name not in ("MIG", "minutes")}
        rows.append(row | {"minutes": f"{values['minutes'].mean():.1f}"})
        first = mig if first is None else first
    return rows


def facts(path: Path) -> dict[str, Any]:
    """Of one run: its figures by column, seed, objective in words, and the command that trains it but for the seed."""
    stages = stages_of(path, "disentanglement")
    configs = [config for config, _ in stages]
    epochs, minutes = cost_of(stages)
    for record in evaluations_of(path):
        known = record["figures"]
        if all(name in known for name in FIGURES.values()):
            break
    else:
        raise UserError(f"disentanglement: {path}: no evaluation in it. Measure first: {FOLLOWED.format(path=path)}")
    unseeded = [dataclasses.replace(each, training=dataclasses.replace(each.training, seed=0)) for each in configs]
    return {
        **{column: known[name]["value"] for column, name in FIGURES.items()},
        "epochs": epochs,
        "minutes": minutes,
        "seed": configs[-1].training.seed,
        "objective": in_words(configs[-1].objective),
        "command": commands_of(unseeded),
    }


def in_words(objective: dict[str, Any]) -> str:
    """`beta = 1, total_correlation of weight 5`."""
    said = [f"beta = {objective.get('beta', 1.0):g}"]
    regulariser = objective.get("regulariser")
    if regulariser:
        setting = part_of(regulariser)
        weight = f" of weight {setting['weight']:g}" if "weight" in setting else ""
        said.append(f"{setting['kind']}{weight}")
    return ", ".join(said)


def _interval(values: np.ndarray) -> tuple[float, float]:
    """Of the mean, 95 %; NaN where there is one value."""
    if len(values) < 2:
        return float("nan"), float("nan")
    reach = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - reach), float(values.mean() + reach)


def _range(low: float, high: float) -> str:
    return "" if np.isnan(low) else f"{low:.3f} – {high:.3f}"
