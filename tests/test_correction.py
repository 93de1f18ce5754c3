"""Bias correction: what moves a layer's mean is found and taken back."""

import numpy as np
import pytest
from test_serving import make
from tiny_runs import only, write_run

from export import bundle, parity
from export.formats import bias_correction, tflite_files
from export.formats.tflite import convert
from export.formats.tflite_runtime import TFLiteFile
from tfvae.serving import write_saved_model


@pytest.fixture(scope="module", params=["mlp", "conv", "resnet"])
def files(request, tmp_path_factory):
    """A decoder in float32 and int8, and its calibration."""
    model = make(request.param)
    path = tmp_path_factory.mktemp("saved") / "model"
    write_saved_model(model, path, batch=1, to_convert=True)
    codes = np.random.default_rng(0).standard_normal((24, 3), np.float32)
    calibration = [{"z": code[None]} for code in codes]
    return convert(path, "decode", "float32"), convert(path, "decode", "int8", calibration), calibration


def images(content, calibration):
    file = TFLiteFile(content)
    return np.concatenate([file.run(one)["image"] for one in calibration])


def damaged(content, layer, steps):
    """The file with one layer's bias moved."""
    moved = bytearray(content)
    values, _ = bias_correction._bias(moved, bias_correction._layers(moved)[layer][1])
    values += steps
    return bytes(moved)


@pytest.mark.slow
@pytest.mark.parametrize("layer", [0, -1])
def test_a_moved_bias_is_moved_back(files, layer):
    float32, int8, calibration = files
    target = images(float32, calibration)
    _, scales = bias_correction._bias(bytearray(int8), bias_correction._layers(int8)[layer][1])
    broken = damaged(int8, layer, np.rint(0.15 / scales).astype(np.int32))
    mended = bias_correction.bias_corrected(float32, broken, calibration)
    before, after, whole = (np.abs(images(content, calibration) - target).mean() for content in (broken, mended, int8))
    assert before > 3 * whole and after < 0.4 * before
    assert len(mended) == len(int8) and TFLiteFile(mended).ops() == TFLiteFile(int8).ops()


@pytest.mark.slow
def test_a_sound_file_keeps_its_channel_means_and_is_not_touched(files):
    float32, int8, calibration = files
    mended = bias_correction.bias_corrected(float32, int8, calibration)
    target, kept = images(float32, calibration), images(mended, calibration)
    # Within a step of the 8-bit output.
    assert np.abs(kept.mean() - target.mean()) <= np.abs(images(int8, calibration).mean() - target.mean()) + 1 / 255
    assert bias_correction.bias_corrected(float32, int8, calibration) == mended


@pytest.mark.slow
def test_graphs_that_differ_are_left_alone(files, tmp_path):
    _, int8, calibration = files
    write_saved_model(make("inception"), tmp_path / "other", batch=1, to_convert=True)
    assert bias_correction.bias_corrected(convert(tmp_path / "other", "decode", "float32"), int8, calibration) is None


@pytest.mark.slow
def test_an_export_corrects_what_missed_its_bound_and_says_so(tmp_path, monkeypatch):
    def broken(path, signature, variant, calibration=()):
        content = convert(path, signature, variant, calibration)
        if variant != "int8" or signature != "decode":
            return content
        _, scales = bias_correction._bias(bytearray(content), bias_correction._layers(content)[0][1])
        return damaged(content, 0, np.rint(0.3 / scales).astype(np.int32))

    model = make("mlp", image_shape=(8, 8, 1))
    run = write_run(tmp_path / "run", model)
    # An untrained decoder paints no picture whose PSNR could drop: its numbers are compared.
    bounds = {**parity.BOUNDS, "int8": parity.Bound("max_abs", 0.05)}
    monkeypatch.setattr(tflite_files, "convert", broken)
    lines = []
    with only("float32", "int8"):
        artefacts = {artefact.name: artefact for artefact in bundle.export_run(run, bounds=bounds, say=lines.append)}
    decoder = artefacts["decoder_int8.tflite"]
    # What the moved bias pushed out of its layer's 8-bit range is lost, so nearer is all that can be asked for.
    assert 0.05 < decoder.worst.value < decoder.facts["bias_corrected"]["uncorrected"]
    assert any("decoder_int8" in line and "biases corrected" in line for line in lines)
    assert artefacts["encoder_int8.tflite"].written and "bias_corrected" not in artefacts["encoder_int8.tflite"].facts
