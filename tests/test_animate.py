"""A walk passes its codes exactly, evenly and smoothly; its film is the reconstructions and what lies between."""

import numpy as np
import pytest
import tiny_runs

from tfvae import cli
from tfvae.applications import generate, reconstruct
from tfvae.applications.latent.animate import METHODS, animate, animate_draws, walk
from tfvae.data import load_images
from tfvae.pictures import save_png
from tfvae.video import Film

CODES = np.random.default_rng(0).standard_normal((4, 2, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    return tiny_runs.vector_vae()


@pytest.fixture(scope="module")
def images():
    return load_images("digits")[0].array[:3]


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_a_walk_passes_each_code_exactly(method, loop):
    way = np.stack(list(walk(CODES, 5, method, loop)))
    assert len(way) == (20 if loop else 16)
    np.testing.assert_array_equal(way[::5], CODES)


def test_steps_are_equal():
    straight = np.stack(list(walk(CODES[:2], 8, "linear")))
    np.testing.assert_allclose(
        np.diff(straight, axis=0), np.broadcast_to((CODES[1] - CODES[0]) / 8, (8, 2, 3)), atol=1e-6
    )
    ring = CODES / np.linalg.norm(CODES.reshape(4, -1), axis=1)[:, None, None]
    arc = np.stack(list(walk(ring[:2], 8, "slerp"))).reshape(9, -1)
    cosines = (arc[1:] * arc[:-1]).sum(axis=1)
    np.testing.assert_allclose(cosines, cosines[0], atol=1e-6)


def test_a_spline_through_points_of_a_line_is_the_line():
    line = np.arange(5, dtype=np.float32)[:, None] * np.array([[2.0, -1.0]], np.float32)
    way = np.stack(list(walk(line, 4, "spline")))
    np.testing.assert_allclose(way, np.linspace(line[0], line[-1], 17), atol=1e-5)


def test_a_spline_has_no_corner_and_a_loop_closes_without_one():
    frames = 200
    way = np.stack(list(walk(CODES, frames, "spline", loop=True))).astype(np.float64)
    velocity = frames * (np.roll(way, -1, axis=0) - way)
    turns = np.abs(np.diff(velocity, axis=0, append=velocity[:1])).max(axis=(1, 2))
    straight = np.stack(list(walk(CODES, frames, "linear", loop=True))).astype(np.float64)
    corners = frames * np.abs(np.diff(straight, 2, axis=0)).max()
    # Velocity is continuous: its steps shrink as the frames become more. That of the straight way jumps at each code.
    assert turns.max() < 0.05 * corners
    assert turns[[-1, 0]].max() < 2 * np.median(turns)


def test_the_film_passes_the_reconstructions(model, images):
    film = np.stack(list(animate(model, images, frames=4, batch_size=4)))
    assert film.shape == (9, 8, 8, 1)
    np.testing.assert_allclose(film[::4], reconstruct(model, images), atol=1e-6)


def test_draws_of_the_prior_are_those_of_generate(model):
    film = np.stack(list(animate_draws(model, 3, seed=7, frames=2, temperature=0.5)))
    np.testing.assert_allclose(film[::2], generate(model, 3, 7, 0.5), atol=1e-6)


def test_a_spatial_model_draws_any_size():
    spatial = tiny_runs.spatial_vae()
    film = np.stack(list(animate_draws(spatial, 2, seed=3, frames=3, size=(10, 13))))
    assert film.shape == (4, 10, 13, 1)
    np.testing.assert_allclose(film[::3], generate(spatial, 2, 3, size=(10, 13)), atol=1e-6)


def test_what_cannot_be_walked_is_refused(model):
    for arguments, word in (
        ((CODES[:1], 5), "two or more"),
        ((CODES, 0), "frames=0"),
        ((CODES, 5, "cubic"), "'cubic'"),
    ):
        with pytest.raises(ValueError, match=word):
            next(walk(*arguments))
    with pytest.raises(ValueError, match="Received: Autoencoder"):
        next(animate_draws(tiny_runs.autoencoder()))


def test_the_command_writes_films_of_pictures_and_of_draws(tmp_path, model, images, capsys):
    pytest.importorskip("av")
    run = str(tiny_runs.write_run(tmp_path / "run", model))
    names = [str(save_png(tmp_path / f"{place}.png", image)) for place, image in enumerate(images)]
    assert cli.main(["animate", run, *names, "--frames", "4", "--loop", "-o", str(tmp_path / "a.mp4")]) == 0
    assert "12 frames" in capsys.readouterr().out
    film = Film(tmp_path / "a.mp4")
    frames = list(film.frames())
    assert (len(frames), film.rate, film.size) == (12, 25, (288, 288))
    shown = reconstruct(model, images)[1, :, :, 0]
    seen = frames[4][18::36, 18::36, 0] / 255
    assert np.abs(seen - shown).mean() < 0.02
    assert cli.main(["animate", run, "-n", "2", "--frames", "3", "--fps", "10", "-o", str(tmp_path / "b.gif")]) == 0
    assert (tmp_path / "b.gif").read_bytes()[:3] == b"GIF"
    for arguments, word in ((names[:1], "one picture leads nowhere"), (["-o", str(tmp_path / "a.png")], "'.png'")):
        assert cli.main(["animate", run, *arguments]) == 2
        assert word in capsys.readouterr().err
    auto = str(tiny_runs.write_run(tmp_path / "auto", tiny_runs.autoencoder()))
    assert cli.main(["animate", auto]) == 2
    assert "no prior" in capsys.readouterr().err
