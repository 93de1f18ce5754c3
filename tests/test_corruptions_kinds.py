"""What each corruption does to pixels: moments, shares, closed forms, inverses, and JPEG beside a real encoder."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy import ndimage

from tfvae.corruptions import corrupt, from_tables
from tfvae.corruptions.tone import LUMA, LUMINANCE, linear_to_srgb, srgb_to_linear

SEED = tf.constant([27, 18])


def corrupted(images, *tables, seed=SEED):
    outcome = corrupt(tf.constant(images, tf.float32), from_tables(tables), seed)
    return np.asarray(outcome.image), np.asarray(outcome.damage)


def uniform_images(batch=4, height=64, width=64, channels=3, low=0.0, high=1.0):
    return np.random.default_rng(0).uniform(low, high, (batch, height, width, channels)).astype(np.float32)


# --- noise ---


def test_gaussian_noise_has_the_stated_moments_and_is_not_clipped():
    noise = corrupted(np.zeros((4, 64, 64, 3)), {"kind": "gaussian", "std": 0.1})[0]
    n = noise.size
    assert abs(noise.mean()) < 5 * 0.1 / np.sqrt(n)
    assert abs(noise.std() - 0.1) < 5 * 0.1 / np.sqrt(2 * n)
    # Channels and images are independent.
    flat = noise.transpose(0, 3, 1, 2).reshape(12, -1)
    assert np.abs(np.corrcoef(flat) - np.eye(12)).max() < 5 / np.sqrt(64 * 64)


def test_a_pair_is_drawn_for_each_image_uniformly():
    noise = corrupted(np.zeros((64, 32, 32, 3)), {"kind": "gaussian", "std": [0.1, 0.3]})[0]
    std = noise.std((1, 2, 3))
    assert 0.09 < std.min() < 0.14 and 0.26 < std.max() < 0.32
    assert abs(std.mean() - 0.2) < 5 * 0.2 / np.sqrt(12 * 64)


@pytest.mark.parametrize("level", [0.04, 0.7])
def test_poisson_noise_has_the_mean_of_the_light_and_the_variance_of_its_photons(level):
    peak, noisy = 30.0, corrupted(np.full((4, 64, 64, 3), level), {"kind": "poisson", "peak": 30})[0]
    rate, n = peak * level, noisy.size
    np.testing.assert_allclose(noisy * peak, np.round(noisy * peak), atol=1e-4)
    assert abs(noisy.mean() - level) < 5 * np.sqrt(level / peak / n)
    # The fourth central moment of a Poisson number is rate + 3 rate**2.
    assert abs(noisy.var() - level / peak) < 5 * np.sqrt((rate + 2 * rate**2) / n) / peak**2


def test_salt_and_pepper_take_their_share_in_equal_parts_and_leave_the_rest():
    images = uniform_images(low=0.1, high=0.9)
    noisy, damage = corrupted(images, {"kind": "salt_pepper", "amount": 0.2})
    salt, pepper = np.all(noisy == 1, -1), np.all(noisy == 0, -1)
    np.testing.assert_array_equal(noisy[~(salt | pepper)], images[~(salt | pepper)])
    for share in (salt.mean(), pepper.mean()):
        assert abs(share - 0.1) < 5 * np.sqrt(0.1 * 0.9 / salt.size)
    assert not np.any(damage)


# --- blur and JPEG ---


@pytest.mark.parametrize("sigma", [0.6, 2.5])
def test_blur_is_scipys_gaussian_filter(sigma):
    images = uniform_images(2, 40, 56)
    expected = ndimage.gaussian_filter(images.astype(np.float64), (0, sigma, sigma, 0), mode="mirror", truncate=8)
    np.testing.assert_allclose(corrupted(images, {"kind": "blur", "sigma": sigma})[0], expected, atol=1e-5)


def test_blur_of_no_width_changes_nothing():
    images = uniform_images(1, 16, 16)
    np.testing.assert_allclose(corrupted(images, {"kind": "blur", "sigma": 0})[0], images, atol=1e-6)


def pillow_jpeg(image, quality):
    """uint8 `(h, w, c)` through a baseline JPEG with 4:2:0 chroma."""
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, "JPEG", quality=quality, subsampling=2)
    return np.asarray(Image.open(file)).reshape(image.shape)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [5, 30, 75, 95])
def test_jpeg_is_what_libjpeg_makes_of_a_picture(quality, channels):
    # Odd sizes: the last blocks are padded. Smooth waves, an edge and a little grain, as in photographs.
    y, x = np.meshgrid(np.arange(75), np.arange(53), indexing="ij")
    image = np.stack([128 + 70 * np.sin(y / (5 + k)) * np.cos(x / 7) + 40 * (x > 25 + k) for k in range(channels)], -1)
    image = np.clip(np.round(image + np.random.default_rng(1).normal(0, 3, image.shape)), 0, 255).astype(np.uint8)
    expected = pillow_jpeg(image, quality).astype(np.float32)

    ours = corrupted(image[None] / np.float32(255), {"kind": "jpeg", "quality": quality})[0][0] * 255

    # Real coders compute in integers: a coefficient halfway between two steps may fall on the other side.
    assert np.abs(ours - expected).mean() < min(0.5, 0.25 * np.abs(image - expected).mean())
    assert np.mean(np.abs(ours - expected) <= 1) > 0.9


# --- holes ---


@pytest.mark.parametrize("kind", ["random_pixels", "boxes", "strokes"])
def test_holes_are_filled_where_the_damage_is_and_nothing_else_changes(kind):
    images = uniform_images(16)
    image, damage = corrupted(images, {"kind": kind, "fill": 0.25})
    lost = damage[..., 0] == 1
    assert 0 < lost.mean() < 1
    assert np.all(image[lost] == 0.25)
    np.testing.assert_array_equal(image[~lost], images[~lost])


def test_random_pixels_lose_the_stated_fraction():
    damage = corrupted(uniform_images(), {"kind": "random_pixels", "fraction": 0.7})[1]
    assert abs(damage.mean() - 0.7) < 5 * np.sqrt(0.7 * 0.3 / damage.size)


def test_a_box_has_the_stated_share_of_the_shorter_side():
    damage = corrupted(uniform_images(16, 40, 80), {"kind": "boxes", "count": 1, "size": 0.25})[1][..., 0]
    assert np.all(damage.any(1).sum(1) == 10) and np.all(damage.any(2).sum(1) == 10)
    assert np.all(damage.sum((1, 2)) == 100)
    # They lie in different places.
    assert len({(d.any(1).argmax(), d.any(0).argmax()) for d in damage}) > 12


def test_strokes_are_as_wide_as_stated():
    damage = corrupted(uniform_images(16, 96, 96), {"kind": "strokes", "count": 1, "width": 9})[1][..., 0]
    # The pixel deepest inside a stroke lies half a width from its border; the picture's border does not count.
    depth = [ndimage.distance_transform_edt(np.pad(d, 20, "edge"))[20:-20, 20:-20].max() for d in damage if d.any()]
    assert len(depth) >= 12
    assert 4 <= np.median(depth) <= 6


def test_counts_are_all_whole_numbers_of_the_pair():
    damage = corrupted(np.zeros((64, 200, 200, 1)), {"kind": "boxes", "count": [0, 2], "size": 0.01})[1]
    counts = {int(ndimage.label(d[..., 0])[1]) for d in damage}
    assert counts == {0, 1, 2}


def test_scratches_are_thin_and_change_nothing_beside_the_damage():
    images = np.full((16, 96, 96, 3), 0.5, np.float32)
    image, damage = corrupted(images, {"kind": "scratches", "count": 2, "width": [1, 2]})
    scratched = damage[..., 0] == 1
    assert np.all(image[~scratched] == 0.5) and np.all(np.any(image[scratched] != 0.5, -1))
    assert image.min() >= 0 and image.max() <= 1
    assert 0.005 < scratched.mean() < 0.12
    assert (image[scratched] > 0.7).any() and (image[scratched] < 0.3).any()


# --- marks ---


def opacity(table, channels=3):
    """The blend `(1 - a) x + m` of a mark on white and on black: a, m and the damage."""
    size = (12, 96, 96, channels)
    (white, damage), (black, _) = (corrupted(np.full(size, value), table) for value in (1.0, 0.0))
    return 1 - (white - black), black, damage


@pytest.mark.parametrize("kind", ["text_watermark", "logo_watermark"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_watermark_is_blended_with_its_alpha_and_a_colour_of_each_image(kind, channels):
    table = {"kind": kind, "alpha": 0.5} | ({"count": 1} if kind == "text_watermark" else {})
    a, mark, damage = opacity(table, channels)

    assert a.min() >= -1e-6 and abs(a.max() - 0.5) < 1e-3
    decided = np.abs(a[..., :1] - 0.02) > 1e-4
    np.testing.assert_array_equal(damage[decided] == 1, a[..., :1][decided] > 0.02)
    assert 0.005 < damage.mean() < 0.6
    assert np.all(mark >= -1e-6) and np.all(mark <= a + 1e-6)
    # With ink i of one colour and the rest of the cover of one shade s, m = i colour + (a - i) s: m - a s has rank 1.
    for a_i, mark_i in zip(a.reshape(12, -1, channels), mark.reshape(12, -1, channels), strict=True):
        beside = [np.linalg.svd(mark_i - a_i * shade, compute_uv=False)[1:].sum() for shade in (0, 1)]
        assert min(beside) < 1e-4
    # Whatever the picture, the mark is the same.
    images = uniform_images(12, 96, 96, channels)
    np.testing.assert_allclose(corrupted(images, table)[0], (1 - a) * images + mark, atol=1e-5)


def test_a_word_is_as_high_as_stated():
    for size in (14, 30, 60):
        _, _, damage = opacity({"kind": "text_watermark", "alpha": 1, "size": size, "angle": 0, "count": 1})
        rows = [d.any((1, 2)).sum() for d in damage]
        # A line is the height of its tallest and deepest letters; most words lack some of them.
        assert 0.3 * size < np.percentile(rows, 75) <= size + 1


def test_logos_repeat():
    _, _, damage = opacity({"kind": "logo_watermark", "size": 12, "spacing": 1.5, "alpha": 1})
    # In all four quarters of (nearly) every picture.
    quarters = damage.reshape(12, 2, 48, 2, 48).any((2, 4))
    assert quarters.all((1, 2)).mean() > 0.8


@pytest.mark.parametrize("channels", [1, 3])
def test_stains_only_take_light_away_and_damage_marks_where_they_do(channels):
    images = uniform_images(12, 64, 64, channels, low=0.2)
    image, damage = corrupted(images, {"kind": "stains"})
    kept = image / images
    assert kept.max() <= 1 + 1e-5 and image.min() >= 0
    stained = damage[..., 0] == 1
    assert kept[~stained].min() >= 0.98 - 1e-5 and np.all(kept[stained].min(-1) < 0.98)
    assert 0.02 < stained.mean() < 0.8
    if channels == 3:
        red, green, blue = kept[stained].mean(0)
        assert red > green > blue


# --- tones ---


def test_srgb_and_linear_light_are_inverses_and_meet_the_standards_values():
    x = np.linspace(0, 1, 1001, dtype=np.float32)
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(x)), x, atol=2e-6)
    np.testing.assert_allclose(
        srgb_to_linear(np.float32([0.0, 0.04, 0.5, 1.0])), [0, 0.04 / 12.92, 0.2140411, 1], atol=1e-6
    )


@pytest.mark.parametrize(
    ("there", "back", "low", "high"),
    [
        ({"kind": "exposure", "stops": -1.5}, {"kind": "exposure", "stops": 1.5}, 0.0, 1.0),
        ({"kind": "gamma", "gamma": 2.2}, {"kind": "gamma", "gamma": 1 / 2.2}, 0.0, 1.0),
        ({"kind": "contrast", "factor": 0.5}, {"kind": "contrast", "factor": 2}, 0.0, 1.0),
        ({"kind": "brightness", "offset": 0.2}, {"kind": "brightness", "offset": -0.2}, 0.0, 0.8),
        ({"kind": "saturation", "factor": 0.5}, {"kind": "saturation", "factor": 2}, 0.0, 1.0),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_a_tone_and_its_inverse_cancel(there, back, low, high):
    images = uniform_images(low=low, high=high)
    image, damage = corrupted(images, there, back)
    assert np.abs(corrupted(images, there)[0] - images).max() > 0.1
    np.testing.assert_allclose(image, images, atol=1e-5)
    assert not np.any(damage)


def test_exposure_multiplies_light_and_clips_at_white():
    images = uniform_images()
    light = srgb_to_linear(corrupted(images, {"kind": "exposure", "stops": 1})[0])
    np.testing.assert_allclose(light, np.minimum(2 * srgb_to_linear(images), 1), atol=1e-5)


def test_gamma_is_a_power_that_keeps_black_and_white():
    images = np.concatenate([uniform_images(1), np.zeros((1, 64, 64, 3)), np.ones((1, 64, 64, 3))])
    np.testing.assert_allclose(corrupted(images, {"kind": "gamma", "gamma": 1.7})[0], images**1.7, atol=1e-6)


def test_no_contrast_leaves_the_mean_grey():
    images = uniform_images()
    grey = (images @ np.array(LUMA)).mean((1, 2))[:, None, None, None]
    image = corrupted(images, {"kind": "contrast", "factor": 0})[0]
    np.testing.assert_allclose(image, np.broadcast_to(grey, image.shape), atol=1e-5)


def test_no_saturation_is_grey_and_keeps_the_luma():
    images = uniform_images()
    image = corrupted(images, {"kind": "saturation", "factor": 0})[0]
    np.testing.assert_allclose(image, np.repeat((images @ np.array(LUMA))[..., None], 3, -1), atol=1e-6)


def test_a_colour_cast_is_a_gain_for_each_channel_that_keeps_the_mean_luminance():
    images = uniform_images(high=0.5)
    image = corrupted(images, {"kind": "colour_cast", "strength": 0.5})[0]
    before, after = (np.asarray(srgb_to_linear(x)) for x in (images, image))
    gains = after / np.maximum(before, 1e-9)
    bright = before > 1e-3
    for i in range(4):
        for k in range(3):
            np.testing.assert_allclose(gains[i, ..., k][bright[i, ..., k]], gains[i, 0, 0, k], rtol=1e-3)
    assert np.ptp(gains[:, 0, 0], axis=1).max() > 0.1
    luminance = [(x @ np.array(LUMINANCE)).mean((1, 2)) for x in (before, after)]
    np.testing.assert_allclose(*luminance, rtol=1e-4)
