import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from tfvae import applications
from tfvae.data import DataConfig, Images
from tfvae.errors import UserError, run_program
from tfvae.toml_sections import read_toml
from tfvae.whole_files import whole_file
from training import checkpoint, choose, journal, loop, report
from training.__main__ import main
from training.build import build_model, compile_model
from training.config import read_config
from training.journal import read_rows

TINY = [
    "data.limit=120",
    "model.network=mlp",
    "model.widths=[12]",
    "model.latent_dim=2",
    "model.dropout=0.2",
    "training.batch_size=16",
    "training.ema=0.9",
    "training.decay=cosine",
    "data.binarize=true",
    'objective.beta={schedule="linear", steps=9}',
    "prior.kind=standard_normal",
]


def train(out, *arguments, settings=TINY):
    flags = [word for setting in settings for word in ("--set", setting)]
    return run_program("training", lambda: main(["--data", "digits", "--out", str(out), *flags, *arguments]))


def assert_same_run(one, two):
    for name in ("model.keras", "metrics.csv"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


@contextlib.contextmanager
def terminated_at(step, monkeypatch, number=signal.SIGTERM):
    """Within, a training gets a signal when it reports `step`."""
    seen = journal.Journal.progress

    def stop(self, name, now, logs):
        if now == step:
            os.kill(os.getpid(), number)
        seen(self, name, now, logs)

    with monkeypatch.context() as patch:
        patch.setattr(journal.Journal, "progress", stop)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody interrupted."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    assert train(path, "--epochs", "4", settings=[*TINY, "model.likelihood=bernoulli"]) == 0
    return path


@contextlib.contextmanager
def without_reports():
    """Within, trainings end with their model and their figures: the report takes as long as they do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "write", lambda *_: {})
        yield


@pytest.fixture
def unreported():
    with without_reports():
        yield


def test_a_run_directory_is_complete(whole):
    names = {path.name for path in whole.iterdir()}
    assert names >= {
        "config.toml",
        "model.keras",
        "checkpoints",
        "metrics.csv",
        "tensorboard",
        "samples",
        "report.json",
        "report.md",
        "reconstructions.png",
        "samples.png",
        "curves.png",
        "latent_map.png",
    }
    assert [path.name for path in sorted((whole / "samples").iterdir())] == [f"epoch-{n:04d}.png" for n in (1, 2, 3, 4)]
    facts = json.loads((whole / "report.json").read_text())
    assert set(facts["test"]) == {"elbo", "rate", "distortion", "psnr", "ssim", "bits_per_dim"}
    np.testing.assert_allclose(facts["test"]["elbo"], -facts["test"]["rate"] - facts["test"]["distortion"], rtol=1e-6)
    rows = read_rows(whole / "metrics.csv")
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4] and all(np.isfinite(row["val_elbo"]) for row in rows)
    text = (whole / "report.md").read_text()
    for picture in ("reconstructions.png", "samples.png", "curves.png", "latent_map.png"):
        assert f"({picture})" in text


def test_the_config_alone_repeats_the_run(whole, unreported, tmp_path):
    again = tmp_path / "again"
    arguments = ["--recipe", str(whole / "config.toml"), "--out", str(again)]
    assert run_program("training", lambda: main(arguments)) == 0
    assert_same_run(whole, again)


@pytest.mark.parametrize(
    "step", [pytest.param(1, marks=pytest.mark.slow), 6, pytest.param(7, marks=pytest.mark.slow), 17]
)
def test_a_run_stopped_at_any_step_and_resumed_is_the_run_that_was_not(whole, tmp_path, monkeypatch, unreported, step):
    """Weights, optimiser, moving averages, schedules, noise, binarisation and metrics, bit for bit."""
    path = tmp_path / "stopped"
    with terminated_at(step, monkeypatch, signal.SIGHUP if step == 6 else signal.SIGTERM):
        assert train(path, "--epochs", "4", settings=[*TINY, "model.likelihood=bernoulli"]) == 130
    assert not (path / "report.json").exists()
    assert run_program("training", lambda: main(["--out", str(path), "--resume"])) == 0
    assert_same_run(whole, path)


def test_ctrl_c_is_heard_where_nobody_reads_the_log_any_more(tmp_path, monkeypatch):
    """`python -m training … | tee log`: the same Ctrl-C ends tee first, and what is printed then finds no reader."""
    reader, writer = os.pipe()
    os.close(reader)
    with monkeypatch.context() as patch, terminated_at(8, monkeypatch, signal.SIGINT):
        patch.setattr(sys, "stdout", os.fdopen(writer, "w", buffering=1))
        assert train(tmp_path / "run", "--epochs", "4") == 130
    assert (tmp_path / "run" / "checkpoints" / "step-00000008.npz").is_file()


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(whole, tmp_path, capsys):
    path = tmp_path / "checkpoints"
    path.mkdir()
    saved = sorted((whole / "checkpoints").glob("step-*.npz"))
    assert len(saved) == 2
    for file in saved:
        (path / file.name).write_bytes(file.read_bytes())
    newest = path / saved[-1].name
    newest.write_bytes(newest.read_bytes()[:-200])
    config = read_config(read_toml(whole / "config.toml"), "test")
    model = build_model(config, (8, 8, 1))
    compile_model(model, config.training, 10)
    assert checkpoint.Checkpoints(path, model).restore()["epoch"] == 3
    assert newest.name in capsys.readouterr().out
    (path / saved[0].name).write_bytes(b"nothing")
    with pytest.raises(UserError, match="no whole checkpoint"):
        checkpoint.Checkpoints(path, model).restore()


def test_progress_of_another_version_is_one_line(whole, tmp_path, capsys):
    path = tmp_path / "run"
    shutil.copytree(whole, path)
    (path / "report.json").unlink()
    for file in (path / "checkpoints").glob("step-*.npz"):
        with np.load(file) as table:
            arrays = dict(table)
        arrays["progress"] = np.array(json.dumps({**json.loads(str(arrays["progress"])), "flavour": "new"}))
        np.savez(file, **arrays)
    assert run_program("training", lambda: main(["--out", str(path), "--resume"])) == 2
    error = capsys.readouterr().err
    assert "of another version of tfvae" in error and "flavour" in error and error.count("\n") == 1


def test_a_checkpoint_of_another_model_is_refused(whole):
    config = read_config({"data": {"source": "digits"}, "model": {"network": "mlp", "widths": (5,)}}, "test")
    model = build_model(config, (8, 8, 1))
    compile_model(model, config.training, 10)
    with pytest.raises(UserError, match="made by another model"):
        checkpoint.Checkpoints(whole / "checkpoints", model).restore()


def test_a_kill_while_writing_leaves_the_former_file(tmp_path):
    path = tmp_path / "step.npz"
    path.write_bytes(b"former")

    with pytest.raises(KeyboardInterrupt), whole_file(path) as file:
        file.write(b"half of the new")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"former" and list(tmp_path.iterdir()) == [path]


def test_a_run_whose_steps_are_all_bad_stops_and_says_so(tmp_path, capsys):
    np.save(tmp_path / "images.npy", np.full((60, 8, 8), 200, "uint8"))
    arguments = ["--data", str(tmp_path / "images.npy"), "--out", str(tmp_path / "run"), "--epochs", "30"]
    settings = ["training.learning_rate=1e30", "training.max_skipped_steps=5", "training.batch_size=8"]
    flags = [word for setting in settings for word in ("--set", setting)]
    assert run_program("training", lambda: main([*arguments, *flags])) == 2
    assert "were not finite" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    "flags",
    [
        ["--precision", "mixed_float16"],
        pytest.param(["--precision", "mixed_bfloat16"], marks=pytest.mark.slow),
        pytest.param(["--steps-per-execution", "4"], marks=pytest.mark.slow),
        pytest.param(["--jit"], marks=pytest.mark.slow),
        ["--set", "model.kind=autoencoder"],
    ],
    ids=" ".join,
)
def test_every_way_of_running_reaches_its_report(flags, tmp_path):
    deterministic = "model.kind=autoencoder" in flags
    settings = [setting for setting in TINY if not (deterministic and "objective" in setting)]
    assert train(tmp_path / "run", "--epochs", "2", *flags, settings=[*settings, "model.likelihood=bernoulli"]) == 0
    facts = json.loads((tmp_path / "run" / "report.json").read_text())
    assert np.isfinite(facts["test"]["psnr"]) and facts["training"]["skipped_steps"] == 0


@pytest.mark.slow  # test_replicas.py has the steps of two devices, test_multiworker.py a program whose steps are shared
def test_two_devices_reach_the_report(tmp_path):
    """In a process of its own: collectives of two strategies in one process meet under one key (TensorFlow 2.21)."""
    program = (
        "import sys, conftest; from training.__main__ import main; from tfvae.errors import run_program; "
        "sys.exit(run_program('training', lambda: main(sys.argv[1:])))"
    )
    flags = [word for setting in [*TINY, "model.likelihood=bernoulli"] for word in ("--set", setting)]
    out = tmp_path / "run"
    command = [sys.executable, "-c", program, "--data", "digits", "--epochs", "2", "--strategy", "mirrored", *flags]
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    done = subprocess.run([*command, "--out", str(out)], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    facts = json.loads((out / "report.json").read_text())
    assert len(facts["training"]["devices"]) == 2 and np.isfinite(facts["test"]["elbo"])


def test_without_test_images_the_report_says_what_it_measured_on(tmp_path):
    assert train(tmp_path / "run", "--epochs", "1", settings=[*TINY, "data.test=0", "data.validation=0"]) == 0
    facts = json.loads((tmp_path / "run" / "report.json").read_text())
    assert facts["protocol"]["split"] == "train" and facts["data"]["test"] == 0
    assert "120 train images" in (tmp_path / "run" / "report.md").read_text()


def test_the_average_of_the_weights_is_put_in_place_and_taken_out_without_a_trace():
    config = read_config(
        {"data": {"source": "digits"}, "training": {"ema": 0.5}, "model": {"network": "mlp", "widths": (4,)}}, "test"
    )
    model = build_model(config, (8, 8, 1))
    compile_model(model, config.training, 10)
    for _ in range(2):  # the first step only starts the average
        model.train_on_batch(np.random.default_rng(0).random((4, 8, 8, 1)).astype("float32"))
    before = [v.numpy().copy() for v in model.trainable_variables]
    with loop.averaged(model):
        inside = [v.numpy().copy() for v in model.trainable_variables]
    after = [v.numpy() for v in model.trainable_variables]
    assert any(np.any(a != b) for a, b in zip(before, inside, strict=True))
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


def pictures_of(folder, *sizes):
    for number, size in enumerate(sizes):
        Image.fromarray(np.zeros((*size, 3), "uint8")).save(folder / f"{number}.png")
    return DataConfig(source=str(folder))


def test_small_pictures_get_a_vector_and_a_flow():
    tables, reasons = choose.choose_shape(DataConfig(source="digits"), 0)
    assert tables["model"]["latent"] == "vector" and "8×8" in reasons[0]
    assert tables["prior"] == {"kind": "flow", "fitted": True}


def test_larger_ones_get_a_map_at_one_size_and_a_prior_of_its_places(tmp_path):
    tables, reasons = choose.choose_shape(pictures_of(tmp_path, (192, 128), (191, 130), (190, 120), (192, 126)), 0)
    assert tables["model"]["latent"] == "spatial" and tables["prior"]["kind"] == "autoregressive"
    assert tables["data"] == {"height": 96, "width": 64} and "unequal" in reasons[0] and "square" not in reasons[0]


def test_pictures_of_all_shapes_are_cut_to_squares(tmp_path):
    tables, reasons = choose.choose_shape(pictures_of(tmp_path, (200, 150), (180, 240), (300, 300)), 0)
    assert tables["data"] == {"height": 80, "width": 80} and "square" in reasons[0]


def test_what_is_asked_of_the_latent_is_minded_and_models_without_a_prior_to_fit_see_crops(tmp_path):
    config = pictures_of(tmp_path, (192, 128), (191, 130), (190, 120))
    tables, _ = choose.choose_shape(config, 0, latent="vector")
    assert (tables["model"]["latent"], tables["prior"]["kind"]) == ("vector", "flow")
    assert tables["data"] == {"height": 96, "width": 64}
    tables, _ = choose.choose_shape(DataConfig(source="digits"), 0, latent="spatial")
    assert (tables["model"]["latent"], tables["prior"]["kind"]) == ("spatial", "autoregressive")
    tables, reasons = choose.choose_shape(config, 0, draws=False)
    assert "prior" not in tables and tables["data"] == {"crop": 96} and not any("(prior)" in line for line in reasons)


def test_black_and_white_pictures_get_the_bernoulli_likelihood():
    rng = np.random.default_rng(0)
    binary = Images.from_array((255 * rng.integers(0, 2, (9, 4, 4, 1))).astype("uint8"))
    grey = Images.from_array(rng.integers(0, 256, (9, 4, 4, 1)).astype("uint8"))
    assert choose.choose_likelihood(binary)[0] == {"model": {"likelihood": "bernoulli"}, "data": {"binarize": True}}
    assert choose.choose_likelihood(grey)[0] == {"model": {"likelihood": "optimal_gaussian"}}


@pytest.mark.slow
def test_a_folder_of_unequal_pictures_trains_with_no_recipe_and_names_what_it_refused(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(12):
        height, width = rng.integers(40, 70, 2)
        Image.fromarray(rng.integers(0, 256, (height, width, 3), "uint8")).save(folder / f"{number}.png")
    (folder / "broken.png").write_text("not a picture")
    out = tmp_path / "run"
    small = ["--set", "model.widths=[8, 8]", "--set", "model.network=conv", "--set", "training.batch_size=4"]
    small += ["--epochs", "1", "--set", "prior.steps=2", "--set", "prior.options={width=16, depth=1}"]
    assert run_program("training", lambda: main(["--data", str(folder), "--out", str(out), *small])) == 0
    facts = json.loads((out / "report.json").read_text())
    assert [refusal["name"] for refusal in facts["data"]["refused"]] == ["broken.png"]
    assert facts["chosen"] and "broken.png" in (out / "report.md").read_text()
    # It draws whole pictures, of the size that was chosen, and says how they compare with real ones.
    assert facts["prior"]["kind"] == "autoregressive" and facts["draws"]["frechet"] > 0
    assert "Draws beside held-out images" in (out / "report.md").read_text()
    model = keras.saving.load_model(out / "model.keras", compile=False)
    config = read_toml(out / "config.toml")["data"]
    assert applications.generate(model, 2, 0).shape == (2, config["height"], config["width"], 3)


def test_unequal_pictures_and_a_vector_latent_need_a_size(tmp_path, capsys):
    for number, size in enumerate([(20, 30), (30, 20), (25, 25), (20, 20)]):
        Image.fromarray(np.zeros((*size, 3), "uint8")).save(tmp_path / f"{number}.png")
    arguments = ["--data", str(tmp_path), "--out", str(tmp_path / "run"), "--recipe", "digits"]
    assert run_program("training", lambda: main(arguments)) == 2
    assert "data.height" in capsys.readouterr().err


@pytest.mark.slow
def test_no_epoch_of_a_warm_up_is_the_best_and_a_recipe_s_ends_within_a_quarter(tmp_path):
    small = [setting for setting in TINY if "beta" not in setting]
    recipe = ["--recipe", "digits", "--epochs", "3"]
    with without_reports():
        assert train(tmp_path / "own", *recipe, settings=small) == 0
    rows = read_rows(tmp_path / "own" / "metrics.csv")
    steps = read_toml(tmp_path / "own" / "config.toml")["objective"]["beta"]["steps"]
    assert steps == int(rows[-1]["step"]) // 4
    asked = [*small, 'objective.beta={schedule="linear", steps=1000}']
    assert train(tmp_path / "asked", *recipe, settings=asked) == 0
    assert read_toml(tmp_path / "asked" / "config.toml")["objective"]["beta"]["steps"] == 1000
    report = json.loads((tmp_path / "asked" / "report.json").read_text())
    assert report["training"]["best_epoch"] == 3  # all of them are of the warm-up: the last is kept
