"""Robustness against closed forms of linear codes, and of models that have none."""

import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tfvae.evaluation import EvaluationContext, UnmeasurableError, assess
from tfvae.evaluation.robustness import SIZE

SHAPE = (6, 6, 1)


class Linear:
    """Codes `x W` and reconstructions `0.5 + x A`: what moves them is known."""

    conditional = False

    def __init__(self, weights, rebuilt):
        self.weights, self.rebuilt = tf.constant(weights, tf.float32), tf.constant(rebuilt, tf.float32)

    def codes(self, images):
        return tf.reshape(images, (-1, self.weights.shape[0])) @ self.weights

    def reconstruction_for_metrics(self, images, labels=None):
        return tf.reshape(tf.reshape(images, (-1, self.rebuilt.shape[0])) @ self.rebuilt + 0.5, (-1, *SHAPE))


@pytest.fixture(scope="module")
def images():
    # Far enough from black and white that nothing is clipped, and in whole grey levels.
    return np.random.default_rng(0).integers(90, 166, (400, *SHAPE)).astype(np.uint8)


def test_an_adversary_finds_the_farthest_code_of_a_linear_map_and_noise_its_expectation(images):
    rng = np.random.default_rng(1)
    weights, rebuilt = rng.standard_normal((36, 1)), 0.1 * rng.standard_normal((36, 36))
    figures = assess(EvaluationContext(Linear(weights, rebuilt), images), ["robustness"]).figures
    codes = (images / 255.0).reshape(400, -1) @ weights
    distance = np.sqrt(2 * codes.var())
    # max over |delta| <= s of |w delta| is s |w|_1; that of Gaussian noise has the expectation of a half-normal.
    assert figures["code_shift_attack"].value == pytest.approx(SIZE * np.abs(weights).sum() / distance, rel=1e-4)
    expected = SIZE * np.sqrt((weights**2).sum() * 2 / np.pi) / distance
    assert figures["code_shift_noise"].value == pytest.approx(expected, rel=5 * np.sqrt(np.pi / 2 - 1) / 20)
    moved = 255 * SIZE * np.sqrt((rebuilt**2).sum() / 36)
    assert figures["reconstruction_shift_noise"].value == pytest.approx(moved, rel=0.05)
    low, high = figures["code_shift_noise"].interval
    assert low < figures["code_shift_noise"].value < high
    assert figures["code_shift_noise"].protocol == {"noise": f"std {SIZE}"}
    assert "an adversary moves codes" in figures["code_shift_attack"].note


def test_what_sees_only_the_mean_of_an_image_does_not_move_under_blur(images):
    mean = np.full((36, 1), 1 / 36)
    figures = assess(EvaluationContext(Linear(mean, np.eye(36)), images), ["robustness"]).figures
    assert figures["code_shift_blur"].value < 0.35 < figures["code_shift_attack"].value
    # The reconstruction is the image: it moves as far as that.
    assert figures["reconstruction_shift_blur"].unit.startswith(
        f"grey levels of 255, for {figures['reconstruction_shift_blur'].value:.1f}"
    )


def test_the_figures_are_a_function_of_the_seed(images):
    model = tfvae.VAE.from_shape(SHAPE, latent_dim=2, network="mlp", seed=0)
    first, again, other = (
        assess(EvaluationContext(model, images[:20], seed=seed), ["robustness"]).figures for seed in (0, 0, 1)
    )
    assert first == again
    assert first["code_shift_noise"].value != other["code_shift_noise"].value
    assert set(first) == {
        f"{what}_shift_{name}" for what in ("code", "reconstruction") for name in ("noise", "blur", "jpeg", "attack")
    }


def test_codes_of_a_codebook_have_no_gradient_and_are_not_attacked():
    images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 1)).astype(np.uint8)
    model = tfvae.MODELS["vq_vae"].from_shape((16, 16, 1), 4, widths=(8, 8), codes=8, prior_depth=1, seed=0)
    figures = assess(EvaluationContext(model, images), ["robustness"]).figures
    assert "code_shift_noise" in figures and "code_shift_attack" not in figures


@pytest.mark.parametrize(
    ("count", "weights", "why"), [(1, np.ones((36, 1)), "single image"), (4, np.zeros((36, 1)), "the same code")]
)
def test_codes_without_distances_are_not_measured(images, count, weights, why):
    with pytest.raises(UnmeasurableError, match=why):
        assess(EvaluationContext(Linear(weights, np.eye(36)), images[:count]), ["robustness"])


def test_a_model_that_restores_is_not_measured(images):
    model = tfvae.Restorer(1, (8, 8, 8), 2, blocks=1, seed=0)
    with pytest.raises(UnmeasurableError, match="Restorer has codes of damage"):
        assess(EvaluationContext(model, images), ["robustness"])
