"""The benchmark of films: its sides, and that a filter which only blurs over time is told from one that follows."""

import json

import numpy as np
import pytest
import tiny_runs
from PIL import Image
from test_steady import scene

from benchmarks import flicker
from benchmarks.__main__ import main
from tfvae.errors import UserError
from tfvae.video import FilmWriter

pytest.importorskip("cv2")
pytest.importorskip("av")


@pytest.fixture(scope="module")
def frames():
    """A camera that goes right over a smooth random picture, three pixels a frame."""
    wide = np.round(255 * scene(size=(64, 160))).astype(np.uint8)
    return [wide[:, 3 * place : 3 * place + 80] for place in range(10)]


def test_steady_frames_flicker_less_and_stay_nearer_than_a_running_mean(frames):
    rng = np.random.default_rng(1)
    rows, outputs = flicker.compare(
        frames, lambda frame: np.clip(frame / 255 + rng.normal(0, 0.05, frame.shape), 0, 1).astype(np.float32), 0.85
    )
    by_side = {row["side"]: row for row in rows}
    plain, steady, mean = (by_side[name] for name in (flicker.PLAIN, flicker.STEADY, flicker.MEAN))
    assert plain["flicker"] == pytest.approx(2 * 0.05**2, rel=0.4)  # bilinear warping takes some of the noise
    assert steady["of_frame_by_frame"] == pytest.approx(steady["flicker"] / plain["flicker"])
    assert steady["of_frame_by_frame"] < 0.25
    assert steady["psnr"] > mean["psnr"] + 3
    assert all(len(pictures) == len(frames) for pictures in outputs.values())
    # One and the same rendering goes to all sides: the first frames are equal.
    np.testing.assert_array_equal(outputs[flicker.PLAIN][0], outputs[flicker.STEADY][0])


def test_the_command_measures_reconstructions_of_a_film(tmp_path, frames, capsys):
    run = tiny_runs.write_run(tmp_path / "run", tiny_runs.spatial_vae(channels=3))
    with FilmWriter(tmp_path / "a.mp4", 10, (64, 80)) as writer:
        for frame in frames:
            writer.write(frame)
    out = tmp_path / "out.json"
    film = str(tmp_path / "a.mp4")
    main(["flicker", str(run), "--data", film, "--frames", "4", "--width", "40", "-o", str(out)])
    facts = json.loads(out.read_text())
    assert facts["settings"]["size"] == [32, 40] and facts["settings"]["frames"] == 4
    assert "Reconstruction of 4 frames" in capsys.readouterr().out
    assert out.with_suffix(".png").is_file()


def test_the_command_measures_a_style_that_moves(tmp_path, frames, capsys):
    rng = np.random.default_rng(2)
    for name, colour in (("red", (200, 60, 60)), ("blue", (60, 60, 200))):
        noisy = np.array(colour) + rng.normal(0, 20, (48, 48, 1))
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(tmp_path / f"{name}.png")
    with FilmWriter(tmp_path / "a.mp4", 10, (64, 80)) as writer:
        for frame in frames:
            writer.write(frame)
    paintings = [word for name in ("red", "blue") for word in ("--from", str(tmp_path / f"{name}.png"))]
    main(["flicker", "--data", str(tmp_path / "a.mp4"), *paintings, "--moving", "4", "--frames", "5", "--width", "40"])
    out = capsys.readouterr().out
    assert "Painted with red.png, blue.png, 4 frames from each to the next" in out and "| carried |" in out
    # Frame by frame, too, it begins with the one painting and ends with the other.
    _, alone, _ = flicker._painter([tmp_path / "red.png", tmp_path / "blue.png"], 4)
    red, _, _, _, _, blue = (alone(frames[0]).mean(axis=(0, 1)) for _ in range(6))
    assert red[0] > red[2] + 60 and blue[2] > blue[0] + 60


def test_what_cannot_be_measured_is_one_line():
    spatial, vector = tiny_runs.spatial_vae(channels=3), tiny_runs.vector_vae()
    with pytest.raises(UserError, match="coloured pictures of any size"):
        flicker._function(vector, None)
    with pytest.raises(UserError, match="learnt styles"):
        flicker._function(spatial, "monet")
    with pytest.raises(UserError, match="--frames: must be a whole number, 3 or more"):
        main(["flicker", "run", "--data", "a.mp4", "--frames", "2"])
    with pytest.raises(UserError, match="two or more are required"):
        main(["flicker", "--from", "a.png", "--moving", "5", "--data", "a.mp4"])
