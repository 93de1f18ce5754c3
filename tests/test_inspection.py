"""The model of inspection and its calibration: contract, tiles, what evidence means, and what a threshold promises."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from contract import assert_config_round_trip, assert_saves_and_loads
from scipy import ndimage

import tfvae
from tfvae.applications import calibrate, fit_whole, inspect, regions
from tfvae.applications.inspection.calibrate import _usual
from tfvae.applications.inspection.inspect import Inspected, least_tile, peaks
from tfvae.metrics.conformal import p_values
from tfvae.models.inspector import LEAST, SOFT, SOURCES, WINDOW, suspicion, window_mean

USUAL = {
    "sources": {"damage": [-0.7, 0.5], "tone": [1.0, 0.4], "parts": [1.5, 0.3]},
    **{"alpha": 0.1, "threshold": 0.6, "scores": [0.1] * 9},
}


def inspector(channels=1, **options):
    keras.utils.set_random_seed(1)
    model = tfvae.Inspector(channels, (4, 4, 4), 2, blocks=1, seed=0, **options)
    rng = np.random.default_rng(2)
    for weight in model.trainable_variables:  # what starts at zero must not hide what it does once it is trained
        weight.assign_add(0.05 * rng.standard_normal(weight.shape).astype("float32"))
    fit_whole(model, pieces(12, channels=channels, seed=9))
    model.use(options.get("calibration"))
    return model


def pieces(count=2, height=40, width=32, channels=1, seed=0):
    return np.random.default_rng(seed).random((count, height, width, channels), dtype=np.float32)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_contract(channels, tmp_path):
    model = inspector(channels, calibration=USUAL)
    x = pieces(channels=channels)
    assert_config_round_trip(model)
    loaded = assert_saves_and_loads(model, tmp_path, x)
    for name, value in model.inspect(x).items():
        np.testing.assert_array_equal(loaded.inspect(x)[name], value)
    assert loaded.threshold == 0.6 and loaded.predict(x, verbose=0)["map"].shape == (2, 40, 32, 1)


def test_it_trains_and_every_weight_has_a_gradient():
    model, x = inspector(), pieces(4, 32, 32)
    with tf.GradientTape() as tape:
        loss, _, _ = model.loss_terms(x, training=True)
    gradients = tape.gradient(loss, model.trainable_variables)
    assert np.isfinite(loss) and all(g is not None and np.any(np.asarray(g)) for g in gradients)


def test_evidence_is_the_mean_damage_about_each_pixel_and_the_distances_of_the_whole_piece():
    model, x = inspector(3), pieces(1, 20, 28, channels=3)
    found = np.asarray(model.evidence(x)["evidence"])[0]
    damage = np.asarray(model.restore(x)["damage"])[0].astype(np.float64)
    # Sums over what lies within the picture, over the number of pixels that do.
    mean = ndimage.uniform_filter(damage, (WINDOW, WINDOW, 1), mode="constant")
    mean /= ndimage.uniform_filter(np.ones(damage.shape), (WINDOW, WINDOW, 1), mode="constant")
    np.testing.assert_allclose(found[..., 0], np.log(mean + LEAST)[..., 0], atol=2e-5)
    np.testing.assert_array_equal(found[..., 1:], np.asarray(model.whole_piece(x))[0])
    assert found.shape[-1] == len(SOURCES)


def test_the_map_sums_what_is_unlikely_and_the_score_is_its_maximum():
    model, x = inspector(calibration=USUAL), pieces()
    evidence = np.asarray(model.evidence(x)["evidence"])
    unlikely = sum(
        np.exp((evidence[..., SOURCES.index(name)] - centre) / spread)
        for name, (centre, spread) in USUAL["sources"].items()
    )
    deviation = np.log(unlikely)
    out = model.inspect(x)
    np.testing.assert_allclose(out["map"][..., 0], 0.5 + deviation / (2 * (SOFT + np.abs(deviation))), atol=1e-6)
    np.testing.assert_array_equal(out["score"][:, 0], np.max(out["map"], axis=(1, 2, 3)))
    np.testing.assert_array_equal(model.failing(out), np.asarray(out["score"])[:, 0] > 0.6)
    assert inspector().failing(out) is None
    rising = np.asarray(suspicion(np.linspace(-50, 1e3, 10_000, dtype=np.float32)))
    assert np.all(np.diff(rising) > 0) and rising[0] > 0 and rising[-1] < 1


def test_windows_at_the_border_average_what_is_there():
    ones = tf.ones((1, 10, 7, 1))
    for side in (3, 9, 33):
        np.testing.assert_allclose(window_mean(ones, side), ones, atol=1e-6)


def test_tiles_equal_the_whole():
    model = inspector(calibration=USUAL)
    image = pieces(1, 250, 333, seed=3)[0]
    whole = inspect(model, image, tile=400)
    tile = least_tile(model) + 40
    parts: list[tuple[int, int]] = []
    tiled = inspect(model, image, tile, lambda done, of: parts.append((done, of)))
    assert len(parts) > 2 and parts[-1][0] == parts[-1][1]
    np.testing.assert_allclose(tiled.map, whole.map, atol=1e-5)
    assert whole.map.shape == (250, 333) and abs(tiled.score - whole.map.max()) < 1e-5
    np.testing.assert_allclose(peaks(model, image, tile), peaks(model, image, 400), atol=2e-5)


def test_a_picture_has_a_region_exactly_when_it_fails():
    found = Inspected(np.zeros((9, 12), np.float32), 0.9)
    found.map[2:4, 3:8] = 0.8
    found.map[4, 8] = 0.7  # touches the corner: one region
    found.map[7, 0] = 0.9
    first, second = regions(found, 0.6)
    assert (first.box, first.area, round(first.score, 3)) == ((0, 7, 1, 1), 1, 0.9)
    assert (second.box, second.area, second.mask.shape) == ((3, 2, 6, 3), 11, (3, 6))
    assert len(regions(found, 0.85)) == 1 and regions(found, 0.9) == []


# --- calibration ---


def test_calibration_gives_the_threshold_of_the_scores_that_it_keeps():
    model = inspector(alpha=0.2)
    good = list(pieces(14, 24, 24))
    found = calibrate(model, good[:5], good[5:], seed=3)
    assert found == model.calibration == json.loads(json.dumps(found))
    scores = [inspect(model, piece).score for piece in good[5:]]
    assert found["scores"] == sorted(scores)
    assert np.sum(np.array(scores) > model.threshold) == 1  # floor(0.2 * 10) - 1 of those it was made of
    assert all((p_values(np.array(scores), s) <= 0.2) == (s > model.threshold) for s in (*scores, 0.0, 1.0))
    largest = np.array([peaks(model, piece) for piece in good[:5]])
    for name, (centre, spread) in found["sources"].items():
        column = largest[:, SOURCES.index(name)]
        assert centre == np.median(column)
        assert spread == pytest.approx(max(0.05, 1.4826 * np.median(np.abs(column - centre))))
    assert tuple(found["sources"]) == SOURCES and 0.0 <= found["synthetic_auroc"] <= 1.0
    again = inspector(alpha=0.2)
    assert calibrate(again, good[:5], good[5:], seed=3) == found


@pytest.mark.slow
def test_the_score_does_not_depend_on_what_was_calibrated_before():
    model, good = inspector(alpha=0.2), list(pieces(12, 16, 16))
    calibrate(model, good[:3], good[3:])
    before = inspect(model, good[0]).score
    calibrate(model, [np.full((16, 16, 1), 0.5, np.float32)] * 3, good[3:])
    assert inspect(model, good[0]).score != before
    calibrate(model, good[:3], good[3:])
    assert inspect(model, good[0]).score == before


def test_a_defect_that_one_source_sees_is_told_though_the_others_see_none():
    model, rng = inspector(), np.random.default_rng(4)
    good = rng.normal(size=(200, 3))
    for column in range(3):
        damaged = rng.normal(size=(200, 3))
        assert 0.4 < _usual(model, good, damaged)["synthetic_auroc"] < 0.6
        damaged[:, column] += 6
        assert _usual(model, good, damaged)["synthetic_auroc"] > 0.99
    assert _usual(model, good, damaged[:0])["synthetic_auroc"] is None


def test_a_model_that_knows_no_whole_pieces_uses_the_damage_alone():
    model, good = tfvae.Inspector(1, (4, 4, 4), 2, blocks=1, seed=0, alpha=0.2), list(pieces(8, 16, 16))
    found = calibrate(model, good[:4], good[4:])
    assert list(found["sources"]) == ["damage"]
    fit_whole(model, good)
    assert model.calibration is None and model.sources == SOURCES


def test_what_cannot_be_calibrated_is_one_clear_line():
    model, good = inspector(), list(pieces(6, 16, 16))
    with pytest.raises(ValueError, match=r"`alpha` of 0\.05 takes 19 or more good pieces"):
        calibrate(model, good, good)
    with pytest.raises(ValueError, match="`normal` must hold good pieces"):
        calibrate(model, [], good, alpha=0.5)
    with pytest.raises(ValueError, match=r"`image` must be \(height, width, 1\)"):
        inspect(model, np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=r"two good pieces or more\. Received: 1"):
        fit_whole(model, good[:1])
    with pytest.raises(ValueError, match="`alpha` must be between 0 and 1"):
        tfvae.Inspector(1, (4, 4, 4), 2, alpha=1.5)
