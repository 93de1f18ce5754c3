"""`tfvae compress --lossless` and back: the same pixels under the same names, and what is refused."""

import numpy as np
import pytest
from PIL import Image
from tiny_runs import vector_vae, write_run

from tfvae.cli import main


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    write_run(root / "binary", vector_vae())
    write_run(root / "levels", vector_vae("logistic"))
    return root


@pytest.fixture
def scans(tmp_path):
    """Pictures 8×8 of 8 bits, one of them in a folder within, by name."""
    return written(tmp_path / "scans", lambda rng: rng.integers(0, 256, (8, 8)))


def written(folder, draw):
    found = {}
    for index, name in enumerate(("a.png", "b.bmp", "inner/a.png", "z.tif")):
        found[name] = draw(np.random.default_rng(index)).astype(np.uint8)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(found[name]).save(folder / name)
    return found


def tfvae(capsys, *words, code=0):
    assert main([str(word) for word in words]) == code
    return capsys.readouterr()


def refusal(capsys, *words):
    (line,) = tfvae(capsys, *words, code=2).err.strip().splitlines()
    return line


def assert_same(folder, expected):
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    assert sorted(found) == sorted(name.rpartition(".")[0] + ".png" for name in expected)
    for name, pixels in expected.items():
        np.testing.assert_array_equal(np.asarray(Image.open(found[name.rpartition(".")[0] + ".png"])), pixels)


@pytest.mark.parametrize("run", ["binary", "levels"])
def test_a_folder_comes_back_pixel_for_pixel_under_its_names(runs, tmp_path, capsys, run):
    levels = 2 if run == "binary" else 256
    expected = written(tmp_path / "in", lambda rng: rng.integers(0, levels, (8, 8)) * (255 // (levels - 1)))
    said = tfvae(capsys, "compress", "--lossless", runs / run, tmp_path / "in", "-o", tmp_path / "set.tfv").out
    size = (tmp_path / "set.tfv").stat().st_size
    assert f"with 4 pictures, {size:,} bytes, {8 * size / 256:.4f} bits per pixel and channel" in said
    tfvae(capsys, "decompress", tmp_path / "set.tfv", "--run", runs / run, "-o", tmp_path / "out")
    assert_same(tmp_path / "out", expected)


def test_the_usual_places_are_beside_what_is_read(runs, tmp_path, capsys, scans):
    tfvae(capsys, "compress", "--lossless", runs / "levels", tmp_path / "scans")
    assert (tmp_path / "scans.tfv").is_file()
    (tmp_path / "scans").rename(tmp_path / "before")
    tfvae(capsys, "decompress", tmp_path / "scans.tfv", "--run", runs / "levels")
    assert_same(tmp_path / "scans", scans)


def test_one_picture_that_cannot_be_read_is_named_and_the_others_are_kept(runs, tmp_path, capsys, scans):
    (tmp_path / "scans" / "bad.png").write_bytes(b"no picture")
    said = tfvae(capsys, "compress", "--lossless", runs / "levels", tmp_path / "scans", code=2).err
    assert "refused bad.png" in said and "1 of the pictures could not be used" in said.splitlines()[-1]
    tfvae(capsys, "decompress", tmp_path / "scans.tfv", "--run", runs / "levels", "-o", tmp_path / "out")
    assert_same(tmp_path / "out", scans)


def test_what_would_lose_something_is_refused(runs, tmp_path, capsys, scans):
    assert "gives others no mass" in refusal(capsys, "compress", "--lossless", runs / "binary", tmp_path / "scans")
    Image.fromarray(np.zeros((9, 8), np.uint8)).save(tmp_path / "scans" / "large.png")
    assert "must have one size" in refusal(capsys, "compress", "--lossless", runs / "levels", tmp_path / "scans")
    written(tmp_path / "colour", lambda rng: rng.integers(0, 256, (8, 8, 3)))
    assert "(1, 8, 8, 3)" in refusal(capsys, "compress", "--lossless", runs / "levels", tmp_path / "colour")
    assert not (tmp_path / "scans.tfv").exists() and not (tmp_path / "colour.tfv").exists()


@pytest.mark.parametrize("words", [("--coder", "huffman"), ("--tile", "64"), ("--page",)])
def test_what_is_for_single_pictures_is_refused(runs, tmp_path, capsys, scans, words):
    line = refusal(capsys, "compress", "--lossless", runs / "levels", tmp_path / "scans", *words)
    assert f"{words[0]} is for single pictures" in line


def test_a_set_opens_by_itself_and_with_its_own_model_only(runs, tmp_path, capsys, scans):
    tfvae(capsys, "compress", "--lossless", runs / "levels", tmp_path / "scans", "-o", tmp_path / "x" / "set.tfv")
    file = tmp_path / "x" / "set.tfv"
    assert "--run RUN" in refusal(capsys, "decompress", file)
    assert "not the one that this file" in refusal(capsys, "decompress", file, "--run", runs / "binary")
    said = tfvae(capsys, "decompress", tmp_path / "x", "--run", runs / "levels", code=2).err
    assert "name it by itself" in said or "which writes no files" in said
    file.write_bytes(file.read_bytes()[:-4])
    assert "damaged" in refusal(capsys, "decompress", file, "--run", runs / "levels")
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["set.tfv"]
