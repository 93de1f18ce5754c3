"""`tfvae inspect` on an untrained model: exit codes, files, and what it says no to."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from test_inspection import inspector
from tiny_runs import spatial_vae, write_run

from tfvae.applications import calibrate, inspect
from tfvae.cli import main
from tfvae.metrics.conformal import p_values
from tfvae.runs import Run

pytestmark = pytest.mark.usefixtures("loaded_once")


def piece(seed, height=40, width=48):
    """A smooth grey piece; every one a little different."""
    x = np.arange(width)
    shade = 120 + 30 * np.sin(x / 9 + seed) + np.random.default_rng(seed).normal(0, 2, (height, width))
    return np.clip(shade, 0, 255).astype(np.uint8)[:, :, None]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    model = inspector(alpha=0.2)
    calibrate(model, [piece(i) for i in range(4)], [piece(i) for i in range(10, 20)])
    return write_run(tmp_path_factory.mktemp("runs") / "run", model, channels=1)


def written(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[:, :, 0]).save(path)


def tfvae(capsys, *words, code=0):
    ended = main([str(word) for word in words])
    shown = capsys.readouterr()
    assert ended == code, shown.err
    return shown.out, shown.err.strip()


def decoded(counts, height, width):
    """COCO's run lengths as a mask."""
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(width, height).T


def test_a_folder_gets_verdicts_maps_regions_and_a_page(run, tmp_path, capsys):
    broken = piece(30)
    broken[10:20, 30:40] = 255
    written(tmp_path / "in" / "broken.png", broken)
    for number in range(2):
        written(tmp_path / "in" / "deep" / f"good{number}.png", piece(10 + number))
    scores = np.array(Run(run, {}).load_model().calibration["scores"])
    ended = main(["inspect", str(run), str(tmp_path / "in"), "-o", str(tmp_path / "found")])
    out = capsys.readouterr().out
    with open(tmp_path / "found" / "inspection.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = json.loads((tmp_path / "found" / "inspection.json").read_text("utf-8"))
    assert {row["name"] for row in rows} == {"broken.png", "deep/good0.png", "deep/good1.png"}
    values = [float(row["score"]) for row in rows]
    assert values == sorted(values, reverse=True)
    limit = found["info"]["threshold"]
    assert ended == int(any(row["verdict"] == "fail" for row in rows))  # whatever an untrained model makes of them
    for row, image in zip(rows, found["images"], strict=True):
        assert float(row["p_value"]) == pytest.approx(float(p_values(scores, np.array(image["score"]))), rel=1e-5)
        assert (row["verdict"] == "fail") == (image["score"] > limit) == (image["p_value"] <= 0.2)
        parts = [part for part in found["annotations"] if part["image_id"] == image["id"]]
        assert len(parts) == int(row["regions"]) and bool(parts) == (row["verdict"] == "fail")
        name = tmp_path / "found" / row["name"]
        mask = np.asarray(Image.open(name.with_name(f"{name.stem}_mask.png")))
        total = sum((decoded(part["segmentation"]["counts"], 40, 48) for part in parts), np.zeros((40, 48), int))
        np.testing.assert_array_equal(total, mask)
        for part in parts:
            left, top, width, height = part["bbox"]
            shape = decoded(part["segmentation"]["counts"], 40, 48)
            assert shape.sum() == part["area"] and shape[top : top + height, left : left + width].sum() == part["area"]
        assert Image.open(name.with_name(f"{name.stem}_heat.png")).size == (48, 40)
    page = (tmp_path / "found" / "index.html").read_text("utf-8")
    places = [page.index(f"{row['name']}: {row['verdict']}") for row in rows]
    assert places == sorted(places) and "heat map on the right" in page
    assert "no medical device" in out


def test_the_exit_code_is_1_when_a_piece_fails_and_0_when_none_does(run, tmp_path, capsys):
    scores = np.array(Run(run, {}).load_model().calibration["scores"])
    assert len(set(scores)) == 10
    order = 10 + np.argsort(scores_of_held_out(run))
    for name, seed in (("best", order[0]), ("second", order[-2]), ("worst", order[-1])):
        written(tmp_path / f"{name}.png", piece(int(seed)))
    out, _ = tfvae(capsys, "inspect", run, tmp_path / "best.png", "-o", tmp_path / "a")
    assert "0 of 1 pictures fail" in out
    out, _ = tfvae(capsys, "inspect", run, tmp_path / "worst.png", "-o", tmp_path / "b", code=1)
    assert "1 of 1 pictures fail" in out and (tmp_path / "b" / "index.html").is_file()
    # A tenth of false alarms has the largest of ten scores as its threshold.
    tfvae(capsys, "inspect", run, tmp_path / "second.png", "-o", tmp_path / "c", "--alpha", "0.1")


def scores_of_held_out(run):
    model = Run(run, {}).load_model()
    return np.array([inspect(model, piece(seed)).score for seed in range(10, 20)])


def test_a_picture_that_cannot_be_read_is_an_error_and_the_others_are_done(run, tmp_path, capsys):
    written(tmp_path / "in" / "a.png", piece(11))
    (tmp_path / "in" / "b.png").write_bytes(b"no picture")
    _, err = tfvae(capsys, "inspect", run, tmp_path / "in", "-o", tmp_path / "out", code=2)
    assert "1 of the pictures could not be used, the other 1 are done" in err
    assert (tmp_path / "out" / "inspection.json").is_file()


def test_what_cannot_be_met_is_one_line(run, tmp_path, capsys):
    written(tmp_path / "a.png", piece(11))
    words = ("inspect", run, tmp_path / "a.png", "-o", tmp_path / "out")
    for more, expected in (
        (("--alpha", "0.01"), "--alpha 0.01 takes 99 or more good pieces that were held out. Received: 10"),
        (("--alpha", "1"), "must be between 0 and 1"),
        (("--tile", "8"), "--tile must be"),
    ):
        _, err = tfvae(capsys, *words, *more, code=2)
        assert expected in err and len(err.splitlines()) == 1
    other = write_run(tmp_path / "vae", spatial_vae())
    _, err = tfvae(capsys, "inspect", other, tmp_path / "a.png", code=2)
    assert "holds a VAE, which inspects nothing" in err
    raw = write_run(tmp_path / "raw", inspector(), channels=1)
    _, err = tfvae(capsys, "inspect", raw, tmp_path / "a.png", code=2)
    assert "was never calibrated" in err
    _, err = tfvae(capsys, *words[:3], "-o", tmp_path / "out.png", code=2)
    assert "-o cannot end in '.png'" in err
    assert not (tmp_path / "out").exists()


def test_a_picture_much_larger_than_the_pieces_that_calibrated_is_told(run, tmp_path, capsys):
    written(tmp_path / "in" / "alike.png", piece(40, 60, 60))
    written(tmp_path / "in" / "large.png", piece(41, 80, 60))
    main(["inspect", str(run), str(tmp_path / "in"), "-o", str(tmp_path / "found")])
    note = "note: 1 of the 2 pictures have more than 2 times the pixels of the largest piece that calibrated (1,920)"
    assert note in capsys.readouterr().err
    main(["inspect", str(run), str(tmp_path / "in" / "alike.png"), "-o", str(tmp_path / "alike")])
    assert "note" not in capsys.readouterr().err
