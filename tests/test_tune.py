"""`python -m training tune`: real searches of tiny models."""

import csv
import json
import subprocess
import sys
import time
import tomllib

import numpy as np
import pytest
from test_training_run import without_reports

from tfvae.data import load
from tfvae.errors import UserError, run_program
from tfvae.evaluation import evaluate
from tfvae.runs import open_run
from training.__main__ import main
from training.config import read_config, with_epochs
from training.tune import trials as searching
from training.tune.space import own_values, space

TINY = ["data.limit=120", "model.network=mlp", "training.batch_size=16", "training.epochs=4", "data.binarize=true"]
TINY += ["prior.kind=standard_normal", "training.precision=float32"]  # a saved model computes in float32
CONFIG = read_config({"data": {"source": "digits"}, "model": {"kind": "vae", "network": "mlp"}}, "test")


def tune(out, *arguments, settings=TINY):
    flags = [word for setting in settings for word in ("--set", setting)]
    return run_program("training", lambda: main(["tune", "--data", "digits", *flags, "--out", str(out), *arguments]))


def trials(out):
    with open(out / "trials.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A random search of two trials."""
    path = tmp_path_factory.mktemp("searches") / "random"
    assert tune(path, "--trials", "2", "--epochs", "2", "--range", "width=0.25,0.5") == 0
    return path


@pytest.mark.slow
def test_a_search_leaves_a_table_a_plot_and_the_best_as_a_recipe(found):
    rows = trials(found)
    assert [row["status"] for row in rows] == ["completed"] * 2
    best = max(rows, key=lambda row: float(row["elbo"]))
    assert {"tune.md", "tune.png", "best.toml"} <= {path.name for path in found.iterdir()}
    recipe = tomllib.loads((found / "best.toml").read_text())
    assert recipe["model"]["latent_dim"] == int(best["model.latent_dim"])
    assert recipe["training"]["learning_rate"] == float(best["training.learning_rate"])
    assert recipe["objective"]["beta"]["end"] == float(best["objective.beta"])
    assert "steps" in recipe["objective"]["beta"] and recipe["objective"]["beta"]["steps"] == 4 * 6 // 4  # 96 images
    assert recipe["model"]["widths"] == [round(32 * float(best["width"]))]
    assert recipe["training"]["epochs"] == 4  # the recipe's own, not the trials'
    table = (found / "tune.md").read_text()
    assert table.index(f"| **{int(best['trial']) + 1}** |") < min(
        table.index(f"| {int(row['trial']) + 1} |") for row in rows if row is not best
    )


@pytest.mark.slow
def test_the_first_trial_is_the_recipe_itself(found, tmp_path):
    """So a search never ends with what its own trials show to be worse than not searching."""
    assert own_values(CONFIG, space(CONFIG, [], [], "elbo")) == {
        "model.latent_dim": 32,
        "objective.beta": 1.0,
        "width": "1",
        "training.learning_rate": 1e-3,
    }
    assert own_values(CONFIG, space(CONFIG, ["width=0.5,1.0"], [], "elbo"))["width"] == "1.0"
    assert own_values(CONFIG, space(CONFIG, ["model.latent_dim=2:8"], [], "elbo")) is None
    # In the fixture the recipe's own width is not among the two searched.
    assert trials(found)[0]["model.latent_dim"] != "32"
    assert tune(tmp_path / "s", "--trials", "1", "--epochs", "1") == 0
    (row,) = trials(tmp_path / "s")
    searched = ("model.latent_dim", "objective.beta", "width", "training.learning_rate")
    assert [float(row[key]) for key in searched] == [32, 1, 1, 1e-3]


@pytest.mark.slow
def test_the_score_is_the_elbo_of_the_kept_weights_on_the_validation_images(found):
    for row in trials(found):
        run = open_run(found / "trials" / row["trial"])
        images = load(run.data_config, seed=run.seed).validation
        figures = evaluate(run.load_model(), images, data_config=run.data_config, batch_size=16, seed=run.seed)
        np.testing.assert_allclose(float(row["elbo"]), figures["elbo"], rtol=1e-6)
        np.testing.assert_allclose(float(row["psnr"]), figures["psnr"], rtol=1e-6)


@pytest.mark.slow
def test_the_best_recipe_trains(found, tmp_path):
    arguments = ["--recipe", str(found / "best.toml"), "--out", str(tmp_path / "run"), "--epochs", "1"]
    with without_reports():
        assert run_program("training", lambda: main(arguments)) == 0
    best = tomllib.loads((found / "best.toml").read_text())
    assert open_run(tmp_path / "run").config["model"]["latent_dim"] == best["model"]["latent_dim"]


@pytest.mark.slow
def test_a_search_goes_on_where_it_was_stopped_and_finds_the_same(found, tmp_path, monkeypatch):
    """Stopped in the middle of the second trial, and killed before its last state was written."""
    real, calls = searching.run.fit, []

    def stops(config, splits, path, **how):
        calls.append(path.name)
        if len(calls) == 2:
            real(with_epochs(config, 1), splits, path, **how)  # half of the trial
            raise KeyboardInterrupt
        return real(config, splits, path, **how)

    arguments = ("--epochs", "2", "--range", "width=0.25,0.5")
    monkeypatch.setattr(searching.run, "fit", stops)
    assert tune(tmp_path / "again", "--trials", "2", *arguments) == 130
    monkeypatch.undo()
    assert tune(tmp_path / "again", "--trials", "2", *arguments) == 0
    kept = ("trial", "status", "model.latent_dim", "objective.beta", "training.learning_rate", "elbo", "psnr")
    assert [[row[key] for key in kept] for row in trials(tmp_path / "again")] == [
        [row[key] for key in kept] for row in trials(found)
    ]
    # More trials than before: those that are done stay.
    assert tune(tmp_path / "again", "--trials", "3", *arguments) == 0
    assert [row["elbo"] for row in trials(tmp_path / "again")][:2] == [row["elbo"] for row in trials(found)]


@pytest.mark.slow
def test_a_killed_search_goes_on_and_finds_the_same(found, tmp_path):
    """`kill -9` in the middle of the second trial, in processes of their own."""
    flags = [word for setting in TINY for word in ("--set", setting)]
    command = [sys.executable, "-m", "training", "tune", "--data", "digits", *flags, "--out", str(tmp_path / "s")]
    command += ["--trials", "2", "--epochs", "2", "--range", "width=0.25,0.5"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not (tmp_path / "s" / "trials" / "1" / "metrics.csv").is_file():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (tmp_path / "s" / "best.toml").exists()
    assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0
    kept = ("trial", "status", "model.latent_dim", "elbo", "psnr")
    assert [[row[key] for key in kept] for row in trials(tmp_path / "s")] == [
        [row[key] for key in kept] for row in trials(found)
    ]
    assert (tmp_path / "s" / "trials" / "1" / "metrics.csv").read_text() == (
        found / "trials" / "1" / "metrics.csv"
    ).read_text()


@pytest.mark.slow
def test_hyperband_continues_its_best_trials(tmp_path):
    assert tune(tmp_path / "s", "--search", "hyperband", "--epochs", "3", "--trials", "4", "--range", "width=0.25") == 0
    rows = trials(tmp_path / "s")
    further = [row for row in rows if row["continues"]]
    assert further
    for row in further:
        earlier = rows[int(row["continues"])]
        assert all(row[key] == earlier[key] for key in ("model.latent_dim", "objective.beta", "training.learning_rate"))
        assert int(row["epochs"]) == 3 > int(earlier["epochs"])
        first = [other for other in rows if other["epochs"] == earlier["epochs"] and not other["continues"]]
        ahead = sorted((float(other["elbo"]) for other in first), reverse=True)
        assert float(earlier["elbo"]) in ahead[: len(further)]
        # One run directory, its epochs counted through.
        metrics = (tmp_path / "s" / "trials" / row["continues"] / "metrics.csv").read_text()
        assert [line.split(",")[0] for line in metrics.splitlines()[1:]] == ["1", "2", "3"]


@pytest.mark.slow
def test_a_shorter_trial_is_the_beginning_of_a_longer_one(tmp_path):
    """The learning rate's schedule is that of the longest trial, or Hyperband would compare ends with beginnings."""
    settings = [*TINY, "training.decay=cosine"]
    arguments = ("--range", "width=0.25", "--range", "model.latent_dim=3", "--range", "objective.beta=1")
    arguments += ("--range", "training.learning_rate=0.002,0.003", "--search", "hyperband", "--epochs", "3")
    assert tune(tmp_path / "s", *arguments, "--trials", "2", settings=settings) == 0
    plan = json.loads((tmp_path / "s" / "search.json").read_text())
    assert plan["search"] == "hyperband"
    short = tmp_path / "s" / "trials" / "0"
    rows = (short / "metrics.csv").read_text().splitlines()
    one = ["--set", "training.learning_rate=" + trials(tmp_path / "s")[0]["training.learning_rate"].strip('"')]
    more = ("model.latent_dim=3", "model.widths=[8]", "model.hidden=64")
    one += [word for setting in (*settings, *more) for word in ("--set", setting)]
    one += ["--set", 'objective.beta={schedule="linear", steps=4, end=1}']
    with without_reports():
        longer = ["--data", "digits", *one, "--out", str(tmp_path / "l"), "--epochs", "3"]
        assert run_program("t", lambda: main(longer)) == 0
    assert (tmp_path / "l" / "metrics.csv").read_text().splitlines()[: len(rows)] == rows


@pytest.mark.slow
def test_a_trial_that_fails_is_recorded_and_the_search_goes_on(tmp_path, monkeypatch):
    real, calls = searching.run.fit, []

    def diverges(config, splits, path, **how):
        calls.append(path)
        if len(calls) == 1:
            raise UserError(f"{path}: the gradients of 100 steps in a row were not finite")
        return real(config, splits, path, **how)

    monkeypatch.setattr(searching.run, "fit", diverges)
    assert tune(tmp_path / "s", "--trials", "2", "--epochs", "1", "--range", "width=0.25") == 0
    first, second = trials(tmp_path / "s")
    assert (first["status"], second["status"]) == ("failed", "completed")
    assert first["message"] == "the gradients of 100 steps in a row were not finite"
    assert "failed: the gradients" in (tmp_path / "s" / "tune.md").read_text()


@pytest.mark.slow
def test_settings_that_cannot_go_together_fail_their_trial_only(tmp_path):
    settings = [*TINY, "model.latent_dim=2", "objective.beta=1", "training.learning_rate=1e-3"]
    options = ("--range", "model.widths=[8],[0]", "--epochs", "1")
    assert tune(tmp_path / "s", *options, settings=settings) == 0
    status = {row["model.widths"]: row["status"] for row in trials(tmp_path / "s")}
    assert status == {"[8]": "completed", "[0]": "failed"}


def test_a_bug_keeps_its_traceback(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(searching.run, "fit", broken)
    with pytest.raises(ZeroDivisionError):
        tune(tmp_path / "s", "--trials", "1")


@pytest.mark.slow
def test_nothing_is_judged_by_the_test_images(found):
    facts = json.loads((found / "search.json").read_text())
    assert facts["objective"] == "elbo"
    config = tomllib.loads(facts["recipe"])
    splits = load(CONFIG.data.__class__(**{**config["data"], "augment": ()}), seed=0)
    assert f"{len(splits.validation)} validation images" in (found / "tune.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--range", "model.latent_dims=2:4"], "Did you mean 'model.latent_dim'?"),
        (["--range", "model.latent_dim=4:2"], "0 < LOW < HIGH"),
        (["--range", "model.latent_dim=2.5:4"], "expected two whole numbers"),
        (["--range", "model.network=2:4"], "not a number"),
        (["--range", "model.latent_dim"], "KEY=LOW:HIGH"),
        (["--range", "data.crop=2:4"], "other pixels cannot be compared"),
        (["--range", "training.epochs=2:4"], "--epochs"),
        (["--range", "model.likelihood=bernoulli,logistic"], "--objective psnr"),
        (["--range", "training.batch_size=2:4"], "--set gives it one value already"),
        (["--trials", "0"], "1 or more"),
        (["--search", "gridsearch"], "random, hyperband"),
        (["--set", "data.validation=0"], "no validation images"),
        (["--curve", "model.latent_dims=2,4"], "Did you mean 'model.latent_dim'?"),
        (["--curve", "model.latent_dim=2"], "two or more values"),
        (["--curve", "model.latent_dim=2,2"], "two or more values"),
        (["--curve", "model.latent_dim=2:8"], "two or more values"),
        (["--curve", "model.latent_dim"], "--curve: expected"),
        (["--curve", "training.batch_size=2,4"], "--set gives it one value already"),
        (["--curve", "model.latent_dim=2,4", "--trials", "3"], "takes no --trials"),
        (["--curve", "model.latent_dim=2,4", "--search", "random"], "takes no --search"),
        (["--curve", "model.latent_dim=2,4", "--range", "width=1,2"], "takes no --range"),
        (["--folds", "1"], "2 or more"),
        (["--folds", "2", "--search", "hyperband"], "--folds is for"),
        (["--folds", "500"], "at most as many"),
    ],
)
def test_requests_that_cannot_be_met_are_one_line(tmp_path, capsys, arguments, part):
    assert tune(tmp_path / "s", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("training: error: ") and error.count("\n") == 1
    assert part in error
    assert not (tmp_path / "s").exists()


@pytest.mark.slow
def test_another_search_does_not_mix_with_the_one_in_the_folder(found, tmp_path, capsys):
    assert tune(found, "--trials", "2", "--epochs", "3", "--range", "width=0.25,0.5") == 2
    assert "another epochs (2, now 3)" in capsys.readouterr().err
    (tmp_path / "note.txt").write_text("mine")
    assert tune(tmp_path) == 2
    assert "something else" in capsys.readouterr().err


def test_without_keras_tuner_one_line_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_tuner", None)
    assert tune(tmp_path / "s") == 2
    assert "pip install 'tfvae[tune]'" in capsys.readouterr().err


@pytest.fixture(scope="module")
def curve(tmp_path_factory):
    """A validation curve of two values over two folds."""
    path = tmp_path_factory.mktemp("searches") / "curve"
    arguments = ("--curve", "model.latent_dim=1,8", "--folds", "2", "--epochs", "1")
    assert tune(path, *arguments, settings=SMALL) == 0
    return path


SMALL = [*TINY, "model.widths=[16]"]


@pytest.mark.slow
def test_a_curve_leaves_a_picture_and_its_numbers(curve):
    facts = json.loads((curve / "curve.json").read_text())
    assert facts["setting"] == "model.latent_dim" and [point["value"] for point in facts["points"]] == [1, 8]
    for point in facts["points"]:
        assert len(point["folds"]) == 2
        for name in ("elbo", "training_elbo", "psnr"):
            folds = np.array([fold[name] for fold in point["folds"]])
            np.testing.assert_allclose(point[name], folds.mean())
            np.testing.assert_allclose(point["errors"][name], folds.std(ddof=1) / np.sqrt(2))
    with open(curve / "curve.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["model.latent_dim"] for row in rows] == ["1", "8"]
    assert [float(row["elbo_error"]) for row in rows] == [point["errors"]["elbo"] for point in facts["points"]]
    best = max(facts["points"], key=lambda point: point["elbo"])
    assert tomllib.loads((curve / "best.toml").read_text())["model"]["latent_dim"] == best["value"]
    assert (curve / "curve.png").is_file() and not (curve / "tune.png").exists()
    assert "2 folds of 108 images" in (curve / "tune.md").read_text() and " ± " in (curve / "tune.md").read_text()


@pytest.mark.slow
def test_each_image_judges_once_and_no_test_image_does(curve):
    splits = load(open_run(curve / "trials" / "0" / "fold1").data_config, seed=0)
    judged, parts = [], []
    for fold in (1, 2):
        parts.append(json.loads((curve / "trials" / "0" / f"fold{fold}" / "data.json").read_text())["parts"])
        judged.append(parts[-1]["validation"]["count"])
    assert judged == [54, 54] and {part["train"]["count"] for part in parts} == {54}
    assert len({part["validation"]["names"] for part in parts}) == 2  # digests of the names
    assert len({part["test"]["names"] for part in parts}) == 1
    whole = splits.train.joined(splits.validation)
    assert sorted(whole.names) == sorted({*splits.train.names, *splits.validation.names})
    assert not {*whole.names} & {*splits.test.names}


@pytest.mark.slow
def test_a_curve_that_is_stopped_in_a_fold_goes_on_and_finds_the_same(tmp_path, monkeypatch):
    real, calls = searching.run.fit, []

    def stops(config, splits, path, **how):
        calls.append(path.name)
        if len(calls) == 4:
            real(with_epochs(config, 1), splits, path, **how)  # half of the second fold of the second value
            raise KeyboardInterrupt
        return real(config, splits, path, **how)

    arguments = ("--curve", "model.latent_dim=1,8", "--folds", "2", "--epochs", "2")
    assert tune(tmp_path / "whole", *arguments, settings=SMALL) == 0
    monkeypatch.setattr(searching.run, "fit", stops)
    assert tune(tmp_path / "s", *arguments, settings=SMALL) == 130
    assert calls[-1] == "fold2"
    monkeypatch.undo()
    assert tune(tmp_path / "s", *arguments, settings=SMALL) == 0
    found = [json.loads((path / "curve.json").read_text())["points"] for path in (tmp_path / "whole", tmp_path / "s")]
    assert [point["folds"] for point in found[0]] == [point["folds"] for point in found[1]]


@pytest.mark.slow
def test_a_random_search_takes_folds(tmp_path):
    settings = [*SMALL, "objective.beta=1", "training.learning_rate=1e-3", "model.hidden=16"]
    options = ("--trials", "1", "--epochs", "1", "--folds", "2", "--range", "model.latent_dim=2,3")
    assert tune(tmp_path / "s", *options, settings=settings) == 0
    (row,) = trials(tmp_path / "s")
    assert row["status"] == "completed" and float(row["elbo_error"]) > 0
