"""From the embedded digits to a model that removes noise, and the `tfvae` command that uses it."""

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from test_training_run import without_reports

import tfvae.cli
from export.__main__ import main as export_main
from tfvae.errors import run_program
from tfvae.evaluation import psnr
from tfvae.runs import open_run
from training.__main__ import main as training_main

SMALL = [
    *("--set", "model.widths=[16, 16, 16]", "--set", "objective.blocks=1"),
    *("--set", "data.crop=8", "--set", "data.limit=400", "--set", "data.validation=20", "--set", "data.test=20"),
    *("--set", "data.augment=[]", "--set", "training.learning_rate=4e-3", "--set", "training.warmup_steps=20"),
    *("--set", "training.ema=0.9", "--set", "training.batch_size=36", "--set", "data.crops=5"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("restoration") / "denoise"
    noise = 'objective.corruptions=[{ kind = "gaussian", std = 0.2 }]'
    training_main(
        ["--recipe", "denoise", "--data", "digits", "--epochs", "6", "--set", noise, *SMALL, "--out", str(path)]
    )
    return path


@pytest.mark.slow
def test_training_learnt_to_remove_noise_it_has_not_seen(run):
    test = json.loads((run / "report.json").read_text())["test"]
    noisy = -20 * np.log10(0.2)
    assert test["psnr"] > noisy + 2, f"the noisy digits themselves are at {noisy:.1f} dB"
    assert test["rate"] > 0


@pytest.mark.slow
def test_the_report_shows_originals_degraded_restored_and_the_uncertainty(run):
    picture = Image.open(run / "reconstructions.png")
    assert picture.height > 4 * 8  # four rows
    assert "degraded and restored" in (run / "report.md").read_text(encoding="utf-8")
    assert not (run / "samples.png").exists()


@pytest.mark.slow
def test_health_has_nothing_to_say_of_scales(run):
    found = {finding["name"] for finding in json.loads((run / "report.json").read_text())["health"]["findings"]}
    assert not {name for name in found if "scale" in name}


@pytest.mark.slow
def test_training_ends_with_a_calibrated_uncertainty(run):
    facts, model = json.loads((run / "report.json").read_text())["uncertainty"], open_run(run).load_model()
    assert facts["split"] == "test" and 0.9 < facts["coverage"] < 0.99
    assert 1.0 < facts["estimate_psnr"] - facts["sample_psnr"] < 4.0
    assert model.uncertainty["measured"] == {key: value for key, value in facts.items() if key != "curve"}
    text = (run / "report.md").read_text(encoding="utf-8")
    assert "## The uncertainty" in text and (run / "calibration.png").is_file() and "(calibration.png)" in text


@pytest.mark.slow
def test_the_command_restores_noisy_files_and_tells_the_noise(run, tmp_path, capsys):
    rng = np.random.default_rng(0)
    originals = load_digits().images[:12] / 16
    noisy = np.clip(originals + 0.2 * rng.standard_normal(originals.shape), 0, 1)
    (tmp_path / "noisy").mkdir()
    for index, image in enumerate(noisy):
        Image.fromarray(np.uint8(np.round(255 * image))).save(tmp_path / "noisy" / f"{index:02d}.png")
    assert tfvae.cli.main(["restore", str(run), str(tmp_path / "noisy"), "-o", str(tmp_path / "clean")]) == 0
    restored = np.stack([np.asarray(Image.open(path)) for path in sorted((tmp_path / "clean").glob("*.png"))]) / 255
    gains = psnr(originals[..., None], restored[..., None]) - psnr(originals[..., None], noisy[..., None])
    assert np.mean(gains) > 1.0
    told = [float(line.split("noise of about ")[1].split()[0]) for line in capsys.readouterr().out.splitlines()[:12]]
    # Of values that stay within black and white; the others lost up to all of their noise.
    assert len(told) == 12 and 0.4 * 51 < np.mean(told) < 1.1 * 51


@pytest.mark.slow
def test_what_a_restorer_has_not_is_refused_in_one_line(run, tmp_path, capsys):
    for command in (["generate"], ["interpolate", "0", "1"], ["evaluate", "--figures", "nll"]):
        assert tfvae.cli.main([command[0], str(run), *command[1:]]) == 2
        assert "Restorer" in capsys.readouterr().err
    assert export_main([str(run), "--out", str(tmp_path / "bundle"), "--explorer"]) == 2
    assert "--explorer: there is none for Restorer" in capsys.readouterr().err


@pytest.mark.slow
def test_fine_tuning_starts_from_the_weights_of_a_run(run, tmp_path):
    # A learning rate of nothing: what the new run keeps is what it began with.
    arguments = ["--recipe", "denoise", "--data", "digits", "--epochs", "1", *SMALL, "--init", str(run)]
    with without_reports():
        training_main([*arguments, "--set", "training.learning_rate=1e-12", "--out", str(tmp_path / "tuned")])
    former, tuned = (open_run(path).load_model() for path in (run, tmp_path / "tuned"))
    for a, b in zip(former.trainable_variables, tuned.trainable_variables, strict=True):
        np.testing.assert_allclose(a.value, b.value, atol=1e-6)
    assert former.corruptions != tuned.corruptions


@pytest.mark.slow
def test_fine_tuning_from_another_kind_of_model_is_refused(run, tmp_path, capsys):
    arguments = ["--recipe", "digits", "--init", str(run), "--out", str(tmp_path / "vae")]
    assert run_program("training", lambda: training_main(arguments)) == 2
    assert "training.init: the model of" in capsys.readouterr().err
