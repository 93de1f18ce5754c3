"""ONNX files by Keras's own exporter: names, open dimensions, and the same numbers in ONNX Runtime."""

import importlib.util
import json
from types import SimpleNamespace

import numpy as np
import pytest
from test_serving import make, pictures
from tiny_runs import only, spatial_vae, write_run

import tfvae
from export import __main__ as program
from export import evidence, parity
from export.formats import onnx as onnx_files
from export.reference import Reference
from tfvae.serving import signatures

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("tf2onnx")

LIMIT = parity.BOUNDS["onnx"].limit


def converted(model, name):
    return onnx_files.ONNXFile(onnx_files.convert(model, signatures(model)[name]))


def test_every_signature_agrees_with_keras_for_any_batch():
    model = make("mlp")
    images = pictures(5, 7, 5, 1)
    inputs = {"encode": {"image": images}, "decode": {"z": np.asarray(model.codes(images))}}
    inputs |= {"reconstruct": inputs["encode"], "generate": {"noise": inputs["decode"]["z"]}}
    for name, given in inputs.items():
        file = converted(model, name)
        expected = {key: np.asarray(value) for key, value in getattr(model, name)(*given.values()).items()}
        for count in (1, 5):
            found = file.run({key: value[:count] for key, value in given.items()})
            assert parity.max_abs({key: value[:count] for key, value in expected.items()}, found) <= LIMIT
        assert file.signature == name


def test_what_is_no_number_is_answered_with_nan_and_labels_are_an_input():
    model = tfvae.VAE.from_shape((7, 5, 1), latent_dim=3, network="inception", widths=(8,), label_names=range(3))
    images, labels = pictures(3, 7, 5, 1), np.eye(3, dtype=np.float32)
    file = converted(model, "reconstruct")
    expected = file.run({"image": images, "labels": labels})["image"]
    assert (
        parity.max_abs({"image": np.asarray(model.reconstruct(images, labels)["image"])}, {"image": expected}) <= LIMIT
    )
    for bad in (np.nan, np.inf):
        spoilt = images.copy()
        spoilt[1, 0, 0] = bad
        found = file.run({"image": spoilt, "labels": labels})["image"]
        assert np.isnan(found[1]).all()
        np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize("network", ["conv", "inception", "resnet"])
def test_spatial_files_take_odd_heights_and_widths(network):
    model = make(network, image_shape=(None, None, 3))
    file = converted(model, "reconstruct")
    for size in ((8, 8), (9, 6), (13, 7)):
        images = pictures(2, *size, 3)
        found = file.run({"image": images})
        assert found["image"].shape == images.shape
        assert parity.max_abs({"image": np.asarray(model.reconstruct(images)["image"])}, found) <= LIMIT


def test_tensors_have_names_and_open_dimensions_are_called_what_they_are():
    model = make(image_shape=(None, None, 3), kind=tfvae.Autoencoder)
    tensors = {name: converted(model, name).tensors() for name in ("encode", "decode", "reconstruct")}
    image = {"shape": ["batch", "height", "width", 3], "dtype": "float32"}
    code = {"shape": ["batch", "rows", "columns", 3], "dtype": "float32"}
    assert tensors == {
        "encode": {"inputs": {"image": image}, "outputs": {"code": code}},
        "decode": {"inputs": {"z": code}, "outputs": {"image": image}},
        "reconstruct": {"inputs": {"image": image}, "outputs": {"reconstruction": image}},
    }


@pytest.mark.slow
def test_the_program_writes_checks_and_verifies_them(tmp_path, capsys, monkeypatch):
    run = write_run(tmp_path / "run", spatial_vae())
    with only("float32"):
        assert program.main([str(run), "--onnx", "--size", "10x6"]) == 0
    folder = run / "export"
    report = json.loads((folder / "export_report.json").read_text())
    found = {entry["name"]: entry for entry in report["artefacts"] if entry.get("variant") == "onnx"}
    assert list(found) == ["encoder.onnx", "decoder.onnx", "autoencoder.onnx"]
    for name, entry in found.items():
        onnx.checker.check_model(str(folder / name))
        (verdict,) = entry["parity"].values()
        assert verdict["passed"] and 0 <= verdict["value"] <= LIMIT
        assert "Conv" in entry["ops"] and not [op for op in entry["ops"] if op.startswith("Random")]
    assert "autoencoder.onnx" in (folder / "MODEL_CARD.md").read_text()
    *_, odd = evidence.read(folder).cases["reconstruct"]
    assert (odd.name, odd.inputs["image"].shape) == (evidence.ODD_SIZE, (2, 7, 1, 1))
    capsys.readouterr()
    assert program.main(["verify", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("ok") and ".onnx" in line]) == 3

    # On a machine without ONNX Runtime they are said to be unchecked, not to be fine.
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "onnxruntime" else find(name, *a))
    assert program.main(["verify", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("not run") and ".onnx" in line]) == 3
    assert lines[-1].endswith("not run: encoder.onnx, decoder.onnx, autoencoder.onnx")


def test_without_the_extra_there_is_one_line(tmp_path, capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "tf2onnx" else find(name, *a))
    run = write_run(tmp_path / "run", spatial_vae())
    assert program.main([str(run), "--onnx"]) == 2
    assert capsys.readouterr().err == "export: error: --onnx needs tf2onnx: pip install -e '.[onnx]'.\n"
    assert not (run / "export").exists()


def test_a_file_whose_answers_do_not_fit_together_is_withheld(tmp_path, monkeypatch):
    """tf2onnx wrote one once, in a process that had converted many models before."""

    def run(self, inputs):
        np.concatenate([np.zeros((1, 8)), np.zeros((2, 9))])

    model = make("mlp")
    work = SimpleNamespace(model=model, reference=Reference(model, pictures(2, 7, 5, 1), 0))
    monkeypatch.setattr(onnx_files.ONNXFile, "run", run)
    lines = []
    artefacts = onnx_files.write(work, tmp_path, lines.append)
    assert not list(tmp_path.iterdir()) and not any(artefact.written for artefact in artefacts)
    assert all(line.startswith("WITHHELD") and "wrong shapes" in line for line in lines)
