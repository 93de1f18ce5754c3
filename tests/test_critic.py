"""The patch critic: what a score depends on, how large features are, and its spectral normalisation."""

import numpy as np
import pytest
from contract import assert_config_round_trip

from tfvae.networks.critic import PatchCritic, spectral_norm
from tfvae.objectives import patch_cross_entropy


def test_the_surprise_is_the_logarithm_of_the_sigmoid():
    scores = np.array([-30.0, -1.0, 0.0, 2.0], "float32").reshape(4, 1, 1, 1)
    p = 1 / (1 + np.exp(-scores.astype("float64").ravel()))
    np.testing.assert_allclose(patch_cross_entropy(1.0, scores), -np.log(p), rtol=1e-6)
    np.testing.assert_allclose(patch_cross_entropy(0.0, scores), -np.log1p(-p), rtol=1e-5, atol=1e-12)
    # Means over patches, so that the size of a picture does not matter.
    np.testing.assert_allclose(patch_cross_entropy(1.0, scores.reshape(1, 2, 2, 1)), [-np.log(p).mean()], rtol=1e-6)


@pytest.mark.parametrize("size", [(16, 16), (13, 9), (1, 3)])
def test_a_critic_judges_pictures_of_any_size_patch_by_patch(size):
    critic = PatchCritic((4, 5, 6), outputs=2, gain=1.5)
    scores, features = critic(np.ones((1, *size, 1), "float32"))
    sizes = [tuple(-(-side // 2**level) for side in size) for level in (1, 2, 3)]
    assert [value.shape[1:3] for value in features] == sizes and scores.shape == (1, *sizes[-1], 2)
    assert_config_round_trip(critic)


def test_a_score_depends_on_its_own_patch_alone():
    critic = PatchCritic((4, 5))
    x = np.random.default_rng(1).random((1, 64, 8, 3), dtype=np.float32)
    other = x.copy()
    other[:, 40:] = 0.0
    changed = np.abs(np.asarray(critic(x)[0] - critic(other)[0])).max(axis=(0, 2, 3))
    # A score sees 4 * (3 - 1) + (4 - 1) * 2 + 4 = 18 pixels, of which seven are before its own four.
    assert np.all(changed[:8] == 0) and np.all(changed[10:] > 0)


def test_features_are_as_large_as_the_gain_allows():
    x = np.random.default_rng(1).random((2, 16, 16, 3), dtype=np.float32)
    plain, twice = PatchCritic((4, 5), gain=1.0), PatchCritic((4, 5), gain=2.0)
    plain.build(x.shape)
    twice.build(x.shape)
    twice.set_weights(plain.get_weights())  # biases of zero, so that every level is homogeneous
    for level, (one, two) in enumerate(zip(plain(x)[1], twice(x)[1], strict=True), start=1):
        np.testing.assert_allclose(two, 2.0**level * np.asarray(one), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(twice(x)[0], 4.0 * np.asarray(plain(x)[0]), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 4, 3, 8), (3, 3, 6, 1), (1, 1, 2, 9)])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e4])
def test_the_spectral_norm_is_the_largest_singular_value_or_a_little_more(shape, size):
    kernel = (size * np.random.default_rng(2).standard_normal(shape)).astype("float32")
    singular = np.linalg.svd(kernel.reshape(-1, shape[-1]).astype("float64"), compute_uv=False)
    schatten = singular[0] * np.sum((singular / singular[0]) ** 64) ** (1 / 64)
    np.testing.assert_allclose(float(spectral_norm(kernel)), schatten, rtol=1e-4)
    assert singular[0] * (1 - 1e-4) <= float(spectral_norm(kernel)) <= singular[0] * len(singular) ** (1 / 64) * 1.0001


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="must be positive, with one width or more"):
        PatchCritic(())
    with pytest.raises(ValueError, match="`gain` must be positive"):
        PatchCritic(gain=0.0)
