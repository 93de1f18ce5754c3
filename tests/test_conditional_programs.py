"""Conditional runs in the programs: trained, drawn from, measured, exported, and called without Python's model."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny_runs import conditional_vae, only, vector_vae, write_run

from export.bundle import export_run
from export.verify import verify
from tfvae import applications, pictures
from tfvae.applications.latent.animate import animate_draws
from tfvae.cli import main
from tfvae.errors import run_program
from tfvae.runs import open_run
from training.__main__ import main as training_main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "conditional", conditional_vae(), limit=200)


@pytest.fixture(scope="module")
def bundle(run):
    with only("float32", "int8"):
        export_run(run, say=lambda line: None)
    return run / "export"


def png(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_generate_draws_under_the_asked_label(run, tmp_path):
    model = open_run(run).load_model()
    mixture = np.eye(10, dtype="float32")[[3, 8]].mean(0)[None]
    for words, labels in ((["--label", "7"], 7), ([], None), (["--label", "3:0.5,8:0.5"], mixture)):
        assert main(["generate", str(run), "-n", "12", *words, "-o", str(tmp_path / "drawn.png")]) == 0
        wanted = pictures.grid(applications.generate(model, 12, 0, labels=labels))
        np.testing.assert_array_equal(png(tmp_path / "drawn.png"), wanted)


@pytest.mark.parametrize(
    ("command", "label", "message"),
    [
        ("generate", "12", "no label '12'"),
        ("animate", "seven", "no label 'seven'"),
    ],
)
def test_a_label_that_is_none_is_one_line(command, label, message, run, capsys):
    assert main([command, str(run), "--label", label]) == 2
    assert message in capsys.readouterr().err


def test_a_run_that_learnt_no_classes_takes_no_label(tmp_path, capsys):
    plain = write_run(tmp_path / "plain", vector_vae())
    assert main(["generate", str(plain), "--label", "1"]) == 2
    assert "learnt classes or styles" in capsys.readouterr().err


def test_ways_through_the_codes_keep_or_change_the_label(run, tmp_path):
    for words in (["interpolate", str(run), "0", "1"], ["dreams", str(run)], ["embed", str(run)]):
        out = {"interpolate": "i.png", "dreams": "dreams", "embed": "codes.npz"}[words[0]]
        assert main([*words, "-o", str(tmp_path / out)]) == 0
    with np.load(tmp_path / "codes.npz") as table:
        assert table["codes"].shape[1] == 3  # of z; the label is no part of what the picture says beyond it
    model = open_run(run).load_model()
    first = next(iter(animate_draws(model, 2, frames=3, labels=4)))
    np.testing.assert_allclose(first, applications.generate(model, 1, 0, labels=4)[0], atol=1e-6)
    ends = np.random.default_rng(0).random((2, 8, 8, 1)).astype("float32")
    way = applications.interpolate(model, *ends, steps=3)
    np.testing.assert_allclose(way[[0, 2]], model.reconstruct(ends)["image"], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_figures_are_of_the_given_labels(run, tmp_path):
    (tmp_path / "bare").mkdir()
    for number in range(20):
        pixels = np.random.default_rng(number).integers(0, 255, (8, 8), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "bare" / f"{number}.png")
    for name, words in (("given", []), ("the likeliest", [str(tmp_path / "bare")])):
        out = tmp_path / "figures.json"
        words = ["evaluate", str(run), *words, "--figures", "elbo,nll", "--nll", "3", "-o", str(out)]
        assert main(words) == 0
        figures = json.loads(out.read_text())["figures"]
        assert figures["elbo"]["protocol"]["labels"] == figures["nll"]["protocol"]["labels"] == name


def test_the_evaluated_bound_is_of_the_given_labels(run):
    from tfvae.evaluation import evaluate

    model = open_run(run).load_model()
    x = np.random.default_rng(0).random((40, 8, 8, 1)).astype("float32")
    x = np.round(255 * x).astype("uint8")
    likeliest = np.asarray(model.likeliest_labels(x))
    given, inferred = evaluate(model, x, labels=likeliest), evaluate(model, x)
    assert given["distortion"] == pytest.approx(inferred["distortion"], rel=1e-6)
    assert inferred["rate"] - given["rate"] == pytest.approx(np.log(10), rel=1e-4)
    with pytest.raises(ValueError, match="from 0 to 9"):
        evaluate(model, x, labels=likeliest + 10)


def train(*words):
    return run_program("training", lambda: training_main(list(words)))


@pytest.mark.slow
def test_a_recipe_trains_a_conditional_model(tmp_path, capsys):
    out = tmp_path / "run"
    settings = ["model.conditional=true", "model.widths=[16]", "model.network=mlp", "model.latent_dim=3"]
    settings += ["prior.kind=standard_normal"]
    words = [word for setting in settings for word in ("--set", setting)]
    assert train("--data", "digits", "--epochs", "1", *words, "--out", str(out)) == 0
    model = open_run(out).load_model()
    assert model.conditional and model.label_names == [str(digit) for digit in range(10)]
    assert json.loads((out / "report.json").read_text())["protocol"]["labels"] == "given"
    np.savez(tmp_path / "bare.npz", np.zeros((40, 8, 8), np.uint8))
    assert train("--data", str(tmp_path / "bare.npz"), *words, "--out", str(tmp_path / "none")) == 2
    assert "the model is conditional, and these pictures have no labels" in capsys.readouterr().err
    assert train("--data", "digits", "--set", "model.conditional=true", "--set", "model.kind=autoencoder") == 2
    assert "a autoencoder takes no labels" in capsys.readouterr().err


@pytest.mark.slow
def test_the_bundle_takes_the_label_as_an_input(run, bundle):
    report = json.loads((bundle / "export_report.json").read_text())
    assert report["withheld"] == []
    model = open_run(run).load_model()
    served = tf.saved_model.load(str(bundle / "saved_model" / "1")).signatures["generate"]
    noise, labels = np.zeros((3, 3), "float32"), np.eye(10, dtype="float32")[[7, 0, 3]]
    found = served(noise=tf.constant(noise), labels=tf.constant(labels))["image"]
    np.testing.assert_allclose(found, model.generate(noise, labels=[7, 0, 3])["image"], atol=1e-5)
    assert verify(bundle, say=lambda line: None) == []


@pytest.mark.slow
def test_the_phone_s_script_decodes_under_a_label(run, bundle, tmp_path):
    script = [sys.executable, str(bundle / "phone" / "call.py"), "--seed", "3"]
    model, found = open_run(run).load_model(), {}
    code = np.random.default_rng(3).standard_normal((1, 3)).astype("float32")
    for label in (2, 9):
        out = tmp_path / f"{label}.png"
        subprocess.run([*script, "--label", str(label), "--out", str(out)], check=True, capture_output=True)
        wanted = 255 * np.asarray(model.decode(code, [label])["image"])[0, ..., 0]
        assert np.abs(png(out) - wanted).max() <= 1
        found[label] = png(out)
    assert (found[2] != found[9]).any()


@pytest.mark.slow
def test_int8_from_python_is_calibrated_with_labels(tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    model, x = conditional_vae(), np.random.default_rng(0).random((30, 8, 8, 1)).astype("float32")
    model.export(tmp_path / "m.tflite", format="litert", quantize="int8", representative=x, batch=1)
    runner = Interpreter(str(tmp_path / "m.tflite")).get_signature_runner("decode")
    z, labels = np.zeros((1, 3), "float32"), np.eye(10, dtype="float32")[[5]]
    np.testing.assert_allclose(runner(z=z, labels=labels)["image"], model.decode(z, [5])["image"], atol=0.05)
