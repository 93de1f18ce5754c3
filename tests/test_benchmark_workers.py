"""The efficiency of two workers is measured on workers that train, or refused in one line."""

import json
import os

import numpy as np
import pytest

from benchmarks.__main__ import main
from tfvae.errors import UserError


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--batch-size", "3"], "--batch-size must be even"),
        (["--rounds", "0"], "--rounds: must be a whole number, 1 or more"),
        (["--seconds", "0"], "--seconds: must be a number, 0.01 or more"),
        (["--out", "/nowhere/at/all.json"], "in a folder that exists"),
    ],
)
def test_what_cannot_be_measured_is_refused(flags, words):
    with pytest.raises(UserError, match=words):
        main(["workers", *flags])


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two workers need two cores")
def test_two_workers_are_measured_beside_one(tmp_path, capsys):
    out = tmp_path / "workers.json"
    flags = ["--recipe", "digits", "--batch-size", "8", "--rounds", "2", "--seconds", "0.1", "--out", str(out)]
    main(["workers", *flags])
    facts = json.loads(out.read_text())
    rates = {side: facts["images_per_second"][side]["rounds"] for side in ("one", "weak", "strong")}
    assert all(len(values) == 2 and min(values) > 0 for values in rates.values())
    for side in ("weak", "strong"):
        expected = np.median(np.array(rates[side]) / rates["one"] / 2)
        np.testing.assert_allclose(facts["efficiency"][side]["median"], expected)
    assert "2 workers, batch 4 each (strong)" in capsys.readouterr().out
