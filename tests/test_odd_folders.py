"""What lies in folders besides pictures, and names at the limit: refused by name, with no wait and no crash."""

import io
import os
import zipfile

import numpy as np
import pytest
from PIL import Image
from tiny_runs import spatial_vae, vector_vae, write_run

from tfvae.cli import main
from tfvae.commands.shared import place
from tfvae.data import DataConfig, load, load_images
from tfvae.data.folder import list_files
from tfvae.errors import UserError

PICTURE = io.BytesIO()
Image.fromarray(np.zeros((12, 10), np.uint8)).save(PICTURE, "PNG")
LONG = ("a" * 251 + ".png", "é" * 125 + ".png", "🙂" * 62 + ".tiff", "d" * 255)


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "vae", spatial_vae())


@pytest.fixture
def folder(tmp_path):
    """Pictures with names as long as the disk allows, and two others."""
    path = tmp_path / "in"
    path.mkdir()
    for name in ("b.png", "c.png", *LONG):
        (path / name).write_bytes(PICTURE.getvalue())
    return path


def made(out):
    return sorted(path.name for path in out.rglob("*.png"))


def test_reconstruct_writes_every_picture_whatever_the_length_of_its_name(vae, folder, tmp_path):
    out = tmp_path / "out"
    assert main(["reconstruct", str(vae), str(folder), "-o", str(out)]) == 0
    names = made(out)
    assert len(names) == 7 and {"b.png", "c.png", "comparison.png"} < set(names)
    assert all(len(os.fsencode(name)) <= 255 for name in names)


def test_names_in_an_archive_that_no_disk_can_hold_are_cut(vae, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in (f"{'x' * 400}/{'y' * 400}.png", f"{'x' * 400}/{'y' * 401}.png", "b.png"):
            archive.writestr(name, PICTURE.getvalue())
    assert main(["reconstruct", str(vae), str(tmp_path / "a.zip"), "-o", str(tmp_path / "out")]) == 0
    assert len(made(tmp_path / "out")) == 4


def test_embed_and_the_page_take_long_names(vae, folder, tmp_path):
    assert main(["embed", str(vae), str(folder), "-o", str(tmp_path / "codes.csv")]) == 0
    assert (tmp_path / "codes.csv").read_text().count("\n") == 7


def test_a_path_that_is_too_long_as_a_whole_is_one_line(vae, tmp_path, capsys):
    long = "/".join(["x" * 200] * 25)
    assert main(["generate", str(vae), "-o", str(tmp_path / long / "a.png"), "--size", "8x8"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


# What is no regular file


@pytest.mark.parametrize("name", ["fifo.png", "fifo", "fifo.npy", "fifo.zip", "fifo.mp4", "socket.png"])
def test_what_is_no_regular_file_is_named_and_not_waited_for(folder, tmp_path, capsys, vae, name):
    import socket

    path = folder / name
    if name.startswith("fifo"):
        os.mkfifo(path)
    else:
        here = os.getcwd()
        os.chdir(folder)  # an address of a socket is short
        socket.socket(socket.AF_UNIX).bind(name)
        os.chdir(here)
    with pytest.raises(UserError, match="a pipe or a device"):
        load(DataConfig(str(path)))
    assert main(["restore", str(vae), str(path)]) == 2
    assert "a pipe or a device" in capsys.readouterr().err
    images, refused = load_images(folder)
    assert len(images) == 6 and [refusal.name for refusal in refused] == [name]


def test_a_thousand_nested_folders_are_gone_into(deep_folder, tmp_path):
    (deep_folder / "x.png").write_bytes(PICTURE.getvalue())
    (tmp_path / "deep" / "y.png").write_bytes(PICTURE.getvalue())
    found, others = list_files(tmp_path / "deep")
    assert [len(path.parts) - len(tmp_path.parts) for path in found] == [1102, 2] and not others
    assert len(load_images(tmp_path / "deep")[0]) == 2


def test_links_in_a_circle_or_to_themselves_are_passed(folder):
    (folder / "again").symlink_to(folder)
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "loop").symlink_to(folder / "loop")
    images, refused = load_images(folder)
    assert len(images) == 6
    assert {refusal.reason for refusal in refused} == {"a link that leads nowhere"}


# Array files


def npy(array_header):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, array_header)
    return header.getvalue()


def npz(**members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, member in members.items():
            archive.writestr(f"{name}.npy", member)
    return content.getvalue()


def saved(*arrays, **named):
    content = io.BytesIO()
    np.savez(content, *arrays, **named)
    return content.getvalue()


HUGE = {"descr": "|u1", "fortran_order": False, "shape": (1 << 20, 1 << 20, 1 << 7)}
NEGATIVE = {"descr": "|u1", "fortran_order": False, "shape": (-1, 8, 8)}
ODD = {
    "empty.npz": b"",
    "empty.npy": b"",
    "no members.npz": npz(),
    "object.npz": saved(x=np.array([None, "a"], object)),
    "object.npy": b"\x93NUMPY\x01\x00"
    + npy({"descr": "|O", "fortran_order": False, "shape": (3,)})[8:]
    + b"cos\nsystem",
    "huge.npz": npz(x=npy(HUGE)),
    "huge.npy": npy(HUGE),
    "negative.npz": npz(x=npy(NEGATIVE)),
    "negative.npy": npy(NEGATIVE),
    "text member.npz": npz(x=b"hello"),
    "no images.npz": saved(x=np.zeros((0, 8, 8), np.uint8)),
    "flat.npz": saved(x=np.zeros(5)),
    "scalar.npz": saved(x=np.float32(3)),
    "text.npz": saved(x=np.array([["a"]])),
    "complex.npz": saved(x=np.zeros((3, 4, 4), complex)),
    "nested header.npy": b"\x93NUMPY\x01\x00\xf0\xff" + b"(" * 65520,
    "version.npy": b"\x93NUMPY\x09\x09" + bytes(100),
    "short.npz": saved(x=np.zeros((3, 4, 4), np.uint8))[:-30],
    "not a zip.npz": b"PK\x03\x04" + bytes(200),
    "labels.npz": saved(x=np.zeros((3, 4, 4), np.uint8), y=np.array([None] * 3, object)),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_array_file_is_refused_in_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(ODD[name])
    with pytest.raises(UserError) as caught:
        load(DataConfig(str(tmp_path / name)))
    assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


# Where results go


@pytest.mark.parametrize("name", ["results.v2", "run.2024-05-01", "a.b.c", "1.0", ".hidden", "mit.punkt"])
def test_a_folder_may_have_a_dot_in_its_name(tmp_path, name):
    assert place(tmp_path / name, tmp_path, (".png", "")) == (tmp_path / name, True)
    with pytest.raises(UserError, match=r"-o must be a file ending in \.png|cannot end in"):
        place(tmp_path / name, tmp_path, (".png",))


@pytest.mark.parametrize("name", ["a.jpg", "a.mp4", "a.txt", "a.html", "a.HTML", "a.csv"])
def test_a_file_of_another_format_is_no_folder(tmp_path, name):
    with pytest.raises(UserError, match="cannot end in"):
        place(tmp_path / name, tmp_path, (".png", ""))


def test_results_go_into_such_a_folder_and_into_home(tmp_path, monkeypatch):
    run = write_run(tmp_path / "run", vector_vae())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert main(["generate", str(run), "-n", "2", "-o", "results.v2"]) == 0
    assert made(tmp_path / "results.v2") == ["00000.png", "00001.png", "grid.png"]
    assert main(["generate", str(run), "-n", "2", "--out=~/drawn.png"]) == 0
    assert (tmp_path / "home" / "drawn.png").is_file()
    assert main(["generate", str(run), "-n", "2", "-o", "~draft.png"]) == 0
    assert (tmp_path / "~draft.png").is_file() and not (tmp_path / "~").exists()
