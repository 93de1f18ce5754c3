"""Measures of inspection beside scikit-learn and direct computation; conformal calibration by enumeration and draws."""

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from scipy import ndimage, stats
from sklearn import metrics as sklearn_metrics

from tfvae.metrics import aupro, auroc, best_f1, bootstrap_interval, share_above
from tfvae.metrics.conformal import guaranteed_rate, least_pieces, p_values, threshold


def scores_with_ties(count=200, seed=0):
    rng = np.random.default_rng(seed)
    wrong = rng.random(count) < 0.3
    return wrong, np.round(rng.normal(size=count) + wrong, 1)


def test_auroc_is_scikit_learns_and_the_share_of_pairs_in_order():
    wrong, scores = scores_with_ties()
    pairs = scores[wrong][:, None] - scores[~wrong][None]
    np.testing.assert_allclose(auroc(wrong, scores), np.mean(pairs > 0) + np.mean(pairs == 0) / 2, rtol=1e-12)
    np.testing.assert_allclose(auroc(wrong, scores), sklearn_metrics.roc_auc_score(wrong, scores), rtol=1e-12)
    masks, maps = wrong.reshape(4, 10, 5), scores.reshape(4, 10, 5)
    assert auroc(masks, maps) == auroc(wrong, scores)  # of pixels
    np.testing.assert_allclose(auroc(~wrong, -scores), auroc(wrong, scores), rtol=1e-12)


def test_best_f1_is_the_best_over_all_thresholds():
    wrong, scores = scores_with_ties()
    reached = {t: sklearn_metrics.f1_score(wrong, scores >= t) for t in np.unique(scores)}
    best, at = best_f1(wrong, scores)
    np.testing.assert_allclose([best, reached[at]], [max(reached.values())] * 2, rtol=1e-12)


@pytest.mark.parametrize("most_false", [0.05, 0.3, 1.0])
def test_aupro_is_the_integral_of_the_mean_overlap_over_all_thresholds(most_false):
    rng = np.random.default_rng(1)
    masks = np.zeros((3, 12, 9), bool)
    masks[0, 1:4, 2:5] = masks[0, 8:, 6:] = masks[1, 5, 5] = True  # three regions of unequal sizes
    maps = np.round(rng.random(masks.shape) + 0.5 * masks, 2)
    regions = [(i, ndimage.label(mask, np.ones((3, 3)))) for i, mask in enumerate(masks)]
    curve = [(0.0, 0.0)]
    for t in np.unique(maps)[::-1]:
        overlaps = [np.mean(maps[i][part == k] >= t) for i, (part, n) in regions for k in range(1, n + 1)]
        curve.append((np.mean(maps[~masks] >= t), np.mean(overlaps)))
    false, overlap = np.array(curve).T
    grid = np.linspace(0, most_false, 200_001)
    expected = np.trapezoid(np.interp(grid, false, overlap), grid) / most_false
    np.testing.assert_allclose(aupro(masks, maps, most_false), expected, atol=2e-4)  # vertical steps on the grid
    assert aupro(masks, masks.astype(float), most_false) > 1 - 1e-12


def test_overlap_of_one_region_a_picture_is_the_rate_found():
    """With one pixel of defect in each picture the overlap is the true-positive rate: AUPRO up to 1 is the AUROC."""
    rng = np.random.default_rng(2)
    masks = np.zeros((20, 6, 6), bool)
    masks[np.arange(20), rng.integers(6, size=20), rng.integers(6, size=20)] = True
    maps = rng.random(masks.shape) + 0.3 * masks
    np.testing.assert_allclose(aupro(masks, maps, 1.0), auroc(masks, maps), rtol=1e-12)


def test_bootstrap_interval_covers_the_truth_as_often_as_it_says():
    """Two normals a standard deviation apart have AUROC Phi(1 / sqrt(2)); 40 intervals of 90 % miss about four."""
    truth, rng = stats.norm.cdf(1 / np.sqrt(2)), np.random.default_rng(3)
    wrong = np.repeat([False, True], 60)
    missed = 0
    for seed in range(40):
        low, high = bootstrap_interval(auroc, wrong, rng.normal(size=120) + wrong, 100, 0.9, seed)
        missed += not low <= truth <= high
    assert missed <= stats.binom.ppf(0.999, 40, 0.13)  # the percentile interval is a little too narrow


@pytest.mark.parametrize("function", [auroc, best_f1])
def test_what_is_of_one_kind_or_no_number_is_refused(function):
    with pytest.raises(ValueError, match="good and wrong"):
        function(np.zeros(3), np.arange(3))
    with pytest.raises(ValueError, match="NaN"):
        function(np.array([0, 1]), np.array([0.0, np.nan]))
    with pytest.raises(ValueError, match="shape"):
        function(np.zeros(3), np.arange(4))


# --- conformal calibration ---


@pytest.mark.parametrize("scores", [(1, 2, 3, 4, 5, 6), (1, 1, 2, 2, 2, 3)], ids=["distinct", "ties"])
@pytest.mark.parametrize("alpha", [0.17, 0.34, 0.5, 0.9])
def test_the_guarantee_holds_over_all_orders_of_the_pieces(scores, alpha):
    """Whichever of the six pieces is the new one, all orders alike: exactly k / (n + 1) alarms, fewer with ties."""
    alarms = [threshold(order[:-1], alpha) < order[-1] for order in permutations(scores)]
    rate = Fraction(int(np.sum(alarms)), len(alarms))
    assert rate <= Fraction(guaranteed_rate(5, alpha)).limit_denominator(100) <= Fraction(alpha)
    if len(set(scores)) == 6:
        assert rate == Fraction(guaranteed_rate(5, alpha)).limit_denominator(100)


def test_the_threshold_and_the_p_value_decide_alike():
    rng = np.random.default_rng(4)
    for count in (19, 20, 37, 99):
        calibration = np.round(rng.normal(size=count), 1)
        new = np.append(np.round(rng.normal(size=300), 1), calibration)
        for alpha in (0.05, 0.1, 0.29, 0.5):
            above = new > threshold(calibration, alpha)
            np.testing.assert_array_equal(above, p_values(calibration, new) <= alpha + 1e-12)
    assert guaranteed_rate(99, 0.29) == 0.29  # 0.29 * 100 is 28.999999999999996


def test_p_values_count_the_pieces_that_are_as_suspicious():
    np.testing.assert_allclose(p_values(np.array([1.0, 2.0, 2.0, 5.0]), np.array([0, 2, 3, 9])), [1, 0.8, 0.4, 0.2])


def test_false_alarms_over_200_splits_are_as_many_as_admitted():
    """One new piece a split: binomial with 200 draws at 0.05. And the mean rate of large sets of new pieces."""
    rng, alpha, splits, count, fresh = np.random.default_rng(5), 0.05, 200, 99, 400
    rates, single = [], 0
    for _ in range(splits):
        pieces = rng.permutation(np.exp(rng.normal(size=count + fresh)))  # any distribution does
        limit = threshold(pieces[:count], alpha)
        rates.append(share_above(pieces[count:], limit))
        single += int(pieces[count] > limit)
    low, high = stats.binom.interval(0.999, splits, alpha)
    assert low <= single <= high
    # Given the split, the rate is Beta(k, n + 1 - k) distributed; the fresh pieces add their binomial share.
    k = alpha * (count + 1)
    variance = stats.beta.var(k, count + 1 - k) + alpha * (1 - alpha) / fresh
    assert abs(np.mean(rates) - alpha) < 4 * np.sqrt(variance / splits)


def test_too_few_good_pieces_are_said_to_be_so():
    assert [least_pieces(alpha) for alpha in (0.5, 0.1, 0.05, 0.01)] == [1, 9, 19, 99]
    threshold(np.arange(19), 0.05)
    with pytest.raises(ValueError, match=r"`alpha` of 0\.05 takes 19 or more good pieces .* Received: 18"):
        threshold(np.arange(18), 0.05)
    for alpha in (0.0, 1.0, -0.1, np.nan):
        with pytest.raises(ValueError, match="`alpha` must be between 0 and 1"):
            least_pieces(alpha)
