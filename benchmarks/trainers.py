"""`python -m benchmarks trainers`: images/s of trainings of small dense networks, compared with pythae's trainer.

The networks are those of the tables of likelihoods: 784-512-16 (pythae's own default) in batches of 64, and
784-200-200-50 with hyperbolic tangents (Burda, Grosse and Salakhutdinov) in batches of 100. All sides train the same
number of weights with Adam on the same grey pictures, binary cross-entropy and KL divergence, in epochs that are
shuffled anew:

- the loop of `python -m training`, ten steps an execution, as the recipes of these networks have it;
- `VAE.fit` on an array, compiled and called with its defaults, and with ten steps an execution; its processor time
  holds what each call prepares before the first step, its images/s do not;
- an epoch of pythae's `BaseTrainer` with its `DataLoader`, without the progress bar.

A figure is the median over the rounds of the ratio within a round; the load of the machine is part of the result. On a
machine that others use, PyTorch's threads wait for each other, and the ratio of images/s flatters us: then
`taskset -c 0` gives every side one thread, and the ratio of processor time, which counts no waiting, is to be read.
"""

import argparse
import itertools
import logging
import os
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from benchmarks.argument_types import EXECUTION
from benchmarks.measuring import OURS, Contender, alternate, cores, in_range, machine, progress, publish, spread, unrest
from tfvae.errors import UserError

SIDE, PIXELS, RATE = 28, 28 * 28, 1e-3
NETWORKS: dict[str, dict[str, Any]] = {
    "784-512-16, batch 64": {"network": "mlp", "widths": (512,), "latent_dim": 16, "batch": 64},
    "784-200-200-50, tanh, batch 100": {"network": "tanh_mlp", "widths": (200, 200), "latent_dim": 50, "batch": 100},
}
LOOP, FIT, FIT_TEN = f"{OURS}, python -m training", f"{OURS}, VAE.fit", f"{OURS}, VAE.fit, {EXECUTION} steps"
PYTHAE = "pythae, BaseTrainer"


def main(options: argparse.Namespace) -> None:
    """Runs the comparison, prints the table, and writes `-o`."""
    if not (find_spec("pythae") and find_spec("torch")):
        raise UserError("pythae is needed: pip install torch, then pip install --no-deps pythae pydantic imageio.")
    facts = run(options.data, options.steps, options.rounds)
    publish(facts, table(facts), options.words, options.out)


def run(source: str, steps: int, rounds: int) -> dict[str, Any]:
    """The facts: the machine, and a row for every network and side."""
    import torch

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    torch.set_num_threads(cores())
    rows = []
    for network, settings in NETWORKS.items():
        progress(network)
        rows += measured(network, settings, source, steps, rounds)
    progress("")
    return {
        **machine(("keras", "numpy", "torch", "pythae")),
        "cores": cores(),
        "load_at_start": load,
        "settings": {"data": source, "steps": steps, "rounds": rounds, "steps_per_execution": EXECUTION},
        "trainers": rows,
    }


def measured(network: str, settings: dict[str, Any], source: str, steps: int, rounds: int) -> list[dict[str, Any]]:
    """A row for every side of one network: images/s, processor time, and how they compare with pythae's."""
    import numpy as np

    images = pictures(source, steps * settings["batch"])
    busy: dict[str, list[float]] = {}

    def timed(name: str, turn: Callable[[], float]) -> Contender:
        def timed_turn() -> float:
            started = time.process_time()
            rate = turn()
            busy.setdefault(name, []).append(1e6 * (time.process_time() - started) / steps)
            return rate

        return Contender(name, network, timed_turn)

    turns = {
        LOOP: loop(settings, images, steps),
        FIT: fit(settings, images, 1),
        FIT_TEN: fit(settings, images, EXECUTION),
        PYTHAE: pythae(settings, images),
    }
    rates = dict(zip(turns, alternate([timed(*side) for side in turns.items()], rounds, progress).T, strict=True))
    processor = {name: np.array(values[1:]) for name, values in busy.items()}  # without the round that warms up
    return [
        {"network": network, "name": name, "images_per_second": spread(rates[name])}
        | {"rounds": rates[name].tolist(), "times_pythae": spread(rates[name] / rates[PYTHAE])}
        | {"processor_us_per_step": spread(processor[name])}
        | {"times_pythae_by_processor": spread(processor[PYTHAE] / processor[name])}
        for name in turns
    ]


def table(facts: dict[str, Any]) -> list[str]:
    """The facts as lines of text."""
    settings = facts["settings"]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    lines = [
        f"{facts['cpu']}, {facts['cores']} cores, load {facts['load_at_start']:.1f} at the start; {versions}",
        f"{settings['data']}; median of {settings['rounds']} alternating rounds of {settings['steps']} steps "
        "(lowest – highest)",
        *unrest(facts),
    ]
    for network in NETWORKS:
        lines += [
            "",
            f"{network:34}{'images/s':>10}   {'× pythae':22}{'processor µs/step':>18}   × pythae, by processor",
        ]
        for row in (row for row in facts["trainers"] if row["network"] == network):
            times, by_processor = (in_range(row[key], ".2f") for key in ("times_pythae", "times_pythae_by_processor"))
            rate, busy = row["images_per_second"]["median"], row["processor_us_per_step"]["median"]
            lines.append(f"  {row['name']:32}{rate:10,.0f}   {times:22}{busy:18,.0f}   {by_processor}")
    return lines


def pictures(source: str, count: int) -> Any:
    """So many training pictures as `tfvae.data.Images`; of a small set the same ones again."""
    import numpy as np

    from tfvae.data import DataConfig, load

    images = load(DataConfig(source=source, height=SIDE, width=SIDE, channels=1), seed=0).train
    return images.take(np.arange(count) % len(images))


def model(settings: dict[str, Any]) -> Any:
    import tfvae

    network = {name: value for name, value in settings.items() if name != "batch"}
    return tfvae.VAE.from_shape((SIDE, SIDE, 1), likelihood="bernoulli", seed=0, **network)


def loop(settings: dict[str, Any], images: Any, steps: int) -> Callable[[], float]:
    """A turn of the steps of `training/loop.py`."""
    from benchmarks.training_step.contenders import executions
    from tfvae.data import DataConfig, training_batches
    from training.build import compile_model
    from training.config import TrainingConfig

    made, batch = model(settings), settings["batch"]
    compile_model(made, TrainingConfig(learning_rate=RATE, steps_per_execution=EXECUTION), total_steps=1)
    return executions(made, training_batches(images, batch, seed=0, config=DataConfig(source="array")), steps, batch)


def fit(settings: dict[str, Any], images: Any, execution: int) -> Callable[[], float]:
    """A turn of one epoch of `VAE.fit`."""
    from benchmarks.training_step.contenders import EpochClock

    made, pixels = model(settings), images.array.astype("float32") / 255
    made.compile(steps_per_execution=execution)

    def turn() -> float:
        clock = EpochClock()
        made.fit(pixels, epochs=1, batch_size=settings["batch"], verbose=0, callbacks=[clock])
        return len(pixels) / clock.seconds

    return turn


def pythae(settings: dict[str, Any], images: Any) -> Callable[[], float]:
    """A turn of one epoch of pythae's trainer."""
    import torch
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import ProgressBarCallback

    pixels = torch.from_numpy(images.array.astype("float32") / 255).permute(0, 3, 1, 2).contiguous()
    dataset = BaseDataset(pixels, torch.zeros(len(pixels)))
    logging.getLogger(BaseTrainer.__module__).setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        asked = BaseTrainerConfig(
            output_dir=folder,
            per_device_train_batch_size=settings["batch"],
            learning_rate=RATE,
            no_cuda=True,
        )
        trainer = BaseTrainer(pythae_model(settings), dataset, training_config=asked)
        trainer.prepare_training()
    callbacks = trainer.callback_handler
    callbacks.callbacks = [one for one in callbacks.callbacks if not isinstance(one, ProgressBarCallback)]

    def turn() -> float:
        started = time.perf_counter()
        trainer.train_step(1)
        return len(pixels) / (time.perf_counter() - started)

    return turn


def pythae_model(settings: dict[str, Any]) -> Any:
    """pythae's `VAE` with its default networks where they are the ones asked for, else with the same layers."""
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from torch import nn

    latent, widths = settings["latent_dim"], settings["widths"]
    config = VAEConfig(input_dim=(1, SIDE, SIDE), latent_dim=latent, reconstruction_loss="bce")
    if settings["network"] == "mlp":
        return VAE(config)

    def dense(sizes: list[int]) -> list[Any]:
        pairs = itertools.pairwise(sizes)
        return [layer for pair in pairs for layer in (nn.Linear(*pair), nn.Tanh())]

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.trunk = nn.Sequential(*dense([PIXELS, *widths]))
            self.mean, self.log_var = nn.Linear(widths[-1], latent), nn.Linear(widths[-1], latent)

        def forward(self, x):
            h = self.trunk(x.flatten(1))
            return ModelOutput(embedding=self.mean(h), log_covariance=self.log_var(h))

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.trunk = nn.Sequential(*dense([latent, *widths[::-1]]), nn.Linear(widths[0], PIXELS), nn.Sigmoid())

        def forward(self, z):
            return ModelOutput(reconstruction=self.trunk(z).reshape(-1, 1, SIDE, SIDE))

    return VAE(config, Encoder(), Decoder())
