"""`python -m benchmarks precision`: images/s of a recipe's training step in bfloat16, compared with its own float32.

Both sides have the recipe's network, batch and pipeline, fed random images of the size of its crops; their turns
alternate in one process, and the figure is the median over the rounds of the ratio within a round. A processor without
units for bfloat16 is slower in it: `--precision auto` is float32 there.
"""

import argparse
import os
from typing import Any

from benchmarks.measuring import Contender, alternate, cores, in_range, machine, progress, publish, spread, unrest

PRECISIONS = ("float32", "mixed_bfloat16")


def main(options: argparse.Namespace) -> None:
    """Measures, prints the table, and writes `-o`."""
    facts = run(options.recipes, options.rounds, options.steps)
    publish(facts, table(facts), options.words, options.out)


def run(recipes: list[str], rounds: int, steps: int) -> dict[str, Any]:
    """The facts: the machine, and of each recipe the rates of both sides and their ratio."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    found = {}
    for recipe in dict.fromkeys(recipes):
        sides = [side(recipe, precision, steps) for precision in PRECISIONS]
        rates = alternate(sides, rounds, lambda text, recipe=recipe: progress(f"{recipe}: {text}"))  # type: ignore[misc]
        found[recipe] = {
            **{name: spread(rates[:, place]) for place, name in enumerate(PRECISIONS)},
            "ratio": spread(rates[:, 1] / rates[:, 0]),
        }
    progress("")
    return {
        **machine(("keras", "numpy")),
        "cores": cores(),
        "load_at_start": load,
        "settings": {"rounds": rounds, "steps": steps},
        "recipes": found,
    }


def side(recipe: str, precision: str, steps: int) -> Contender:
    """The recipe's training step in `precision`, driven as `training/loop.py` drives it."""
    from benchmarks.training_step.contenders import executions, recipe_step
    from training.config import read_recipe

    data = read_recipe(recipe)["data"]
    shape = (data["crop"], data["crop"], data.get("channels") or 3)
    config, model, batches = recipe_step(recipe, shape, precision)
    return Contender(precision, recipe, executions(model, batches, steps, config.training.batch_size))


def table(facts: dict[str, Any]) -> list[str]:
    """The facts as lines of text."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    settings = facts["settings"]
    lines = [
        f"{facts['cpu']}, {facts['cores']} cores; {versions}",
        f"median of {settings['rounds']} alternating rounds of {settings['steps']} steps (lowest – highest)",
        *unrest(facts),
        "",
        f"{'recipe':14}{'float32':>12}{'bfloat16':>12} images/s   bfloat16 is",
    ]
    for recipe, row in facts["recipes"].items():
        both = "".join(f"{row[name]['median']:12,.1f}" for name in PRECISIONS)
        lines.append(f"{recipe:14}{both}            {in_range(row['ratio'], '.2f')} ×")
    return lines
