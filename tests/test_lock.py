"""One writer to a folder at a time."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_training_run import TINY, train

from tfvae.errors import UserError, run_program
from training import encrypt, lock
from training.__main__ import main
from training.lock import LOCK, STALE, held

ROOT = Path(__file__).parents[1]
HOLDS = """
import sys, time
from pathlib import Path
from training.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock of `tmp_path / "run"`."""
    command = [sys.executable, "-c", HOLDS, str(tmp_path / "run")]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def refusal(folder):
    with pytest.raises(UserError) as caught, held(folder):
        pass
    return str(caught.value)


def test_the_second_is_refused_with_the_owner_and_the_way_to_break_the_lock(other, tmp_path):
    told = refusal(tmp_path / "run")
    assert f"process {other.pid} on {socket.gethostname()}, since 2" in told
    assert told.endswith(f"remove {tmp_path / 'run' / LOCK}.") and "\n" not in told
    other.communicate("\n")
    assert not (tmp_path / "run").exists()  # nothing was written there


def test_the_lock_of_a_process_that_was_killed_is_taken_over(other, tmp_path):
    other.kill()
    other.wait()
    path = tmp_path / "run" / LOCK
    assert json.loads(path.read_text())["process"] == other.pid
    with held(tmp_path / "run"):
        assert json.loads(path.read_text())["process"] == os.getpid()
    assert not path.exists()


def test_a_number_that_another_process_has_by_now_does_not_keep_the_lock(tmp_path):
    owner = {"process": os.getppid(), "host": socket.gethostname(), "since": "yesterday"}
    (tmp_path / LOCK).write_text(json.dumps(owner))
    with held(tmp_path):
        pass


@pytest.mark.parametrize(("age", "taken"), [(1.0, False), (STALE + 60, True)])
def test_the_lock_of_another_machine_counts_while_it_is_touched(tmp_path, age, taken):
    path = tmp_path / LOCK
    path.write_text(json.dumps({"process": 1, "host": "elsewhere", "since": "2026-01-01"}))
    os.utime(path, (time.time() - age,) * 2)
    if not taken:
        assert "process 1 on elsewhere, since 2026-01-01" in refusal(tmp_path)
        return
    with held(tmp_path):
        assert json.loads(path.read_text())["host"] == socket.gethostname()


def test_an_owner_touches_its_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.01)
    with held(tmp_path):
        os.utime(tmp_path / LOCK, (1, 1))
        until = time.monotonic() + 10
        while (tmp_path / LOCK).stat().st_mtime < 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert (tmp_path / LOCK).stat().st_mtime > 2


@pytest.mark.parametrize("content", [b"", b"\xff{", b"[]", b"[" * 100_000])
def test_a_torn_lock_is_nobodys(tmp_path, content):
    (tmp_path / LOCK).write_bytes(content)
    with held(tmp_path):
        pass


def test_of_two_trainings_into_one_folder_one_is_refused(other, tmp_path, capsys):
    """Both began when the folder was new; this one has read its images when the other has begun."""
    assert train(tmp_path / "run", "--epochs", "1") == 2
    assert f"process {other.pid}" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "run").iterdir()] == [LOCK]


def test_a_run_that_another_training_finished_meanwhile_is_left_alone(tmp_path, monkeypatch, capsys):
    from training import run

    real = run.settle

    def slow(request, place):
        settled = real(request, place)
        settled.path.mkdir()
        (settled.path / "config.toml").write_text("the other's")
        return settled

    monkeypatch.setattr(run, "settle", slow)
    assert train(tmp_path / "run", "--epochs", "1", settings=TINY) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert (tmp_path / "run" / "config.toml").read_text() == "the other's"


@pytest.mark.parametrize("words", [["--resume"], ["tune", "--data", "digits", "--set", "data.limit=60"]])
def test_resuming_and_searching_respect_the_lock(other, tmp_path, capsys, words):
    (tmp_path / "run" / "config.toml").write_text('[data]\nsource = "digits"\nlimit = 60\nheight = 8\nwidth = 8\n')
    if words[0] == "tune":
        (tmp_path / "run" / "search.json").write_text("{}")
    assert run_program("training", lambda: main([*words, "--out", str(tmp_path / "run")])) == 2
    assert f"process {other.pid}" in capsys.readouterr().err


def test_encrypting_respects_the_lock_and_leaves_the_others_shards(other, tmp_path, capsys):
    pytest.importorskip("cryptography")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(b"a")
    words = [str(tmp_path / "pictures"), "-o", str(tmp_path / "run"), "--new-key", str(tmp_path / "key")]
    assert run_program("training", lambda: encrypt.main(words)) == 2
    assert f"process {other.pid}" in capsys.readouterr().err
