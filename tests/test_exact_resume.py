"""A run that is killed, filled up, damaged or altered: the same end, or one line that says what to do."""

import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_training_run import TINY, train, without_reports
from test_whole_files import part_of_the_dead

from tfvae import whole_files
from tfvae.errors import UserError, run_program
from training import checkpoint
from training.__main__ import main
from training.build import build_model, compile_model
from training.config import read_config

ROOT = Path(__file__).parents[1]
SETTINGS = [*TINY, "model.likelihood=bernoulli"]


def resume(path, *arguments):
    return run_program("training", lambda: main(["--out", str(path), "--resume", *arguments]))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run of two epochs that kept every checkpoint of two steps."""
    path = tmp_path_factory.mktemp("runs") / "done"
    settings = [*SETTINGS, "training.checkpoint_steps=2", "training.keep_checkpoints=5"]
    with without_reports():
        assert train(path, "--epochs", "2", settings=settings) == 0
    return path


@pytest.fixture
def copy(done, tmp_path):
    return Path(shutil.copytree(done, tmp_path / "copy"))


def tiny_model():
    config = read_config({"data": {"source": "digits"}, "model": {"network": "mlp", "widths": (5,)}}, "test")
    model = build_model(config, (8, 8, 1))
    compile_model(model, config.training, 10)
    return model


def test_checkpoints_are_written_by_step_and_the_last_few_are_kept(done):
    steps = [int(path.stem.removeprefix("step-")) for path in sorted((done / "checkpoints").iterdir())]
    # Six steps an epoch: every second step, and the end of an epoch counts as one of them.
    assert steps == [4, 6, 8, 10, 12]


def test_a_checkpoint_is_of_the_moment_it_was_asked_for(tmp_path):
    """The file is written while training goes on, and must not see it."""
    model = tiny_model()
    with checkpoint.Checkpoints(tmp_path, model) as checkpoints:
        asked = [np.array(v.value) for v in checkpoint.state_of(model)]
        checkpoints.save({"step": 1})
        for _ in range(3):
            model.train_on_batch(np.random.default_rng(0).random((4, 8, 8, 1)).astype("float32"))
    assert any(np.any(np.array(v.value) != a) for v, a in zip(checkpoint.state_of(model), asked, strict=True))
    assert checkpoint.Checkpoints(tmp_path, model).restore() == {"step": 1}
    for variable, value in zip(checkpoint.state_of(model), asked, strict=True):
        np.testing.assert_array_equal(variable.value, value)


def test_a_full_disk_leaves_the_last_good_checkpoint_and_names_it(tmp_path, monkeypatch):
    model, folder = tiny_model(), tmp_path / "run" / "checkpoints"
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with checkpoint.Checkpoints(folder, model) as checkpoints:
        checkpoints.save({"step": 7})
        checkpoints.wait()
        part = folder / ".torn.part"
        part.symlink_to(full)  # Whatever is written there meets a full disk.
        monkeypatch.setattr(whole_files, "part_of", lambda path, suffix="": part)
        checkpoints.save({"step": 9})
        with pytest.raises(
            UserError, match=r"disk is full; the last good checkpoint is step-00000007.npz\. .*--resume"
        ):
            checkpoints.wait()
    assert [path.name for path in folder.iterdir()] == ["step-00000007.npz"]
    assert checkpoint.Checkpoints(folder, model).restore() == {"step": 7}


def test_torn_files_of_a_kill_are_swept_away(tmp_path):
    part_of_the_dead(tmp_path / "step-00000003.npz").write_bytes(b"half")
    with checkpoint.Checkpoints(tmp_path, tiny_model()):
        assert not list(tmp_path.iterdir())


def test_a_torn_config_does_not_keep_its_place(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    part_of_the_dead(path / "config.toml").write_text("[dat")
    with without_reports():
        assert train(path, "--epochs", "1", settings=SETTINGS) == 0


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("learning_rate = 0.001", "learning_rate = 0.01", "training.learning_rate is 0.01, but .* 0.001"),
        ("seed = 0", "seed = 1", "training.seed is 1, but .* 0"),
        ("steps = 9", "steps = 10", "objective.beta is"),
        ("limit = 120", "limit = 100", "data.limit is 100, but .* 120"),
        ("widths = [12]", "widths = [13]", r"model.widths is \[13\], but .* \[12\]"),
    ],
)
def test_a_changed_config_is_named(copy, capsys, old, new, told):
    config = copy / "config.toml"
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))
    assert resume(copy, "--epochs", "3") == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(told, line), line


def test_what_may_change_does(copy):
    config = copy / "config.toml"
    config.write_text(config.read_text().replace("keep_checkpoints = 5", "keep_checkpoints = 1"))
    with without_reports():
        assert resume(copy, "--epochs", "3") == 0
    assert [path.name for path in (copy / "checkpoints").iterdir()] == ["step-00000018.npz"]


def test_changed_data_is_told(tmp_path, capsys):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "images.npy", pixels)
    flags = ["--data", str(tmp_path / "images.npy"), "--out", str(tmp_path / "run"), "--epochs", "1"]
    small = ["--set", "model.widths=[4]", "--set", "model.network=mlp", "--set", "prior.kind=standard_normal"]
    with without_reports():
        assert run_program("training", lambda: main([*flags, *small])) == 0
    pixels[5] += 1
    np.save(tmp_path / "images.npy", pixels)
    assert resume(tmp_path / "run", "--epochs", "2") == 2
    assert "the data changed since the last checkpoint" in capsys.readouterr().err


def kill_and_resume(folder: Path, kills: int, seed: int, say=print) -> int:
    """Kills `kills` runs, each at its own moment, resumes them, and counts how many end in the uninterrupted files.

    A third of the moments are drawn before the first step (imports and data loading), a third over the steps, and a
    third wait for a file that is just being written.
    """
    rng = random.Random(seed)
    settings = [*SETTINGS, "data.limit=0", "training.checkpoint_steps=7"]
    command = [sys.executable, "-m", "training", "--data", "digits", "--epochs", "12"]
    command += [word for setting in settings for word in ("--set", setting)]
    whole = folder / "whole"
    began = time.monotonic()
    process = subprocess.Popen([*command, "--out", str(whole)], cwd=ROOT, stdout=subprocess.DEVNULL)
    loading = 0.0
    while process.poll() is None:
        if not loading and list((whole / "checkpoints").glob("step-*")):
            loading = time.monotonic() - began
        time.sleep(0.02)
    assert process.returncode == 0
    training = time.monotonic() - began - loading
    same = 0
    for number in range(kills):
        path = folder / f"killed-{number}"
        kind = ("while loading", "mid-epoch", "while writing")[number % 3]
        moment = {"while loading": rng.uniform(0.3, loading), "mid-epoch": loading + rng.uniform(0, 0.8 * training)}
        patience = moment.get(kind, loading + 0.8 * training)
        skipped = rng.randrange(20)  # writes to let pass
        process = subprocess.Popen(
            [*command, "--out", str(path)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        began, seen = time.monotonic(), set()
        while time.monotonic() - began < patience and process.poll() is None:
            torn = {file.name for place in (path, path / "checkpoints") for file in place.glob(".*.part*")}
            seen |= torn
            if kind == "while writing" and torn and len(seen) > skipped:
                break
            time.sleep(0.0005 if kind == "while writing" else 0.01)
        process.kill()
        process.wait()
        left = sorted(file.name for file in path.rglob(".*.part*")) if path.exists() else []
        again = command if not (path / "config.toml").exists() else [sys.executable, "-m", "training", "--resume"]
        subprocess.run([*again, "--out", str(path)], cwd=ROOT, check=True, capture_output=True, timeout=900)
        equal = all((whole / f).read_bytes() == (path / f).read_bytes() for f in ("model.keras", "metrics.csv"))
        same += equal
        seconds = time.monotonic() - began
        say(f"{number + 1}: {kind}, {seconds:.1f} s with the resumed run, torn: {left or 'none'}; same: {equal}")
        shutil.rmtree(path)
    return same


@pytest.mark.slow
def test_killed_processes_resume_to_the_same_files(tmp_path):
    assert kill_and_resume(tmp_path, kills=20, seed=0) == 20
