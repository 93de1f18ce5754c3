"""Which codes lie near each other: against the plain definition, and what the threshold means."""

import numpy as np
import pytest

from tfvae.applications.latent.alike import distances, duplicate_groups, nearest

RNG = np.random.default_rng(0)
CODES = RNG.normal(size=(50, 4)).astype(np.float32)


@pytest.mark.parametrize("kind", ["euclidean", "cosine"])
def test_the_nearest_in_portions_are_those_of_all_at_once(kind):
    query = RNG.normal(size=4)
    whole = distances(CODES, query, kind)
    order = np.argsort(whole, kind="stable")[:7]
    found = nearest((CODES[start : start + 8] for start in range(0, 50, 8)), query, 7, kind)
    assert [index for index, _ in found] == order.tolist()
    np.testing.assert_allclose([distance for _, distance in found], whole[order])


def test_distances_are_those_of_their_definitions():
    one, other = np.array([[3.0, 0.0], [0.0, 0.0]]), np.array([0.0, 4.0])
    np.testing.assert_allclose(distances(one, other), [5, 4])
    np.testing.assert_allclose(distances(one, other, "cosine"), [1, 1])
    np.testing.assert_allclose(distances(-2 * other[None], other, "cosine"), [2])
    with pytest.raises(ValueError, match="euclidean or cosine"):
        distances(one, other, "manhattan")


def test_two_draws_of_one_code_are_about_one_apart():
    """What the threshold is measured by."""
    means = RNG.normal(size=(2000, 6))
    variances = np.tile(np.exp(RNG.normal(size=6)), (2000, 1))
    draws = [means + np.sqrt(variances) * RNG.normal(size=means.shape) for _ in range(2)]
    pairs = np.concatenate(draws)
    # All pairs at once would be one group: the distance of each pair is taken alone, in the units of them all.
    scale = np.sqrt(2 * variances.mean(axis=0) * 6)
    apart = np.square((draws[0] - draws[1]) / scale).sum(axis=1)
    assert abs(apart.mean() - 1) < 5 * apart.std() / np.sqrt(2000)
    groups = duplicate_groups(pairs[[0, 2000]], variances[:2], np.sqrt(apart[0]) * 1.001)
    assert [index for index, _ in groups[0]] == [0, 1]
    np.testing.assert_allclose(groups[0][1][1], np.sqrt(apart[0]))
    assert not duplicate_groups(pairs[[0, 2000]], variances[:2], np.sqrt(apart[0]) * 0.999)


def test_groups_are_the_components_of_the_pairs_below_the_threshold(monkeypatch):
    from tfvae.applications.latent import alike

    codes = np.concatenate([CODES, CODES[[7, 3, 3]] + 1e-3, np.zeros((1, 4), np.float32)])
    variances = np.full_like(codes, 0.5)  # so that distances are divided by the root of 4 units
    plain = np.sqrt(np.square(codes[:, None] - codes[None]).mean(axis=2))
    expected = []
    for threshold in (0.01, 0.4, 0.6):
        near, group = plain <= threshold, np.arange(len(codes))
        for _ in codes:
            group = np.array([group[row].min() for row in near])
        expected.append([np.flatnonzero(group == one).tolist() for one in np.unique(group) if (group == one).sum() > 1])
    for rows in (2**24, 100):  # all at once, and two rows at a time
        monkeypatch.setattr(alike, "MOST_PAIRS", rows)
        for threshold, groups in zip((0.01, 0.4, 0.6), expected, strict=True):
            found = duplicate_groups(codes, variances, threshold)
            assert [[index for index, _ in group] for group in found] == groups
            for group in found:
                np.testing.assert_allclose([d for _, d in group], plain[group[0][0]][[i for i, _ in group]], atol=1e-6)
    assert expected[0] == [[3, 51, 52], [7, 50]]


def test_exact_copies_are_found_at_a_threshold_of_zero():
    codes = CODES[[0, 1, 2, 1, 0]] * 100
    groups = duplicate_groups(codes, np.full_like(codes, 1e-4), 0.0)
    assert [[index for index, _ in group] for group in groups] == [[0, 4], [1, 3]]


def test_codes_that_tell_nothing_apart_are_refused():
    with pytest.raises(ValueError, match="a unit whose variance is above"):
        duplicate_groups(np.zeros((3, 2)), np.ones((3, 2)), 0.5)
