"""The sides of the comparison: each makes a turn of work and says at what rate; turns alternate."""

import itertools
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.measuring import Contender, cores
from benchmarks.training_step import flops, keras_io, network
from tfvae.data import DataConfig, Images, training_batches
from training.build import build_model, compile_model
from training.config import RunConfig, merge, read_config, read_recipe

MATRIX = 2048  # side of the matrices whose product is timed: 17 GFLOP
CONVOLUTIONAL_RECIPES = {"digits": (8, 8, 1), "photos": (160, 160, 3)}  # with the shape of a picture
PYTORCH = {
    "PyTorch, eager": {},
    "PyTorch, eager, channels_last": {"channels_last": True},
    "PyTorch, torch.compile": {"compiled": True},
}
LOADED, IN_MEMORY, MATMUL, RECIPES = "fed as users feed it", "one batch, held in memory", "matmul", "recipe"


def tfvae_sides(images: np.ndarray, batch: int, steps: int, name: str) -> list[Contender]:
    """Our step on keras.io's network, driven as `training/loop.py` drives it."""
    model, alone = network.build(), network.build()
    gflop = flops.training_gflop(model, (28, 28, 1))
    loaded = training_batches(Images.from_array(images), batch, seed=0, config=DataConfig(source="random"))
    return [
        Contender(name, LOADED, executions(model, loaded, steps, batch), gflop),
        Contender(name, IN_MEMORY, executions(alone, _one_batch(images, batch), steps, batch), gflop),
    ]


def keras_io_sides(images: np.ndarray, batch: int, steps: int, name: str, jit_compile: bool | str) -> list[Contender]:
    """keras.io's example: `fit` on an array, and its steps alone."""
    model, alone = keras_io.build(jit_compile), keras_io.build(jit_compile)
    pixels = images.astype("float32") / 255

    def fit() -> float:
        clock = EpochClock()
        # Its progress bar is left out: to print is no part of the comparison.
        model.fit(pixels, epochs=1, batch_size=batch, verbose=0, callbacks=[clock])
        return len(pixels) / clock.seconds

    return [
        Contender(name, LOADED, fit),
        Contender(name, IN_MEMORY, executions(alone, _one_batch(images, batch), steps, batch)),
    ]


def pytorch_sides(images: np.ndarray, batch: int) -> tuple[list[Contender], list[str]]:
    """The network in PyTorch, eager (in two layouts) and compiled; and why a side is missing, a line each."""
    if not find_spec("torch"):
        return [], ["PyTorch: not installed (pip install torch)"]
    import torch

    from benchmarks.training_step import pytorch

    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    if on_gpu and not torch.cuda.is_available():
        return [], ["PyTorch: TensorFlow uses a GPU here and this build of PyTorch cannot"]
    device = "cuda" if on_gpu else "cpu"
    pixels = torch.from_numpy(images.astype("float32") / 255).permute(0, 3, 1, 2).contiguous()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(pixels), batch_size=batch, shuffle=True)
    held = pixels[:batch].to(device)
    sides, skipped, steps = [], [], len(pixels) // batch
    for name, options in PYTORCH.items():
        trainer = pytorch.Trainer(device, cores(), **options)
        try:
            trainer.step(held)
        except Exception as error:  # Whatever its compiler lacks here (a C++ compiler, headers), the rest can be timed.
            skipped.append(f"{name}: {type(error).__name__}: {str(error).strip().splitlines()[0]}")
            continue
        sides.append(Contender(name, LOADED, _torch_turn(trainer, lambda: (x for (x,) in loader), steps * batch)))
        sides.append(
            Contender(name, IN_MEMORY, _torch_turn(trainer, lambda: itertools.repeat(held, steps), steps * batch))
        )
    return sides, skipped


def matmul_side() -> Contender:
    """GFLOP/s of a large float32 matrix product: what this machine can do at best."""
    left, right = (tf.random.stateless_normal((MATRIX, MATRIX), (seed, 0)) for seed in (1, 2))

    def turn(products: int = 10) -> float:
        started = time.perf_counter()
        for _ in range(products):
            product = tf.matmul(left, right)
        product[0, 0].numpy()  # Waits for a device that works behind our back.
        return products * 2 * MATRIX**3 / 1e9 / (time.perf_counter() - started)

    return Contender("float32 matmul", MATMUL, turn)


def recipe_sides(gflop_a_turn: float) -> list[Contender]:
    """Our step on the networks of the convolutional recipes, in turns of about so much work."""
    sides = []
    for recipe, shape in CONVOLUTIONAL_RECIPES.items():
        # Compared with the machine's float32 matrix product.
        config, model, data = recipe_step(recipe, shape, "float32")
        batch, crop = config.training.batch_size, config.data.crop
        seen = (crop, crop, shape[2]) if crop else shape
        gflop = flops.training_gflop(model, seen)
        turn = executions(model, data, min(1000, int(gflop_a_turn / gflop / batch)), batch)
        sides.append(Contender(f"{recipe} ({config.model.network}, {'×'.join(map(str, seen))})", RECIPES, turn, gflop))
    return sides


def recipe_step(recipe: str, shape: tuple[int, int, int], precision: str) -> tuple[RunConfig, Any, tf.data.Dataset]:
    """A recipe's settings, its compiled model in `precision`, and its batches of random pictures of `shape`."""
    ours = {"data": {"source": "random"}, "training": {"precision": precision}}
    config = read_config(merge(read_recipe(recipe), ours), recipe)
    model = build_model(config, shape)
    compile_model(model, config.training, total_steps=10_000)
    batch = config.training.batch_size
    pictures = Images.from_array(random_images(10 * batch, shape))
    return config, model, training_batches(pictures, batch, seed=0, config=config.data)


def random_images(count: int, shape: tuple[int, int, int]) -> np.ndarray:
    """uint8 noise, `(count, *shape)`: a step takes as long on noise as on digits."""
    return np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)


class EpochClock(keras.callbacks.Callback):
    """Seconds from an epoch's beginning to its end, so that what `fit` prepares before is not counted."""

    seconds = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds = time.perf_counter() - self.started


def executions(model: keras.Model, data: tf.data.Dataset, steps: int, batch: int) -> Callable[[], float]:
    """A turn of `steps` steps, or of one execution where that is more."""
    model.make_train_function()
    iterator, executions = iter(data), max(1, steps // model.steps_per_execution)

    def turn() -> float:
        started = time.perf_counter()
        for _ in range(executions):
            logs = model.train_function(iterator)
        float(logs["loss"])
        return executions * model.steps_per_execution * batch / (time.perf_counter() - started)

    return turn


def _torch_turn(trainer: Any, batches: Callable[[], Iterator], images: int) -> Callable[[], float]:
    def turn() -> float:
        started = time.perf_counter()
        for batch in batches():
            loss = trainer.step(batch)
        loss.item()
        return images / (time.perf_counter() - started)

    return turn


def _one_batch(images: np.ndarray, batch: int) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors(images[:batch].astype("float32") / 255).repeat()
