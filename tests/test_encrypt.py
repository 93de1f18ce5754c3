"""`python -m training encrypt` when it is stopped, and what it leaves alone; where its key can be read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfvae.data import data_key, encrypted
from tfvae.errors import run_program
from training import encrypt

KEY = bytes(range(32))
ROOT = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path):
    """Four files; what is in them matters to no encryption."""
    path = tmp_path / "pictures"
    path.mkdir()
    for index, size in enumerate((200, 200, 10, 200)):
        (path / f"{index}.png").write_bytes(bytes([index]) * size)
    return path


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "data.key"
    path.write_bytes(KEY.hex().encode())
    return path


def seal(folder, out, key_file):
    words = [str(folder), "-o", str(out), "--key-file", str(key_file)]
    return run_program("training", lambda: encrypt.main(words))


def contents(out):
    return [(content.name, content.data) for content in encrypted.pictures(out, KEY)[1]]


def test_one_that_is_stopped_leaves_nothing(folder, key_file, tmp_path, monkeypatch):
    real, calls = encrypted.pack, []

    def stops(name, content):
        calls.append(name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(name, content)

    monkeypatch.setattr(encrypted, "pack", stops)
    monkeypatch.setattr(encrypt, "SHARD_BYTES", 1)
    assert seal(folder, tmp_path / "s", key_file) == 130
    assert not (tmp_path / "s").exists()


@pytest.mark.slow
def test_one_that_was_killed_is_begun_anew(folder, key_file, tmp_path):
    """It leaves a shard, the note of whose it is, its lock, and a torn file."""
    program = (
        "import os, sys; from training import encrypt; from tfvae.data import encrypted\n"
        "real = encrypted.Seal.close\n"
        "def close(self, number, content):\n"
        "    return os._exit(9) if len(content) < 100 else real(self, number, content)\n"
        "encrypted.Seal.close = close; encrypt.SHARD_BYTES = 1; encrypt.main(sys.argv[1:])"
    )
    words = [folder, "-o", tmp_path / "s", "--key-file", key_file]
    killed = subprocess.run([sys.executable, "-c", program, *map(str, words)], cwd=ROOT, capture_output=True)
    assert killed.returncode == 9, killed.stderr
    left = {path.name for path in (tmp_path / "s").iterdir()}
    assert {".lock", encrypt.UNFINISHED, encrypted.shard_name(0), encrypted.shard_name(1)} < left and len(left) == 5
    assert seal(folder, tmp_path / "s", key_file) == 0
    assert [name for name, _ in contents(tmp_path / "s")] == ["0.png", "1.png", "2.png", "3.png"]
    assert {path.suffix for path in (tmp_path / "s").iterdir()} == {".sealed"}


@pytest.mark.parametrize("note", [None, '{"dataset": "' + "00" * 16 + '"}', "{", "[]"])
def test_shards_that_it_did_not_write_are_never_removed(folder, key_file, tmp_path, capsys, note):
    out = tmp_path / "s"
    assert seal(folder, out, key_file) == 0
    (out / encrypted.INDEX).unlink()
    if note is not None:
        (out / encrypt.UNFINISHED).write_text(note)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    capsys.readouterr()
    assert seal(folder, out, key_file) == 2
    error = capsys.readouterr().err
    assert "left alone" in error and error.count("\n") == 1
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize("names", [["a.txt"], ["film.mp4.part"], ["a.txt", ".0-1-2.part"]])
def test_a_folder_that_holds_something_else_is_refused(folder, key_file, tmp_path, capsys, names):
    out = tmp_path / "s"
    out.mkdir()
    for name in names:
        (out / name).touch()
    assert seal(folder, out, key_file) == 2
    assert "is not empty" in capsys.readouterr().err
    assert sorted(path.name for path in out.iterdir()) == sorted(names)


def test_a_note_left_over_in_a_whole_data_set_costs_it_nothing(folder, key_file, tmp_path, capsys):
    """The moment between the index and the removal of the note."""
    out = tmp_path / "s"
    assert seal(folder, out, key_file) == 0
    dataset = encrypted.dataset_of(out / encrypted.INDEX).hex()
    (out / encrypt.UNFINISHED).write_text(f'{{"dataset": "{dataset}"}}')
    assert seal(folder, out, key_file) == 2
    assert len(contents(out)) == 4


READS_PARENT = """
import os, struct, sys
reply, out = struct.Struct(">BIIIQI"), sys.stdout.buffer
out.write(reply.pack(2, 0, 0, 0, 0, 0)); out.flush()
for line in sys.stdin:
    word = open(f"/proc/{os.getppid()}/environ", "rb").read()
    out.write(reply.pack(1, 0, 0, 0, len(word), 0) + word); out.flush()
"""
ASKS = """
import os, subprocess, sys
from pathlib import Path
from tfvae.data import data_key
from tfvae.data.reading import Preparation
from tfvae.data.workers import read_pictures
((_, seen),) = read_pictures([Path(sys.argv[1])], Preparation(), script=sys.argv[2])
child = subprocess.run(["env"], capture_output=True, text=True).stdout
key = os.environ[data_key.KEY_VARIABLE]
print("OTHER=seen" in seen, key in seen, key in child, data_key.read_key().hex())
"""


def test_the_key_cannot_be_read_in_the_environment_of_the_parent(folder, tmp_path):
    """A reader process that a picture takes over finds it neither in what it inherits nor in `/proc`."""
    if not Path("/proc/self/environ").exists():
        pytest.skip("this system has no /proc")
    (tmp_path / "worker.py").write_text(READS_PARENT)
    words = [sys.executable, "-c", ASKS, str(folder / "0.png"), str(tmp_path / "worker.py")]
    environment = {**os.environ, data_key.KEY_VARIABLE: KEY.hex(), "OTHER": "seen"}
    told = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert told.stdout.split() == ["True", "False", "False", KEY.hex()], told.stderr
