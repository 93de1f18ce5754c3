"""Films painted with a painting: strokes move with the film, and are laid anew where it shows something new."""

import itertools

import numpy as np
import pytest
from PIL import Image
from test_paint import painting
from test_steady import scene

from benchmarks.__main__ import main as benchmark
from tfvae.applications.styles.canvas import Canvas
from tfvae.applications.styles.colours import oklab
from tfvae.applications.styles.film import film_painter, moved
from tfvae.applications.styles.paint import paint
from tfvae.applications.video.steady import flicker_error
from tfvae.cli import main
from tfvae.video import Film, FilmWriter

pytest.importorskip("cv2")
pytest.importorskip("av")
MODEL = painting(120, 150)


@pytest.fixture(scope="module")
def frames():
    """A camera that goes right over a smooth random picture, two pixels a frame."""
    wide = np.round(255 * scene(size=(72, 140))).astype(np.uint8)
    return [wide[:, 2 * place : 2 * place + 100] for place in range(7)]


def test_strokes_move_with_the_film_and_the_first_frame_is_a_painted_picture(frames):
    painter = film_painter([MODEL])
    carried = [painter(frame) for frame in frames]
    np.testing.assert_array_equal(carried[0], paint(frames[0], MODEL))
    alone = [paint(frame, MODEL, seed=place) for place, frame in enumerate(frames)]
    assert flicker_error(frames, carried) < 0.3 * flicker_error(frames, alone)
    # And it goes on showing the film: the last frame no less than the first.
    shown = [
        np.corrcoef(oklab(a / 255)[..., 0].ravel(), oklab(b / 255)[..., 0].ravel())[0, 1]
        for a, b in ((carried[0], frames[0]), (carried[-1], frames[-1]))
    ]
    assert shown[1] > shown[0] - 0.1


def test_a_painting_without_a_share_is_left_out(frames):
    both = film_painter([MODEL[::-1, :, ::-1], MODEL], shares=[0, 2])
    np.testing.assert_array_equal(both(frames[0]), paint(frames[0], MODEL))


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("`colour` must be one of", {"colour": "paint"}),
        ("`strength` must be 0 or more", {"strength": -1}),
        ("`painting` must be 16x16", {"paintings": [MODEL[:9]]}),
        ("`shares` must be a number", {"shares": [1, 1]}),
        ("`moving` must be 1 or more, of two", {"moving": 5}),
        ("`moving` must be 1 or more", {"moving": 0, "paintings": [MODEL, MODEL]}),
    ],
)
def test_what_paint_refuses_is_refused_before_the_first_frame(words, options):
    with pytest.raises(ValueError, match=words):
        film_painter(**{"paintings": [MODEL], **options})


def test_a_style_moves_from_one_painting_to_the_next_a_little_a_frame(frames):
    other = painting(110, 140, seed=8)[:, :, ::-1]
    painter = film_painter([MODEL, other], moving=8)
    still = [painter(frames[0]).astype(np.float32) for _ in range(14)]
    first = film_painter([MODEL])(frames[0])
    ends = [each.mean(axis=(0, 1)) for each in (first, film_painter([other])(frames[0]))]
    # Colours go along a line, a frame at a time; the last six frames are of the last painting, and stay.
    ways = [np.dot(each.mean(axis=(0, 1)) - ends[0], ends[1] - ends[0]) for each in still]
    ways = np.array(ways) / np.dot(ends[1] - ends[0], ends[1] - ends[0])
    np.testing.assert_allclose(ways, [*np.arange(8) / 8, *[1] * 6], atol=0.12)
    steps = [np.abs(two - one).mean() for one, two in itertools.pairwise(still)]
    assert steps[-1] < 0.2 * steps[3] and max(steps) < 0.5 * np.abs(still[-1] - still[0]).mean()


def test_a_painting_gets_its_share_of_the_canvas_by_painting_over(frames):
    lab = oklab(frames[0] / np.float32(255))
    canvas = Canvas(lab, [oklab(each / np.float32(255)) for each in (MODEL, MODEL[::-1])])
    canvas.only = 0
    canvas.fill()
    assert canvas.share == 1
    canvas.only = 1
    for share in (0.3, 0.6):
        canvas.paint_over(share)
        assert share - 0.05 < canvas.share < share + 0.1
    for _ in range(6):  # what is left are slivers, fewer each time
        canvas.paint_over(1.0)
    assert canvas.share > 0.9
    rows, columns = canvas.rows.copy(), canvas.columns.copy()
    canvas.paint_over(0.5)  # it has more
    np.testing.assert_array_equal([canvas.rows, canvas.columns], [rows, columns])


def test_after_a_cut_all_is_laid_anew(frames):
    other = np.ascontiguousarray(100 - frames[0][::-1] // 3)  # darker, too
    for colour in ("painting", "photo"):
        painter = film_painter([MODEL], colour=colour)
        painter(frames[0])
        found, alone = painter(other), paint(other, MODEL, colour)
        np.testing.assert_allclose(found.mean((0, 1)), alone.mean((0, 1)), atol=8)
        assert np.corrcoef(oklab(found / 255)[..., 0].ravel(), oklab(other / 255)[..., 0].ravel())[0, 1] > 0.6


def test_places_move_by_whole_and_part_pixels_and_no_seam_is_averaged():
    lab = oklab(MODEL / 255)
    canvas = Canvas(lab[:40, :50], [lab])
    rows, columns = np.indices((40, 50)).astype(np.float32)
    columns[:, 25:] += 60  # another window
    height, width = canvas.shape
    canvas.rows[:height, :width], canvas.columns[:height, :width] = rows, columns
    flow = np.zeros((40, 50, 2), np.float32)
    flow[..., 0] = 1.5
    known = np.ones((40, 50), bool)
    known[:5] = False
    down, right = moved(canvas, flow, known)
    assert (down[:5] == -1).all() and (right[:5] == -1).all()
    np.testing.assert_allclose(down[5:], rows[5:], atol=1e-4)
    np.testing.assert_allclose(right[5:, :23], columns[5:, :23] + 1.5, atol=1e-3)
    np.testing.assert_allclose(right[5:, 25:48], columns[5:, 25:48] + 1.5, atol=1e-3)
    seam = right[5:, 23]
    assert (np.abs(seam - 24.5) < 1).all() or (np.abs(seam - 84.5) < 2).all()  # of one window or of the other


def test_a_canvas_that_is_right_stays_and_holes_are_filled():
    lab = oklab(MODEL / 255)
    canvas = Canvas(lab, [lab])
    rows, columns = np.indices(lab.shape[:2]).astype(np.float32)
    canvas.carry(rows, columns)
    middle = slice(20, 100), slice(20, 130)  # at the edges a picture is continued otherwise than a painting
    np.testing.assert_array_equal(canvas.rows[middle], rows[middle])
    holed = Canvas(lab, [lab], before=canvas)
    assert holed.stock is canvas.stock
    rows[40:70, 50:90] = -1
    holed.carry(rows, columns)
    assert holed.rows[:120, :150].min() >= 0
    np.testing.assert_array_equal(holed.rows[20:30, 20:130], rows[20:30, 20:130])


@pytest.fixture
def film(tmp_path, monkeypatch, frames):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(MODEL).save("painting.png")
    with FilmWriter(tmp_path / "film.mp4", 10, frames[0].shape[:2]) as writer:
        for frame in frames[:4]:
            writer.write(frame)
    return tmp_path


def test_the_command_paints_a_film(film, capsys):
    words = "film.mp4 --from painting.png --from painting.png --shares 1,2 --size 36x50"
    assert main(["stylize", *words.split()]) == 0
    assert "with 4 frames" in capsys.readouterr().out
    assert Film(film / "stylized" / "film.mp4").size == (36, 50)


def test_the_command_makes_a_film_of_a_picture_whose_style_moves(film, frames, capsys):
    Image.fromarray(frames[0]).save("photo.png")
    Image.fromarray(MODEL[::-1]).save("other.png")
    words = ["stylize", "photo.png", "--from", "painting.png", "--from", "other.png", "--size", "36x50"]
    assert main([*words, "--moving", "3", "-o", "moving.mp4"]) == 0
    assert "with 4 frames" in capsys.readouterr().out
    assert Film(film / "moving.mp4").size == (36, 50)
    for more, said in (
        (["--moving", "3", "--shares", "1,2"], "no --shares"),
        (["--moving", "3", "--stroke", "90"], "`stroke` must be above 0 and at most"),
        (["--moving", "3", "--mask", "photo.png"], "photo.png becomes a film"),
    ):
        assert main([*words, *more]) == 2
        assert said in capsys.readouterr().err
    assert main(["stylize", ".", *words[2:], "--moving", "3"]) == 2
    assert "takes one picture or film" in capsys.readouterr().err


def test_the_benchmark_measures_what_is_carried(film, capsys):
    words = "--data film.mp4 --from painting.png --frames 3 --width 48 -o out.json"
    assert benchmark(["flicker", *words.split()]) == 0
    assert "| carried |" in capsys.readouterr().out
