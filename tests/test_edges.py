"""Kurtosis of derivatives, of pictures and of what models draw, and what is said of blotches."""

import json

import numpy as np
import pytest
from scipy import ndimage
from tiny_runs import autoencoder, spatial_vae, vector_vae, write_run

from tfvae import applications
from tfvae.applications.latent.generate import BLOTCHES, blotches_note
from tfvae.cli import main
from tfvae.evaluation import EvaluationContext, UnmeasurableError, assess
from tfvae.metrics import edge_sparseness


def test_white_noise_has_the_kurtosis_of_a_normal_distribution_at_every_octave():
    noise = np.random.default_rng(0).standard_normal((8, 64, 64, 3))
    found = edge_sparseness(noise)
    assert found.shape == (8, 4)
    np.testing.assert_allclose(found.mean(axis=0), 3.0, atol=0.4)


def test_a_single_edge_by_hand():
    image = np.zeros((1, 12, 10, 1))
    image[:, :, 4:] = 7.0  # twelve of all differences are 7, the others 0
    differences = 12 * 9 + 11 * 10
    np.testing.assert_allclose(edge_sparseness(image), [[differences / 12]])


def test_contrast_and_brightness_do_not_count_and_blur_makes_edges_less_sparse():
    discs = np.zeros((4, 64, 64, 1))
    for place, disc in enumerate(discs):
        disc[10 + 5 * place : 30 + 5 * place, 20:40] = 1.0
    found = edge_sparseness(discs)
    np.testing.assert_allclose(edge_sparseness(0.3 + 0.2 * discs), found)
    blurred = ndimage.gaussian_filter(discs, (0, 6, 6, 0))
    assert np.all(edge_sparseness(blurred)[:, 0] < 0.5 * found[:, 0])


def test_images_without_differences_have_none_and_small_ones_are_refused():
    assert np.isnan(edge_sparseness(np.ones((1, 8, 8, 1)))).all()
    with pytest.raises(ValueError, match="sides of 8 pixels or more"):
        edge_sparseness(np.zeros((1, 8, 7, 1)))


def test_a_model_that_draws_its_reconstructions_has_one_and_one_that_draws_blotches_less(monkeypatch):
    rng = np.random.default_rng(0)
    images = np.zeros((32, 16, 16, 1), np.uint8)
    for image in images:
        top, left = rng.integers(1, 8, 2)
        image[top : top + 6, left : left + 6] = 255
    drawn = images.astype(np.float32) / 255
    monkeypatch.setattr(applications, "reconstruct", lambda model, x: np.asarray(x, np.float32) / 255)
    context = EvaluationContext(spatial_vae(), images)
    monkeypatch.setattr(applications, "generate", lambda *_, **__: drawn)
    same = assess(context, ["edges"]).figures["edges"]
    assert same.value == pytest.approx(1.0) and same.interval is not None
    monkeypatch.setattr(applications, "generate", lambda *_, **__: ndimage.gaussian_filter(drawn, (0, 3, 3, 0)))
    assert assess(context, ["edges"]).figures["edges"].value < BLOTCHES


def test_what_cannot_be_measured():
    digits = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), np.uint8)
    for model, images, reason in (
        (autoencoder(), digits[:20], "no prior"),
        (vector_vae(), digits[:4], "16 images or more"),
    ):
        with pytest.raises(UnmeasurableError, match=reason):
            assess(EvaluationContext(model, images), ["edges"])


def test_generate_says_blotches_where_the_report_measured_them(tmp_path, capsys):
    run = tmp_path / "run"
    write_run(run, vector_vae())
    report = run / "report.json"
    facts = json.loads(report.read_text()) if report.exists() else {}
    for edges, expected in ((BLOTCHES - 0.01, True), (BLOTCHES, False)):
        report.write_text(json.dumps({**facts, "draws": {"edges": edges}}))
        assert main(["generate", str(run), "-n", "2", "-o", str(tmp_path / "a.png")]) == 0
        assert ("blotches where pictures have edges" in capsys.readouterr().err) == expected
    assert blotches_note({}) == ""
