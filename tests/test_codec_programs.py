"""The codec in the training program: a run that is stopped and resumed, and its report."""

import json

import numpy as np
import pytest
from test_training_run import assert_same_run, terminated_at, train, without_reports

from tfvae.runs import open_run
from training.__main__ import main
from training.config import read_recipe

TINY = [
    "model.kind=codec",
    "model.latent=spatial",
    "model.widths=[4]",
    "model.latent_dim=4",
    "objective.hyper_dim=3",
    "objective.hyper_width=8",
    "data.limit=60",
    "training.batch_size=16",
    "training.ema=0.9",
    "training.clip_norm=1e4",
]


@pytest.mark.slow
def test_a_run_that_is_stopped_and_resumed_is_the_run_that_was_not(tmp_path, monkeypatch):
    """Noise, the draw of qualities and the tables of whole numbers included."""
    one, two = tmp_path / "one", tmp_path / "two"
    with without_reports():
        assert train(one, "--epochs", "2", settings=TINY) == 0
        with terminated_at(4, monkeypatch):
            train(two, "--epochs", "2", settings=TINY)
        main(["--out", str(two), "--resume"])
    assert_same_run(one, two)
    image = np.full((9, 9, 1), 99, np.uint8)
    assert len({open_run(path).load_model().compress(image, 60) for path in (one, two)}) == 1


@pytest.mark.slow
def test_the_report_says_bits_a_pixel_and_psnr(tmp_path):
    assert train(tmp_path / "run", "--epochs", "1", settings=TINY) == 0
    figures = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))["test"]
    np.testing.assert_allclose(figures["bits_per_pixel"] * 64 * np.log(2), figures["rate"])
    assert "bits per pixel" in (tmp_path / "run" / "report.md").read_text(encoding="utf-8") and figures["psnr"] > 0


def test_the_recipe_is_of_photographs_at_all_qualities():
    recipe = read_recipe("codec")
    assert recipe["model"]["kind"] == "codec" and recipe["data"]["crop"] % 64 == 0
