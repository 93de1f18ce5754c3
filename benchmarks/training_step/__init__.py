"""`python -m benchmarks training_step`: throughput of the training step, compared with others in one run.

The network is that of https://keras.io/examples/generative/vae/. The sides are our training step; that example as
published (and once more without XLA, which `fit` chooses by itself); the same network in PyTorch, eager in two
layouts and compiled; and the machine's own float32 matrix product. Two tables:

- fed as users feed it, from random images in memory: ours by `tfvae.data.training_batches`, keras.io's by `fit` on an
  array, PyTorch's by `TensorDataset` and `DataLoader(shuffle=True)`;
- one batch, held in memory: the step alone, without loading.

Ours runs ten steps an execution, as our recipes do; keras.io's example and PyTorch know one. Every side has as many
threads as the machine has cores, and no flag is set for one side only. A machine has moods, so a figure is the median
over the rounds of the ratio within a round. Other programs must rest: they cost PyTorch, whose threads wait for each
other at every operation, far more than TensorFlow. So the load at the start is part of the result.

Fractions of the matmul rate count 2 FLOP a multiply-add and the backward pass as twice the forward one (`flops.py`).
"""

import argparse
import os
from typing import Any

from benchmarks.argument_types import EXECUTION
from benchmarks.measuring import OURS, alternate, cores, in_range, machine, progress, publish, spread, unrest


def main(options: argparse.Namespace) -> None:
    """Runs the comparison, prints the tables, and writes `-o`."""
    facts = run(options.rounds, options.steps, options.batch_size)
    publish(facts, table(facts), options.words, options.out)


def run(rounds: int, steps: int, batch: int) -> dict[str, Any]:
    """The facts: the machine, a row for every side, and the fractions of the matmul rate."""
    from benchmarks.training_step import contenders as s  # TensorFlow loads here, after the command line was read.

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    images = s.random_images(steps * batch, (28, 28, 1))
    torch_sides, skipped = s.pytorch_sides(images, batch)
    ours = s.tfvae_sides(images, batch, steps, OURS)
    sides = [
        *ours,
        *s.keras_io_sides(images, batch, steps, "keras.io, as published", "auto"),
        *s.keras_io_sides(images, batch, steps, "keras.io, jit_compile=False", False),
        *torch_sides,
        s.matmul_side(),
        *s.recipe_sides(steps * batch * ours[0].gflop),
    ]
    rates = alternate(sides, rounds, progress)
    progress("")
    by_place = {(side.name, side.group): rates[:, place] for place, side in enumerate(sides)}
    matmul = by_place["float32 matmul", s.MATMUL]
    return {
        **machine(),
        "cores": cores(),
        "load_at_start": load,
        "settings": {"rounds": rounds, "steps": steps, "batch": batch, "steps_per_execution": EXECUTION},
        "images_per_second": [
            {"name": side.name, "fed": side.group, **spread(rates[:, place]), "rounds": rates[:, place].tolist()}
            | {"tfvae_is": spread(by_place[OURS, side.group] / rates[:, place])}
            for place, side in enumerate(sides)
            if side.group in (s.LOADED, s.IN_MEMORY)
        ],
        "matmul_gflops": {**spread(matmul), "rounds": matmul.tolist()},
        "of_matmul": [
            {
                "name": "keras.io's network" if side.name == OURS else side.name,
                "fed": side.group,
                "mflop_per_image": 1000 * side.gflop,
                "images_per_second": spread(rates[:, place]),
                "gflops": spread(side.gflop * rates[:, place]),
                "fraction": spread(side.gflop * rates[:, place] / matmul),
            }
            for place, side in enumerate(sides)
            if side.gflop
        ],
        "skipped": skipped,
    }


def table(facts: dict[str, Any]) -> list[str]:
    """The facts as lines of text."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    gpus = f" and {', '.join(facts['gpus'])}" if facts["gpus"] else ""
    settings = facts["settings"]
    lines = [
        f"{facts['cpu']}, {facts['cores']} cores{gpus}; {versions}",
        f"keras.io's VAE network, batch {settings['batch']}; median of {settings['rounds']} alternating rounds of "
        f"{settings['steps']} steps (lowest – highest)",
    ]
    lines += unrest(facts)
    for fed in dict.fromkeys(row["fed"] for row in facts["images_per_second"]):
        lines += ["", f"{fed:32}{'images/s':>10}   tfvae is"]
        for row in (row for row in facts["images_per_second"] if row["fed"] == fed):
            lines.append(f"  {row['name']:30}{row['median']:10,.0f}   {in_range(row['tfvae_is'], '.2f')} ×")
    matmul = facts["matmul_gflops"]
    lines += ["", f"float32 matmul: {in_range(matmul, '.0f')} GFLOP/s. What our training steps reach of it:", ""]
    lines.append(f"{'network':60}{'MFLOP/image':>12}{'images/s':>10}{'GFLOP/s':>9}   of matmul")
    for row in facts["of_matmul"]:
        name = f"{row['fed']}: {row['name']}"
        lines.append(
            f"  {name:58}{row['mflop_per_image']:12.1f}{row['images_per_second']['median']:10,.0f}"
            f"{row['gflops']['median']:9.1f}   {in_range(row['fraction'], '.0%')}"
        )
    return lines + [f"skipped: {line}" for line in facts["skipped"]]
