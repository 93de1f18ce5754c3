"""`python -m benchmarks workers`: two workers on two cores compared with one worker on one core.

Efficiency is images/s of two divided by twice the images/s of one. *Weak*: each worker has the batch that one worker
has, so the global batch is twice as large. *Strong*: the global batch is the same, and each worker has half of it.

All are processes of this machine, pinned to a core each, with one thread for an operation, and with the loading of
random images as a run loads them; the two talk over loopback, which is faster than most networks and costs processor
time that a network card would not. They take turns: one, two (weak), two (strong), …; a figure is the median over the
rounds of the ratio within a round. Other programs must rest: two workers wait for the slower one at every step. Where
they do not, the processor time that an image costs, which counts no waiting, says what would be reached at best.
"""

import argparse
import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.measuring import in_range, machine, progress, publish, spread, unrest
from tfvae.errors import UserError

PICTURES = {"mnist": (28, 28, 1), "digits": (8, 8, 1), "photos": (160, 160, 3)}  # of a recipe
ONE, WEAK, STRONG = "one", "weak", "strong"


def main(options: argparse.Namespace) -> None:
    """Runs the comparison, prints the table, and writes `-o`."""
    if (options.batch_size or 2) % 2:
        raise UserError(f"--batch-size must be even, for two workers to share it. Received: {options.batch_size}.")
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        raise UserError(f"two workers need two cores, and a system that pins processes to them. Found: {len(cores)}.")
    facts = run(options.recipe, options.batch_size or 0, options.rounds, options.seconds, (cores[0], cores[1]))
    publish(facts, table(facts), options.words, options.out)


def run(recipe: str, batch: int, rounds: int, seconds: float, cores: tuple[int, int]) -> dict[str, Any]:
    """The facts: the machine, images/s of one and of two, and the efficiency of two."""
    import numpy as np

    load = os.getloadavg()[0]
    with _players(recipe, batch, cores) as (one, *two):
        facts = {process: _answer(process) for process in (one, *two)}
        rates: dict[str, list[float]] = {ONE: [], WEAK: [], STRONG: []}
        busy: dict[str, list[float]] = {ONE: [], WEAK: [], STRONG: []}  # seconds of all processors, a step
        for number in range(rounds + 1):
            for side, players in ((ONE, [one]), (WEAK, two), (STRONG, two)):
                progress(f"round {number}/{rounds}: {side}" if number else f"warming up: {side}")
                steps = max(1, round(seconds * rates[side][-1])) if number else 3
                for player in players:
                    _tell(player, {"side": side, "steps": steps})
                # All have made the same steps; the slowest says how long that took.
                answers = [_answer(player) for player in players]
                rates[side].append(steps / max(answer["seconds"] for answer in answers))
                busy[side].append(sum(answer["processor"] for answer in answers) / steps)
        progress("")
    batch = facts[one]["batch"]
    images = {ONE: batch, WEAK: 2 * batch, STRONG: batch}
    per_second = {side: images[side] * np.array(values[1:]) for side, values in rates.items()}
    cost = {side: np.array(values[1:]) / images[side] for side, values in busy.items()}
    return {
        **machine(),
        "load_at_start": load,
        "settings": {"recipe": recipe, "rounds": rounds, "seconds": seconds, "batch": batch},
        "weights": facts[one]["weights"],
        "images_per_second": {side: {**spread(v), "rounds": v.tolist()} for side, v in per_second.items()},
        "efficiency": {side: spread(per_second[side] / per_second[ONE] / 2) for side in (WEAK, STRONG)},
        "processor_efficiency": {side: spread(cost[ONE] / cost[side]) for side in (WEAK, STRONG)},
    }


def table(facts: dict[str, Any]) -> list[str]:
    """The facts as lines of text."""
    settings, batch = facts["settings"], facts["settings"]["batch"]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    lines = [
        f"{facts['cpu']}; {versions}",
        f"recipe {settings['recipe']} ({facts['weights']:,} weights), a core for each worker; median of "
        f"{settings['rounds']} alternating rounds (lowest – highest)",
    ]
    lines += unrest(facts)
    lines += ["", f"{'':40}{'images/s':>10}   {'efficiency':20}of processor time"]
    names = {
        ONE: f"1 worker, batch {batch}",
        WEAK: f"2 workers, batch {batch} each (weak)",
        STRONG: f"2 workers, batch {batch // 2} each (strong)",
    }
    for side, name in names.items():
        kinds = ("efficiency", "processor_efficiency")
        shares = "".join(f"{in_range(facts[kind][side], '.0%'):20}" for kind in kinds) if side != ONE else ""
        lines.append(f"{name:40}{facts['images_per_second'][side]['median']:10,.0f}   {shares}".rstrip())
    return lines


@contextlib.contextmanager
def _players(recipe: str, batch: int, cores: tuple[int, int]) -> Iterator[list[subprocess.Popen]]:
    """One worker alone and two of a cluster, each waiting for its turns."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    players = []
    try:
        for index, core in ((None, cores[0]), (0, cores[0]), (1, cores[1])):
            environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
            environment.pop("TF_CONFIG", None)
            if index is not None:
                task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
                environment["TF_CONFIG"] = json.dumps(task)
            command = [sys.executable, "-m", "benchmarks.workers", recipe, str(batch), str(core)]
            pipe = subprocess.PIPE
            players.append(subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True))
        yield players
    finally:
        for player in players:
            player.kill()
            player.wait()


def _tell(player: subprocess.Popen, turn: dict[str, Any]) -> None:
    assert player.stdin is not None
    player.stdin.write(json.dumps(turn) + "\n")
    player.stdin.flush()


def _answer(player: subprocess.Popen) -> dict[str, Any]:
    assert player.stdout is not None
    for line in player.stdout:
        if line.startswith("{"):  # what a worker says to people is passed over
            return json.loads(line)
    raise UserError(f"a worker of the benchmark ended with exit code {player.wait()}.")


def play(recipe: str, batch: int, core: int) -> None:
    """One of the processes: says its batch and weights, then makes the steps of each turn it reads."""
    os.sched_setaffinity(0, {core})  # before TensorFlow counts the processors
    import tensorflow as tf

    from benchmarks.training_step.contenders import random_images
    from tfvae.data import Images, training_batches
    from training import devices
    from training.build import build_model, compile_model
    from training.config import merge, read_config, read_recipe

    tf.config.threading.set_intra_op_parallelism_threads(1)
    strategy = "multiworker" if "TF_CONFIG" in os.environ else "none"
    tables = merge(
        {"data": {"source": "random"}},
        read_recipe(recipe),
        {"training": {"strategy": strategy, "precision": "float32"}},
    )
    own = batch or read_config(tables, recipe).training.batch_size
    turns = {}
    for side, batch in ({WEAK: 2 * own, STRONG: own} if strategy == "multiworker" else {ONE: own}).items():
        config = read_config(merge(tables, {"training": {"batch_size": batch, "steps_per_execution": 1}}), recipe)
        devices.join(config.training)
        images = Images.from_array(random_images(4 * batch, PICTURES[recipe]))
        with devices.scope(config.training):
            model = build_model(config, PICTURES[recipe])
            compile_model(model, config.training, total_steps=1000)
            stream = functools.partial(training_batches, images, batch, seed=0, config=config.data)
            batches = devices.distribute(lambda share, stream=stream: stream(share=share))  # type: ignore[misc]
            model.make_train_function()
        turns[side] = (model, batches)
    weights = sum(int(variable.value.shape.num_elements()) for variable in model.trainable_variables)
    print(json.dumps({"batch": own, "weights": weights}), flush=True)
    for line in sys.stdin:
        turn = json.loads(line)
        model, batches = turns[turn["side"]]
        with devices.scope(config.training):
            started, processor = time.perf_counter(), time.process_time()
            for _ in range(turn["steps"]):
                logs = model.train_function(batches)
            float(logs["loss"])
        taken = {"seconds": time.perf_counter() - started, "processor": time.process_time() - processor}
        print(json.dumps(taken), flush=True)


if __name__ == "__main__":
    play(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
