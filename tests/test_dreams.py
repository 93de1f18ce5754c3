"""The page of dreams: identities of latent arithmetic, neighbours by brute force, and a page that is whole."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from chromium import chromium
from PIL import Image
from tiny_runs import autoencoder, spatial_vae, vector_vae, write_run

import tfvae
from tfvae.applications import embed, generate, reconstruct
from tfvae.applications.latent.arithmetic import contrasts, pooled, shifted
from tfvae.applications.latent.dreams import (
    SECTIONS,
    SIDE,
    Cell,
    Dreamer,
    MeaninglessError,
    Row,
    Section,
    dream,
    nearest,
    viewed,
)
from tfvae.applications.latent.dreams import pixel_distances as apart
from tfvae.cli import main
from tfvae.commands.pages.dreams import write_page
from tfvae.pixels import to_uint8


def pictures(count=12, size=(8, 8, 1), seed=0):
    return list(np.random.default_rng(seed).integers(0, 256, (count, *size), dtype=np.uint8))


def section(sections, name):
    return next(found for found in sections if found.name == name)


def sums(model, *triples):
    images = [[("x", image) for image in triple] for triple in triples]
    dreamer = Dreamer(model, pictures(3), 3, ["p", "q", "r"], sums=images, count=1)
    return [row.cells[-1].image for row in SECTIONS["arithmetic"][1](dreamer)[1]]


@pytest.fixture(scope="module")
def model():
    return vector_vae()


def test_what_is_taken_away_and_added_again_changes_nothing(model):
    a, b, c = pictures(3)
    same, back = sums(model, (a, a, c), (a, b, b))
    rebuilt = reconstruct(model, np.stack([a, c]))
    np.testing.assert_allclose(same, rebuilt[1], atol=1e-5)
    np.testing.assert_allclose(back, rebuilt[0], atol=1e-5)


def test_sums_of_spatial_codes_keep_the_size_of_the_third_picture_and_need_not_agree_in_size():
    model = spatial_vae()
    a, (c,) = pictures(1, (16, 12, 1))[0], pictures(1, (9, 14, 1), seed=1)
    (result,) = sums(model, (a, a, c))
    np.testing.assert_allclose(result, reconstruct(model, c[None])[0], atol=1e-5)


def test_a_shift_moves_the_mean_over_places_by_its_step_and_no_place_against_another():
    rng = np.random.default_rng(0)
    code, step = rng.standard_normal((3, 5, 4)), rng.standard_normal(4)
    moved = shifted(code, step)
    np.testing.assert_allclose(pooled(moved) - pooled(code), step, atol=1e-6)
    np.testing.assert_allclose(moved - moved[:1, :1], code - code[:1, :1], atol=1e-5)
    np.testing.assert_array_equal(pooled(step), step)


def test_classes_are_paired_nearest_first_and_each_once():
    centres = np.array([0.0, 10.0, 1.0, 13.0])
    labels = np.repeat(np.arange(4), 5)
    codes = np.stack([centres[labels], np.tile(np.linspace(-1, 1, 5), 4)], axis=1)
    found = contrasts(codes, labels, ["a", "b", "c", "d"], count=3)
    assert [contrast.name for contrast in found] == ["c becomes a", "d becomes b", "a becomes c"]
    np.testing.assert_array_equal(found[0].toward, np.flatnonzero(labels == 0))
    np.testing.assert_array_equal(found[0].away, np.flatnonzero(labels == 2))


@pytest.mark.parametrize("labels", [None, np.zeros(40, int), np.full(40, -1)])
def test_without_classes_the_ends_of_the_principal_components_are_told_apart(labels):
    rng = np.random.default_rng(0)
    axes, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    along = rng.standard_normal((40, 3)) * [10.0, 3.0, 0.1]
    along[:, 1] -= along[:, 0] * (along[:, 0] @ along[:, 1]) / (along[:, 0] @ along[:, 0])
    first, second = contrasts(along @ axes.T, labels, count=2)
    ends = set(np.argsort(along[:, 0])[[*range(4), *range(-4, 0)]])
    assert len(first.toward) == len(first.away) == 4  # a tenth
    assert len({*first.toward, *first.away} & ends) >= 7
    direction = along[first.toward].mean(axis=0) - along[first.away].mean(axis=0)
    assert abs(direction[0]) > 10 * abs(direction[2])
    assert "1" in first.name and "2" in second.name


def test_neighbours_are_those_of_a_search_through_all_and_never_the_picture_itself():
    rng = np.random.default_rng(0)
    points = rng.standard_normal((30, 4))
    found = nearest(points[7], points, 5, without=7)
    distances = {index: np.sqrt(((points[index] - points[7]) ** 2).sum()) for index in range(30) if index != 7}
    assert [index for index, _ in found] == sorted(distances, key=lambda index: distances[index])[:5]
    for index, distance in found:
        assert distance == pytest.approx(distances[index])
    assert len(nearest(points[0], points[:3], 5, without=0)) == 2


def test_the_distance_of_black_from_white_is_one_and_of_a_picture_from_its_enlargement_small():
    black, white = np.zeros((8, 6, 1), np.uint8), np.full((8, 6, 1), 255, np.uint8)
    large = np.full((16, 12, 1), 255, np.uint8)
    np.testing.assert_allclose(apart(black, [black, white, large]), [0, 1, 1])


def test_large_pictures_are_seen_by_their_centre():
    image = np.arange(400 * 500, dtype=np.uint32).reshape(400, 500, 1)
    assert viewed(image).shape == (SIDE, SIDE, 1)
    np.testing.assert_array_equal(viewed(image), image[40:360, 90:410])
    np.testing.assert_array_equal(viewed(image[:100]), image[:100, 90:410])


def test_a_traversal_passes_the_mean_of_its_unit_and_changes_no_other(model, monkeypatch):
    images = pictures()
    dreamer = Dreamer(model, images, 6, [str(place) for place in range(12)], count=2)
    seen = []
    decode = model.decode
    monkeypatch.setattr(model, "decode", lambda z: (seen.append(np.asarray(z)), decode(z))[1])
    _, rows = SECTIONS["units"][1](dreamer)
    codes = embed(model, images)
    order = np.argsort(-codes.var(axis=0))
    for row, z, unit in zip(rows, seen[-len(rows) :], order, strict=True):
        assert row.title.startswith(f"Unit {unit}:")
        np.testing.assert_allclose(z[3, unit], codes[:, unit].mean(), atol=1e-5)
        np.testing.assert_allclose(z[-1, unit] - z[0, unit], 5 * codes[:, unit].std(), rtol=1e-4)
        np.testing.assert_allclose(np.delete(z, unit, axis=1).std(axis=0), 0, atol=1e-6)


def test_a_walk_of_draws_goes_from_draw_to_draw_of_the_prior(model):
    said, rows = SECTIONS["walks"][1](Dreamer(model, pictures(), 6, [str(place) for place in range(12)]))
    assert said.startswith("From draw to draw") and "From the reconstruction of one picture" in said
    walks = [row for row in rows if row.title.startswith("Draw ")]
    draws = generate(model, len(walks) + 1, 0, 0.8)
    assert len(walks) == 4 < len(rows)
    for place, row in enumerate(walks):
        assert row.title == f"Draw {place + 1} to draw {place + 2}"
        for cell, draw in ((row.cells[0], draws[place]), (row.cells[-1], draws[place + 1])):
            np.testing.assert_allclose(cell.image, draw, atol=1e-5)
    texture = spatial_vae()
    _, rows = SECTIONS["walks"][1](Dreamer(texture, pictures(), 6, [str(place) for place in range(12)]))
    assert not any(row.title.startswith("Draw ") for row in rows)


def test_sections_that_show_nothing_say_why():
    model = autoencoder()
    found = dream(Dreamer(model, pictures(1), 1, ["only"]))
    assert not any(part.rows for part in found)
    assert "no prior" in section(found, "samples").missing
    assert "needs 2 pictures, and the run has 1" in section(found, "walks").missing
    with pytest.raises(MeaninglessError, match="say nothing"):
        dream(Dreamer(CannotDecode(model), pictures(4), 4, list("abcd")))


class CannotDecode:
    """A model whose codes are no pictures by themselves."""

    def __init__(self, model):
        self.model = model

    def __getattr__(self, name):
        if name in ("decode", "generate"):
            raise AttributeError(name)
        return getattr(self.model, name)


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.images = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.images.append(dict(attributes))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A page that the command made of labelled digits, and the run."""
    run = write_run(tmp_path_factory.mktemp("dreams") / "digits", vector_vae())
    assert main(["dreams", str(run), "-n", "5", "--seed", "3", "--minus", "0,1,2"]) == 0
    return run


def test_the_page_refers_to_what_is_there_and_to_nothing_else(made):
    path = made / "dreams" / "index.html"
    images = Page(path).images
    assert {image["src"] for image in images} == {
        f"pictures/{file.name}" for file in (made / "dreams" / "pictures").iterdir()
    }
    for image in images:
        assert image["alt"]
        with Image.open(path.parent / image["src"]) as picture:
            assert picture.size == (int(image["width"]), int(image["height"]))
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<script", text)
    assert f"tfvae dreams {made} --seed 3 -n 5 --minus 0,1,2" in text
    assert len(re.findall(r"<section", text)) == 6


def test_the_same_seed_makes_the_same_page(made, tmp_path):
    again = ["dreams", str(made), "-n", "5", "--minus", "0,1,2", "-o", str(tmp_path / "page")]
    assert main([*again, "--seed", "3"]) == 0
    for file in (made / "dreams").rglob("*.*"):
        assert (tmp_path / "page" / file.relative_to(made / "dreams")).read_bytes() == file.read_bytes(), file


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--minus", "1,2"], "--minus takes three pictures"),
        (["--minus", "1,2,99999"], "held-out images, from 0"),
        (["-o", "page.html"], "cannot end in '.html'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(made, words, said, capsys):
    assert main(["dreams", str(made), *words]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("tfvae: error: ") and said in line


def test_names_are_text(tmp_path):
    name = """<b>Grandma's "best" & $title</b>"""
    cell = Cell(to_uint8(np.zeros((4, 4, 1))), name, name)
    path = write_page(tmp_path, [Section("map", "Map", name, [Row(name, [cell], "map")])], name, name, name)
    assert "<b>" not in path.read_text(encoding="utf-8")
    assert Page(path).images[0]["alt"] == name
    with pytest.raises(ValueError, match="at least one"):
        write_page(tmp_path, [Section("map", "Map", missing="no picture")], "x", "x", "x")


def test_in_a_browser_it_fits_a_phone_in_the_dark_and_rows_move_by_key(made):
    complaints = []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 360, "height": 700}, color_scheme="dark")
        page.on("console", lambda message: complaints.append(message.text))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or complaints.append(request.url))
        page.goto((made / "dreams" / "index.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert max(map(int, re.findall(r"\d+", background))) < 64
        row = page.get_by_role("group", name="By picture")
        row.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(300)
        assert row.evaluate("(row) => row.scrollLeft") > 0
    assert not complaints


def test_a_group_of_one_size_is_averaged_place_by_place():
    model = tfvae.VAE.from_shape((None, None, 1), 2, widths=(4,), likelihood="optimal_gaussian", seed=0)
    images = list(np.random.default_rng(0).integers(0, 256, (6, 8, 10, 1), dtype=np.uint8))
    members = np.array([1, 3, 4])
    mean = Dreamer(model, images, 6, [str(n) for n in range(6)]).mean_code(members)
    codes = np.asarray(model.codes(np.stack([images[index] for index in members]) / np.float32(255)))
    np.testing.assert_allclose(mean, codes.mean(axis=0), atol=1e-5)
    assert mean.shape == (4, 5, 2)
    unequal = Dreamer(model, [*images[:5], images[5][:4]], 6, [str(n) for n in range(6)]).mean_code(members)
    np.testing.assert_allclose(unequal, codes.mean(axis=(0, 1, 2)), atol=1e-5)
