"""A model that was trained in Python goes everywhere that a run directory goes."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits
from tiny_runs import only

import tfvae
from export import __main__ as export_program
from tfvae import cli

X = load_digits().images[:96, ..., None].astype("float32") / 16


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    vae = tfvae.VAE.from_shape((8, 8, 1), latent_dim=4, network="mlp", widths=(32,), seed=0)
    vae.compile("adam")
    vae.fit(X, epochs=2, verbose=0)
    path = tmp_path_factory.mktemp("python") / "digits.keras"
    vae.save(path)
    return path


def test_it_draws_and_reconstructs(file, capsys):
    assert cli.main(["generate", str(file), "-n", "4"]) == 0
    assert (file.parent / "digits" / "generated.png").is_file()
    np.save(file.parent / "pictures.npy", (255 * X[:4]).astype("uint8"))
    assert cli.main(["reconstruct", str(file), str(file.parent / "pictures.npy")]) == 0
    assert (file.parent / "digits" / "reconstruction.png").is_file()


def test_it_is_evaluated_on_images_that_are_named(file, capsys):
    assert cli.main(["evaluate", str(file), "digits", "-n", "16"]) == 0
    assert "elbo" in capsys.readouterr().out
    assert cli.main(["evaluate", str(file)]) == 2
    assert "a model file knows no images. Name them: a SOURCE" in capsys.readouterr().err


@pytest.mark.slow
def test_it_is_exported_with_images_that_are_named(file, capsys):
    assert export_program.main([str(file)]) == 2
    assert "--data SOURCE" in capsys.readouterr().err
    with only("float32"):
        assert export_program.main([str(file), "--data", "digits"]) == 0
    bundle = file.parent / "digits" / "export"
    assert json.loads((bundle / "export_report.json").read_text())["run"] == "digits"
    assert (bundle / "saved_model" / "1" / "saved_model.pb").is_file() and (bundle / "decoder.tflite").is_file()
