"""The benchmark of draws: the figures of `tfvae evaluate`, for several runs and temperatures, and its controls."""

import functools
import json

import numpy as np
import pytest
from tiny_runs import vector_vae, write_run

from benchmarks.__main__ import main
from tfvae.cli import main as tfvae
from tfvae.errors import UserError
from tfvae.evaluation import classifier, features


@pytest.mark.slow
def test_draws_are_measured_as_evaluate_does_beside_controls(tmp_path, monkeypatch, capsys):
    quick = functools.partial(classifier.train_classifier, steps=200)
    for module in (classifier, features):
        monkeypatch.setattr(module, "train_classifier", quick)
    run, out = write_run(tmp_path / "run", vector_vae(), limit=0), tmp_path / "draws.json"
    main(["draws", str(run), "--temperatures", "0", "1", "-o", str(out)])
    printed, facts = capsys.readouterr().out, json.loads(out.read_text(encoding="utf-8"))
    rows = facts["rows"]
    controls = ["training pictures", "the normal distribution of the pixels", "the first model before training"]
    assert [row["pictures"] for row in rows] == [*controls, "run", "run"]
    assert [row["temperature"] for row in rows] == [None, None, None, 0, 1]
    assert facts["classifier"]["accuracy"] > 0.8 and f"{facts['classifier']['accuracy']:.1%} right" in printed
    assert rows[0]["frechet"] < 0.5 * min(row["frechet"] for row in rows[2:])
    assert rows[0]["legible"] == pytest.approx(facts["held_out_legible"], abs=0.15)
    assert rows[3]["legible"] in (0, 1) and rows[3]["recall"] == 0  # one picture, as many times as there are others
    assert out.with_suffix(".png").is_file()

    measured = tmp_path / "evaluate.json"
    words = ["evaluate", str(run), "--figures", "frechet,prdc", "--features", "classifier", "-o", str(measured)]
    assert tfvae(words) == 0
    known = {name: figure["value"] for name, figure in json.loads(measured.read_text())["figures"].items()}
    for name in ("frechet", "precision", "recall", "coverage"):
        assert rows[-1][name] == pytest.approx(known[name], rel=1e-6), name


def test_temperatures_of_levels_that_a_model_has_not_are_refused_before_anything_is_measured(tmp_path):
    run = write_run(tmp_path / "run", vector_vae())
    with pytest.raises(UserError, match="run: `temperature` must be a number for a VAE"):
        main(["draws", str(run), "--temperatures", "1", "1,0.5"])


def test_pictures_without_labels_are_refused_in_one_line(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
    np.save(tmp_path / "images.npy", images)
    run = write_run(tmp_path / "run", vector_vae(), source=str(tmp_path / "images.npy"))
    with pytest.raises(UserError, match="with labels, for a classifier") as caught:
        main(["draws", str(run)])
    assert "\n" not in str(caught.value)
