"""The whole way on the embedded digits: images in; trained model, pictures, SavedModel and checked .tflite out."""

import json

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image
from tiny_runs import only

import tfvae.cli
from export.__main__ import main as export_main
from tfvae.data import load
from tfvae.errors import run_program
from tfvae.runs import open_run
from training.__main__ import main as training_main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The recipe of the README's first command, for a quarter of its epochs."""
    path = tmp_path_factory.mktemp("end_to_end") / "digits"
    arguments = ["--recipe", "digits", "--epochs", "12", "--set", "training.learning_rate=5e-3", "--out", str(path)]
    assert run_program("training", lambda: training_main(arguments)) == 0
    return path


@pytest.fixture(scope="module")
def bundle(run):
    with only("float32", "int8"):  # the others are in test_export.py
        assert export_main([str(run)]) == 0
    return run / "export"


@pytest.fixture(scope="module")
def held_out(run):
    opened = open_run(run)
    return load(opened.data_config, seed=opened.seed).test.array.astype("float32") / 255


def test_training_learnt_the_digits(run, held_out):
    test = json.loads((run / "report.json").read_text())["test"]
    mean_image_psnr = -10 * np.log10(np.mean((held_out - held_out.mean(0)) ** 2, axis=(1, 2, 3))).mean()
    assert test["psnr"] > mean_image_psnr + 2, "no better than always answering with the mean picture"
    assert test["rate"] > 2, "the posterior collapsed"


def test_every_artefact_of_the_bundle_is_within_its_bound(bundle):
    report = json.loads((bundle / "export_report.json").read_text())
    names = {path.name for path in bundle.iterdir()}
    assert names >= {"saved_model", "export_report.json", "MODEL_CARD.md"}
    for part in ("encoder", "decoder", "autoencoder"):
        assert names >= {f"{part}.tflite", f"{part}_int8.tflite"}
    assert report["withheld"] == [] and len(report["artefacts"]) == 13


def test_a_phone_s_call_sequence_gives_the_pictures_of_keras(run, bundle, held_out):
    images = held_out[:5]
    expected = np.asarray(open_run(run).load_model().reconstruct(images)["image"])
    encode = Interpreter(str(bundle / "encoder.tflite")).get_signature_runner("encode")
    decode = Interpreter(str(bundle / "decoder.tflite")).get_signature_runner("decode")
    for image, wanted in zip(images, expected, strict=True):
        code = encode(image=image[None])["mean"]
        np.testing.assert_allclose(decode(z=code)["image"][0], wanted, atol=1e-4)


def test_the_command_uses_the_run(run, tmp_path):
    for arguments, name in (
        (["generate", str(run), "-n", "9", "-o", str(tmp_path / "drawn.png")], "drawn.png"),
        (["reconstruct", str(run), "-o", str(tmp_path / "rebuilt.png")], "rebuilt.png"),
        (["interpolate", str(run), "0", "1", "-o", str(tmp_path / "way.png")], "way.png"),
    ):
        assert tfvae.cli.main(arguments) == 0
        with Image.open(tmp_path / name) as picture:
            assert np.asarray(picture.convert("L")).std() > 20, f"{name} is nearly one grey"
    assert tfvae.cli.main(["embed", str(run), "digits", "-o", str(tmp_path / "codes.npz")]) == 0
    with np.load(tmp_path / "codes.npz") as codes:
        assert len(next(iter(codes.values()))) == 1797
