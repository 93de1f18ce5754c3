"""Inspection through the programs: whose pictures are taken, what a run ends with, what an export may not change."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image
from test_inspection import USUAL, inspector
from tiny_runs import only, write_run

from export.bundle import export_run
from export.decisions import decided_otherwise
from export.reference import Reference
from tfvae.cli import main as tfvae_main
from tfvae.data import DataConfig, load
from tfvae.errors import UserError
from training import calibration, uncertainty
from training.__main__ import main as training_main
from training.request import read_request

TINY = (
    *("model.widths=[4,4,4]", "objective.blocks=1", "data.crop=16", "data.crops=1", "training.batch_size=8"),
    *("training.warmup_steps=0", "data.validation=4", "data.test=9", "objective.alpha=0.1"),
)


def pieces(folder, count, broken=False):
    """Smooth pieces of 20×24; a broken one has a white bar."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(count)
    for number in range(count):
        shade = 110 + 40 * np.sin(np.arange(24) / 5 + rng.normal(0, 0.1)) + rng.normal(0, 2, (20, 24))
        if broken:
            shade[8:12] = 255
        Image.fromarray(np.clip(shade, 0, 255).astype(np.uint8)).save(folder / f"{number:02d}.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    pieces(root / "all" / "good", 26)
    pieces(root / "all" / "bar", 5, broken=True)
    pieces(root / "all" / "bar2", 4, broken=True)
    return root / "all"


def taken(folder, name):
    splits = load(DataConfig(source=str(folder), only=name, validation=0.2, test=0.2))
    return sorted(name for part in (splits.train, splits.validation, splits.test) for name in part.names)


def test_only_the_pictures_of_one_label_are_taken(folder, tmp_path):
    assert taken(folder, "good") == [f"good/{number:02d}.png" for number in range(26)]
    assert taken(folder / "good", "good") == [f"{number:02d}.png" for number in range(26)]  # in no sub-folder
    assert len(taken(folder, "")) == 35
    pieces(tmp_path / "mixed" / "scratched", 4)
    for number in range(5):
        Image.new("L", (24, 20), 9 * number).save(tmp_path / "mixed" / f"{number}.png")
    assert taken(tmp_path / "mixed", "good") == [f"{number}.png" for number in range(5)]
    with pytest.raises(UserError, match=r"labelled 'god'. Did you mean 'good'.* Its labels: bar, bar2, good"):
        taken(folder, "god")


def trained(folder, out, *more):
    words = ["--recipe", "inspect", "--data", str(folder), "--epochs", "1", "--out", str(out)]
    training_main([*words, *(word for setting in (*TINY, *more) for word in ("--set", setting))])


def test_too_few_good_pieces_are_refused_before_the_first_step(folder, tmp_path):
    with pytest.raises(UserError, match=r"data.test: a false-alarm rate of 0.05 takes 19 or more good pieces"):
        trained(folder, tmp_path / "run", "objective.alpha=0.05")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("recipe", "inspects", "restores"), [("inspect", 1, 0), ("denoise", 0, 1), ("mnist", 0, 0)])
def test_a_run_fits_what_its_model_is_asked_for(recipe, inspects, restores):
    config, splits = read_request("pieces", recipe, [], {}).config, SimpleNamespace(validation=[0])
    assert (calibration.wanted(config), uncertainty.wanted(config, splits)) == (bool(inspects), bool(restores))


@pytest.mark.slow
def test_a_run_ends_with_a_threshold_and_reports_defects_it_never_saw(folder, tmp_path, capsys):
    run = tmp_path / "run"
    trained(folder, run)
    report = json.loads((run / "report.json").read_text("utf-8"))
    facts, data = report["inspection"], report["data"]
    assert "uncertainty" not in report and not (run / "calibration.png").exists()  # nobody asked for it
    assert (data["train"], data["validation"], data["test"]) == (13, 4, 9)
    assert facts["pieces"] == 9 and facts["guaranteed_rate"] == 0.1
    assert {name: row["pictures"] for name, row in facts["defects"].items()} == {"bar": 5, "bar2": 4, "all of them": 9}
    model = keras.saving.load_model(run / "model.keras", compile=False)
    assert model.threshold == facts["threshold"] == max(model.calibration["scores"])
    text = (run / "report.md").read_text("utf-8")
    assert "## The threshold" in text and "no medical device" in text and "| bar2 | 4 |" in text
    capsys.readouterr()
    code = tfvae_main(["inspect", str(run), str(folder / "bar"), "-o", str(tmp_path / "found"), "--tile", "4096"])
    rows = (tmp_path / "found" / "inspection.csv").read_text("utf-8").splitlines()[1:]
    assert len(rows) == 5 and code == int(any(",fail," in row for row in rows))


def work(model, images):
    return SimpleNamespace(model=model, reference=Reference(model, images, 0))


def test_an_artefact_that_decides_otherwise_has_a_defect():
    model = inspector(calibration=USUAL)
    images = np.random.default_rng(0).random((4, 16, 16, 1), dtype=np.float32)
    made = work(model, images)
    (answer,) = made.reference.answers["inspect"]
    scores = np.sort(answer["score"][:, 0])
    model.use({**USUAL, "threshold": float(scores[1:3].mean())})
    assert decided_otherwise(made, "inspect", [answer]) == []
    assert decided_otherwise(made, "serving_default", [answer]) == []
    moved = {**answer, "score": np.where(answer["score"] == scores[2], scores[0], answer["score"])}
    assert decided_otherwise(made, "inspect", [moved]) == ["1 of 4 pieces pass or fail otherwise than with Keras"]
    assert decided_otherwise(made, "restore", [answer]) == []
    model.use(None)
    assert decided_otherwise(made, "inspect", [moved]) == []


@pytest.mark.slow
def test_the_bundle_inspects_within_its_bounds(folder, tmp_path):
    run = write_run(
        tmp_path / "run",
        inspector(calibration=USUAL),
        source=str(folder),
        only="good",
        channels=1,
        crop=16,
        limit=0,
    )
    with only("float32"):
        artefacts = {artefact.name: artefact for artefact in export_run(run, say=lambda line: None)}
    assert all(artefact.written for artefact in artefacts.values()), [str(a.worst) for a in artefacts.values()]
    assert "inspector.tflite" in artefacts and "saved_model/1" in artefacts
    card = (run / "export" / "MODEL_CARD.md").read_text("utf-8")
    assert "its score is above 0.6" in card and "no medical device" in card
