"""Files that are whole or not there, whatever ends the writing; and names that fit."""

import errno
import os
import subprocess
import sys
from pathlib import Path, PurePath

import keras
import numpy as np
import pytest
from PIL import Image
from tiny_runs import vector_vae, write_run

from tfvae import pictures, whole_files
from tfvae.commands import latent, restore
from tfvae.data import Images
from tfvae.errors import UserError
from tfvae.evaluation.protocol import write_evaluation
from tfvae.file_names import LONGEST, distinct, fitting, user_path
from tfvae.video import FilmWriter
from tfvae.whole_files import read_arrays, read_json, sweep, whole_file, write_whole
from training import checkpoint
from training.journal import Journal


def part_of_the_dead(path):
    """Where a process of this machine that has ended wrote `path`."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return Path(str(whole_files.part_of(path)).replace(f"-{os.getpid()}-", f"-{ended.pid}-"))


def full_disk(*_args, **_options):
    raise OSError(errno.ENOSPC, "No space left on device")


class Torn:
    """A picture, a table or an array whose writing fails after the first bytes."""

    shape = (2, 2)

    def __iter__(self):
        yield np.zeros(2)
        full_disk()

    def __len__(self):
        return 2


def save_half(self, file, *_args, **_options):
    if hasattr(file, "write"):
        file.write(b"half")
    else:
        Path(file).write_bytes(b"half")
    full_disk()


def write_array_half(file, _array, **_options):
    save_half(None, file)


def journal_row(path):
    journal = Journal(path.parent, 10, 1, 0, 0)
    journal.csv_path = path
    journal.rows = [Torn()]
    journal.epoch(1, "epoch 1", 1, {"loss": 1.0})


PIXELS = np.zeros((8, 8, 3), np.uint8)
WRITERS = {
    "uncertainty.png": lambda path: restore._write_uncertainty(path, np.ones((8, 8, 3), np.float32)),
    "codes.csv": lambda path: latent._write_csv(path, Torn(), Images.from_array(np.zeros((2, 4, 4, 1), np.uint8))),
    "way.gif": lambda path: latent._save_gif(path, np.zeros((2, 8, 8, 1), np.float32)),
    "grid.png": lambda path: pictures.save_png(path, PIXELS),
    "metrics.csv": journal_row,
    "model.keras": lambda path: checkpoint.save_model(path, vector_vae()),
    "rows.png": lambda path: pictures.write_png_rows(path, 16, 8, iter([PIXELS])),
    "evaluation.json": lambda path: write_evaluation(path, None),
}


@pytest.mark.parametrize("name", WRITERS)
def test_what_cannot_be_written_to_its_end_leaves_the_former_file_and_nothing_else(tmp_path, monkeypatch, name):
    monkeypatch.setattr(Image.Image, "save", save_half)
    monkeypatch.setattr(keras.Model, "save", save_half)
    path = tmp_path / name
    path.write_bytes(b"the earlier one")
    with pytest.raises((OSError, ValueError, AttributeError)):
        WRITERS[name](path)
    assert path.read_bytes() == b"the earlier one"
    assert {entry.name for entry in tmp_path.iterdir()} <= {name, "tensorboard"}


def test_embed_on_a_full_disk_is_one_line_and_leaves_no_table(tmp_path, monkeypatch, capsys):
    from tfvae.cli import main

    run = write_run(tmp_path / "run", vector_vae())
    monkeypatch.setattr(np.lib.format, "write_array", write_array_half)
    assert main(["embed", str(run), "-o", str(tmp_path / "codes.npz")]) == 2
    error = capsys.readouterr().err
    assert "No space left on device" in error and error.count("\n") == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_a_kill_in_the_middle_leaves_the_former_file_and_its_part_is_swept(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("former")
    program = (
        "import os, sys; from tfvae.whole_files import whole_file\n"
        "with whole_file(sys.argv[1]) as file:\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], cwd=Path(__file__).parents[1])
    assert path.read_text() == "former" and len(list(tmp_path.iterdir())) == 2
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_only_what_the_dead_of_this_machine_left_is_swept(tmp_path):
    part_of_the_dead(tmp_path / "a").touch()
    living, elsewhere = whole_files.part_of(tmp_path / "b"), tmp_path / ".00000000-1-0.part"
    others = [living, elsewhere, tmp_path / ".notes.part", tmp_path / "own.part"]
    for path in others:
        path.touch()
    sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(others)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_write_through_is_no_failure(tmp_path, monkeypatch, number):
    def refuses(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuses)
    write_whole(tmp_path / "a.txt", "é")
    assert (tmp_path / "a.txt").read_bytes() == "é".encode()
    with FilmWriter(tmp_path / "a.gif", 10, (8, 8)) as film:
        film.write(PIXELS)
    assert (tmp_path / "a.gif").is_file()


def test_a_disk_that_fails_while_it_writes_through_is_one(tmp_path, monkeypatch):
    def fails(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="error"):
        write_whole(tmp_path / "a.txt", "a")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["f" * 251 + ".gif", "é" * 125 + ".gif", "🙂" * 62 + ".gif"])
def test_a_name_as_long_as_the_disk_allows_is_written(tmp_path, name):
    with FilmWriter(tmp_path / name, 10, (8, 8)) as film:
        film.write(PIXELS)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000, b'{"a": 1' + b"1" * 5000 + b"}"])
def test_damaged_json_is_one_line(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match="damaged") as caught:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


def test_arrays_that_lie_about_their_size_or_would_run_code_are_refused(tmp_path):
    import io
    import pickle
    import zipfile

    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 45,)})
    nested = b"\x93NUMPY\x01\x00\xf0\xff" + b"(" * 65520
    contents = {"128 TiB": header.getvalue(), "no array": b"hello", "empty": b"", "nested": nested}
    for name, content in contents.items():
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("x.npy", content)
        with pytest.raises(ValueError):
            pytest.fail(name) if read_arrays(tmp_path / "a.npz") else None
    np.savez(tmp_path / "a.npz", x=np.array([pickle.dumps(1), None], object))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_arrays(tmp_path / "a.npz")


# Names


@pytest.mark.parametrize("stem", ["a" * 300, "é" * 200, "🙂" * 100, b"\xff".decode("utf-8", "surrogateescape") * 260])
def test_a_derived_name_fits_and_tells_long_names_apart(stem):
    names = {fitting(stem + last, "_uncertainty.png") for last in "ab"}
    assert len(names) == 2 and all(name.endswith("_uncertainty.png") for name in names)
    assert all(len(os.fsencode(name)) <= LONGEST for name in names)
    assert fitting("short", ".png") == "short.png"


def test_names_are_distinct_as_on_disks_that_do_not_tell_capitals_apart():
    taken = {"comparison.png"}
    names = [str(distinct(PurePath("f"), stem, ".png", taken)) for stem in ("a", "A", "a_2", "b")]
    assert names == ["f/a.png", "f/A_2.png", "f/a_2_2.png", "f/b.png"]
    assert str(distinct(PurePath(), "comparison", ".png", taken)) == "comparison_2.png"


def test_a_tilde_is_a_home_folder_as_in_a_shell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert user_path("~/x.png") == tmp_path / "home" / "x.png"
    assert user_path("~nobody-has-this-name.png") == Path("~nobody-has-this-name.png")
    Path("~root").mkdir()
    assert user_path("~root") == Path("~root")
    with whole_file(user_path("~draft.png")) as file:
        file.write(b"x")
    assert (tmp_path / "~draft.png").read_bytes() == b"x"
