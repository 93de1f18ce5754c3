"""The benchmark of inspection: what it compares with, and what it says of false alarms."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from sklearn.decomposition import PCA
from test_inspection import inspector
from tiny_runs import only, spatial_vae, write_run

from benchmarks.__main__ import main
from benchmarks.inspection import decisions, nearest, over_splits, planted, unexplained
from export.bundle import export_run
from tfvae.applications import calibrate, fit_whole
from tfvae.errors import UserError
from tfvae.metrics.conformal import guaranteed_rate


def pieces(count, seed, bar=False):
    """Pieces of 32×32 that are lit from a side, each a little otherwise; a bar is what good ones have not."""
    rng = np.random.default_rng(seed)
    light = 120 + 40 * rng.normal(size=(count, 1, 1)) * np.linspace(-1, 1, 32) + rng.normal(0, 4, (count, 32, 32))
    if bar:
        light[:, 10:14, 4:28] += 45
    return np.clip(light, 0, 255).astype(np.uint8)


def written(folder, images):
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:02d}.png")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspection")
    written(folder / "train" / "good", pieces(60, 0))
    model = inspector(alpha=0.1)
    fit_whole(model, pieces(30, 1)[..., None])
    calibrate(model, list(pieces(5, 2)[..., None]), list(pieces(19, 3)[..., None]))
    return write_run(folder / "run", model, source=str(folder / "train"), channels=1, limit=0)


def test_defects_are_told_from_good_pieces_beside_what_needs_no_network(run, tmp_path, capsys):
    written(tmp_path / "data" / "good", pieces(8, 4))
    written(tmp_path / "data" / "bar", pieces(7, 5, bar=True))
    main(["inspection", str(run), "--data", str(tmp_path / "data"), "-o", str(tmp_path / "facts.json")])
    shown = capsys.readouterr().out
    facts = json.loads((tmp_path / "facts.json").read_text("utf-8"))
    assert facts["pictures"]["good"] == 8 and facts["pictures"]["defective"] == 7
    assert list(facts["rows"])[:1] == ["tfvae"] and {"parts alone", "untrained", "PCA"} <= set(facts["rows"])
    # The bar is plain in the pixels, whatever an untrained network makes of it.
    assert facts["rows"]["PCA"]["auroc"]["value"] > 0.95 and facts["rows"]["parts alone"]["auroc"]["value"] > 0.95
    assert facts["threshold"]["guaranteed"] == 0.1 and "within chance" in shown and "| PCA |" in shown


def test_the_baselines_are_the_norm_of_what_components_leave_and_the_nearest_distance():
    learnt, new = (pieces(count, count).reshape(count, -1) / 255 for count in (20, 6))
    pca = PCA(10, svd_solver="full").fit(learnt)
    left = new - pca.mean_ - (new - pca.mean_) @ pca.components_.T @ pca.components_
    np.testing.assert_allclose(unexplained(learnt, new), np.linalg.norm(left, axis=1), rtol=1e-3)
    distances = np.linalg.norm(new[:, None] - learnt[None], axis=-1)
    np.testing.assert_allclose(nearest(learnt, new), distances.min(axis=1), rtol=1e-6)


def test_new_good_pieces_fail_as_often_as_is_guaranteed_and_others_more():
    rng = np.random.default_rng(0)
    found = over_splits(rng.normal(size=88), rng.normal(size=118), 0.05, seed=0)
    low, high = found["interval"]
    assert found["splits"] == 200 and low <= found["value"] <= high
    assert low < guaranteed_rate(88, 0.05) < high


def test_decisions_that_differ_are_counted():
    model = SimpleNamespace(threshold=0.5)
    found = decisions.compared(np.array([0.3, 0.49, 0.51, 0.9]), np.array([0.4, 0.501, 0.5, 0.6]), model)
    assert found["pictures"] == 4 and found["otherwise"] == 2  # a score at the threshold passes
    assert np.isclose(found["largest"], 0.3) and np.isclose(found["nearest"], 0.01)


@pytest.mark.slow
def test_each_file_of_a_bundle_decides_as_the_run_does(run, tmp_path, capsys):
    written(tmp_path / "data" / "good", pieces(8, 4))
    written(tmp_path / "data" / "bar", pieces(7, 5, bar=True))
    with only("float32"):
        export_run(run, out=tmp_path / "bundle", size=(32, 32), say=lambda line: None)
    words = ["--bundle", str(tmp_path / "bundle"), "-o", str(tmp_path / "facts.json")]
    main(["inspection", str(run), "--data", str(tmp_path / "data"), *words])
    rows = json.loads((tmp_path / "facts.json").read_text("utf-8"))["bundle"]
    assert {"saved_model/1", "inspector.tflite", "open_batch/inspector.tflite"} == set(rows)
    assert all(row["pictures"] == 15 and row["otherwise"] == 0 and row["largest"] < 1e-4 for row in rows.values())
    assert "| open_batch/inspector.tflite | 15 | 0 |" in capsys.readouterr().out


def test_what_cannot_be_measured_is_one_line(run, tmp_path):
    written(tmp_path / "data" / "fine", pieces(2, 6))
    written(tmp_path / "data" / "bar", pieces(2, 7))
    with pytest.raises(UserError, match=r"has no sub-folder 'good' beside others\. Its sub-folders: bar, fine"):
        main(["inspection", str(run), "--data", str(tmp_path / "data")])
    (tmp_path / "data" / "fine").rename(tmp_path / "data" / "good")
    with pytest.raises(UserError, match="is no bundle of python -m export"):
        main(["inspection", str(run), "--data", str(tmp_path / "data"), "--bundle", str(tmp_path)])
    other = write_run(tmp_path / "vae", spatial_vae())
    with pytest.raises(UserError, match="is no calibrated run of inspection"):
        main(["inspection", str(other), "--data", str(tmp_path / "data")])


def test_defects_are_planted_one_at_a_time_and_their_places_held_against_the_rest(run, tmp_path, capsys):
    flat = np.full((200, 240, 1), 120, np.uint8)
    flat += np.random.default_rng(0).integers(0, 6, flat.shape, dtype=np.uint8)
    written(tmp_path / "surfaces", [flat[..., 0]])
    main(
        ["inspection", str(run), "--data", str(tmp_path / "surfaces"), "--planted", "2", "-o", str(tmp_path / "p.json")]
    )
    shown, facts = capsys.readouterr().out, json.loads((tmp_path / "p.json").read_text("utf-8"))
    assert facts["pictures"]["sizes"] == [[200, 240]] and len(facts["good"]["scores"]) == 1
    for kind in ("dark disc", "faint disc"):
        assert facts["rows"]["deviation of a 5×5 mean"][kind]["first"] == 2  # plain on a flat surface
    assert facts["rows"]["tfvae"]["scratch"]["above"] in (0, 1, 2)
    assert "240×200: one defect at a time, 2 of each kind." in shown and "| untrained, first |" in shown
    written(tmp_path / "small", pieces(1, 0))
    with pytest.raises(UserError, match="must have sides of 160 pixels or more"):
        main(["inspection", str(run), "--data", str(tmp_path / "small"), "--planted", "1"])


@pytest.mark.parametrize("kind", planted.KINDS)
def test_a_planted_defect_is_twelve_pixels_long_and_nothing_else_changes(kind):
    picture = np.random.default_rng(1).integers(60, 200, (300, 280, 3), dtype=np.uint8)
    middle = planted.place(picture, np.random.default_rng(2))
    changed = planted.planted(picture, kind, middle, np.random.default_rng(3))
    again = planted.planted(picture, kind, middle, np.random.default_rng(3))
    np.testing.assert_array_equal(changed, again)
    places = np.argwhere((changed != picture).any(axis=2)) + 0.5 - middle
    assert len(places) >= 12 and np.hypot(*places.T).max() <= 6 + 0.75
    length = np.hypot(*(places.max(axis=0) - places.min(axis=0)))
    assert 10 <= length <= 18
    assert planted.peaks(np.abs(changed - 1.0 * picture).max(axis=2), 1.0, middle)[1] == 0


def test_a_peak_is_near_within_ten_pixels_whatever_the_scale_of_the_map():
    found = np.zeros((100, 120), np.float32)
    found[50, 60], found[50, 71], found[61, 60] = 3, 2, 1
    assert planted.peaks(found, 1.0, (50, 60)) == (3.0, 2.0)
    assert planted.peaks(found, 1.0, (50, 62)) == (3.0, 1.0)
    assert planted.peaks(found, 5.0, (250, 300)) == (3.0, 2.0)
