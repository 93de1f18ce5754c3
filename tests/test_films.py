"""Films: what is written is read again; sound, odd sides, turns, damage and uneven times."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from tfvae.errors import UserError
from tfvae.video import Film, FilmWriter

av = pytest.importorskip("av")
SIZE = (48, 64)


def gradients(count, size=SIZE):
    """Smooth colours that change from frame to frame, so that a codec keeps them and none is taken for another."""
    rows, columns = np.mgrid[: size[0], : size[1]] / max(size)
    phases = np.arange(count)[:, None, None] / count
    channels = [0.2 + 0.6 * phases + 0 * rows, (rows + phases) / 2, (columns + 1 - phases) / 2]
    return np.round(255 * np.stack(np.broadcast_arrays(*channels), axis=-1)).astype(np.uint8)


def written(path, frames, rate=10, **options):
    with FilmWriter(path, rate, frames.shape[1:3], **options) as writer:
        for frame in frames:
            writer.write(frame)
    return Film(path)


def with_sound(path, codec="aac", seconds=2, format=None):
    """A film of grey frames, ten a second, with a tone as long as it."""
    with av.open(str(path), "w", format=format) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        tone = container.add_stream(codec, rate=48_000)
        tone.layout = "mono"
        for frame in gradients(10 * seconds):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        wave = 0.3 * np.sin(np.arange(48_000 * seconds) * 440 * 2 * np.pi / 48_000).astype(np.float32)[None]
        samples = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        samples.sample_rate, samples.pts, samples.time_base = 48_000, 0, Fraction(1, 48_000)
        container.mux(tone.encode(samples))
        container.mux([*stream.encode(), *tone.encode()])
    return Film(path)


def heard(path):
    """Packets of the sound track, and its samples."""
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    with av.open(str(path)) as container:
        samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    return packets, samples


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_a_film_comes_back_as_it_was_written(tmp_path, suffix):
    frames = gradients(12)
    film = written(tmp_path / f"a{suffix}", frames)
    back = np.stack(list(film.frames()))
    assert (film.rate, film.size, film.sound, film.damage) == (10, SIZE, False, "")
    assert back.shape == frames.shape
    # Lossy, but no shift of brightness or colour: below one level and a half on average, and next to none in the mean.
    difference = back.astype(float) - frames
    assert np.abs(difference).mean() < 1.5
    assert np.abs(difference.mean(axis=(0, 1, 2))).max() < 1.0
    assert not list(tmp_path.glob(".*"))


def test_pixels_that_are_not_square_stay_so(tmp_path):
    assert written(tmp_path / "a.mp4", gradients(3), aspect=Fraction(4, 3)).aspect == Fraction(4, 3)


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_odd_sides_get_a_copy_of_the_last_row_and_column(tmp_path, suffix):
    frames = gradients(4, (35, 51))
    film = written(tmp_path / f"a{suffix}", frames)
    assert film.size == (36, 52)
    last = next(film.frames()).astype(float)
    assert np.abs(last[:35, :51] - frames[0]).mean() < 2
    assert np.abs(last[35, :51] - frames[0, 34]).mean() < 4
    assert np.abs(last[:35, 51] - frames[0, :, 50]).mean() < 4


def test_sound_is_copied_packet_by_packet(tmp_path):
    film = with_sound(tmp_path / "in.mp4")
    out = written(tmp_path / "out.mp4", np.stack(list(film.frames())), film.rate, sound_from=film)
    assert film.sound and out.sound
    assert heard(out.path)[0] == heard(film.path)[0]


def test_sound_that_a_container_does_not_take_is_encoded_again(tmp_path):
    film = with_sound(tmp_path / "in.mp4")
    out = written(tmp_path / "out.webm", np.stack(list(film.frames())), film.rate, sound_from=film)
    with av.open(str(out.path)) as container:
        assert container.streams.audio[0].codec_context.name == "opus"
    (_, before), (_, after) = heard(film.path), heard(out.path)
    assert len(after) == pytest.approx(len(before), abs=0.1 * 48_000)
    middle = slice(24_000, 72_000)
    spectrum = np.abs(np.fft.rfft(after[middle]))
    assert np.argmax(spectrum) == 440  # the same tone: one second has one bin a hertz
    assert after[middle].std() == pytest.approx(before[middle].std(), rel=0.1)


def test_a_shortened_film_has_the_sound_of_what_is_shown(tmp_path):
    film = with_sound(tmp_path / "in.mp4")
    with pytest.raises(KeyboardInterrupt), FilmWriter(tmp_path / "out.mp4", 10, SIZE, film) as writer:
        for frame in film.frames(limit=10):
            writer.write(frame)
        raise KeyboardInterrupt
    assert len(list(Film(tmp_path / "out.mp4").frames())) == 10
    assert len(heard(tmp_path / "out.mp4")[1]) == pytest.approx(48_000, abs=3_000)


def test_an_error_leaves_neither_half_a_film_nor_its_temporary_file(tmp_path):
    with pytest.raises(ZeroDivisionError), FilmWriter(tmp_path / "a.mp4", 10, SIZE) as writer:
        writer.write(gradients(1)[0])
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_a_film_that_is_cut_off_gives_what_is_there_and_says_so(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (30, *SIZE, 3), np.uint8)
    film = written(tmp_path / "a.mp4", frames)
    assert len(list(film.frames())) == 30 and film.damage == ""
    film.path.write_bytes(film.path.read_bytes()[: film.path.stat().st_size // 2])
    cut = Film(film.path)
    assert 5 < len(list(cut.frames())) < 27
    assert "frames" in cut.damage
    assert len(list(cut.frames(limit=3))) == 3 and cut.damage == ""


def test_what_is_no_film_is_one_line(tmp_path):
    (tmp_path / "a.mp4").write_text("no film")
    with pytest.raises(UserError, match="no frame of film"):
        Film(tmp_path / "a.mp4")
    with pytest.raises(UserError, match="there is no such film"):
        Film(tmp_path / "b.mp4")
    with pytest.raises(UserError, match=r"cannot end in '.avi'. Accepted: .mp4, .webm, .gif"):
        FilmWriter(tmp_path / "a.avi", 10, SIZE)
    with pytest.raises(ValueError, match="must have the shape"), FilmWriter(tmp_path / "c.mp4", 10, SIZE) as writer:
        writer.write(np.zeros((8, 8, 3), np.uint8))


def test_a_turned_film_is_upright_and_its_pixels_turn_with_it(tmp_path):
    frames = gradients(3)
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        stream.set_display_rotation(90)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    film = Film(tmp_path / "a.mp4")
    assert film.size == SIZE[::-1] and film.aspect == Fraction(3, 4) and film.turns in (1, 3)
    upright = np.rot90(frames[0], film.turns).astype(float)
    assert np.abs(next(film.frames()) - upright).mean() < 4
    assert next(film.frames(size=(32, 24))).shape == (32, 24, 3)


@pytest.mark.parametrize(("rate", "expected"), [(10, [0, 1, 2, 3]), (20, [0, 0, 1, 1, 2, 2, 3, 3]), (5, [0, 2])])
def test_frames_at_another_rate_are_repeated_or_left_out(tmp_path, rate, expected):
    greys = np.arange(4, dtype=np.uint8) * 40
    frames = np.ascontiguousarray(np.broadcast_to(greys[:, None, None, None], (4, *SIZE, 3)))
    film = written(tmp_path / "a.mp4", frames)
    assert [round(frame.mean() / 40) for frame in film.frames(rate=rate)] == expected


def test_frames_at_uneven_times_stay_in_time(tmp_path):
    times = [0, 1, 2, 6, 7, 8]  # tenths of a second: the third frame stands for four
    greys = np.arange(6) * 40
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 10)
        for grey, time in zip(greys, times, strict=True):
            frame = av.VideoFrame.from_ndarray(np.full((*SIZE, 3), grey, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    film = Film(tmp_path / "a.mkv")
    shown = [round(frame.mean() / 40) for frame in film.frames(rate=10)]
    assert shown[:9] == [0, 1, 2, 2, 2, 2, 3, 4, 5]
    assert len(list(film.frames())) == 6


def test_a_gif_loops_and_keeps_its_time(tmp_path):
    with FilmWriter(tmp_path / "a.gif", 30, SIZE) as writer:
        for frame in gradients(12):
            writer.write(frame)
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.info["loop"] == 0 and picture.n_frames == 12
        durations = []
        for place in range(12):
            picture.seek(place)
            durations.append(picture.info["duration"])
            assert np.abs(np.asarray(picture.convert("RGB")) - gradients(12)[place].astype(float)).mean() < 3
    assert sum(durations) == 400  # milliseconds: no rounding is carried along
    with pytest.raises(UserError, match="at most 50 frames a second"):
        FilmWriter(tmp_path / "b.gif", 60, SIZE)
