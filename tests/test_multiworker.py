"""`--strategy multiworker`: two processes on this machine's loopback, as two machines would run."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_training_run import TINY, train, without_reports

from tfvae.errors import UserError, run_program
from training import devices
from training.__main__ import main
from training.config import TrainingConfig
from training.journal import read_rows

ROOT = Path(__file__).parents[1]
SETTINGS = [
    *TINY,
    "data.limit=0",
    "model.likelihood=bernoulli",
    "training.clip_norm=100",
    "training.checkpoint_steps=10",
    "training.steps_per_execution=2",  # 88 steps of 16 images an epoch
    "objective.free_bits=0.1",
]
PATIENCE = 400  # seconds a test waits for what takes ten on a quiet machine


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def workers(scratch, *arguments):
    """Two processes of one cluster, the chief first; killed if they are still there in the end."""
    scratch.mkdir(exist_ok=True)
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    processes = []
    try:
        for index in range(2):
            place = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            environment = {**os.environ, "TF_CONFIG": json.dumps(place), "TMPDIR": str(scratch)}
            environment |= {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "training", *arguments],
                    env=environment,
                    stdout=open(scratch / f"out{index}", "a"),  # noqa: SIM115 (the child's)
                    stderr=open(scratch / f"err{index}", "a"),  # noqa: SIM115
                    text=True,
                )
            )
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def ends(scratch, processes):
    """Exit codes, and the last line of each worker's stderr."""
    deadline = time.monotonic() + PATIENCE
    codes = [process.wait(max(1.0, deadline - time.monotonic())) for process in processes]
    errors = [(scratch / f"err{index}").read_text() for index in range(2)]
    return codes, [error.strip().splitlines()[-1] if error.strip() else "" for error in errors]


def new_run(path):
    flags = [word for setting in SETTINGS for word in ("--set", setting)]
    return ["--data", "digits", "--epochs", "2", "--strategy", "multiworker", "--out", str(path), *flags]


def wait_for_checkpoint(path, processes):
    deadline = time.monotonic() + PATIENCE
    while not list((path / "checkpoints").glob("step-*.npz")):
        assert time.monotonic() < deadline and all(process.poll() is None for process in processes)
        time.sleep(0.01)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A run of two workers that nobody disturbed, and the folder of their output."""
    folder = tmp_path_factory.mktemp("two")
    with workers(folder / "scratch", *new_run(folder / "run")) as processes:
        codes, errors = ends(folder / "scratch", processes)
    assert codes == [0, 0], errors
    return folder / "run", folder / "scratch"


@pytest.mark.slow
def test_two_workers_have_the_curve_of_one_process(two, tmp_path):
    with without_reports():
        assert train(tmp_path / "one", "--epochs", "2", settings=SETTINGS) == 0
    rows = [read_rows(path / "metrics.csv") for path in (tmp_path / "one", two[0])]
    assert len(rows[0]) == len(rows[1]) == 2
    for one, other in zip(*rows, strict=True):
        assert one.keys() == other.keys()
        for key, value in one.items():
            # The last image of the odd number to validate on is left to neither worker.
            tolerance = 1e-2 if key.startswith("val_") else 1e-4
            np.testing.assert_allclose(other[key], value, rtol=tolerance, atol=1e-6, err_msg=key)


@pytest.mark.slow
def test_only_the_chief_writes_and_speaks(two):
    path, scratch = two
    assert {"config.toml", "model.keras", "metrics.csv", "report.md", "checkpoints"} <= {f.name for f in path.iterdir()}
    assert {file.name for file in scratch.iterdir()} == {"out0", "out1", "err0", "err1"}, "a worker left its folder"
    assert "epoch 2/2" in (scratch / "out0").read_text()
    silent = (scratch / "out1").read_text()
    assert "worker 2 of 2" in silent and "epoch 1/2" not in silent and "report:" not in silent


def assert_resumes_to(whole, path, scratch):
    with workers(scratch, "--resume", "--out", str(path)) as processes:
        codes, errors = ends(scratch, processes)
    assert codes == [0, 0], errors
    for name in ("model.keras", "metrics.csv"):
        assert (path / name).read_bytes() == (whole / name).read_bytes(), name


def one_dies(path, scratch):
    """Kills the second worker as soon as there is a checkpoint: the first ends, and says how to go on."""
    with workers(scratch, *new_run(path)) as processes:
        wait_for_checkpoint(path, processes)
        processes[1].kill()
        codes, errors = ends(scratch, processes)
    assert codes == [2, -signal.SIGKILL]
    assert re.search(rf"worker 2 of 2 is gone.*python -m training --out {path} --resume", errors[0]), errors[0]


@pytest.mark.slow
def test_a_worker_that_dies_ends_the_other(tmp_path):
    one_dies(tmp_path / "run", tmp_path / "scratch")


@pytest.mark.slow
def test_a_job_whose_worker_died_resumes_to_the_same_bits(two, tmp_path):
    one_dies(tmp_path / "run", tmp_path / "scratch")
    assert_resumes_to(two[0], tmp_path / "run", tmp_path / "scratch")


@pytest.mark.slow
def test_workers_stop_together_where_one_is_asked_to_and_resume_to_the_same_bits(two, tmp_path):
    path, scratch = tmp_path / "run", tmp_path / "scratch"
    with workers(scratch, *new_run(path)) as processes:
        wait_for_checkpoint(path, processes)
        processes[1].send_signal(signal.SIGTERM)  # a spot machine that is taken away
        codes, errors = ends(scratch, processes)
    assert codes == [130, 130], errors
    stopped = int(re.search(r"stopped at step (\d+)", (scratch / "out0").read_text())[1])
    assert (path / "checkpoints" / f"step-{stopped:08d}.npz").is_file()
    assert_resumes_to(two[0], path, scratch)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "needs TF_CONFIG"),
        ("{", "no cluster and task: JSONDecodeError"),
        ("[]", "no cluster and task: TypeError"),
        ('{"cluster": {"worker": ["a:1"]}}', "no cluster and task: KeyError: 'task'"),
        ('{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}', "must be host:port"),
        ('{"cluster": {"worker": []}, "task": {"type": "worker", "index": 0}}', "must be host:port"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}', "'worker' or 'chief'"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "index 1"),
    ],
)
def test_a_wrong_cluster_is_refused_in_one_line(text, words, monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    arguments = ["--data", "digits", "--strategy", "multiworker", "--out", str(tmp_path / "run")]
    assert run_program("training", lambda: main(arguments)) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert words in line and ("Accepted" in line or "index 1" in line)
    assert not (tmp_path / "run").exists()


def test_the_chief_comes_first_among_the_workers(monkeypatch):
    cluster = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    for kind, index, place in (("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)):
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}}))
        assert devices.cluster() == (["a:1", "b:1", "c:1"], place)
        assert devices.is_chief(TrainingConfig(strategy="multiworker")) == (place == 0)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--strategy", "multiworker"], "needs --out DIR"),
        (["--strategy", "multiworker", "--jit"], "does not work with jit"),
        (["--strategy", "mirrored", "--jit"], "does not work with jit"),
    ],
)
def test_combinations_that_cannot_work_are_refused(flags, words, capsys):
    assert run_program("training", lambda: main(["--data", "digits", *flags])) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_a_batch_that_does_not_divide_among_the_devices_is_refused():
    with pytest.raises(UserError, match="must be a multiple of the 2 devices under 'mirrored'"):
        devices.scope(TrainingConfig(strategy="mirrored", batch_size=15))
