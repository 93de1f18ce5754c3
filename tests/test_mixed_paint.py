"""Pictures painted with several paintings: each has its share, no window holds two, colours lie between theirs."""

import numpy as np
import pytest
from PIL import Image
from test_paint import painting, photo

from tfvae.applications.styles.canvas import Canvas
from tfvae.applications.styles.colours import barycentre, oklab, transferred
from tfvae.applications.styles.paint import hung, paint
from tfvae.applications.styles.painting import Guide, Patches
from tfvae.applications.styles.wall import Wall
from tfvae.cli import main

RED, BLUE = painting(160, 200), painting(140, 180, seed=5, angle=1.9)[..., ::-1]


def test_colours_of_a_barycentre_lie_between():
    one, other = oklab(RED / 255), oklab(BLUE / 255)
    for share in (0.0, 0.3, 1.0):
        found = barycentre([one, other], [1 - share, share])
        expected = (1 - share) * one.mean(axis=(0, 1)) + share * other.mean(axis=(0, 1))
        for each in found:  # whoever is brought there
            np.testing.assert_allclose(each.mean(axis=(0, 1)), expected, atol=0.5)
    np.testing.assert_array_equal(barycentre([one, other], [1, 0])[0], one)


def test_paintings_hang_in_a_row_and_no_window_reaches_beyond_its_own():
    parts = [np.full((40, 50, 3), 1.0), np.full((60, 30, 3), 2.0)]
    wall = Wall([part.shape[:2] for part in parts], gap=8)
    hanging = wall.hung(parts)
    assert hanging.shape == (*wall.shape, 3) == (76, 112, 3)
    for part, box in zip(parts, wall.boxes, strict=True):
        np.testing.assert_array_equal(hanging[box], part)
    places = Patches(Guide(hanging.astype(np.float32), 8), 0, wall.boxes).places
    seen = hanging[..., 0][tuple(np.rint(axis).astype(int) for axis in places.points(8 * np.indices((8, 8)) / 7 - 4))]
    assert (seen.min(axis=(1, 2)) == seen.max(axis=(1, 2))).all() and set(np.unique(seen)) == {1, 2}
    inside = [(places.rows >= rows.start) & (places.rows < rows.stop) for rows, _ in wall.boxes]
    assert np.logical_or(*inside).all()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_each_painting_has_about_its_share(share):
    image = photo(160, 200)
    palettes = barycentre(
        [oklab(hung(each / np.float32(255), image.shape)) for each in (RED, BLUE)], [share, 1 - share]
    )
    canvas = Canvas(transferred(oklab(image / 255), palettes[0]), palettes, [share, 1 - share])
    canvas.fill()
    border = (canvas.wall.boxes[0][1].stop + canvas.wall.boxes[1][1].start) / 2
    assert (canvas.columns[:160, :200] < border).mean() == pytest.approx(share, abs=0.15)


def test_one_painting_of_several_is_that_painting():
    alone = paint(photo(), RED, seed=2)
    np.testing.assert_array_equal(paint(photo(), [RED], seed=2), alone)
    np.testing.assert_array_equal(paint(photo(), [BLUE, RED], seed=2, shares=[0, 3]), alone)
    mixed = [paint(photo(), [RED, BLUE], seed=2, shares=shares) for shares in (None, [2, 2], [1, 3])]
    np.testing.assert_array_equal(mixed[0], mixed[1])
    assert (mixed[0] != alone).any() and (mixed[0] != mixed[2]).any()


def test_the_mixture_is_between_the_two():
    def between(share):
        found = paint(photo(90, 120), [RED, BLUE], shares=[1 - share, share]) / 255
        return oklab(found).mean(axis=(0, 1))

    ends = between(0), between(1)
    along = (between(0.5) - ends[0]) @ (ends[1] - ends[0]) / np.square(ends[1] - ends[0]).sum()
    assert along == pytest.approx(0.5, abs=0.15)


def test_with_the_pictures_colours_and_grey_ones():
    image = photo(60, 80)
    found = paint(image, [RED, BLUE], colour="photo")
    np.testing.assert_allclose(oklab(found / 255).mean((0, 1)), oklab(image / 255).mean((0, 1)), atol=4)
    assert paint(image[..., :1], [RED[..., :1], BLUE[..., :1]]).shape == (60, 80, 1)
    assert paint(image[..., :1], [RED[..., :1], BLUE]).shape == (60, 80, 3)


def test_the_command_mixes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, pixels in (("photo", photo()), ("red", RED), ("blue", BLUE)):
        Image.fromarray(pixels).save(f"{name}.png")
    words = "photo.png --from red.png --from blue.png --shares 1,3 -o out.png"
    assert main(["stylize", *words.split()]) == 0
    expected = paint(photo(), [RED, BLUE], shares=[1, 3])
    np.testing.assert_array_equal(np.asarray(Image.open("out.png")), expected)
