"""The style of a picture as a code: the closed form, statistics that do not say where, and styles that are new."""

import csv
import itertools

import numpy as np
import pytest
from PIL import Image
from test_paint import painting, photo

from tfvae.applications.styles import space as spaces
from tfvae.applications.styles.colours import oklab
from tfvae.applications.styles.space import SHARES, StyleSpace, part_statistics, style_statistics
from tfvae.cli import main

FEATURES, UNITS = 14, 3


def simulated(count, spread=(6.0, 3.0, 1.5), seed=0):
    """Statistics of the model itself: `(count, 4, 14)`, and the styles they were made of."""
    rng = np.random.default_rng(seed)
    styles = rng.standard_normal((count, UNITS)) * spread
    latent = rng.standard_normal((count, 4, FEATURES))
    latent[..., :UNITS] += styles[:, None]
    return latent @ rng.standard_normal((FEATURES, FEATURES)) + 5.0, styles


def test_the_closed_form_finds_the_styles_of_a_linear_model_again(monkeypatch):
    monkeypatch.setattr(spaces, "SHRINKAGE", 0.0)
    statistics, styles = simulated(3000)
    space = StyleSpace.of_statistics(statistics)
    np.testing.assert_allclose(space.spread[:UNITS], [6, 3, 1.5], rtol=0.1)
    assert (space.spread[UNITS:] < 0.5).all()
    fitted, *_ = np.linalg.lstsq(space.codes[:, :UNITS], styles, rcond=None)
    unexplained = (styles - space.codes[:, :UNITS] @ fitted).var(axis=0)
    variance = np.square([6, 3, 1.5])  # of styles; of the means of four parts 1/4 is added
    np.testing.assert_allclose(unexplained, variance / 4 / (variance + 1 / 4), rtol=0.1)
    # Parts of a painting differ by 1 in every unit.
    parts = space.parts(statistics)
    inside = (parts - parts.mean(axis=1, keepdims=True)).reshape(-1, space.codes.shape[1])
    np.testing.assert_allclose(inside.T @ inside / (3 * len(parts)), np.eye(inside.shape[1]), atol=0.05)


def test_a_mixture_is_the_best_of_all_pairs():
    space = StyleSpace.of_statistics(simulated(12)[0])
    code = np.array([2.0, -1.0, 0.5] + [0.0] * (space.codes.shape[1] - 3))
    found = space.mixture(code)
    grid = np.linspace(*SHARES, 201)
    best = min(
        np.linalg.norm(share * space.codes[i] + (1 - share) * space.codes[j] - code)
        for i, j in itertools.permutations(range(12), 2)
        for share in grid
    )
    assert np.linalg.norm(found.code - code) == pytest.approx(best, rel=1e-3)
    mixed = np.asarray(found.shares) @ space.codes[list(found.paintings)]
    np.testing.assert_allclose(found.code, mixed)
    assert sum(found.shares) == pytest.approx(1) and found.paintings[0] != found.paintings[1]


def test_styles_that_are_drawn_are_new_and_differ():
    space = StyleSpace.of_statistics(simulated(15, (15, 12, 10))[0])
    found = space.draw(6, seed=1)
    codes = np.stack([mixture.code for mixture in found])
    assert len(found) == 6
    assert np.linalg.norm(codes[:, None] - space.codes, axis=-1).min() > space.apart
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(codes, 2)) > space.apart
    np.testing.assert_array_equal(codes, [mixture.code for mixture in space.draw(6, seed=1)])
    assert not np.array_equal(codes, [mixture.code for mixture in space.draw(6, seed=2)])
    assert space.draw(3, temperature=0) == [] or len(space.draw(3, temperature=0)) == 1  # one code, drawn again


def test_statistics_do_not_say_where_and_tone_moves_nothing_but_tone():
    lab = oklab(painting(96, 128) / 255)
    found = style_statistics(lab)
    assert found.shape == (26,) and np.isfinite(found).all()
    np.testing.assert_allclose(style_statistics(lab[::-1]), found, atol=0.3)
    shifted = style_statistics(lab + np.float32([3, -2, 5]))
    np.testing.assert_allclose(shifted[:3] - found[:3], [3, -2, 5], atol=1e-3)
    np.testing.assert_allclose(shifted[3:], found[3:], atol=1e-3)
    assert np.isfinite(style_statistics(np.full((64, 64, 3), 50, np.float32))).all()


def test_parts_of_one_painting_lie_nearer_than_other_paintings():
    paintings = [painting(128, 160, seed, angle) for seed, angle in enumerate((0.1, 0.9, 1.7, 2.5, 0.5, 1.3))]
    paintings += [np.clip(each * scale, 0, 255).astype(np.uint8) for each in paintings[:3] for scale in (0.4, 0.7)]
    space = StyleSpace(paintings)
    np.testing.assert_allclose(space.encode(paintings[4]), space.codes[4])
    assert space.nearest(space.encode(paintings[4][:, ::-1]))[0] == 4
    assert space.codes.shape == (12, 10)
    with pytest.raises(ValueError, match="3 or more"):
        StyleSpace(paintings[:2])
    with pytest.raises(ValueError, match="64x64"):
        part_statistics(painting(50, 200))


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "paintings").mkdir()
    for seed in range(6):
        pixels = painting(96, 112, seed, 0.5 * seed)[..., np.roll([0, 1, 2], seed)]
        Image.fromarray((pixels * (0.5 + seed / 12)).astype(np.uint8)).save(f"paintings/{seed}.png")
    (tmp_path / "paintings" / "notes.txt").write_text("no painting")
    Image.fromarray(photo()).save("photo.png")
    return tmp_path


def test_the_command_invents(folders, capsys):
    assert main(["styles", "photo.png", "--invent", "paintings", "-n", "2", "--temperature", "2", "-o", "new.csv"]) == 0
    said = capsys.readouterr().out
    with open("new.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["style"] for row in rows] == ["style1", "style2"]
    assert all(float(row["share"]) + float(row["its share"]) == pytest.approx(1) for row in rows)
    assert Image.open("new.png").size[0] > 3 * 96
    line = next(line for line in said.splitlines() if line.startswith("style1 on a picture"))
    words = line.partition("tfvae ")[2].replace(" IN ", " photo.png ").split()
    assert main([*words, "-o", "painted.png"]) == 0  # what it says can be done


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("photo.png --invent nowhere", "nowhere: there is no such file or folder"),
        ("photo.png --invent photo.png", "--invent photo.png: must be a folder"),
        ("photo.png --invent alike", "no style of the prior is new"),
        ("photo.png --invent two", "paintings must be 3 or more. Received: 2"),
        ("run photo.png --invent paintings", "takes one picture or folder and no RUN"),
        ("photo.png --invent paintings --data digits", "--data cannot be used with --invent"),
        ("photo.png --temperature 1", "--temperature cannot be used without --invent"),
        ("nothing.png --invent paintings", "nothing.png: there is no such file"),
        ("photo.png --invent paintings -o new.png", "-o"),
        ("runs/photos -n 1", "--count must be 2 or more"),
    ],
)
def test_the_command_refuses_in_one_line(folders, capsys, words, message):
    for folder, names in (("two", "01"), ("alike", "abc")):
        (folders / folder).mkdir()
        for name in names:
            Image.open(f"paintings/{name if folder == 'two' else 0}.png").save(f"{folder}/{name}.png")
    assert main(["styles", *words.split()]) == 2
    error = capsys.readouterr().err
    assert message in error and error.strip().count("\n") == 0
