"""Steady films: the filter's own mathematics where nothing moves; no ghost of what moved; a cut begins anew."""

import numpy as np
import pytest

from tfvae.applications.video.steady import STRENGTH, Motion, flicker_error, steady, warp

pytest.importorskip("cv2")
SIZE = (64, 80)


def scene(seed=0, size=SIZE):
    """A smooth random picture with something to follow everywhere, float32 in [0.2, 0.8]."""
    import cv2

    noise = np.random.default_rng(seed).standard_normal((size[0], size[1], 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    low, high = smooth.min(), smooth.max()
    return 0.2 + 0.6 * (smooth - low) / (high - low)


def noisy(seed=1, std=0.05):
    rng = np.random.default_rng(seed)
    return lambda frame: frame + rng.normal(0, std, frame.shape).astype(np.float32)


def test_a_function_without_errors_is_left_alone_where_nothing_moves():
    still = [scene()] * 4
    for frame in steady(still, lambda frame: 1 - frame):
        np.testing.assert_allclose(frame, 1 - still[0], atol=1e-6)


@pytest.mark.parametrize("strength", [0.5, STRENGTH])
def test_independent_errors_fall_as_the_filter_says(strength):
    picture, std = scene(), 0.05
    frames = [picture] * 60
    plain = list(steady(frames, noisy(std=std), strength=0))
    out = list(steady(frames, noisy(std=std), strength=strength))
    variance = np.mean([np.square(frame - picture).mean() for frame in out[30:]])  # strength**60 of the start is left
    values = out[0].size * 30 * (1 - strength) / (1 + strength)  # that are independent
    expected = std**2 * (1 - strength) / (1 + strength)
    assert variance == pytest.approx(expected, rel=5 * np.sqrt(2 / values))
    ratio = flicker_error(frames[30:], out[30:]) / flicker_error(frames[30:], plain[30:])
    assert ratio == pytest.approx((1 - strength) ** 2 / (1 + strength), rel=0.05)


def test_strength_0_is_the_function_frame_by_frame():
    frames = [np.roll(scene(), shift, axis=1) for shift in range(4)]
    for frame, out in zip(frames, steady(frames, np.square, strength=0), strict=True):
        np.testing.assert_array_equal(out, np.square(frame))
    with pytest.raises(ValueError, match="strength=1"):
        next(steady(frames, np.square, strength=1))


def test_the_flow_of_a_scene_that_moves_is_its_motion():
    wide = scene(size=(64, 120))
    motion = Motion()
    assert motion.to(wide[:, 10:90]) is None
    flow, explained = motion.to(wide[:, 13:93])  # the camera went right: what is here was 3 pixels further right
    inner = (slice(8, -8), slice(8, -12))
    np.testing.assert_allclose(np.median(flow[inner].reshape(-1, 2), axis=0), (3, 0), atol=0.1)
    assert explained[inner].mean() > 0.95
    assert not explained[:, -2:].any()  # it came from beyond the border
    moved = warp(wide[:, 10:90], flow)
    assert np.abs(moved - wide[:, 13:93])[inner].mean() < 0.01


def rectangle(place, background):
    frame = background.copy()
    frame[20:44, place : place + 20] = (0.95, 0.1, 0.1)
    return frame


def test_a_moving_rectangle_leaves_no_ghost():
    background = scene()
    frames = [rectangle(place, background) for place in range(4, 52, 4)]
    out = list(steady(frames, lambda frame: frame))
    for frame, shown in zip(frames, out, strict=True):
        # The ghost of a plain running average would be three quarters of the rectangle's contrast, about 0.5.
        assert np.abs(shown - frame).mean() < 0.01
    uncovered = out[-1][22:42, 20:40] - background[22:42, 20:40]
    assert np.abs(uncovered).max() < 0.08


def test_a_cut_begins_anew():
    before, after = scene(0), scene(1)
    frames = [before] * 3 + [after] * 3
    first, *rest = list(steady(frames, lambda frame: frame))[3:]
    np.testing.assert_array_equal(first, after)
    np.testing.assert_allclose(rest[-1], after, atol=1e-6)


def test_frames_are_taken_one_at_a_time():
    taken = []

    def frames():
        for place in range(100):
            taken.append(place)
            yield scene()

    film = steady(frames(), lambda frame: frame)
    next(film), next(film)
    assert taken == [0, 1]


def test_flicker_is_none_of_the_motion_and_all_of_the_noise():
    wide = scene(size=(64, 140))
    frames = [wide[:, 4 * place : 4 * place + 80] for place in range(6)]
    assert flicker_error(frames, frames) < 1e-4
    rng = np.random.default_rng(0)
    noise = [0.05 * rng.standard_normal(frame.shape).astype(np.float32) for frame in frames]
    still = [frames[0]] * 6
    flicker = flicker_error(still, [frame + error for frame, error in zip(still, noise, strict=True)])
    # Two independent errors: twice the variance, measured over 5 pairs of frames.
    assert flicker == pytest.approx(2 * 0.05**2, rel=0.05)
    with pytest.raises(ValueError):
        flicker_error(frames, frames[:-1])
