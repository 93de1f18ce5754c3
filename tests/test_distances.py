"""MS-SSIM, the Fréchet distance, and precision, recall, density and coverage."""

import numpy as np
import pytest
import tensorflow as tf

from tfvae.metrics.frechet import frechet_distance, gaussian_frechet_distance
from tfvae.metrics.image_quality import MS_SSIM_WEIGHTS, ms_ssim, ms_ssim_scales, ssim
from tfvae.metrics.precision_recall import neighbour_figures, neighbour_values, radii


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def disturbed(rng, shape, noise=0.1):
    x = rng.random(shape).astype(np.float32)
    return x, np.clip(x + noise * rng.standard_normal(shape), 0, 1).astype(np.float32)


# MS-SSIM


@pytest.mark.parametrize("shape", [(2, 176, 176, 1), (1, 161, 203, 3)])
def test_ms_ssim_is_that_of_tensorflow_where_that_works(shape, rng):
    x, y = disturbed(rng, shape)
    np.testing.assert_allclose(ms_ssim(x, y), tf.image.ssim_multiscale(x, y, 1.0), rtol=1e-6)


def test_ms_ssim_of_two_scales_is_the_formula_of_the_paper(rng):
    """cs of the picture, ssim of its halving, from scikit-image's map of the luminance-free similarity."""
    metrics = pytest.importorskip("skimage.metrics")
    x, y = disturbed(rng, (1, 24, 24, 1))
    a, b = x[0, :, :, 0].astype(np.float64), y[0, :, :, 0].astype(np.float64)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    # With K1 huge the luminance term is 1, which leaves the contrast-structure term.
    contrast = metrics.structural_similarity(a, b, **options, K1=1e6)
    half_a, half_b = (image.reshape(12, 2, 12, 2).mean(axis=(1, 3)) for image in (a, b))
    coarse = metrics.structural_similarity(half_a, half_b, **options)
    weights = np.array(MS_SSIM_WEIGHTS[:2]) / sum(MS_SSIM_WEIGHTS[:2])
    np.testing.assert_allclose(ms_ssim(x, y)[0], contrast ** weights[0] * coarse ** weights[1], rtol=1e-4)


def test_ms_ssim_is_one_for_identical_images_at_every_size_and_less_for_others(rng):
    for height, width in ((1, 1), (2, 9), (8, 8), (21, 40), (28, 28), (45, 90), (170, 161)):
        x, y = disturbed(rng, (2, height, width, 1), noise=0.3)
        np.testing.assert_allclose(ms_ssim(x, x), 1.0, rtol=1e-5)
        if min(height, width) > 2:
            assert np.max(ms_ssim(x, y)) < 0.999


def test_ms_ssim_of_small_images_is_ssim(rng):
    x, y = disturbed(rng, (3, 20, 20, 1))
    np.testing.assert_allclose(ms_ssim(x, y), ssim(x, y), rtol=1e-5)
    np.testing.assert_array_equal(ms_ssim(x, 1 - x), 0.0)  # negative similarity has no root


def test_the_scales_are_those_whose_pictures_hold_the_window():
    assert [ms_ssim_scales(side, 500) for side in (1, 11, 20, 21, 40, 41, 80, 81, 160, 161, 400)] == [
        1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5,
    ]  # fmt: skip


# Fréchet distance


def covariance(rng, size, rank=None):
    root = rng.standard_normal((size, rank or size))
    return root @ root.T


def test_the_frechet_distance_of_one_dimension_is_its_closed_form(rng):
    x, y = rng.normal(1, 2, (50, 1)), rng.normal(-3, 0.5, (70, 1))
    expected = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-10)


def test_the_frechet_distance_of_commuting_covariances_is_that_of_their_roots(rng):
    """`|m|² + Σ (√a − √b)²` over the eigenvalues when the covariances share their axes."""
    axes, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    a, b = rng.random((2, 6)) * 5
    gap = rng.standard_normal(6)
    got = gaussian_frechet_distance(gap, axes @ np.diag(a) @ axes.T, np.zeros(6), axes @ np.diag(b) @ axes.T)
    assert got == pytest.approx(gap @ gap + np.sum((np.sqrt(a) - np.sqrt(b)) ** 2), rel=1e-10)


def test_the_frechet_distance_agrees_with_the_matrix_square_root(rng):
    linalg = pytest.importorskip("scipy.linalg")
    a, b, gap = covariance(rng, 8), covariance(rng, 8), rng.standard_normal(8)
    expected = gap @ gap + np.trace(a + b - 2 * linalg.sqrtm(a @ b).real)
    assert gaussian_frechet_distance(gap, a, np.zeros(8), b) == pytest.approx(expected, rel=1e-8)


def test_singular_covariances_are_no_trouble(rng):
    """Of rank-one covariances u uᵀ and v vᵀ, the trace of the root of the product is |u · v|."""
    u, v = rng.standard_normal((2, 40))
    got = gaussian_frechet_distance(np.zeros(40), np.outer(u, u), np.zeros(40), np.outer(v, v))
    assert got == pytest.approx(u @ u + v @ v - 2 * abs(u @ v), rel=1e-6)
    few, other = rng.standard_normal((5, 300)), rng.standard_normal((6, 300))
    assert np.isfinite(frechet_distance(few, other))


def test_a_shift_adds_its_square_and_nothing_else(rng):
    x, shift = rng.standard_normal((200, 7)), rng.standard_normal(7)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(x, x + shift) == pytest.approx(shift @ shift, rel=1e-8)


def test_the_frechet_distance_is_symmetric_and_does_not_see_a_rotation(rng):
    x, y = rng.standard_normal((60, 9)), 2 * rng.standard_normal((80, 9)) + 0.3
    turn, _ = np.linalg.qr(rng.standard_normal((9, 9)))
    distance = frechet_distance(x, y)
    assert frechet_distance(y, x) == pytest.approx(distance, rel=1e-10)
    assert frechet_distance(x @ turn + 5, y @ turn + 5) == pytest.approx(distance, rel=1e-9)
    assert frechet_distance(3 * x, 3 * y) == pytest.approx(9 * distance, rel=1e-10)


def test_the_bias_of_the_frechet_distance_shrinks_as_one_over_the_images(rng):
    def mean_distance(count):
        return np.mean([frechet_distance(*rng.standard_normal((2, count, 10))) for _ in range(40)])

    assert mean_distance(100) / mean_distance(400) == pytest.approx(4, rel=0.15)


def test_features_that_cannot_be_compared_are_refused(rng):
    x = rng.standard_normal((10, 3))
    for other in (x[:, :2], x[:1], x[0], np.full((10, 3), np.nan)):
        with pytest.raises(ValueError, match=r"`x` and `y` must be.*Received"):
            frechet_distance(x, other)
        with pytest.raises(ValueError, match="Received"):
            neighbour_figures(x, other, k=3)


# Precision, recall, density, coverage


def test_the_figures_are_those_of_the_reference_implementation(rng):
    prdc = pytest.importorskip("prdc")
    real, fake = rng.standard_normal((300, 8)), 0.8 * rng.standard_normal((170, 8)) + 0.2
    for k in (1, 3, 5):
        expected = prdc.compute_prdc(real, fake, nearest_k=k)
        got = neighbour_figures(real, fake, k)
        assert got == pytest.approx({name: float(value) for name, value in expected.items()}, abs=1e-12)


def test_radii_reach_to_the_kth_neighbour_of_a_line():
    line = np.arange(10, dtype=float)[:, None] ** 2  # 0 1 4 9 16 …
    np.testing.assert_allclose(radii(line, 1)[:4], [1, 1, 3, 5])
    np.testing.assert_allclose(radii(line, 2)[:4], [4, 3, 4, 7])


def test_known_geometry_gives_known_figures():
    """Real images at 0, 1, …, 9 (radii 1 for k = 1); generated ones in pairs 0.2 apart at 0.4, 3.4 and far away."""
    real = np.arange(10.0)[:, None]
    fake = np.array([0.4, 0.6, 3.4, 3.6, 50.0, 50.2])[:, None]
    figures = neighbour_figures(real, fake, k=1)
    assert figures["precision"] == pytest.approx(4 / 6)
    assert figures["density"] == pytest.approx(8 / 6)  # each of the four lies within two real balls
    assert figures["coverage"] == pytest.approx(4 / 10)  # of 0, 1, 3 and 4
    values = neighbour_values(real, fake, k=1)
    np.testing.assert_array_equal(values["density"], [2, 2, 2, 2, 0, 0])
    np.testing.assert_array_equal(np.flatnonzero(values["coverage"]), [0, 1, 3, 4])
    assert figures["recall"] == 0.0  # balls of 0.2 around 0.4, 0.6, … hold no whole number


def test_a_dropped_mode_lowers_recall_and_coverage_and_not_precision(rng):
    modes = np.repeat([[0.0, 0.0], [100.0, 0.0]], 200, axis=0)
    real = modes + rng.standard_normal((400, 2))
    fake = rng.standard_normal((400, 2))
    figures = neighbour_figures(real, fake, k=5)
    assert figures["precision"] > 0.95 and figures["density"] > 0.5
    assert figures["recall"] <= 0.5 and figures["coverage"] <= 0.5


def test_coverage_and_density_of_equal_distributions_are_their_expectations(rng):
    """E[density] = 1; E[coverage] = 1 − Π (n − i) / (n + m − i), i = 1 … k, whatever the distribution (Naeem, 2020)."""
    n, m, k = 120, 90, 3
    values = [neighbour_figures(rng.standard_normal((n, 3)), rng.standard_normal((m, 3)), k) for _ in range(200)]
    missed = np.prod([(n - i) / (n + m - i) for i in range(1, k + 1)])
    for name, expected in (("density", 1.0), ("coverage", 1 - missed)):
        drawn = np.array([value[name] for value in values])
        assert abs(drawn.mean() - expected) <= 4 * drawn.std() / np.sqrt(len(drawn))


def test_a_neighbour_that_does_not_exist_is_refused(rng):
    x = rng.standard_normal((5, 2))
    with pytest.raises(ValueError, match="n at least 6"):
        neighbour_figures(x, x, k=5)
    with pytest.raises(ValueError, match="`k` must be positive"):
        neighbour_figures(x, x, k=0)
