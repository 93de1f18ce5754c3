"""The health of a run, from its first step to its report."""

import json

import numpy as np
import pytest
from test_training_run import terminated_at, without_reports

from tfvae.data import Images, Splits, training_batches
from tfvae.errors import run_program
from tfvae.health import Examination
from training import watch
from training.__main__ import main
from training.build import build_model, compile_model
from training.config import read_config
from training.journal import read_rows

SMALL = ["data.limit=120", "model.network=mlp", "model.widths=[12]", "model.latent_dim=2", "training.batch_size=16"]
SMALL += ["prior.kind=standard_normal"]


def train(out, *arguments, settings=()):
    flags = [word for setting in (*SMALL, "model.likelihood=bernoulli", *settings) for word in ("--set", setting)]
    return run_program("training", lambda: main(["--data", "digits", "--out", str(out), *flags, *arguments]))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "whole"
    assert train(path, "--epochs", "3") == 0
    return path


def test_each_epoch_is_measured_and_the_report_says_that_there_is_nothing_to_report(whole):
    record = watch.read(whole)
    rows = read_rows(whole / "metrics.csv")
    assert [row["epoch"] for row in record["epochs"]] == [1, 2, 3] and record["first_skip"] is None
    for row, kept in zip(rows, record["epochs"], strict=True):
        assert row["active_units"] == kept["active_units"] == sum(v > 0.01 for v in kept["unit_variance"])
        np.testing.assert_allclose(row["aggregate_gap"], kept["gap"])
        np.testing.assert_allclose(sum(kept["kl_per_unit"]), kept["rate"], rtol=1e-5)
        assert 0 < row["gradient_norm"] <= row["gradient_peak"] and kept["findings"] == []
    text = (whole / "report.md").read_text()
    assert "Nothing to report" in text and "(health.png)" in text and (whole / "health.png").is_file()
    health = json.loads((whole / "report.json").read_text())["health"]
    assert health["findings"] == [] and len(health["vitals"]["kl_per_unit"]) == 2


@pytest.mark.parametrize("step", [pytest.param(step, marks=pytest.mark.slow) for step in (3, 6, 14)])
def test_a_resumed_run_writes_the_same_record(whole, tmp_path, monkeypatch, step):
    path = tmp_path / "stopped"
    with terminated_at(step, monkeypatch):
        assert train(path, "--epochs", "3") == 130
    # As a killed session leaves it: a record of epochs that the checkpoint knows nothing of.
    (path / "health.json").write_bytes((whole / "health.json").read_bytes())
    with without_reports():
        assert run_program("training", lambda: main(["--out", str(path), "--resume"])) == 0
    assert (path / "health.json").read_bytes() == (whole / "health.json").read_bytes()
    assert (path / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()


def test_a_finding_is_printed_once_and_stands_in_the_report(tmp_path, capsys):
    path = tmp_path / "run"
    assert train(path, "--epochs", "3", settings=["objective.beta=100.0"]) == 0
    assert capsys.readouterr().out.count("KL scale wrong") == 1
    (finding,) = json.loads((path / "report.json").read_text())["health"]["findings"]
    assert (finding["name"], finding["first_epoch"], finding["last_epoch"]) == (
        "KL scale wrong for the image size",
        1,
        3,
    )
    text = (path / "report.md").read_text()
    assert "**KL scale wrong for the image size** (since epoch 1)" in text and "objective.beta" in text


def test_the_first_bad_step_is_explained_before_the_run_gives_up(tmp_path, capsys):
    path = tmp_path / "run"
    settings = ["training.learning_rate=1e30", "training.max_skipped_steps=5"]
    assert train(path, "--epochs", "30", settings=settings) == 2
    said = capsys.readouterr()
    assert said.out.count("was skipped") == 1 and "training.learning_rate" in said.out
    assert len(said.err.splitlines()) == 1 and "were not finite" in said.err
    first = watch.read(path)["first_skip"]
    assert first["step"] >= 1 and first["explanation"]["term"] != "nothing"


def test_the_images_of_a_bad_step_are_named(tmp_path):
    """One black image breaks a network that divides by the brightness; the data room gives no other bad pixels."""
    pixels = np.random.default_rng(0).integers(50, 200, (40, 8, 8, 1), "uint8")
    pixels[17] = 0
    images = Images.from_array(pixels, names=[f"{number}.png" for number in range(40)])
    tables = {"data": {"source": "x"}, "model": {"network": "mlp", "widths": (8,)}, "training": {"batch_size": 8}}
    config = read_config(tables, "test")
    model = build_model(config, (8, 8, 1))
    compile_model(model, config.training, 10)
    inner = model.encoder.trunk.call
    model.encoder.trunk.call = lambda x, **options: inner(
        x / (x + 0.5), **options
    )  # centred by -0.5: black divides by 0
    splits = Splits(images, images.take([]), images.take([]), "test", [])
    watching = watch.Watch(tmp_path, model, splits, config, 0)
    for batch, _ in zip(training_batches(images, 8, seed=0, config=config.data), range(5), strict=False):
        model.train_on_batch(batch)
    watching.look_for_skips()
    explanation = watch.read(tmp_path)["first_skip"]["explanation"]
    assert explanation["images"] == ["17.png"] and explanation["layer"].startswith(model.encoder.trunk.path)
    assert int(model.skipped_steps) == 1


def test_a_worker_that_is_not_the_chief_writes_and_says_nothing(tmp_path, capsys):
    config = read_config({"data": {"source": "digits"}, "model": {"network": "mlp", "widths": (8,)}}, "test")
    model = build_model(config, (8, 8, 1))
    compile_model(model, config.training, 10)
    images = Images.from_array(np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), "uint8"))
    splits = Splits(images, images.take([]), images.take([]), "test", [])
    model.beta.assign(1000.0)
    columns = watch.Watch(tmp_path, model, splits, config, 0, writes=False).epoch(1, {})
    assert not list(tmp_path.iterdir()) and capsys.readouterr().out == ""
    assert columns["active_units"] == Examination(model)(watch.sample(images, config.data)).active_units
