"""`python -m benchmarks disentanglement`: runs that differ in their seed alone are a row, with intervals."""

import csv
import json

import numpy as np
import pytest
from scipy import stats

from benchmarks.__main__ import main
from benchmarks.disentanglement import FIGURES
from tfvae.errors import UserError
from training.config import merge, parse_setting, read_config, read_recipe

BETA, TC = (0.10, 0.12, 0.17), (0.30, 0.22, 0.29)
REGULARISED = ("objective.beta=1.0", 'objective.regulariser={kind="total_correlation",weight=5.0}')


def write_run(path, seed, mig, *settings, figures=FIGURES):
    """What `training` and `tfvae evaluate` leave of a run, as far as the table reads it."""
    path.mkdir()
    own = [{part: {key: value}} for part, key, value in map(parse_setting, (*settings, f"training.seed={seed}"))]
    config = read_config(
        merge(read_recipe("shapes"), {"data": {"height": 32, "width": 32, "channels": 1}}, *own), "test"
    )
    (path / "config.toml").write_text(config.toml())
    cost = {"weights": 9, "epochs": 60, "seconds": 60.0 * (1 + seed)}
    (path / "report.json").write_text(json.dumps({"training": cost, "test": {"elbo": -1.0}}))
    known = {
        name: {"value": 2.5, "unit": "", "interval": None, "note": "", "protocol": {}} for name in figures.values()
    }
    if "mig" in known:
        known["mig"]["value"] = mig
    record = {"format": 1, "protocol": {"images": 960}, "figures": known}
    (path / "factors.json").write_text(json.dumps(record))
    return str(path)


def test_seeds_of_one_objective_are_a_row_with_the_interval_of_their_mean(tmp_path, capsys):
    runs = [write_run(tmp_path / f"b{seed}", seed, mig) for seed, mig in enumerate(BETA)]
    runs += [write_run(tmp_path / f"t{seed}", seed, mig, *REGULARISED) for seed, mig in enumerate(TC)]
    assert main(["disentanglement", *runs, "-o", str(tmp_path / "table.csv")]) == 0
    with open(tmp_path / "table.csv", newline="") as file:
        first, second = csv.DictReader(file)
    assert first["objective"] == "beta = 4" and second["objective"] == "beta = 1, total_correlation of weight 5"
    assert first["seeds"] == "0, 1, 2" and first["above the first row"] == "" and first["minutes"] == "2.0"
    low, high = stats.t.interval(0.95, 2, np.mean(BETA), stats.sem(BETA))
    assert first["MIG"] == "0.130" and first["95 %"] == f"{low:.3f} – {high:.3f}"
    ends = stats.ttest_ind(TC, BETA, equal_var=False).confidence_interval()
    assert second["above the first row"] == f"+0.140 ({ends.low:.3f} – {ends.high:.3f})"
    assert second["command"].startswith("python -m training --recipe shapes --set ") and "seed" not in second["command"]
    assert "| beta = 4 | 60 | 0, 1, 2 | 0.130 |" in capsys.readouterr().out


def test_runs_that_began_with_the_weights_of_others_are_a_row_of_their_own(tmp_path):
    begun = [write_run(tmp_path / f"b{seed}", seed, 0.1 + 0.02 * seed) for seed in (0, 1)]
    runs = [
        write_run(tmp_path / f"i{seed}", seed, 0.2 + 0.04 * seed, f"training.init='{begun[seed]}'") for seed in (0, 1)
    ]
    main(["disentanglement", *begun, *runs, "-o", str(tmp_path / "table.csv")])
    with open(tmp_path / "table.csv", newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["epochs"], first["minutes"], first["MIG"]) == ("60", "1.5", "0.110")
    assert (second["epochs"], second["minutes"], second["MIG"]) == ("60 + 60", "3.0", "0.220")
    assert (
        second["seeds"] == "0, 1"
        and second["command"] == f"{first['command']} --out RUN1 && {first['command']} --init RUN1"
    )


def test_one_seed_has_no_interval(tmp_path, capsys):
    runs = [write_run(tmp_path / "a", 0, 0.1), write_run(tmp_path / "b", 0, 0.3, *REGULARISED)]
    assert main(["disentanglement", *runs]) == 0
    assert "nan" not in capsys.readouterr().out


def test_runs_without_figures_and_the_same_run_twice_are_refused_in_one_line(tmp_path):
    known = write_run(tmp_path / "a", 0, 0.1)
    bare = write_run(tmp_path / "b", 1, 0.1, figures={"PSNR (dB)": "psnr"})
    with pytest.raises(UserError, match="Measure first: tfvae evaluate"):
        main(["disentanglement", known, bare])
    with pytest.raises(UserError, match="same settings and seed 0"):
        main(["disentanglement", known, write_run(tmp_path / "c", 0, 0.2)])
