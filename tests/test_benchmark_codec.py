"""The benchmark of the codec: BD-rates, real bytes, and its controls."""

import json
import math

import keras
import numpy as np
import pytest
from PIL import Image
from tiny_runs import vector_vae, write_run

import tfvae
from benchmarks.__main__ import main
from benchmarks.codec import savings
from benchmarks.codec.rivals import WRITERS, rivals
from tfvae.errors import UserError
from tfvae.metrics import bd_rate
from tfvae.metrics.bd_rate import rate_at


def test_a_codec_that_takes_a_fixed_share_of_the_bits_saves_the_rest():
    rates, quality = np.array([0.2, 0.5, 0.9, 1.4]), np.array([25.8, 28.9, 32.0, 34.4])
    assert bd_rate(rates, quality, rates, quality) == pytest.approx(0, abs=1e-12)
    assert bd_rate(0.64 * rates, quality, rates, quality) == pytest.approx(-0.36)


def test_the_saving_is_the_mean_difference_of_the_logarithms_over_what_both_curves_have():
    # Straight lines, which every interpolation keeps: log R = (D - a) / b.
    quality, other = np.array([24.0, 28, 30, 36]), np.array([26.0, 27, 33, 40])
    rates, anchor = np.exp((quality - 30) / 5), np.exp((other - 29) / 4)
    middle = (26 + 36) / 2
    expected = math.expm1((middle - 30) / 5 - (middle - 29) / 4)
    assert bd_rate(rates, quality, anchor, other) == pytest.approx(expected)
    there, back = bd_rate(rates, quality, anchor, other), bd_rate(anchor, other, rates, quality)
    assert (1 + there) * (1 + back) == pytest.approx(1)
    # Between two rates of the anchor only.
    low, high = 29 + 4 * math.log(0.8), 29 + 4 * math.log(2.0)
    expected = math.expm1(((low + high) / 2 - 30) / 5 - ((low + high) / 2 - 29) / 4)
    assert bd_rate(rates, quality, anchor, other, within=(0.8, 2.0)) == pytest.approx(expected)


def test_it_is_near_bjontegaard_s_own_cubics_on_smooth_curves():
    quality = np.array([31.4, 34.2, 37.2, 40.3])
    rates, anchor = np.array([86.0, 157, 310, 687]), np.array([113.0, 205, 408, 893])
    other = np.array([31.2, 34.2, 37.2, 40.4])
    low, high = 31.4, 40.3
    areas = []
    for r, d in ((rates, quality), (anchor, other)):
        integral = np.polyint(np.polyfit(d, np.log(r), 3))
        areas.append(np.polyval(integral, high) - np.polyval(integral, low))
    expected = math.expm1((areas[0] - areas[1]) / (high - low))
    assert bd_rate(rates, quality, anchor, other) == pytest.approx(expected, abs=0.005)


def test_curves_that_say_nothing_are_refused():
    rising = np.array([1.0, 2, 3])
    with pytest.raises(ValueError, match="overlap"):
        bd_rate(rising, rising, rising, rising + 10)
    for rates, quality in (([1.0], [30.0]), ([1, 2], [30, 29]), ([0, 1], [1, 2])):
        with pytest.raises(ValueError, match="`qualities` must rise"):
            bd_rate(np.array(rates), np.array(quality), rising, rising)
    assert math.isnan(rate_at(5.0, rising, rising)) and rate_at(2.0, rising, rising) == pytest.approx(2)


@pytest.mark.parametrize("shape", [(48, 40, 3), (48, 40, 1)])
def test_rivals_are_files_that_open_as_pictures_near_the_original(shape):
    y, x = np.mgrid[:48, :40]
    pixels = (127 + 90 * np.sin(0.2 * y + 0.1 * x))[..., None].repeat(shape[2], axis=2).astype(np.uint8)
    found = rivals()
    assert "JPEG" in found
    for coded in (write(pixels) for write in found.values()):
        errors = [float(np.square(one.pixels.astype(float) - pixels).mean()) for one in coded]
        assert coded[0].bytes < coded[-1].bytes and errors[-1] < errors[0] and errors[-1] < 20
        assert all(one.pixels.shape == shape for one in coded)


def test_settings_that_cost_more_and_are_no_better_are_left_out():
    points = [(0.2, 25.0), (0.4, 28.0), (0.5, 27.9), (1.3, 33.0)]
    curve = [{"bits_per_pixel": rate, "psnr": quality} for rate, quality in points]
    found = savings(
        {"JPEG": curve, "half": [{**one, "bits_per_pixel": one["bits_per_pixel"] / 2} for one in curve]}, "psnr"
    )
    assert found["JPEG"] == pytest.approx(0) and found["half"] == pytest.approx(-0.5)
    assert savings({"JPEG": curve, "far": [{"bits_per_pixel": 1.0, "psnr": 90.0}]}, "psnr")["far"] is None


def test_real_files_are_measured_beside_the_untrained_model(tmp_path, capsys, monkeypatch):
    format_, options, _, feature = WRITERS["JPEG"]
    for name in ("WebP", "AVIF"):
        monkeypatch.delitem(WRITERS, name)
    monkeypatch.setitem(WRITERS, "JPEG", (format_, options, (10, 30, 60, 90), feature))
    keras.utils.set_random_seed(0)
    model = tfvae.Codec(3, (6, 8), 24, hyper_dim=4, hyper_width=8, seed=0)
    run, out = write_run(tmp_path / "run", model), tmp_path / "codec.json"
    (tmp_path / "data").mkdir()
    y, x = np.mgrid[:112, :96]
    for number in range(1):
        waves = np.stack([np.sin(0.1 * y + 0.02 * (1 + number) * x + c) for c in range(3)], axis=-1)
        noise = np.random.default_rng(number).normal(0, 12, waves.shape)
        Image.fromarray(np.clip(127 + 90 * waves + noise, 0, 255).astype(np.uint8)).save(
            tmp_path / "data" / f"{number}.png"
        )
    main(["codec", str(run), "--data", str(tmp_path / "data"), "--qualities", "0", "100", "-o", str(out)])
    printed, facts = capsys.readouterr().out, json.loads(out.read_text(encoding="utf-8"))
    assert {"tfvae", "untrained", "JPEG"} <= facts["curves"].keys() and out.with_suffix(".png").is_file()
    for one, other in zip(facts["curves"]["tfvae"], facts["curves"]["untrained"], strict=True):  # it was not trained
        assert one["psnr"] == pytest.approx(other["psnr"], abs=0.1)
        assert one["bits_per_pixel"] == pytest.approx(other["bits_per_pixel"], rel=0.05)
    assert facts["bd_rate"]["JPEG"] == pytest.approx(0) and "| JPEG | +0.0 % |" in printed
    assert all(0 < value < 0.1 for value in facts["excess"]["ans"].values())
    assert all(facts["excess"]["huffman"][key] > 0 for key in facts["excess"]["huffman"])
    encoded = tfvae.applications.compression.compress.compress(
        model, np.asarray(Image.open(tmp_path / "data" / "0.png")), 100
    )
    assert facts["curves"]["tfvae"][1]["bits_per_pixel"] == pytest.approx(8 * len(encoded) / (112 * 96), rel=0.05)
    assert facts["megapixels_a_second"]["decode"] > 0 and facts["peak_memory_bytes"] > 1e7


def test_a_run_that_writes_no_files_is_one_line(tmp_path):
    run = write_run(tmp_path / "run", vector_vae())
    with pytest.raises(UserError, match="writes no files"):
        main(["codec", str(run)])
    with pytest.raises(UserError, match="two or more"):
        main(["codec", str(run), "--qualities", "5", "5"])
