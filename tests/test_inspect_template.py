"""`tfvae inspect --template` and `tfvae inspect` of a film: what calibrates, what is shown, what is refused."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from test_inspect_cli import tfvae, written
from test_inspection import inspector
from test_template import board
from tiny_runs import write_run

from tfvae.applications import calibrate, compare
from tfvae.commands import inspect as command
from tfvae.metrics.conformal import threshold

pytestmark = pytest.mark.usefixtures("loaded_once")
COUNT = 19


def photographed(seed, of=0, defect=False):
    """A board with the noise of a camera, a little beside its place; a defective one has a bar."""
    rng = np.random.default_rng(seed)
    pixels = np.roll(board(of), rng.integers(-3, 4, 2), axis=(0, 1)) + rng.normal(0, 0.01, (96, 120, 1))
    if defect:
        pixels[40:48, 50:70] = 0.95
    return np.rint(255 * np.clip(pixels, 0, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("boards")
    written(root / "template.png", photographed(0))
    for number in range(COUNT):
        written(root / "good" / f"{number:02d}.png", photographed(10 + number))
    written(root / "in" / "a.png", photographed(50))
    written(root / "in" / "bar.png", photographed(51, defect=True))
    return root


def table(folder):
    with open(folder / "inspection.csv", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def test_good_pieces_calibrate_a_template_and_what_differs_more_fails(folder, tmp_path, capsys):
    words = ("inspect", folder / "good", folder / "in", "--template", folder / "template.png", "-o", tmp_path)
    out, _ = tfvae(capsys, *words, code=1)
    assert "1 of 2 pictures fail" in out and "by calibration with 19 held-out ones" in out
    rows = table(tmp_path)
    assert rows["bar.png"]["verdict"] == "fail" and rows["a.png"]["verdict"] == "pass"
    left, top, width, height = (int(rows["bar.png"][side]) for side in ("left", "top", "width", "height"))
    assert left >= 46 and top >= 36 and left + width <= 74 and top + height <= 52
    scores = [compare(photographed(0), photographed(10 + number)).score for number in range(COUNT)]
    facts = json.loads((tmp_path / "inspection.json").read_text("utf-8"))["info"]
    assert facts["threshold"] == threshold(np.array(scores), 0.05) and facts["calibration_pieces"] == COUNT
    assert "template.png" in facts["description"]


def test_a_template_each_by_name_and_one_without_is_refused(folder, tmp_path, capsys):
    for number in range(COUNT):
        written(tmp_path / "templates" / f"{number:02d}.png", photographed(100 + number, of=number))
        written(tmp_path / "good" / f"{number:02d}.png", photographed(200 + number, of=number))
    written(tmp_path / "in" / "07.png", photographed(300, of=7))
    words = (
        "inspect",
        tmp_path / "good",
        tmp_path / "in",
        "--template",
        tmp_path / "templates",
        "-o",
        tmp_path / "out",
    )
    tfvae(capsys, *words, "--alpha", "0.1")
    written(tmp_path / "in" / "other.png", photographed(301))
    written(tmp_path / "in" / "08.png", photographed(300, of=8)[:50])
    _, err = tfvae(capsys, *words, code=2)
    assert "refused other.png: has no template 'other.png'" in err and "is 120x50, and its template 120x96" in err
    assert list(table(tmp_path / "out")) == ["07.png"]


def test_the_pieces_that_a_run_held_out_calibrate_where_a_run_is_named(folder, tmp_path, capsys):
    model = inspector(alpha=0.25)
    config = {"source": str(folder / "good"), "channels": 1, "limit": 0, "validation": 2, "test": 9}
    run = write_run(tmp_path / "run", model, **config)
    template = folder / "good" / "00.png"
    tfvae(capsys, "inspect", run, folder / "in" / "bar.png", "--template", template, code=1)
    facts = json.loads((run / "inspected" / "inspection.json").read_text("utf-8"))["info"]
    assert facts["alpha"] == 0.25 and facts["calibration_pieces"] in (8, 9)  # the template is none of them


def test_what_templates_cannot_meet_is_one_line(folder, tmp_path, capsys):
    written(tmp_path / "good" / "a.png", photographed(0))
    written(tmp_path / "good" / "b.png", photographed(1))
    (tmp_path / "empty").mkdir()
    words = (folder / "in", "--template", folder / "template.png", "-o", tmp_path / "out")
    for run, more, expected in (
        (folder / "good", ("--tile", "64"), "--tile is for a model"),
        (tmp_path / "good", (), "--alpha 0.05 takes 19 or more good pieces that were held out. Received: 2"),
        (tmp_path / "good", ("--alpha", "0.4"), "Received: 1, enough for --alpha 0.5"),  # one is the template
        (tmp_path / "empty", (), "neither a run nor a folder of good pieces"),
        (tmp_path / "nowhere", (), "there is no such run directory"),
        (folder / "good", ("--template", tmp_path / "none.png"), "none.png: there is no such file or folder"),
    ):
        _, err = tfvae(capsys, "inspect", run, *words, *more, code=2)
        assert expected in err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_frames_of_a_film_are_inspected_and_the_page_shows_the_most_suspicious(folder, tmp_path, capsys, monkeypatch):
    pytest.importorskip("av")
    from tfvae.video import FilmWriter

    bad = {4, 9}
    with FilmWriter(tmp_path / "line.mp4", 10, (96, 120)) as writer:
        for number in range(12):
            writer.write(np.repeat(photographed(60 + number, defect=number in bad), 3, axis=2))
    monkeypatch.setattr(command, "FRAMES", 3)
    # Its own compression is no defect: good pieces come from the same film as those that are inspected.
    words = ("inspect", folder / "good", tmp_path / "line.mp4", "--template", folder / "template.png")
    out, _ = tfvae(capsys, *words, "-o", tmp_path / "out", code=1)
    assert "of 12 frames fail" in out and "the 3 most suspicious" in out
    rows = table(tmp_path / "out")
    assert set(rows) == {f"line.mp4#{number:06d}" for number in range(12)}
    assert set(list(rows)[:2]) == {f"line.mp4#{number:06d}" for number in bad}
    found = json.loads((tmp_path / "out" / "inspection.json").read_text("utf-8"))
    assert {image["file_name"] for image in found["images"]} == set(rows)
    kept = {name[-6:] for name in list(rows)[:3]}
    for what in ("heat", "mask", "seen"):
        assert {path.stem[5:11] for path in (tmp_path / "out").glob(f"line_*_{what}.png")} == kept
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert {name for name in rows if f"{name}: {rows[name]['verdict']}" in page} == set(list(rows)[:3])


def test_a_film_that_breaks_off_is_an_error_after_its_frames(folder, tmp_path, capsys):
    pytest.importorskip("av")
    from test_films import gradients
    from test_films import written as film

    model = inspector(3, alpha=0.2)
    calibrate(model, list(gradients(4)), list(gradients(9)))
    run = write_run(tmp_path / "run", model, channels=3)
    path = film(tmp_path / "cut.webm", gradients(60)).path
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    _, err = tfvae(capsys, "inspect", run, path, code=2)
    assert "cut.webm" in err and "frames" in err
    assert 0 < len(table(run / "inspected")) < 60
    assert np.asarray(Image.open(next((run / "inspected").glob("*_seen.png")))).shape == (48, 64, 3)
