"""The calibration of restorations: errors as large as they were said to be, samples as far off as the truth."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage, stats

from tfvae.applications import Restored, calibrate_uncertainty, measure_uncertainty, noise_level, restore
from tfvae.applications.restoration.uncertainty import _log_quadratic, amplitudes
from tfvae.layers.starlet import RADIUS, frequency_responses, shaped, starlet
from tfvae.layers.variance_function import standard_deviation
from tfvae.metrics import calibration_curve, coverage, expected_calibration_error
from tfvae.metrics.uncertainty import LEVELS
from tfvae.models.enhancer import Enhancer
from tfvae.models.restorer import Restorer

RNG = np.random.default_rng(0)
ERRORS = RNG.standard_normal(200_000)


def test_normal_errors_are_covered_as_often_as_the_normal_distribution_says():
    expected = stats.norm.cdf(2) - stats.norm.cdf(-2)
    standard_error = (expected * (1 - expected) / ERRORS.size) ** 0.5
    assert abs(coverage(0.3 * ERRORS, np.full(ERRORS.shape, 0.3)) - expected) < 5 * standard_error
    assert coverage(ERRORS, 1.0, width=0.0) == 0.0
    assert coverage(np.zeros(3), np.zeros(3)) == 1.0


def test_the_calibration_error_is_that_of_the_interval_probabilities():
    standard_error = 0.5 / ERRORS.size**0.5
    assert expected_calibration_error(ERRORS, 1.0) < 5 * standard_error
    # Twice the standard deviation: the interval of probability p holds as many as one twice as wide.
    held = 2 * stats.norm.cdf(2 * stats.norm.ppf(0.5 + LEVELS / 2)) - 1
    assert abs(expected_calibration_error(ERRORS, 2.0) - np.mean(held - LEVELS)) < 5 * standard_error
    assert expected_calibration_error(np.zeros(10), 0.0) == pytest.approx(np.mean(1 - LEVELS))


def test_the_curve_has_each_error_in_the_bin_of_its_prediction():
    std = np.repeat([0.1, 0.2, 0.4], 1000)
    predicted, measured, count = calibration_curve(0.5 * std, std, bins=3)
    np.testing.assert_allclose(predicted, [0.1, 0.2, 0.4])
    np.testing.assert_allclose(measured, [0.05, 0.1, 0.2])
    np.testing.assert_array_equal(count, 1000)
    predicted, _, count = calibration_curve(ERRORS, np.full(ERRORS.shape, 0.7))
    np.testing.assert_allclose(predicted, [0.7])
    assert count == [ERRORS.size]


def test_a_negative_standard_deviation_is_refused():
    for call in (coverage, expected_calibration_error, calibration_curve):
        with pytest.raises(ValueError, match="`std` must not be negative"):
            call(np.ones(2), np.array([1.0, -1.0]))


def test_the_bands_add_up_and_a_pixel_reaches_as_far_as_the_radius():
    x = RNG.random((2, 17, 90, 3)).astype("float32")
    np.testing.assert_allclose(sum(np.asarray(band) for band in starlet(x)), x, atol=1e-6)
    pixel = np.zeros((1, 128, 128, 1), "float32")
    pixel[0, 64, 64] = 1.0
    responses = np.abs(np.fft.fft2(np.stack([np.asarray(band)[0, ..., 0] for band in starlet(pixel)])))
    np.testing.assert_allclose(frequency_responses(128), responses, atol=1e-5)
    impulse = np.zeros((1, 1, 4 * RADIUS, 1), "float32")
    impulse[0, 0, 2 * RADIUS] = 1.0
    reached = np.flatnonzero(np.any([np.asarray(band)[0, 0, :, 0] for band in starlet(impulse)], axis=0))
    assert (reached.min(), reached.max()) == (RADIUS, 3 * RADIUS)


def test_noise_with_equal_matrices_stays_white():
    noise = RNG.standard_normal((1, 20, 30, 3)).astype("float32")
    matrix = RNG.standard_normal((3, 3))
    np.testing.assert_allclose(shaped(noise, np.tile(matrix, (5, 1, 1))), noise @ matrix.T, atol=1e-4)


def test_shaped_noise_is_like_the_errors_that_its_matrices_were_fitted_to():
    mixing = np.array([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.5, 0.5, 0.7]])

    def errors(rng):
        blurred = ndimage.gaussian_filter(rng.standard_normal((128, 128, 3)), (1.5, 1.5, 0), mode="wrap") @ mixing.T
        return blurred / blurred.std()

    holes = [RNG.random((128, 128, 1)) < 0.7 for _ in range(8)]
    found = amplitudes([errors(RNG) * one for one in holes], holes)
    fresh, theirs = (RNG.standard_normal((8, 128, 128, 3)).astype("float32"), np.stack([errors(RNG) for _ in holes]))
    drawn = np.asarray(shaped(fresh, found))
    np.testing.assert_allclose(np.mean(drawn**2), 1.0, rtol=0.05)
    for one, other in zip(starlet(drawn), starlet(theirs.astype("float32")), strict=True):
        ours, real = (np.einsum("bhwc,bhwd->cd", band, band) for band in (np.asarray(one), np.asarray(other)))
        assert np.linalg.norm(ours - real) < 0.5 * np.linalg.norm(real)  # less than 2 dB
    # The control: white noise is far from them.
    white, real = (np.mean(np.square(starlet(each)[0])) for each in (fresh, theirs.astype("float32")))
    assert white > 5 * real


def identity(std, mask="none", channels=3, cls=Restorer, **options):
    """A new restorer returns what it is given: its error is the noise, of a standard deviation that is known."""
    keras.utils.set_random_seed(3)
    corruptions = [{"kind": "gaussian", "std": std}]
    return cls(channels, (4, 4, 4), 2, blocks=1, mask=mask, corruptions=corruptions, seed=0, **options)


def greys(count=4, side=64, channels=3):
    """Pictures far from black and white, where noise is not cut off."""
    return [0.4 + 0.2 * RNG.random((side, side, channels), np.float32) for _ in range(count)]


def test_calibration_finds_the_error_of_a_model_whose_error_is_known():
    model = identity(0.1)
    before = measure_uncertainty(model, greys(), seed=1)
    table = calibrate_uncertainty(model, greys())
    after = measure_uncertainty(model, greys(), seed=2)
    assert after["std"] == pytest.approx(0.1, rel=0.02) and after["rmse"] == pytest.approx(0.1, rel=0.02)
    assert abs(after["coverage"] - 0.9545) < 0.01 and after["calibration_error"] < 0.01
    # A draw from a normal posterior has twice the squared error of its mean: 3.01 dB.
    assert after["estimate_psnr"] - after["sample_psnr"] == pytest.approx(10 * np.log10(2), abs=0.1)
    assert after["estimate_psnr"] == pytest.approx(-20 * np.log10(0.1), abs=0.1)
    # The noise is white, and independent in the channels.
    np.testing.assert_allclose(table["amplitudes"], np.tile(np.eye(3), (5, 1, 1)), atol=0.4)
    np.testing.assert_allclose(table["amplitudes"][:2], np.tile(np.eye(3), (2, 1, 1)), atol=0.1)
    # The control: before, the network's own guess is wrong.
    assert before["calibration_error"] > 0.1 and abs(before["std"] / 0.1 - 1) > 0.2


def test_a_calibrated_standard_deviation_is_monotone_in_its_index_and_proportional_beyond_the_knots():
    first, second = np.linspace(-6, 0, 50).astype("float32"), RNG.random(50).astype("float32")
    knots, values = [-4.0, -3.0, -1.0], [-5.0, -4.5, -1.5]
    table = {"centre": [1.0, 0.5], "scale": [1.0, 2.0], "weights": [1.0, 0.5], "products": np.zeros((2, 2))}
    found = standard_deviation(np.stack([first, second], axis=-1), {**table, "knots": knots, "log_error": values})
    index = first - 1.0 + 0.5 * (second - 0.5) / 2.0
    expected = np.interp(index, knots, values) + np.minimum(index + 4.0, 0) + np.maximum(index + 1.0, 0)
    np.testing.assert_allclose(np.log(found), expected, atol=1e-5)


def test_products_of_predictors_are_told_and_grow_no_more_beyond_what_was_calibrated_on():
    predictors = RNG.standard_normal((100_000, 2))
    log_std = -3.0 + 0.2 * predictors[:, 0] + 0.3 * predictors[:, 0] * predictors[:, 1]
    function, index = _log_quadratic(ERRORS[:100_000] * np.exp(log_std), predictors)
    assert np.corrcoef(index, log_std)[0, 1] > 0.999
    # The graph computes the same from the table.
    table = {**function, "knots": [0.0], "log_error": [0.0]}
    np.testing.assert_allclose(np.log(standard_deviation(predictors.astype("float32"), table)), index, atol=1e-4)
    far = np.array([[3.5, 3.5], [35.0, 35.0]], "float32")
    (near, beyond), (weight, _) = np.log(standard_deviation(far, table)), function["weights"]
    assert beyond - near == pytest.approx(31.5 * (sum(function["weights"])), rel=0.05) and weight > 0.1


def test_a_calibration_of_an_earlier_version_is_left_out_with_a_warning():
    with pytest.warns(UserWarning, match="of an earlier version"):
        model = identity(0.05, uncertainty={"weights": [1.0], "knots": [0.0], "log_error": [0.0], "amplitudes": None})
    assert model.uncertainty is None


def test_what_is_known_is_not_calibrated_on():
    keras.utils.set_random_seed(3)
    holes = [{"kind": "random_pixels", "fraction": 0.5}]
    model = Restorer(1, (4, 4, 4), 2, blocks=1, mask="given", corruptions=holes, seed=0)
    flat = [np.tile(RNG.random((64, 1, 1), np.float32), (1, 64, 1)) for _ in range(4)]
    calibrate_uncertainty(model, flat)
    found = measure_uncertainty(model, flat, seed=1)
    assert 0.9 < found["coverage"] < 1 and found["std"] == pytest.approx(found["rmse"], rel=0.2)


def test_calibration_is_saved_and_is_the_same_in_tiles(tmp_path):
    model = identity(0.05)
    calibrate_uncertainty(model, greys(2))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.uncertainty == model.uncertainty
    (image,) = greys(1, 120)
    whole = restore(model, image, samples=1)
    tiled = restore(loaded, image, samples=1, tile=2 * model.margin + 8)
    np.testing.assert_allclose(tiled.samples[0], whole.samples[0], atol=2e-5)
    np.testing.assert_allclose(tiled.std, whole.std, atol=1e-3)  # float16
    error = (whole.samples[0] - whole.image).std()
    assert error == pytest.approx(0.05, rel=0.15)


def test_an_enhancer_gets_a_standard_deviation_of_its_error():
    keras.utils.set_random_seed(3)
    model = Enhancer(3, (4, 4, 4), 2, network="conv", hidden=8, corruptions=[{"kind": "gamma", "gamma": 0.7}], seed=0)
    pictures = [RNG.random((32, 32, 3), np.float32) for _ in range(4)]
    assert calibrate_uncertainty(model, pictures)["amplitudes"] is None
    found = measure_uncertainty(model, pictures, seed=1)
    assert found["std"] == pytest.approx(found["rmse"], rel=0.05)


def test_the_noise_of_a_picture_is_what_was_taken_out_and_what_is_left():
    model = identity(0.1)  # it takes nothing out, and its calibration says how much that is
    calibrate_uncertainty(model, greys())
    (image,) = greys(1, 96)
    noisy = np.clip(image + 0.1 * RNG.standard_normal(image.shape), 0, 1).astype("float32")
    assert noise_level(noisy, restore(model, noisy)) == pytest.approx(0.1, rel=0.03)
    # A perfect estimate: all of it is in what was taken out.
    perfect = Restored(image, np.zeros(image.shape, np.float16))
    assert noise_level(noisy, perfect) == pytest.approx(np.std(noisy - image), rel=1e-3)
    with pytest.raises(ValueError, match="`uncertainty=True`"):
        noise_level(noisy, restore(model, noisy, uncertainty=False))


def test_no_pictures_are_no_calibration():
    with pytest.raises(ValueError, match="`images` must hold pictures"):
        calibrate_uncertainty(identity(0.05), [])
    assert tf.is_tensor(identity(0.05).restore(greys(1)[0][None])["std"])
