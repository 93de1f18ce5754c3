"""MIG and DCI: 1 for codes that are the factors, about 0 for noise, lower for mixtures, blind to the order of units."""

import numpy as np
import pytest

from tfvae.data.shapes import all_factors
from tfvae.metrics.disentanglement import dci, discretised, disentanglement, mig, mutual_information

GRID = {"a": 3, "b": 4, "c": 5}


@pytest.fixture(scope="module")
def factors():
    return np.tile(all_factors(GRID), (6, 1))  # 360 images


@pytest.fixture(scope="module")
def perfect(factors):
    """Each factor in a unit of its own, moved and scaled, and two units of faint noise."""
    noise = 0.05 * np.random.default_rng(0).standard_normal((len(factors), 2))
    return np.column_stack([noise[:, 0], 3 * factors[:, 2] - 1, -factors[:, 0], noise[:, 1], 0.1 * factors[:, 1]])


@pytest.fixture(scope="module")
def mixed(perfect):
    """The same information, turned at random in the space of all units."""
    standard = (perfect - perfect.mean(0)) / perfect.std(0)
    turn, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((5, 5)))
    return standard @ turn


def noise_codes(count, units=6):
    return np.random.default_rng(2).standard_normal((count, units))


def test_mutual_information_is_that_of_scikit_learn(factors):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 7, (len(factors), 4)) + factors[:, :1]
    got = mutual_information(codes, factors)
    for row in range(4):
        for column in range(3):
            expected = metrics.mutual_info_score(codes[:, row], factors[:, column])
            assert got[row, column] == pytest.approx(expected, abs=1e-12)


def test_codes_are_cut_into_equal_steps_of_their_own_range():
    codes = np.array([[0.0, 5.0, 7.0], [0.24, 5.0, -1.0], [0.26, 5.0, 3.0], [1.0, 5.0, 2.9]])
    np.testing.assert_array_equal(discretised(codes, 4), [[0, 0, 3], [0, 0, 0], [1, 0, 2], [3, 0, 1]])
    np.testing.assert_array_equal(discretised(-10 * codes[:, :1] + 3, 4)[:, 0], [3, 3, 2, 0])


def test_codes_that_are_the_factors_have_a_mig_of_one(factors):
    assert mig(factors.astype(float), factors) == pytest.approx(1.0, abs=1e-12)
    assert mig(factors[:, :1].astype(float), factors[:, :1]) == pytest.approx(1.0)  # a code of one unit


def test_perfect_codes_beside_noise_have_nearly_all_the_mig(factors, perfect):
    """What the noise tells by chance is at most the bias of the plug-in estimate, (bins-1)(values-1)/2n nats a pair."""
    bias = np.mean([19 * (m - 1) / (2 * len(factors)) / np.log(m) for m in GRID.values()])
    assert 1 - 2 * bias < mig(perfect, factors) < 1


def test_noise_has_no_mig(factors):
    assert 0 <= mig(noise_codes(len(factors)), factors) < 0.03


def test_two_units_that_tell_the_same_have_no_gap(factors):
    assert mig(np.column_stack([factors, 2 * factors]), factors) == pytest.approx(0, abs=1e-12)


def test_a_known_gap_is_its_closed_form():
    """A unit that tells a fair factor of 4 wholly, another that tells half of its two bits: the gap is 1/2."""
    factor = np.tile(np.arange(4), 50)
    codes = np.column_stack([factor, factor // 2])
    assert mig(codes, factor[:, None]) == pytest.approx(0.5, abs=1e-12)


def test_a_mixture_of_the_factors_lowers_mig_and_dci(factors, perfect, mixed):
    assert mig(mixed, factors) < 0.5 * mig(perfect, factors)
    before, after = dci(perfect, factors), dci(mixed, factors)
    assert after.disentanglement < 0.7 * before.disentanglement
    assert after.completeness < 0.7 * before.completeness


def test_perfect_codes_have_a_dci_of_one(factors, perfect):
    result = dci(perfect, factors)
    assert result.disentanglement > 0.99 and result.completeness > 0.99 and result.informativeness == 1.0
    np.testing.assert_array_equal(result.importance.argmax(axis=0), [2, 4, 1])  # a, b and c are where they were put
    np.testing.assert_allclose(result.importance.sum(axis=0), 1.0)


def test_noise_has_a_dci_near_zero_and_guesses(factors):
    result = dci(noise_codes(len(factors)), factors)
    assert result.disentanglement < 0.1 and result.completeness < 0.1
    chance = np.mean([1 / m for m in GRID.values()])
    error = 0.5 / np.sqrt(3 * len(result.right))  # of a share, at most, over three factors
    assert abs(result.informativeness - chance) < 4 * error


def test_the_order_sign_and_scale_of_units_do_not_matter(factors, mixed):
    order = np.array([3, 0, 4, 1, 2])
    other = mixed[:, order] * np.array([-1, 2, -0.5, 10, 1])
    # A point on the border of a step may fall to its other side when the unit is turned around.
    assert mig(other, factors) == pytest.approx(mig(mixed, factors), abs=0.02)
    assert mig(mixed[:, order], factors) == mig(mixed, factors)
    straight, permuted = dci(mixed, factors), dci(mixed[:, order], factors)
    assert permuted.disentanglement == pytest.approx(straight.disentanglement, abs=0.03)
    np.testing.assert_allclose(permuted.importance, straight.importance[order], atol=0.05)


def test_disentanglement_of_an_importance_is_its_closed_form():
    assert disentanglement(np.eye(4)) == pytest.approx(1.0)
    assert disentanglement(np.ones((5, 4))) == pytest.approx(0.0)
    assert disentanglement(np.zeros((3, 2))) == 0.0
    # Rows of weight 3 and 1; the first in one column, the second in two equal ones of four: 1 - log 2 / log 4.
    importance = np.array([[3.0, 0, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0, 0]])
    assert disentanglement(importance) == pytest.approx(0.75 * 1 + 0.25 * 0.5)


def test_one_unit_for_all_factors_is_complete_and_not_disentangled():
    importance = np.zeros((3, 4))
    importance[1] = 0.25
    assert disentanglement(importance) == pytest.approx(0.0)
    assert disentanglement(importance.T) == pytest.approx(1.0)


def test_a_factor_that_does_not_vary_is_left_aside(factors):
    codes = factors[:, :2].astype(float)
    beside = np.column_stack([factors[:, :2], np.full(len(factors), 7)])
    assert mig(codes, beside) == mig(codes, factors[:, :2])
    assert dci(codes, beside).importance.shape == (2, 2)
    with pytest.raises(ValueError, match=r"`factors` must vary"):
        mig(codes, beside[:, 2:])


def test_codes_and_factors_that_do_not_belong_together_are_refused(factors):
    codes = factors.astype(float)
    for wrong in (codes[:5], codes[0], np.where(codes == 1, np.nan, codes)):
        with pytest.raises(ValueError, match=r"`codes`.*Received"):
            mig(wrong, factors)
    with pytest.raises(ValueError, match="at least 3 images"):
        dci(codes[[0, 59]], factors[[0, 59]])
