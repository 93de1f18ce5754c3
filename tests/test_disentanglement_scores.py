"""SAP, the FactorVAE score and UDR: known values, and a direct computation of each."""

import numpy as np
import pytest
from test_disentanglement import factors, mixed, perfect  # noqa: F401 - fixtures

from tfvae.metrics import factor_vae_score, sap, udr


def test_the_sap_of_two_valued_factors_is_the_gap_of_accuracies():
    """One unit tells a factor wholly; another is right 3 times of 4: the gap is 1/4."""
    rng = np.random.default_rng(0)
    factor = rng.permutation(np.tile([0, 1], 2000))
    flipped = np.where(rng.permutation(np.tile([1, 0, 0, 0], 1000)), 1 - factor, factor)
    codes = np.column_stack([flipped, 2.0 * factor, rng.standard_normal(4000)]) - 0.5
    assert sap(codes, factor[:, None]) == pytest.approx(0.25, abs=5 * np.sqrt(0.25 * 0.75 / 1333))
    assert sap(codes[:, [1, 1]], factor[:, None]) == pytest.approx(0.0)


def test_a_mixture_of_the_factors_lowers_sap(factors, perfect, mixed):  # noqa: F811
    assert sap(mixed, factors) < 0.6 * sap(perfect, factors)


def test_the_factor_vae_score_is_one_for_the_factors_and_chance_for_noise(factors, perfect):  # noqa: F811
    assert factor_vae_score(factors + 0.01 * perfect[:, [0, 3, 0]], factors) > 0.99
    noise = np.random.default_rng(0).standard_normal((len(factors), 1))
    # One unit has every vote: right as often as the factor is the commonest.
    assert factor_vae_score(noise, factors) == pytest.approx(1 / 3, abs=5 * np.sqrt(2 / 9 / 800))
    assert factor_vae_score(1e-3 * noise, factors) == 0.0


def test_the_factor_vae_score_of_a_unit_of_two_factors_is_its_closed_form():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 4, (4000, 3))
    codes = np.column_stack([values[:, 0] + 0.01 * rng.standard_normal(4000), 1e-9 * values[:, 1]])
    # One living unit names one factor of three.
    assert factor_vae_score(codes, values) == pytest.approx(1 / 3, abs=5 * np.sqrt(2 / 9 / 800))
    two = np.column_stack([codes[:, 0], values[:, 1] + 0.01 * rng.standard_normal(4000)])
    # Factors 0 and 1 have a unit each; the third is held by neither, and its votes are wrong or half wrong.
    assert factor_vae_score(two, values) == pytest.approx(2 / 3, abs=5 * np.sqrt(2 / 9 / 800))


def test_udr_is_one_for_the_same_units_in_another_order_and_low_for_turned_ones(mixed, perfect):  # noqa: F811
    independent = np.random.default_rng(0).standard_normal((3000, 4))
    order = independent[:, [2, 0, 3, 1]] * [-1, 2, 1, 0.5]
    turn, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((4, 4)))
    known = [np.ones(4, bool)] * 3
    first, second, turned = udr([independent, order, independent @ turn], known)
    pair, _ = udr([independent, order], known[:2])
    assert pair > 0.9 and turned < 0.75 * pair and first == pytest.approx(second, abs=0.02)


def test_udr_is_the_direct_computation():
    scipy = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((50, 3)), rng.standard_normal((50, 2))
    second[:, 0] += 2 * first[:, 1]
    own, others = np.array([True, True, False]), np.array([True, False])
    table = np.array([[abs(scipy.spearmanr(a, b).statistic) for b in second.T] for a in first.T])
    total = sum(table[:, b].max() ** 2 / table[:, b].sum() for b in range(2) if others[b])
    total += sum(table[a].max() ** 2 / table[a].sum() for a in range(3) if own[a])
    np.testing.assert_allclose(udr([first, second], [own, others]), total / 3, rtol=1e-10)
    with pytest.raises(ValueError, match="two models or more"):
        udr([first], [own])
