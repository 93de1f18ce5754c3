"""The benchmark of trainers compares networks of the same size, on the same pictures."""

import json

import numpy as np
import pytest

from benchmarks import trainers
from benchmarks.__main__ import main


@pytest.mark.parametrize("network", trainers.NETWORKS)
def test_all_sides_have_the_same_number_of_weights(network):
    pytest.importorskip("torch")
    pytest.importorskip("pythae")
    settings = trainers.NETWORKS[network]
    ours = trainers.model(settings).trainable_variables
    theirs = trainers.pythae_model(settings).parameters()
    assert sum(int(np.prod(one.shape)) for one in ours) == sum(one.numel() for one in theirs)


def test_the_program_prints_its_table_and_writes_its_numbers(tmp_path, capsys):
    pytest.importorskip("torch")
    pytest.importorskip("pythae")
    out = tmp_path / "trainers.json"
    main(["trainers", "--steps", "10", "--rounds", "2", "--out", str(out)])
    printed, facts = capsys.readouterr().out, json.loads(out.read_text(encoding="utf-8"))
    assert "pythae, BaseTrainer" in printed and "median of 2 alternating rounds of 10 steps" in printed
    assert len(facts["trainers"]) == 4 * len(trainers.NETWORKS)
    ours, theirs = facts["trainers"][0], facts["trainers"][3]
    ratios = np.array(ours["rounds"]) / np.array(theirs["rounds"])
    assert ours["times_pythae"]["median"] == pytest.approx(np.median(ratios))
    assert theirs["times_pythae_by_processor"] == {"median": 1.0, "lowest": 1.0, "highest": 1.0}
