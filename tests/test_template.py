"""Comparison with a template: what registration undoes, what the tolerance forgives, and what stays."""

import numpy as np
import pytest
from scipy import ndimage

from tfvae.applications import compare
from tfvae.applications.inspection.template import MOST, PART, TOLERANCE, WINDOW, difference, registered


def board(seed, height=96, width=120, channels=1):
    """Dark tracks on light, with blurred edges."""
    noise = np.random.default_rng(seed).normal(size=(height, width, channels))
    tracks = ndimage.gaussian_filter(noise, (4, 4, 0)) > 0
    return ndimage.gaussian_filter(0.2 + 0.5 * tracks, (0.5, 0.5, 0)).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shift", [(0, 0), (3, -5), (-11, 9)])
def test_registration_undoes_a_shift_and_another_light(shift, channels):
    large = board(1, 160, 180, channels)
    template = large[32:128, 32:152]
    piece = large[32 - shift[0] : 128 - shift[0], 32 - shift[1] : 152 - shift[1]] * 0.8 + 0.1
    moved, known = registered(template, piece)
    assert known.sum() == (96 - abs(shift[0])) * (120 - abs(shift[1]))
    np.testing.assert_allclose(moved[known], piece[known], atol=1e-5)
    assert compare(template, piece).score < 1e-4


def test_edges_may_lie_elsewhere_within_the_tolerance_and_no_further():
    template = board(2)
    for shift in np.ndindex(2 * TOLERANCE + 1, 2 * TOLERANCE + 1):
        piece = np.roll(template, np.array(shift) - TOLERANCE, axis=(0, 1))
        inner = difference(template, piece)[8:-8, 8:-8]
        assert inner.max() == 0.0
    assert difference(template, np.roll(template, TOLERANCE + 3, axis=1))[8:-8, 8:-8].max() > 0.1


def test_what_is_missing_counts_as_what_is_added():
    template, piece = board(3), board(4)
    np.testing.assert_array_equal(difference(template, piece), difference(piece, template))
    np.testing.assert_allclose(difference(1 - template, 1 - piece), difference(template, piece), atol=1e-6)
    assert np.all(
        difference(template, piece) <= ndimage.uniform_filter(np.abs(template - piece)[..., 0], WINDOW) + 1e-6
    )


def test_a_hole_is_found_where_it_is_with_its_contrast_and_a_single_pixel_counts_for_a_ninth():
    template = np.full((60, 70, 1), 0.7, np.float32)
    template[:, 30:50] = 0.2
    piece = template.copy()
    piece[20:25, 37:43] = 0.7
    found = compare(template, np.roll(piece, 4, axis=0))
    assert np.unravel_index(found.map.argmax(), found.map.shape)[0] in range(24, 29)
    assert found.score == pytest.approx(0.5, abs=0.02)
    assert np.all(np.argwhere(found.map > 0.01).min(axis=0) == [23, 36])  # the window's half beyond the hole
    piece = template.copy()
    piece[10, 10] = 0.2
    assert compare(template, piece).score == pytest.approx(0.5 / WINDOW**2, abs=0.01)


def test_no_shift_is_made_up_where_nothing_can_be_aligned_or_it_lies_too_far():
    flat, other = np.full((40, 40, 1), 90, np.uint8), board(5, 40, 40)
    for template in (flat, other):
        moved, known = registered(template, np.full((40, 40, 1), 120, np.uint8))
        assert known.all() and moved.shape == (40, 40, 1)
    assert compare(flat, flat + 30).score < 1e-6
    far = np.roll(board(6, 160, 160), MOST + 10, axis=0)
    assert registered(board(6, 160, 160), far)[1].sum() >= (160 - 160 // PART) ** 2


def test_types_of_pixels_and_grey_beside_colour_make_no_difference():
    template, piece = (np.rint(255 * board(seed)).astype(np.uint8) for seed in (7, 8))
    first = compare(template, piece).map
    np.testing.assert_allclose(compare(template.astype(np.uint16) * 257, piece / 255).map, first, atol=1e-6)
    np.testing.assert_allclose(compare(np.repeat(template, 3, axis=2), piece).map, first, atol=1e-5)
    with pytest.raises(
        ValueError, match=r"`template` must be of the picture's size, \(96, 120, 1\)\. Received: \(9, 8"
    ):
        compare(np.zeros((9, 8, 1), np.uint8), piece)
