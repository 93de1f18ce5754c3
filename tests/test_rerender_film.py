"""A film through a function of its frames: its sound, rate and size stay; Ctrl-C keeps what is done."""

import numpy as np
import pytest

pytest.importorskip("av")
pytest.importorskip("cv2")

from test_films import gradients, heard, with_sound

from tfvae.commands.video import rerender_film
from tfvae.errors import UserError
from tfvae.pixels import pixels
from tfvae.video import Film, FilmWriter


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return with_sound(tmp_path_factory.mktemp("film") / "in.mp4")


def test_each_frame_goes_through_the_function_and_the_sound_stays(film, tmp_path, capsys, monkeypatch):
    # Compared before they are encoded: x264 is not deterministic on every processor.
    written, write = [], FilmWriter.write
    monkeypatch.setattr(FilmWriter, "write", lambda self, frame: (written.append(frame), write(self, frame)))
    rerender_film(film.path, tmp_path / "out.mp4", lambda frame: 255 - frame)
    assert "20 frames, 2.0 seconds" in capsys.readouterr().out
    out = Film(tmp_path / "out.mp4")
    assert (out.rate, out.size, out.count) == (film.rate, film.size, film.count)
    assert heard(out.path)[0] == heard(film.path)[0]
    for before, after in zip(film.frames(), written, strict=True):
        assert np.abs(255.0 - before - 255.0 * pixels(after)).mean() < 4


def test_another_rate_and_size_take_as_long(film, tmp_path):
    rerender_film(film.path, tmp_path / "out.mp4", lambda frame: frame, fps=5, size=(24, 32), strength=0)
    out = Film(tmp_path / "out.mp4")
    assert (out.rate, out.size, out.count) == (5, (24, 32), 10)
    reduced = gradients(20)[::2, ::2, ::2]
    for before, after in zip(reduced, out.frames(), strict=True):
        assert np.abs(before.astype(float) - after).mean() < 4


def test_a_stopped_film_is_kept_as_far_as_it_is(film, tmp_path, capsys):
    calls = []

    def stopped(frame):
        calls.append(frame)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return frame

    with pytest.raises(KeyboardInterrupt):
        rerender_film(film.path, tmp_path / "out.mp4", stopped)
    assert "so far: 7 of about 20 frames" in capsys.readouterr().out
    assert len(list(Film(tmp_path / "out.mp4").frames())) == 7
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_a_cut_off_film_is_named(film, tmp_path, capsys):
    half = tmp_path / "half.mp4"
    rerender_film(film.path, half, lambda frame: frame)  # with the table of contents first
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    rerender_film(half, tmp_path / "out.mp4", lambda frame: frame)
    said = capsys.readouterr()
    assert "half.mp4:" in said.err and "frames" in said.err
    assert 0 < Film(tmp_path / "out.mp4").count < 20


def test_a_film_is_not_written_over_itself(film):
    with pytest.raises(UserError, match="would be written over"):
        rerender_film(film.path, film.path, lambda frame: frame)
    assert len(list(film.frames())) == 20


def test_a_strength_that_would_never_let_go_is_refused(film, tmp_path):
    with pytest.raises(UserError, match=r"below 1\. Received: 1"):
        rerender_film(film.path, tmp_path / "out.mp4", lambda frame: frame, strength=1)
