"""Lost pixels from known ones: the biharmonic equation, relaxed."""

import numpy as np
import pytest
from skimage.restoration import inpaint_biharmonic

from tfvae.layers import biharmonic
from tfvae.layers.biharmonic import FACTOR, MARGIN, interpolate

RNG = np.random.default_rng(5)


def smooth(height=48, width=56):
    y, x = np.mgrid[:height, :width].astype("float32")
    channels = [np.sin(x / 9 + phase) * np.cos(y / 7 - phase) for phase in (0.0, 1.0, 2.0)]
    return (0.5 + 0.4 * np.stack(channels, -1)).astype("float32")


def mask(share, height=48, width=56):
    return (RNG.random((height, width, 1)) >= share).astype("float32")


def filled(picture, known):
    return interpolate(picture[None], known[None])[0].numpy()


@pytest.mark.parametrize(("share", "tolerance"), [(0.25, 2e-3), (0.5, 8e-3)])
def test_it_is_the_biharmonic_interpolation(share, tolerance):
    picture, known = smooth(), mask(share)
    expected = inpaint_biharmonic(picture, known[..., 0] == 0, channel_axis=-1)
    inner = (slice(4, -4), slice(4, -4))  # scikit-image has another condition at the border
    difference = np.abs(filled(picture, known) - expected)[inner]
    assert np.sqrt(np.mean(difference**2)) < tolerance
    assert np.sqrt(np.mean((picture - expected)[inner] ** 2)) < tolerance  # of what both look for


def test_a_plane_is_a_plane_again():
    y, x = np.mgrid[:64, :64].astype("float32")
    plane = ((x + 2 * y) / 200)[..., None]
    inner = filled(plane, mask(0.3, 64, 64))[8:-8, 8:-8]
    np.testing.assert_allclose(inner, plane[8:-8, 8:-8], atol=2e-3)


def test_known_pixels_stay_and_what_lost_ones_hold_does_not_matter():
    picture, known = RNG.random((24, 32, 3), dtype=np.float32), mask(0.5, 24, 32)
    result = filled(picture, known)
    where = np.broadcast_to(known > 0, picture.shape)
    np.testing.assert_array_equal(result[where], picture[where])
    np.testing.assert_array_equal(filled(np.where(where, picture, 7.0).astype("float32"), known), result)


def test_where_nothing_is_known_it_is_grey():
    np.testing.assert_allclose(filled(np.zeros((16, 8, 1), "float32"), np.zeros((16, 8, 1), "float32")), 0.5)


def test_what_is_further_away_than_the_margin_is_not_seen():
    middle = FACTOR * (MARGIN // FACTOR + 3)
    picture = RNG.random((8, 2 * middle, 1), dtype=np.float32)
    known = mask(0.9, 8, 2 * middle)
    other = picture.copy()
    other[:, middle:] = 1 - other[:, middle:]
    changed = np.abs(filled(picture, known) - filled(other, known))
    assert changed[:, : middle - MARGIN].max() == 0.0
    assert changed[:, middle:].max() > 0.1


def test_a_hole_of_forty_pixels_is_a_soap_film_and_not_grey():
    y, x = np.mgrid[:96, :104].astype("float32")
    slope = (0.05 + (x + y) / 500)[..., None]
    known = np.ones((96, 104, 1), "float32")
    known[28:68, 30:70] = 0
    np.testing.assert_allclose(filled(slope, known), slope, atol=0.02)  # grey would be 0.25 off


def test_what_is_near_to_known_pixels_does_not_ask_coarser_pictures():
    picture, known = smooth(), mask(0.75)
    far = filled(picture, known)
    for near in (biharmonic._coarse, lambda images, *_: 0.9 * np.ones_like(images)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(biharmonic, "_coarse", near)
            np.testing.assert_allclose(filled(picture, known), far, atol=1e-3)
