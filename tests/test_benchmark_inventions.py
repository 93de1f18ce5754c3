"""The benchmark of new styles: codes tell paintings apart where they differ, and the table says what was found."""

import json

import numpy as np
import pytest
from PIL import Image
from test_paint import painting, photo

from benchmarks.__main__ import main
from benchmarks.inventions import DRAWN, PAIRS, apart, colours, halves, retrieval


def test_retrieval_is_whole_where_paintings_differ_and_chance_where_they_do_not():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((20, 4, 6))
    told = noise + 30 * rng.standard_normal((20, 1, 6))
    found = retrieval(told, list(noise), seed=0)
    assert found["code"] == found["statistics"] == 1
    assert found["colours"] < 0.35 and found["chance"] == pytest.approx(0.1)


def test_colours_are_those_of_quarters_and_halves_are_of_the_longer_side():
    model = painting(64, 96) / np.float32(255)
    assert colours(model).shape == (4, 9)
    assert [half.shape for half in halves(model)] == [(64, 48, 3)] * 2
    assert 2 * apart(model, model) < apart(model, model[:, ::-1] ** 2)


@pytest.mark.slow
def test_the_program_writes_numbers_and_a_sheet(tmp_path, capsys):
    (tmp_path / "paintings").mkdir()
    for seed in range(6):
        pixels = painting(112, 130, seed, 0.5 * seed)[..., np.roll([0, 1, 2], seed)]
        Image.fromarray((pixels * (0.5 + seed / 12)).astype(np.uint8)).save(tmp_path / "paintings" / f"{seed}.png")
    Image.fromarray(photo(112, 112)).save(tmp_path / "photo.png")
    out = tmp_path / "out.json"
    sources = ["--data", str(tmp_path / "photo.png"), "--paintings", str(tmp_path / "paintings")]
    main(["inventions", *sources, "--side", "112", "-n", "2", "-o", str(out)])
    facts = json.loads(out.read_text())
    assert len(facts["halves"]) == 6 and len(facts["styles"][PAIRS]) == 2
    assert all(row["known"] > 0 and row["new"] > 0 for row in facts["styles"][PAIRS])
    assert DRAWN in facts["styles"] and "two paintings at random" in capsys.readouterr().out
    assert out.with_suffix(".png").is_file()
