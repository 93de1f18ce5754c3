"""The benchmark of templates: which region finds which box, and that controls reach what they should."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from test_template import board

from benchmarks.__main__ import main
from benchmarks.inspection.templates import matched
from tfvae.errors import UserError

COUNT = 38


def test_a_region_finds_the_box_that_its_centre_lies_in_and_one_over_everything_finds_none():
    found, boxes = np.zeros((40, 50)), np.array([[5.0, 5, 14, 14], [20, 5, 29, 14], [20, 20, 29, 29]])
    found[7:9, 7:9] = found[12, 12] = 1.0  # two parts of one defect
    found[8:10, 22:26] = 0.5
    found[35, 40] = 0.9
    assert matched(found, 0.4, boxes) == (2, 1)
    assert matched(found, 0.6, boxes) == (1, 1)
    assert matched(found, 0.95, boxes) == (1, 0)
    assert matched(found, 1.0, boxes) == (0, 0)
    assert matched(np.ones((40, 50)), 0.5, np.array([[0.0, 0, 9, 9], [40, 30, 49, 39]])) == (0, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("templates")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(COUNT):
        good = board(number)
        piece = np.roll(good, rng.choice([-9, -7, 7, 9], 2), axis=(0, 1))
        for left in rng.permutation([20, 60])[: 1 + number % 2]:
            piece[40:46, left : left + 8] = 1 - piece[40:46, left : left + 8].round()
            rows.append([f"{number:02d}.png", left - 4, 36, left + 12, 50])
        for name, pixels in (("good", good), ("bad", piece)):
            (root / name).mkdir(exist_ok=True)
            Image.fromarray(np.rint(255 * pixels[..., 0]).astype(np.uint8)).save(root / name / f"{number:02d}.png")
    with open(root / "boxes.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["file", "x1", "y1", "x2", "y2"], *rows])
    return root


def test_templates_find_defects_and_say_what_registration_adds(folder, tmp_path, capsys):
    words = ["inspection", "--data", str(folder), "--boxes", str(folder / "boxes.csv")]
    main([*words, "-o", str(tmp_path / "facts.json")])
    facts = json.loads((tmp_path / "facts.json").read_text("utf-8"))
    shown = capsys.readouterr().out
    assert facts["pieces"] == [19, 19] and sum(facts["boxes"]) == COUNT + COUNT // 2
    ours, unmoved = (
        facts["rows"][name]["held_back"]["recall"]["value"] for name in ("template", "template, not registered")
    )
    assert ours > 0.9 and ours > unmoved + 0.2
    assert all(
        row["held_back"]["recall"]["interval"][0] <= row["held_back"]["recall"]["value"]
        for row in facts["rows"].values()
    )
    assert "| absolute difference |" in shown and "fail outside of their boxes" in shown


def test_what_cannot_be_measured_is_one_line(folder, tmp_path):
    table = tmp_path / "boxes.csv"
    table.write_text("file,x1,y1,x2,y2\n00.png,1,1,3,3\n", encoding="utf-8")
    words = ["inspection", "--data", str(folder), "--boxes", str(table)]
    with pytest.raises(UserError, match=r"names 1 pieces\. Accepted: 38 or more"):
        main(words)
    table.write_text("file,x1,y1,x2,y2\nnone.png,1,1,3,3\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"has no 'none\.png' both in 'good' and in another"):
        main(words)
    table.write_text("name,x1\n", encoding="utf-8")
    table.write_text("name,x1\na,1\n", encoding="utf-8")
    with pytest.raises(UserError, match="is no table with file,x1,y1,x2,y2"):
        main(words)
    with pytest.raises(UserError, match="either RUN is measured, or, with --boxes"):
        main(words[:3])
