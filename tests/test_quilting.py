"""Textures of photographs without a model: windows along the grain, mending, a torus, mixtures, the command."""

import itertools

import numpy as np
import pytest
from PIL import Image

from tfvae.applications.textures.mending import mend, seams
from tfvae.applications.textures.photographs import features, grain, quilted
from tfvae.applications.textures.quilting import Library, Quilt
from tfvae.cli import main


def planks(height=96, width=120, seed=0):
    """Boards from left to right, each of its own tone, with dark joints between them."""
    rng = np.random.default_rng(seed)
    tones = 0.5 + 0.2 * rng.random((-(-height // 12), 1))
    rows = np.repeat(tones, 12, axis=0)[:height]
    rows[::12] = 0.1
    return np.clip(rows[:, :, None] + 0.03 * rng.standard_normal((height, width, 3)), 0, 1).astype(np.float32)


def windows(seed=0, size=(40, 48)):
    return Library([np.random.default_rng(seed).standard_normal((*size, 3)).astype(np.float32)], 8)


def test_the_grain_of_boards_is_along_them():
    lab = 100 * planks()
    assert grain([lab]) > 0.3
    assert grain([lab.swapaxes(0, 1)]) == pytest.approx(-grain([lab]))
    assert abs(grain([np.random.default_rng(0).standard_normal((64, 64, 3))])) < 0.05


def test_likeness_is_one_at_a_window_itself_and_nothing_half_a_window_away():
    library = windows()
    found = library.likeness([0, 41 * 3 + 5]).reshape(33, 41)
    assert found[0, 0] == found[3, 5] == 1 - 0 + max(0, 1 - 2 * 3 / 8) * max(0, 1 - 2 * 5 / 8)
    assert found[4:, 10:].max() == 0 and found[3, 6] == pytest.approx(0.75)


def test_what_lies_near_is_shown_less_often_again():
    library = windows(size=(24, 24))

    def again(apart):
        quilts = (Quilt(library, 40, 40, seed=seed, apart=apart) for seed in range(4))
        return sum(library.likeness([*itertools.chain(*quilt.laid)]).max() for quilt in quilts if list(quilt))

    assert again(50.0) < again(0.0)


@pytest.mark.parametrize("wrap", [False, True])
def test_seams_are_where_a_quilt_does_not_go_on_and_cost_what_is_lost_there(wrap):
    library = windows()
    places = np.arange(40 * 48).reshape(40, 48)
    assert not seams(places, library).any()
    joined = np.concatenate([places[:20, :10], places[10:30, 30:40]], axis=1)
    found = seams(joined, library, wrap)
    columns = np.flatnonzero(found[1:-1].any(axis=0))
    np.testing.assert_array_equal(columns, [0, 9, 10, 19] if wrap else [9, 10])
    x = library.places.reshape(40, 48, 3)
    lost = np.square(x[5, 10] - x[15, 30]).sum() + np.square(x[15, 29] - x[5, 9]).sum()
    if not wrap:
        assert found[5, 9] + found[5, 10] == pytest.approx(lost / 2, rel=1e-5)


@pytest.mark.parametrize("wrap", [False, True])
def test_mending_leaves_less_of_seams_and_knows_how_much(wrap):
    picture = planks(64, 80)
    library = Library(features([100 * picture], 4), 16)
    quilt = np.concatenate(list(Quilt(library, 72, 72, wrap=wrap, seed=1)))
    before = seams(quilt, library, wrap).sum()
    assert mend(quilt, library, np.random.default_rng(0), wrap) > 0
    assert seams(quilt, library, wrap).sum() < before
    assert quilt.min() >= 0 and quilt.max() < len(library.places)


def test_nothing_is_mended_where_nothing_is_broken():
    library = windows()
    quilt = np.arange(40 * 48).reshape(40, 48)
    assert mend(quilt, library, np.random.default_rng(0)) == 0


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(50, 71), (7, 120)])
def test_a_picture_has_its_size_and_the_seed_decides_it(size, channels):
    exemplar = np.round(255 * planks()[..., :channels]).astype(np.uint8)
    first, again, other = (quilted([exemplar], size, patch=24, seed=seed) for seed in (1, 1, 2))
    assert first.shape == (*size, channels) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_boards_go_on_and_none_ends_in_the_air():
    drawn = quilted([planks()], (96, 160), patch=32, seed=3).astype(float).mean(axis=2)
    joint = drawn < 70
    rows = joint.mean(axis=1)
    assert (rows > 0.9).sum() >= 5  # one in twelve rows
    assert ((rows > 0.05) & (rows < 0.9)).sum() <= 2


def test_a_seamless_picture_differs_across_its_edge_as_within():
    drawn = quilted([planks()], (96, 96), seamless=True, patch=32).astype(float)
    for axis in (0, 1):
        across = np.abs(np.take(drawn, 0, axis) - np.take(drawn, -1, axis)).mean()
        assert across <= np.abs(np.diff(drawn, axis=axis)).mean(axis=(1 - axis, 2)).max()


def test_a_mixture_has_the_colours_of_both_and_of_nothing_else():
    red, blue = (np.clip(planks() * np.array(tint, np.float32), 0, 1) for tint in ((1, 0.2, 0.2), (0.2, 0.2, 1)))
    drawn = quilted([red], (128, 128), mixed=([blue], 0.4), patch=24, seed=2).astype(float)
    bluer = drawn[..., 2] - drawn[..., 0]
    assert 0.25 < (bluer > 0).mean() < 0.55
    assert (bluer < -60).mean() > 0.2 and (bluer > 60).mean() > 0.1
    np.testing.assert_array_equal(drawn, quilted([red], (128, 128), mixed=([blue], 0.4), patch=24, seed=2))


@pytest.mark.parametrize("flat", [0.0, 0.5, 1.0])
def test_a_flat_picture_is_flat(flat):
    drawn = quilted([np.full((40, 40, 3), flat, np.float32)], (50, 60), patch=16)
    assert np.ptp(drawn) <= 1 and abs(int(drawn[0, 0, 0]) - round(255 * flat)) <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (0, 8)}, "`height` must be positive"),
        ({"size": (8, 8), "patch": 0}, "`patch` must be positive"),
        ({"size": (8, 40), "seamless": True}, "12x12 or more.*Received: 8x40"),
        ({"size": (8, 8), "mixed": ([planks()], 1.0)}, "share between 0 and 1. Received: 1.0"),
        ({"size": (8, 8), "mixed": ([planks()[..., :1]], 0.5)}, "as many channels"),
        ({"size": (8, 8), "pictures": []}, "one or more"),
        ({"size": (8, 8), "pictures": [planks(15, 40)]}, "16x16 pixels or more. Received: .15, 40, 3"),
    ],
)
def test_what_cannot_be_quilted_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        quilted(options.pop("pictures", [planks()]), options.pop("size"), **options)


# The command.


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "boards").mkdir()
    for name, picture in (("boards/a.png", planks()), ("boards/b.jpg", planks(seed=1)), ("tiny.png", planks(9, 9))):
        Image.fromarray(np.round(255 * picture).astype(np.uint8)).save(tmp_path / name)
    Image.fromarray(np.round(255 * planks()[..., 0]).astype(np.uint8)).save(tmp_path / "grey.png")
    (tmp_path / "notes.txt").write_text("none")
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("source", "words", "mode"),
    [
        ("boards/a.png", [], "RGB"),
        ("boards", ["--seamless"], "RGB"),
        ("grey.png", [], "L"),
        ("grey.png", ["--mix", "{}/boards/a.png:0.5"], "RGB"),
    ],
)
def test_photographs_become_a_texture_without_a_run(folder, source, words, mode, capsys):
    words = [word.format(folder) for word in words]
    out = folder / "out.png"
    argv = ["texture", str(folder / source), "--size", "48x64", "--patch", "16", "-o", str(out), *words]
    assert main(argv) == 0
    assert capsys.readouterr().out.startswith(f"wrote {out} of 48x64 pixels")
    with Image.open(out) as picture:
        assert picture.size == (64, 48) and picture.mode == mode


@pytest.mark.parametrize(
    ("source", "words", "said"),
    [
        ("tiny.png", [], "16x16 pixels or more"),
        ("notes.txt", [], "notes.txt"),
        ("empty", [], "no run directory"),
        ("nothing.jpg", [], "no such picture"),
        ("nothing", [], "no such run directory"),
        ("grey.png", ["--size", "90000x90000"], "100,000,000 pixels or fewer"),
        ("grey.png", ["--of", "a"], "--of is for a RUN"),
        ("grey.png", ["--data", "boards"], "--data is for a RUN"),
        ("grey.png", ["--seamless", "--size", "8x64"], "12x12 or more"),
        ("grey.png", ["--mix", "nothing:0.5"], "--mix"),
    ],
)
def test_what_is_no_texture_is_refused_in_one_line(folder, source, words, said, capsys):
    assert main(["texture", str(folder / source), "-o", str(folder / "out.png"), *words]) == 2
    line = capsys.readouterr().err.strip()
    assert said in line and "\n" not in line
