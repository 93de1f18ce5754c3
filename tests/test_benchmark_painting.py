"""The benchmark of paintings: what its figures are of, and that the rivals do what they are named after."""

import json

import numpy as np
import pytest
from PIL import Image
from test_paint import painting, photo

from benchmarks.__main__ import main
from benchmarks.measuring import OURS
from benchmarks.painting import FLOOR, PHOTOGRAPH, QUILT, REINHARD, judged, painters, summary
from benchmarks.painting.rivals import quilt, reinhard
from tfvae.errors import UserError


def test_reinhards_transfer_has_the_means_of_the_painting_and_is_none_from_itself():
    from skimage.color import rgb2lab

    model = painting() / np.float32(255)
    np.testing.assert_allclose(reinhard(model, model), model, atol=2e-3)
    moved = rgb2lab(reinhard(photo(), model))
    np.testing.assert_allclose(moved.mean((0, 1)), rgb2lab(model).mean((0, 1)), atol=3)


def test_the_quilt_is_of_windows_of_the_painting():
    model = painting(60, 70) / np.float32(255)
    made = quilt(reinhard(photo(40, 50), model), model)
    assert made.shape == (40, 50, 3)
    colours = {tuple(colour) for colour in model.reshape(-1, 3).tolist()}
    assert all(tuple(colour) in colours for colour in made.reshape(-1, 3).tolist())


def test_a_way_is_one_at_reinhards_and_zero_at_the_floor():
    model = painting(64, 128) / np.float32(255)
    image = photo(64, 64)
    flat = reinhard(image, model)
    found = judged({PHOTOGRAPH: image, REINHARD: flat, OURS: flat, QUILT: model[:, 64:]}, image, model)
    assert found["distance"].keys() == {PHOTOGRAPH, REINHARD, OURS, QUILT, FLOOR}
    assert found["way"][OURS] == {"fine": 1.0, "all": 1.0} and found["way"][QUILT]["fine"] < 0.5
    assert found["kept"][PHOTOGRAPH] == {"ssim": 1.0, "edges": 1.0}
    told = summary([found, found])
    assert told[OURS]["fine"] == {"cells": 2, "median": 1.0, "half": 0.0} and told[QUILT]["fine"]["half"] == 1.0
    near = judged({PHOTOGRAPH: image, REINHARD: model[:, 32:96], OURS: flat}, image, model)
    assert near["way"] == {OURS: {}}  # where Reinhard's is no further than the floor, nothing is told


def test_the_program_writes_numbers_a_sheet_and_renderings(tmp_path, capsys):
    for folder, made in (("photos", photo(64, 120)), ("paintings", painting(60, 120))):
        (tmp_path / folder).mkdir()
        Image.fromarray(made).save(tmp_path / folder / f"{folder}.png")
    sources = ["--data", str(tmp_path / "photos"), "--paintings", str(tmp_path / "paintings" / "paintings.png")]
    out = tmp_path / "out.json"
    main(["painting", *sources, "--side", "120", "--renderings", str(tmp_path / "all"), "-o", str(out)])
    facts = json.loads(out.read_text())
    (row,) = facts["rows"]
    assert row["photo"] == "photos.png" and {OURS, QUILT} <= row["distance"].keys()
    assert {path.name for path in (tmp_path / "all").iterdir()} == {
        "photos_paintings.png",
        "photos_paintings_quilt.png",
    }
    assert Image.open(out.with_suffix(".png")).width > 2 * 120
    assert "SSIM of edges" in capsys.readouterr().out


def test_a_classifier_of_halves_is_asked_about_paint_of_the_others(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(painters, "CROPS", 60)
    monkeypatch.setattr(painters, "STEPS", 30)
    stripes = np.where(np.arange(200)[:, None, None] // 3 % 2, [240, 60, 30], [30, 60, 240]).astype(np.uint8)
    pictures = {"photo": photo(96, 144), "painting": painting(100, 200), "stripes": np.repeat(stripes, 100, axis=1)}
    for name, made in pictures.items():
        Image.fromarray(made).save(tmp_path / f"{name}.png")
    sources = ["--data", str(tmp_path / "photo.png"), "--paintings", str(tmp_path / "painting.png")]
    out = tmp_path / "out.json"
    words = ["painting", *sources, str(tmp_path / "stripes.png"), "--side", "144", "--painters", "-o", str(out)]
    main(words)
    facts = json.loads(out.read_text())["painters"]
    assert facts["accuracy"] > 0.9
    assert [row["painting"] for row in facts["rows"]] == ["painting.png", "stripes.png"]
    found = painters.shares(facts["rows"])
    assert found["photograph"] == dict.fromkeys(("colour", "grey"), 0.5)  # it is taken for one of the two
    assert found[OURS]["colour"] == 1.0
    assert "| all | 50% (50%) |" in capsys.readouterr().out
    with pytest.raises(UserError, match="two paintings or more"):
        main(["painting", *sources, "--side", "144", "--painters"])
