"""The benchmark of uncertainty: what calibration changes, beside what it was before and a constant."""

import json

import keras
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from tiny_runs import write_run

from benchmarks.__main__ import main
from benchmarks.measuring import OURS
from benchmarks.restoration import uncertainty
from tfvae.applications import calibrate_uncertainty
from tfvae.errors import UserError
from tfvae.models.restorer import Restorer

RNG = np.random.default_rng(6)


def pictures(count):
    smooth = ndimage.gaussian_filter(RNG.normal(size=(count, 64, 64, 1)), (0, 3, 3, 0))
    return (0.5 + 0.15 * smooth / smooth.std()).clip(0, 1).astype(np.float32)


def restorer():
    keras.utils.set_random_seed(1)
    return Restorer(1, (4, 4, 4), 2, blocks=1, seed=0, corruptions=[{"kind": "gaussian", "std": [0.05, 0.2]}])


def test_normal_errors_of_the_stated_size_are_calibrated_and_ranked():
    std = RNG.uniform(0.01, 0.2, 40_000)
    error = std * RNG.standard_normal(40_000)
    own, blind = uncertainty.calibration(error, std), uncertainty.constant([{"error": error}])
    assert own["coverage"] == pytest.approx(0.9545, abs=0.005) and own["calibration_error"] < 0.01
    assert own["rmse"] == pytest.approx(own["std"], rel=0.03) and own["rank_correlation"] > 0.3
    # One standard deviation for all is as large in the mean, and says nothing of where.
    assert blind["rmse"] == pytest.approx(blind["std"]) and blind["rank_correlation"] == 0
    assert blind["calibration_error"] > 3 * own["calibration_error"]


def test_the_command_puts_the_calibrated_beside_the_uncalibrated_and_a_constant(tmp_path, capsys):
    (tmp_path / "pictures").mkdir()
    for index, picture in enumerate(pictures(2)):
        Image.fromarray(np.round(255 * picture[..., 0]).astype(np.uint8)).save(tmp_path / "pictures" / f"{index}.png")
    model = restorer()
    data = ["--data", str(tmp_path / "pictures"), "--only", "25", "-o", str(tmp_path / "numbers.json")]
    run = write_run(tmp_path / "raw", model, source=str(tmp_path / "pictures"))
    with pytest.raises(UserError, match="was not calibrated"):
        main(["restoration", "uncertainty", str(run), *data])
    calibrate_uncertainty(model, pictures(6))
    run = write_run(tmp_path / "run", model, source=str(tmp_path / "pictures"))
    main(["restoration", "uncertainty", str(run), *data])

    rows = {row["side"]: row for row in json.loads((tmp_path / "numbers.json").read_text())["rows"]}
    assert list(rows) == [OURS, uncertainty.ALONE, uncertainty.CONSTANT]
    assert 0.9 < rows[OURS]["coverage"] < 0.99
    assert rows[OURS]["calibration_error"] < rows[uncertainty.ALONE]["calibration_error"]
    assert rows[OURS]["sample_below_db"] == pytest.approx(3.0, abs=1.0) and len(rows[OURS]["octaves_db"]) == 3
    assert f"| σ = 25 | {uncertainty.ALONE} |" in capsys.readouterr().out


def test_the_damage_is_of_the_kind_that_the_model_was_trained_to_mend():
    def of(mask, *corruptions):
        return Restorer(1, (4, 4, 4), 2, blocks=1, seed=0, mask=mask, corruptions=corruptions)

    assert uncertainty.tasks_of(of("none", {"kind": "jpeg"})) == ("jpeg",)
    assert uncertainty.tasks_of(of("none", {"kind": "jpeg"}, {"kind": "gaussian", "std": 0.1})) == ("denoise",)
    assert uncertainty.tasks_of(of("given", {"kind": "boxes"})) == ("inpaint", "holes")
    assert uncertainty.tasks_of(of("found", {"kind": "scratches"})) == ("dewatermark",)
