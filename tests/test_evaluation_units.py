"""Active units by Burda's definition."""

import numpy as np
import pytest

from tfvae.metrics.active_units import active_units, unit_variances


def test_a_unit_is_active_when_the_variance_of_its_means_exceeds_the_threshold():
    rng = np.random.default_rng(0)
    spread = np.array([0.0, 0.05, 0.2, 1.0])  # variances 0, 0.0025, 0.04, 1
    means = 3 + spread * rng.standard_normal((4000, 4))
    # The variance of a sample variance of n normals is 2 sigma**4 / n: five of its standard errors.
    np.testing.assert_allclose(unit_variances(means), spread**2, rtol=5 * np.sqrt(2 / 4000))
    np.testing.assert_array_equal(active_units(means), [False, False, True, True])
    np.testing.assert_array_equal(active_units(means, threshold=0.5), [False, False, False, True])


def test_batches_of_maps_of_unequal_sizes_count_every_place_once():
    rng = np.random.default_rng(1)
    maps = [rng.standard_normal((2, 3, 4, 5)), rng.standard_normal((1, 6, 2, 5))]
    together = np.concatenate([part.reshape(-1, 5) for part in maps])
    np.testing.assert_allclose(unit_variances(maps), together.var(axis=0), rtol=1e-12)
    np.testing.assert_allclose(unit_variances(iter(maps)), together.var(axis=0), rtol=1e-12)


def test_nothing_has_no_variance():
    with pytest.raises(ValueError, match="at least one image"):
        active_units(np.zeros((0, 3)))
