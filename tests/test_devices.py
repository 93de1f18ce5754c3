"""What `--precision auto` is, on which machine."""

import json
import tomllib
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.__main__ import run
from tfvae.runs import open_run
from training import devices
from training.__main__ import main

FLAGS = "fpu vme avx512_bf16"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([*FLAGS.split(), "amx_tile", "amx_bf16"], "mixed_bfloat16"),
        ([*FLAGS.split(), "amx_tile"], "float32"),
        ([], "float32"),
    ],
)
def test_a_processor_with_units_for_bfloat16_computes_in_it(flags, expected, monkeypatch):
    monkeypatch.setattr(devices, "_processor_flags", lambda: flags)
    assert devices.precision("auto") == expected


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [([(8, 0)], "mixed_bfloat16"), ([(9, 0), (7, 5)], "float32"), ([(7, 5)], "float32"), ([None], "float32")],
)
def test_the_weakest_gpu_decides_and_the_processor_does_not(capabilities, expected, monkeypatch):
    monkeypatch.setattr(devices, "_processor_flags", lambda: ["amx_bf16"])
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: list(range(len(capabilities))))
    details = [{} if found is None else {"compute_capability": found} for found in capabilities]
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details.__getitem__)
    assert devices.precision("auto") == expected


@pytest.mark.parametrize("asked", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_what_is_asked_for_stays(asked, monkeypatch):
    monkeypatch.setattr(devices, "_processor_flags", lambda: ["amx_bf16"])
    assert devices.precision(asked) == asked


def test_the_flags_are_those_that_linux_tells():
    path = Path("/proc/cpuinfo")
    if not path.exists():
        pytest.skip("no /proc/cpuinfo")
    text = path.read_text(encoding="ascii", errors="replace")
    assert all(flag in text for flag in devices._processor_flags())
    assert ("amx_bf16" in text) == ("amx_bf16" in devices._processor_flags())


def test_a_run_says_what_it_computes_in_and_is_opened_in_float32(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(devices, "_processor_flags", lambda: ["amx_bf16"])
    settings = ("model.network=mlp", "model.widths=[16]", "model.latent_dim=4", "data.test=16", "data.validation=16")
    flags = [word for setting in settings for word in ("--set", setting)]
    out = tmp_path / "run"
    main(["--recipe", "digits", "--epochs", "1", "--precision", "auto", "--out", str(out), *flags])
    assert "precision: mixed_bfloat16" in capsys.readouterr().out
    assert tomllib.loads((out / "config.toml").read_text())["training"]["precision"] == "mixed_bfloat16"
    assert json.loads((out / "report.json").read_text())["test"]["psnr"] > 0
    stored = keras.saving.load_model(out / "model.keras", compile=False)
    opened = open_run(out).load_model()
    assert stored.dtype_policy.name == "mixed_bfloat16" and open_run(out).precision == "mixed_bfloat16"
    assert {layer.compute_dtype for layer in opened._flatten_layers()} == {"float32"}
    for one, two in zip(stored.get_weights(), opened.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.slow
def test_both_precisions_of_a_recipe_take_turns(tmp_path, capsys):
    assert run(["precision", "inspect", "--rounds", "1", "--steps", "1", "-o", str(tmp_path / "p.json")]) == 0
    facts = json.loads((tmp_path / "p.json").read_text())
    row = facts["recipes"]["inspect"]
    assert row["ratio"]["median"] == pytest.approx(row["mixed_bfloat16"]["median"] / row["float32"]["median"])
    assert "bfloat16 is" in capsys.readouterr().out
