"""Where a run computes: one device, all devices of this machine, or several machines.

`mirrored` is `tf.distribute.MirroredStrategy`. `multiworker` is `MultiWorkerMirroredStrategy`: the same command on
every machine, with its place among them in `TF_CONFIG`, as Kubernetes, Vertex AI and their like set it. Keras 3 calls
this strategy unsupported (Keras issue 20585). It is held by `tests/test_multiworker.py`: two processes have the curve
of one, only the chief writes, a worker that dies ends the other with one line, and the restarted job ends in the same
bits.

Every worker trains on its share of each global batch, so the curve is that of the same batch on one device up to the
order of float32 sums. Workers that are not the chief do what the chief does in a folder of their own that is deleted.
"""

import contextlib
import functools
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfvae import replicas
from tfvae.errors import UserError
from training.config import Precision, TrainingConfig

EXAMPLE = '{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, "task": {"type": "worker", "index": 0}}'
# What TensorFlow raises when a peer is gone, was started again, or no longer answers.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
)
AMX = "amx_bf16"
LOOK_STEPS, LOOK_SECONDS = 20, 1.0  # at most this much lies between looks at whether any worker was asked to stop


def cluster() -> tuple[list[str], int]:
    """The addresses of all workers, the chief first, and which of them is this one; from `TF_CONFIG`.

    Raises:
        UserError: Where it is missing or malformed.
    """
    text = os.environ.get("TF_CONFIG", "")
    hint = f"Accepted, on each machine with its own index: TF_CONFIG='{EXAMPLE}'."
    if not text.strip():
        raise UserError(f"--strategy multiworker needs TF_CONFIG in the environment. {hint}")
    try:
        table = json.loads(text)
        addresses = {kind: list(table["cluster"].get(kind, [])) for kind in ("chief", "worker")}
        kind, index = table["task"]["type"], int(table["task"]["index"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"TF_CONFIG is no cluster and task: {type(error).__name__}: {error}. {hint}") from error
    everyone = [*addresses["chief"], *addresses["worker"]]
    wrong = [address for address in everyone if not re.fullmatch(r"\S+:\d+", str(address))]
    if wrong or not everyone:
        raise UserError(f"TF_CONFIG: a worker's address must be host:port. Received: {wrong or everyone}. {hint}")
    if kind not in addresses:
        raise UserError(f"TF_CONFIG: the task's type must be 'worker' or 'chief'. Received: {kind!r}. {hint}")
    if not 0 <= index < len(addresses[kind]):
        raise UserError(f"TF_CONFIG: the cluster has {len(addresses[kind])} of type {kind!r}. Received: index {index}.")
    return everyone, index if kind == "chief" or not addresses["chief"] else index + len(addresses["chief"])


@functools.cache
def _mirrored() -> tf.distribute.Strategy:
    # One a process: the messages of two strategies meet under one key (TensorFlow 2.21).
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


@functools.cache
def _workers() -> tf.distribute.Strategy:
    everyone, index = cluster()
    print(f"worker {index + 1} of {len(everyone)} at {everyone[index]}: waiting for the others …", flush=True)
    # Without a GPU there is no NCCL, and "auto" would look for it.
    gpu = bool(tf.config.list_physical_devices("GPU"))
    way = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(implementation=way.AUTO if gpu else way.RING)
    return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)


def precision(asked: Precision) -> Precision:
    """What `auto` is on this machine: `mixed_bfloat16` where matrix units compute in it, else `float32`.

    Those are Intel's AMX, found in `/proc/cpuinfo`, and the tensor cores of NVIDIA's GPUs since compute capability 8.0.
    Without them bfloat16 is slower than float32 on processors. A GPU of an older kind has them for `mixed_float16`
    alone, whose range is not that of float32: it is not chosen.
    """
    if asked != "auto":
        return asked
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        capable = [tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)) for gpu in gpus]
        return "mixed_bfloat16" if min(capable) >= (8, 0) else "float32"
    return "mixed_bfloat16" if AMX in _processor_flags() else "float32"


def _processor_flags() -> list[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:  # no Linux
        return []
    found = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return found[1].split() if found else []


def join(config: TrainingConfig) -> None:
    """Meets the other workers. To be called before TensorFlow's first operation: it cannot be done later.

    Raises:
        UserError: `TF_CONFIG` is wrong, or the batch does not divide among the devices.
    """
    if config.strategy != "multiworker":
        return
    with _told():
        try:
            strategy = _workers()
        except RuntimeError as error:
            raise UserError(f"--strategy multiworker: {error}") from error
    _check_batch(config, strategy)


def is_chief(config: TrainingConfig) -> bool:
    """Whether this process writes the run."""
    return config.strategy != "multiworker" or cluster()[1] == 0


def scope(config: TrainingConfig) -> contextlib.AbstractContextManager:
    """Where the model and its optimiser are made, and trained."""
    if config.strategy == "none":
        return contextlib.nullcontext()
    strategy = _mirrored() if config.strategy == "mirrored" else _workers()
    _check_batch(config, strategy)
    return strategy.scope()


def _check_batch(config: TrainingConfig, strategy: tf.distribute.Strategy) -> None:
    count = strategy.num_replicas_in_sync
    if config.batch_size % count:
        raise UserError(
            f"training.batch_size must be a multiple of the {count} devices under '{config.strategy}'. "
            f"Received: {config.batch_size}."
        )


@contextlib.contextmanager
def place(config: TrainingConfig, path: Path, resume: bool) -> Iterator[Path]:
    """Where this process writes: `path`, or for a worker that is not the chief a folder that is deleted in the end.

    Leaving it waits for all workers.

    Raises:
        UserError: For a worker that was lost, with how to go on.
    """
    if config.strategy != "multiworker":
        yield path
        return
    with contextlib.ExitStack() as stack:
        own = path
        if not is_chief(config):
            own = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tfvae-worker-"))) / path.name
            if resume:
                shutil.copytree(path, own)
            stack.enter_context(_quiet())
        try:
            with _told(path):
                agree("--resume" if resume else "a new run", 0.0)  # The chief changes nothing before all have read it.
                yield own
                wait()
        except UserError as error:
            raise UserError(str(error).replace(str(own), str(path))) from error


def wait() -> None:
    """Until all workers are here; nothing under another strategy."""
    _everyones(0.0)


def agree(what: str, value: float) -> None:
    """Checks that all workers start from the same `value`: else they would wait for each other for ever.

    Raises:
        UserError: They do not, as when `--out` is not one folder for all.
    """
    values = _everyones(value)
    if len(set(values)) > 1:
        told = ", ".join(f"{other:.15g} for worker {number + 1}" for number, other in enumerate(values))
        raise UserError(
            f"the workers do not start alike: {what} is {told}. They need the same command and data, and an --out that "
            "is one folder for all."
        )


class StopVote:
    """Whether to stop after this step: any worker's wish, known to all after the same step.

    One device looks every time; workers less often, for a look is a message.
    """

    def __init__(self, asked: list[int]):
        self.asked = asked
        self.since, self.last, self.every = 0, time.monotonic(), 1

    def __call__(self) -> bool:
        if not _several_workers():
            return bool(self.asked)
        self.since += 1
        if self.since < self.every:
            return False
        now = time.monotonic()
        # The same numbers reach every worker, so all look again after as many steps. A wish is negative.
        seconds = (now - self.last) / self.since + 1e-6
        answers = _everyones(-seconds if self.asked else seconds)
        self.every = min(max(1, int(LOOK_SECONDS / max(map(abs, answers)))), LOOK_STEPS)
        self.since, self.last = 0, now
        return min(answers) < 0


def check_share(batch: int) -> None:
    """Raises `UserError` where a batch, as small as the data make it, does not divide among the devices."""
    count = tf.distribute.get_strategy().num_replicas_in_sync
    if batch % count:
        raise UserError(
            f"there are {batch} images to train on, less than a batch, and they do not divide among {count} devices. "
            f"Accepted: a training.batch_size of {max(count, batch // count * count)}, or --strategy none."
        )


def distribute(make: Callable[[tuple[int, int]], tf.data.Dataset]) -> Any:
    """An iterator of the global batches that `make((i, n))` gives part i of n of, each part cut for its devices.

    Args:
        make: From a share to an endless data set of float32 images (and labels); the batch divides among all devices.
    """
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, replicas.STRATEGIES):
        return iter(make((0, 1)))

    def pipeline(context: tf.distribute.InputContext) -> tf.data.Dataset:
        batches = make((context.input_pipeline_id, context.num_input_pipelines))
        devices = context.num_replicas_in_sync // context.num_input_pipelines
        if devices > 1:
            batches = batches.flat_map(lambda *parts: tf.data.Dataset.from_tensor_slices(_split(parts, devices)))
        # Were an end possible, the workers would ask each other about it at every step.
        return batches.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))

    return iter(strategy.distribute_datasets_from_function(pipeline))


def _split(parts: tuple[tf.Tensor, ...], devices: int) -> Any:
    """The parts of a batch (images, perhaps labels), each cut for so many devices."""
    cut = tuple(tf.stack(tf.split(part, devices)) for part in parts)
    return cut if len(cut) > 1 else cut[0]


def evaluator(model: keras.Model, make: Callable[[tuple[int, int]], tf.data.Dataset]) -> Callable[[], dict[str, float]]:
    """`model.evaluate` on all of `make((i, n))`, part i of n of each batch, divided among the devices."""
    if not replicas.distributed(model):
        batches = make((0, 1))
        return lambda: model.evaluate(batches, verbose=0, return_dict=True)
    steps = int(make((0, 1)).cardinality())
    iterator, step = distribute(lambda share: make(share).repeat()), replicas.step_function(model, model.test_step, 1)

    def evaluate() -> dict[str, float]:
        model.reset_metrics()
        for _ in range(steps):
            logs = step(iterator)
        return {name: float(value) for name, value in sorted(logs.items())}  # Keras's order

    return evaluate


def _several_workers() -> bool:
    """Whether `join` met other workers: within the scope of their strategy and outside it."""
    return bool(_workers.cache_info().currsize)


def _everyones(value: float) -> list[float]:
    """The `value` of each worker, in their order; of this one alone where there is one."""
    if not _several_workers():
        return [value]
    everyone, index = cluster()
    own = np.zeros(len(everyone))
    own[index] = value
    return _gather()(tf.constant(own, tf.float64)).numpy().tolist()


@functools.cache
def _gather() -> Callable[[tf.Tensor], tf.Tensor]:
    strategy = _workers()

    @tf.function
    def gather(own: tf.Tensor) -> tf.Tensor:
        def replica_sum():
            replica = tf.distribute.get_replica_context()
            # Of a worker with several devices only the first speaks.
            first = replica.replica_id_in_sync_group % len(strategy.extended.worker_devices) == 0
            return replica.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(first, own, tf.zeros_like(own)))

        return strategy.experimental_local_results(strategy.run(replica_sum))[0]

    return gather


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Within, this worker prints nothing: the chief prints."""
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
        yield


@contextlib.contextmanager
def _told(path: Path | None = None) -> Iterator[None]:
    """Turns the loss of a worker into one line."""
    try:
        yield
    except LOST as error:
        task = re.search(r"/task:(\d+)", str(error))
        who = f"worker {int(task[1]) + 1} of {len(cluster()[0])}" if task else "a worker"
        again = f"--out {path} --resume" if path else "--resume"
        raise UserError(
            f"{who} is gone ({type(error).__name__}), so this one ends. Start all workers again, with: "
            f"python -m training {again}"
        ) from error
