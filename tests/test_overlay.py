"""Overlays: what is the same in all pictures is found and taken out; what is not the same is left alone."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from tfvae.applications.restoration import overlay, overlay_gradients
from tfvae.applications.restoration.overlay import find_overlay, remove_overlay
from tfvae.data.reading import Preparation, read_picture
from tfvae.metrics.image_quality import psnr

HEIGHT, WIDTH = 120, 160
FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"


def photograph(seed, channels=3, size=(HEIGHT, WIDTH)):
    """Smooth fields of three scales with rectangles in front and a little noise: unlike any other seed's."""
    rng = np.random.default_rng(seed)
    pixels = 0.5 + 0.15 * rng.standard_normal(channels) + 0.01 * rng.standard_normal((*size, channels))
    for cells, strength in ((3, 0.2), (9, 0.1), (30, 0.03)):
        field = rng.standard_normal((cells, cells, channels))
        pixels += strength * ndimage.zoom(field, (size[0] / cells, size[1] / cells, 1), order=3)
    for _ in range(6):
        top, left, height, width = (*rng.integers(0, size), *rng.integers(8, 50, 2))
        pixels[top : top + height, left : left + width] = 0.1 + 0.8 * rng.random(channels)
    return to_bytes(pixels)


def to_bytes(pixels):
    return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def text(alpha, size=(HEIGHT, WIDTH), points=36):
    """Opacity of a watermark, `(height, width)`."""
    image = Image.new("L", (size[1], size[0]))
    font = ImageFont.truetype(FONT, points)
    ImageDraw.Draw(image).text((size[1] / 2, size[0] / 2), "PROOF", fill=255, font=font, anchor="mm")
    return alpha * np.asarray(image) / 255.0


def under(image, alpha, colour):
    return to_bytes(image / 255.0 * (1 - alpha[..., None]) + alpha[..., None] * np.asarray(colour))


def overlap(mask, alpha):
    true = alpha > 0.02
    return np.sum(mask & true) / np.sum(mask | true)


def gained(images, marked, found):
    """Mean gain of PSNR, decibels, by taking the overlay out."""
    after = np.stack([remove_overlay(image, found) for image in marked])
    x, y, z = (np.stack(part) / np.float32(255) for part in (images, marked, after))
    return float(np.mean(psnr(x, z) - psnr(x, y)))


@pytest.fixture(scope="module")
def photographs():
    return [photograph(seed) for seed in range(12)]


@pytest.mark.parametrize(
    ("opacity", "colour"),
    [(0.35, (1.0, 1.0, 1.0)), (0.5, (0.9, 0.1, 0.0)), (0.35, (0.5, 0.5, 0.5))],
    ids=["white", "red", "as bright as the pictures"],
)
def test_a_watermark_over_twelve_pictures_is_found_measured_and_taken_out(photographs, opacity, colour):
    alpha = text(opacity)
    marked = [under(image, alpha, colour) for image in photographs]
    found = find_overlay(marked)
    assert found.pictures == 12
    assert overlap(found.mask, alpha) >= 0.7
    solid = alpha == alpha.max()
    # A line through 12 pictures whose levels spread by 0.2 has steps about 0.01 wrong; a stroke is a few of them.
    assert np.abs(found.alpha - alpha)[solid].mean() < 0.05
    np.testing.assert_allclose(np.median(found.colour[solid], axis=0), colour, atol=0.05)
    assert not found.opaque.any()
    assert gained(photographs, marked, found) >= 6
    assert not found.alpha[~found.mask].any() and not found.ink[~found.mask].any()


def test_unrelated_pictures_share_no_overlay():
    for first in range(100, 400, 60):
        with pytest.raises(ValueError, match="12 pictures without a common one"):
            find_overlay([photograph(first + number) for number in range(12)])


def test_a_mark_that_moves_from_picture_to_picture_is_no_overlay(photographs):
    alpha = text(0.5)
    moved = [
        under(image, np.roll(alpha, (9 * number, 40 * number), (0, 1)), np.ones(3))
        for number, image in enumerate(photographs)
    ]
    with pytest.raises(ValueError, match="without a common one"):
        find_overlay(moved)


def test_what_is_opaque_is_named_as_lost_and_left_as_it_is(photographs):
    alpha = text(1.0)
    marked = [under(image, alpha, np.ones(3)) for image in photographs]
    found = find_overlay(marked)
    assert found.opaque[alpha == 1].all()
    np.testing.assert_array_equal(remove_overlay(marked[0], found)[alpha == 1], 255)


def test_dead_pixels_and_dust_are_overlays_as_well():
    grey = [photograph(seed, channels=1) for seed in range(20)]
    alpha = np.zeros((HEIGHT, WIDTH))
    places = np.array([[20, 30], [60, 70], [100, 140], [33, 111]])
    alpha[tuple(places.T)] = 1.0
    dust = np.hypot(*np.mgrid[-60 : HEIGHT - 60, -30 : WIDTH - 30]) < 5
    alpha[dust] = 0.6
    found = find_overlay([under(image, alpha, [0.05]) for image in grey])
    assert found.mask[alpha > 0].all()
    assert found.mask[alpha == 0].mean() < 0.03
    assert found.opaque[tuple(places.T)].all()
    np.testing.assert_allclose(found.alpha[dust].mean(), 0.6, atol=0.05)


def test_bars_at_the_border_that_all_pictures_have_are_found_whole(photographs):
    framed = [image.copy() for image in photographs]
    for image in framed:
        image[:20] = 0
    found = find_overlay(framed)
    assert found.mask[:20].all()
    assert found.mask[30:].mean() < 0.01


def test_removal_inverts_the_compositing_up_to_rounding():
    image = photograph(0)
    alpha = text(0.5)
    exact = overlay.Overlay(alpha > 0, alpha.astype(np.float32), (alpha[..., None] * [1, 0.5, 0]), 1.0, 12)
    back = remove_overlay(under(image, alpha, [1, 0.5, 0]), exact)
    # Half a level of rounding, divided by 1 - alpha, and half a level of the result's own.
    assert np.abs(back.astype(int) - image).max() <= 0.5 / 0.5 + 0.5


def test_blocks_of_rows_give_what_the_whole_gives(photographs, monkeypatch):
    marked = [under(image, text(0.35), np.ones(3)) for image in photographs]
    whole = find_overlay(marked)
    monkeypatch.setattr(overlay_gradients, "BLOCK", 7 * 12 * WIDTH * 3)
    blocks = find_overlay(marked)
    np.testing.assert_array_equal(blocks.mask, whole.mask)
    np.testing.assert_allclose(blocks.alpha, whole.alpha, atol=1e-4)


def test_of_many_pictures_fifty_are_asked_for_once_each():
    class Folder:
        def __init__(self):
            self.asked = []

        def __len__(self):
            return 1000

        def __getitem__(self, index):
            self.asked.append(index)
            return photograph(index, channels=1, size=(40, 40))

    folder = Folder()
    with pytest.raises(ValueError, match="50 pictures without a common one"):
        find_overlay(folder)
    assert len(folder.asked) == len(set(folder.asked)) == 50
    assert {0, 999} <= set(folder.asked)


def test_pictures_that_cannot_be_compared_are_refused(photographs):
    with pytest.raises(ValueError, match="at least 5 pictures"):
        find_overlay(photographs[:4])
    with pytest.raises(ValueError, match=r"one size.*picture 5"):
        find_overlay([*photographs[:5], photographs[5][:-1]])
    with pytest.raises(ValueError, match="uint8"):
        find_overlay([image / 255 for image in photographs])
    blank = np.zeros((HEIGHT, WIDTH))
    nothing = overlay.Overlay(blank > 0, blank, np.zeros((HEIGHT, WIDTH, 3)), 1.0, 12)
    with pytest.raises(ValueError, match="shape"):
        remove_overlay(photographs[0][:, 1:], nothing)


def test_equal_and_empty_pictures_share_no_overlay_that_could_be_told_from_them():
    with pytest.raises(ValueError, match="without a common one"):
        find_overlay([np.full((40, 50, 3), 128, np.uint8)] * 6)


def test_a_watermark_over_photographs_is_taken_out(real_data):
    paths = sorted((real_data / "photos_kodak24").glob("*.png"))
    crops = [read_picture(str(path), Preparation())[100:300, 100:340] for path in paths]
    with pytest.raises(ValueError, match="without a common one"):
        find_overlay(crops)
    alpha = text(0.4, (200, 240), 54)
    marked = [under(image, alpha, np.ones(3)) for image in crops]
    found = find_overlay(marked)
    assert overlap(found.mask, alpha) >= 0.7
    assert gained(crops, marked, found) >= 6
