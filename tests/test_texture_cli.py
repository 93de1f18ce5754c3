"""`tfvae texture` on untrained models, the file it writes row by row, and how textures are measured."""

import json

import numpy as np
import pytest
from PIL import Image
from tiny_runs import spatial_vae, vector_vae, write_run

from benchmarks import textures
from benchmarks.__main__ import main as benchmark
from benchmarks.textures import exemplars
from tfvae.cli import main
from tfvae.metrics.sliced_wasserstein import laplacian_pyramid, pyramid_distance, sliced_wasserstein
from tfvae.pictures.png_rows import write_png_rows

# The command.


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    for name, shape in (("walls/brick.png", (64, 72, 3)), ("walls/moss.jpg", (66, 70, 3)), ("sand.png", (48, 64))):
        (root / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(root / name)
    write_run(root / "walls_run", spatial_vae(3), source=str(root / "walls"), limit=0)
    write_run(root / "sand_run", spatial_vae(1), source=str(root / "sand.png"), limit=0)
    write_run(root / "digits", vector_vae())
    return root


def tfvae(capsys, *argv, code=0):
    assert main([str(word) for word in argv]) == code
    shown = capsys.readouterr()
    return (shown.out if not code else shown.err).strip()


def test_the_file_has_the_asked_size_and_depends_on_the_seed_alone(runs, tmp_path, capsys):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        arguments = ("--size", "37x90", "--patch", 16, "--seed", seed)
        assert tfvae(capsys, "texture", runs / "walls_run", *arguments, "-o", tmp_path / f"{name}.png").startswith(
            "wrote"
        )
    a, b, c = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in "abc")
    assert a.shape == (37, 90, 3)
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_a_grey_run_draws_a_seamless_grey_picture_mixed_with_the_pictures_of_another_run(runs, tmp_path, capsys):
    out = tmp_path / "mixed.png"
    mix = f"{runs / 'walls_run'}:0.3"
    tfvae(capsys, "texture", runs / "sand_run", "--size", "32x40", "--seamless", "--patch", 16, "--mix", mix, "-o", out)
    assert np.asarray(Image.open(out)).shape == (32, 40)


def test_one_picture_of_the_run_is_the_picture_in_its_file(runs, tmp_path, capsys):
    for place, of in enumerate(("moss", "moss.jpg", runs / "walls" / "moss.jpg")):
        out = tmp_path / f"{place}.png"
        tfvae(capsys, "texture", runs / "walls_run", "--of", of, "--size", "32x32", "--patch", 16, "-o", out)
    assert len({(tmp_path / f"{place}.png").read_bytes() for place in range(3)}) == 1


@pytest.mark.parametrize(
    ("run", "words", "said"),
    [
        ("digits", [], "holds a VAE for pictures of one size. Use a run with a spatial latent"),
        ("walls_run", ["--seamless", "--size", "30x64"], "multiples of 4, such as 32x64. Received: 30x64"),
        ("walls_run", ["--seamless", "--size", "8x64"], "24x24 or more for a seamless picture. Received: 8x64"),
        ("walls_run", ["--of", "mos"], "--of: 'mos' is no run, no picture file, and not the name of one picture"),
        ("walls_run", ["--mix", "moss"], "must be TEXTURE:SHARE"),
        ("walls_run", ["--mix", "moss:1.5"], "must be TEXTURE:SHARE"),
        ("walls_run", ["-o", "wall.jpg"], "-o cannot end in '.jpg'"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(runs, run, words, said, capsys):
    line = tfvae(capsys, "texture", runs / run, *words, code=2)
    assert said in line and "\n" not in line


# The file.


@pytest.mark.parametrize("shape", [(23, 17, 3), (5, 40, 1), (1, 1, 3)])
def test_rows_written_in_strips_are_read_back(shape, tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    strips = (picture[start : start + 4] for start in range(0, shape[0], 4))
    path = write_png_rows(tmp_path / "new" / "a.png", *shape[:2], strips)
    np.testing.assert_array_equal(np.asarray(Image.open(path)).reshape(shape), picture)


def test_a_file_that_is_not_finished_is_nowhere(tmp_path):
    strip = np.zeros((3, 5, 3), np.uint8)
    for height, strips in ((4, [strip]), (6, [strip, strip[:, :4]]), (3, [strip.astype(float)])):
        with pytest.raises(ValueError, match="`strips` must"):
            write_png_rows(tmp_path / "a.png", height, 5, iter(strips))
    assert not list(tmp_path.iterdir())


# The distance.


def test_the_sliced_distance_of_a_shift_is_its_mean_projection():
    x = np.random.default_rng(0).standard_normal((50, 2)).astype(np.float32)
    shift = np.array([3.0, 4.0], np.float32)
    slices = 4096
    # |shift| * |cos| of a random angle: mean 2 / pi, variance 1/2 - 4 / pi**2
    standard_error = 5 * np.sqrt((0.5 - 4 / np.pi**2) / slices)
    assert abs(sliced_wasserstein(x, x + shift, slices) - 5 * 2 / np.pi) < 4 * standard_error
    assert sliced_wasserstein(x, x[::-1]) == 0
    with pytest.raises(ValueError, match="one shape"):
        sliced_wasserstein(x, x[:-1])


def test_a_pyramid_of_a_constant_picture_is_zero_but_for_its_rest():
    *bands, rest = laplacian_pyramid(np.full((64, 80, 3), 0.3), 4)
    assert all(np.abs(band).max() < 1e-6 for band in bands)
    assert rest.shape == (8, 10, 3)
    np.testing.assert_allclose(rest, 0.3, atol=1e-6)
    with pytest.raises(ValueError, match="56 pixels"):
        laplacian_pyramid(np.zeros((55, 80, 3)), 4)


def stripes(height, width):
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(height).random((height, width)) / 8
    return np.repeat((0.4 + 0.4 * ((x + y // 7) % 12 < 5) + noise)[:, :, None], 3, axis=2).astype(np.float32)


def test_the_same_texture_is_nearer_than_noise_with_its_spectrum():
    real, other = stripes(96, 120), stripes(100, 90)
    noise = exemplars.phase_noise(np.round(255 * real).astype(np.uint8), 0) / np.float32(255)
    near, far = (pyramid_distance([real], [each], levels=3, patches=2000)["mean"] for each in (other, noise))
    assert near < far


# The benchmark.


def test_exemplar_and_rest_are_the_photograph_without_overlap():
    for shape in ((40, 64, 3), (64, 40, 3)):
        picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        exemplar, rest = exemplars.halves(picture)
        axis = int(shape[1] > shape[0])
        np.testing.assert_array_equal(np.concatenate([exemplar, rest], axis=axis), picture)
        assert exemplar.shape[axis] == 40


def test_phase_noise_keeps_the_spectrum_and_the_mean():
    exemplar = np.round(255 * (0.5 + 0.1 * (stripes(32, 48) - 0.6))).astype(np.uint8)  # nothing is clipped
    noise = exemplars.phase_noise(exemplar, 1)
    size = [np.abs(np.fft.fft2(each / 255, axes=(0, 1))) for each in (exemplar, noise)]
    # Rounding to bytes adds white noise of variance 1/12 to each Fourier coefficient, times the number of pixels.
    np.testing.assert_allclose(*size, atol=6 * np.sqrt(exemplar[:, :, 0].size / 12) / 255)
    assert (exemplar != noise).mean() > 0.5


def test_the_seam_of_a_periodic_picture_is_as_its_inside_and_of_another_is_not():
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8)[:, None, None], (1, 64, 3))
    wave = (127 + 120 * np.sin(2 * np.pi * np.arange(64) / 64)).astype(np.uint8)
    periodic = np.tile(wave[:, None, None], (1, 64, 1))
    assert exemplars.seam(ramp)["across"] > 10 * exemplars.seam(ramp)["inside"]
    assert exemplars.seam(periodic)["across"] < 2 * exemplars.seam(periodic)["inside"]


def test_the_benchmark_prepares_exemplars_and_measures_every_side(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(textures, "SIDE", 64)
    monkeypatch.setattr(exemplars, "LEVELS", 2)
    data = tmp_path / "photographs"
    data.mkdir()
    for name, size in (("a.png", (64, 96)), ("b.png", (96, 64))):
        Image.fromarray(np.round(255 * stripes(*size)).astype(np.uint8)).save(data / name)
    benchmark(["textures", "--data", str(data), "--prepare", str(tmp_path / "exemplars")])
    assert np.asarray(Image.open(tmp_path / "exemplars" / "a.png")).shape[:2] == (64, 60)
    run = write_run(tmp_path / "run", spatial_vae(3), source=str(tmp_path / "exemplars"), limit=0)
    benchmark(["textures", str(run), "--data", str(data), "--patch", "16", "-o", str(tmp_path / "out.json")])
    facts = json.loads((tmp_path / "out.json").read_text())
    assert [row["texture"] for row in facts["rows"]] == ["a.png", "b.png"]
    for row in facts["rows"]:
        assert set(row["distance"]) == {
            "tfvae",
            "image quilting",
            "phase noise",
            "the exemplar itself",
            "codes of the run",
        }
        assert row["distance"]["the exemplar itself"]["mean"] < row["distance"]["phase noise"]["mean"]
    assert (tmp_path / "out.png").is_file()
    assert "At or below image quilting" in capsys.readouterr().out
