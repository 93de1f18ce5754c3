"""`python -m benchmarks papers RUN …`: the table of likelihoods, out of what runs and their evaluations say.

Nothing is measured here and nothing typed: settings are those of `config.toml`, cost and weights those of
`report.json`, −log p(x) and active units those of the evaluation in the run's folder with the most draws, which

    tfvae evaluate RUN --figures nll,units --nll 5000 -o RUN/nll.json

writes. A run that began with the weights of another (`--init`) has its cost and its command, too. Rows of a table that
is there already stay, unless a run given now has the same command, seed and draws.
"""

import argparse
import contextlib
import csv
import dataclasses
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measuring import header, line, write_table
from tfvae.errors import UserError

COLUMNS = (
    "data",
    "model",
    "bound",
    "prior",
    "NLL (nats)",
    "95 %",
    "k",
    "images",
    "active units",
    "by layer",
    "parameters",
    "epochs",
    "minutes",
    "command",
    "seed",
    "reference",
)
KEY = ("command", "seed", "k")  # of two rows of one run
# Of a command: what a run finds out by itself, or where its data lie.
FOUND = {
    "data": ("source", "height", "width", "channels", "manual_dir", "key_file"),
    "objective": ("label_names",),
    "training": ("init",),
}
REFERENCES = {  # by bound and gradient
    ("elbo", "total"): "Kingma and Welling (2014), arXiv:1312.6114",
    ("elbo", "path"): "Roeder, Wu and Duvenaud (2017), arXiv:1703.09194",
    ("iwae", "total"): "Burda, Grosse and Salakhutdinov (2016), arXiv:1509.00519",
    ("iwae", "path"): "Tucker et al. (2019), arXiv:1810.04152",
}


def main(options: argparse.Namespace) -> None:
    """Prints the table, and writes it as CSV to `-o`."""
    rows = [row_of(path) for path in options.runs]
    if options.out:
        rows = merged(options.out, rows)
        write_table(options.out, COLUMNS, rows)
    shown = [name for name in COLUMNS if name not in ("command", "reference")]
    print("\n".join([*header(shown, 4), *(line([str(row[name]) for name in shown]) for row in rows)]))
    if options.out:
        print(f"\n{options.out}")


def row_of(path: Path) -> dict[str, str]:
    """The row of one run directory.

    Raises:
        UserError: When the training has left no report, or no evaluation of −log p(x) is beside it.
    """
    from tfvae import bounds

    stages = stages_of(path, "papers")
    config, cost = stages[-1]
    epochs, minutes = cost_of(stages)
    evaluation = evaluation_of(path)
    figures = evaluation["figures"]
    nll, units = figures["nll"], {name: one for name, one in figures.items() if name.startswith("active_units")}
    setting = part_of(config.objective.get("bound", "elbo"))
    kind = setting.pop("kind")
    bound = bounds.get(kind, **setting)
    total = units.pop("active_units", None)
    return {
        "data": f"{_source(config)}{', binarised' if config.data.binarize else ''}",
        "model": " ".join([config.model.kind, config.model.network, _sizes(config)]),
        "bound": f"{kind}, k = {bound.samples}{', path gradient' if bound.gradient == 'path' else ''}",
        "prior": f"{config.prior.kind}{', fitted' if config.prior.fitted else ''}",
        "NLL (nats)": f"{nll['value']:.2f}",
        "95 %": " – ".join(f"{end:.2f}" for end in nll["interval"]) if nll["interval"] else "",
        "k": str(nll["protocol"]["k"]),
        "images": str(evaluation["protocol"]["images"]),
        "active units": f"{total['value']:.0f} {total['unit']}" if total else "",
        "by layer": " + ".join(f"{one['value']:.0f}" for one in units.values()),
        "parameters": str(cost["weights"]),
        "epochs": epochs,
        "minutes": f"{minutes:.1f}",
        "command": commands_of([stage for stage, _ in stages]),
        "seed": str(config.training.seed),
        "reference": REFERENCES[kind, bound.gradient],
    }


def stages_of(path: Path, benchmark: str) -> list[tuple[Any, dict[str, Any]]]:
    """A run's configuration and cost, `trained`; before it those of the run whose weights it began with, and so on."""
    config, cost = trained(path, benchmark)
    before = stages_of(Path(config.training.init), benchmark) if config.training.init else []
    return [*before, (config, cost)]


def cost_of(stages: list[tuple[Any, dict[str, Any]]]) -> tuple[str, float]:
    """The epochs of each stage, `300 + 8`, and the minutes of all."""
    return " + ".join(str(cost["epochs"]) for _, cost in stages), sum(cost["seconds"] for _, cost in stages) / 60


def commands_of(configs: list[Any]) -> str:
    """The commands that train such runs, each but the first with the weights of the one before."""
    words = [command_of(config) for config in configs]
    begun = [f" --init RUN{number}" if number else "" for number in range(len(words))]
    left = [f" --out RUN{number}" for number in range(1, len(words))]
    return " && ".join(map("".join, zip(words, begun, [*left, ""], strict=True)))


def trained(path: Path, benchmark: str) -> tuple[Any, dict[str, Any]]:
    """The configuration of a run, and what its report says of the training; `UserError` where that has not ended."""
    from tfvae.runs import open_run
    from training.config import read_config

    run = open_run(path)
    if "training" not in run.report:
        raise UserError(f"{benchmark}: {path}: no report yet. Let the training end.")
    return read_config(run.config, str(path / "config.toml")), run.report["training"]


def evaluations_of(path: Path) -> Iterator[dict[str, Any]]:
    """The records that `tfvae evaluate` left in a run's folder, by file name."""
    from tfvae.evaluation.protocol import read_evaluation

    for file in sorted(path.glob("*.json")):
        with contextlib.suppress(UserError):  # another of its files
            yield read_evaluation(file)


def evaluation_of(path: Path) -> dict[str, Any]:
    """The evaluation in the run's folder whose −log p(x) has the most draws, then the most images."""
    found = [record for record in evaluations_of(path) if "nll" in record["figures"]]
    if not found:
        raise UserError(
            f"papers: {path}: no evaluation of -log p(x) in it. Measure it first: "
            f"tfvae evaluate {path} --figures nll,units --nll 5000 -o {path}/nll.json"
        )
    return max(found, key=lambda record: (record["figures"]["nll"]["protocol"]["k"], record["protocol"]["images"]))


def command_of(config: Any) -> str:
    """The shortest command that trains such a run: a recipe, and `--set` for every setting that it has otherwise."""
    from tfvae.toml_sections import toml_value
    from training.config import merge, read_config, read_recipe, recipe_names

    own = _settings(config)
    ignored = {f"{section}.{key}" for section, keys in FOUND.items() for key in keys}
    commands: list[list[str]] = []
    for name in recipe_names():
        tables = read_recipe(name)
        recipe = _settings(read_config(merge({"data": {"source": config.data.source}}, tables), name))
        named = tables.get("data", {}).get("source") == config.data.source
        source = [] if named else ["--data", _source(config)]
        changed = [key for key in own if key not in ignored and own[key] != recipe.get(key)]
        dropped = [key for key in recipe if key not in own and key not in ignored]
        if dropped:  # a setting cannot be taken away from a recipe
            continue
        words = [word for key in changed for word in ("--set", f"{key}={toml_value(own[key])}")]
        commands.append(["python", "-m", "training", "--recipe", name, *source, *words])
    shortest = min(commands, key=len)
    return shlex.join(shortest)


def merged(out: Path, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """`rows`, and those of the table at `out` that none of them replaces; by data, then by −log p(x), lowest first.

    Raises:
        UserError: When the file holds another table.
    """
    kept: list[dict[str, str]] = []
    if out.is_file():
        with open(out, newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            if tuple(table.fieldnames or ()) != COLUMNS:
                raise UserError(f"papers: {out}: another table. Accepted: a new file, or one that this command wrote.")
            kept = list(table)
    new = {tuple(row[name] for name in KEY) for row in rows}
    kept = [row for row in kept if tuple(row[name] for name in KEY) not in new]
    return sorted(kept + rows, key=lambda row: (row["data"], float(row["NLL (nats)"])))


def _settings(config: Any) -> dict[str, Any]:
    """All settings by `section.key`; sequences as lists, as a config that was written and read has them."""
    flat = {}
    for section, table in dataclasses.asdict(config).items():
        for key, value in table.items():
            flat[f"{section}.{key}"] = list(value) if isinstance(value, tuple) else value
    return flat


def _source(config: Any) -> str:
    """Where the images come from, without the place of a folder on this machine."""
    source = config.data.source
    return source if source.startswith("tfds:") else Path(source).name


def part_of(setting: Any) -> dict[str, Any]:
    """A part as a table of its `kind` and settings, which a config may name by the kind alone."""
    return dict(setting) if isinstance(setting, dict) else {"kind": setting}


def _sizes(config: Any) -> str:
    """Widths down to the code, and those of an upper layer: `200-200-100-100-100-50`."""
    sizes = [*config.model.widths, config.model.latent_dim]
    if "top_dim" in config.objective:
        sizes += [*config.objective.get("top_widths", ()), config.objective["top_dim"]]
    return "-".join(map(str, sizes))
