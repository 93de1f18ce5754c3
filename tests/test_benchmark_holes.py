"""The comparison of fillings of wide holes: what is cut out, what is measured within, and who is beside whom."""

import json

import keras
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from tiny_runs import write_run

from benchmarks.__main__ import main
from benchmarks.measuring import OURS
from benchmarks.restoration import compare, degraded
from benchmarks.restoration.baselines import FILLING
from benchmarks.restoration.tables import nearest
from tfvae.models.restorer import Restorer

KIND = "25 to 60 pixels across"
RNG = np.random.default_rng(4)


def grain(side=200):
    """A texture without structure: noise, a little blurred, float32 in [0, 1]."""
    noise = ndimage.gaussian_filter(RNG.normal(size=(side, side, 3)), (1, 1, 0))
    return (0.5 + 0.15 * noise / noise.std()).clip(0, 1).astype(np.float32)


@pytest.mark.parametrize("size", [(300, 260), (80, 70)])
def test_holes_are_wide_apart_and_as_wide_as_it_says(size):
    example = degraded.holed(np.ones((*size, 3), np.float32), 3, 0, KIND)
    found, count = ndimage.label(example.known[:, :, 0] == 0)
    assert count == 5 if min(size) > 200 else 1 <= count < 5
    for place in ndimage.find_objects(found):
        assert all(18 <= span.stop - span.start <= 64 for span in place)


def test_a_smooth_filling_is_far_from_a_grain_and_another_piece_of_it_near():
    picture = grain()
    example = degraded.holed(picture, 0, 0, KIND)
    fill = {"itself": picture, "another": grain(), "smooth": np.full_like(picture, picture.mean())}
    results = {name: np.where(example.known == 1, picture, other) for name, other in fill.items()}
    distance = {name: compare.neighbourhood_distance(example, result) for name, result in results.items()}
    assert distance["itself"] == 0 and 5 * distance["another"] < distance["smooth"]
    # What lies outside of the holes does not count.
    results["another"][:, -5:] = 0
    assert compare.neighbourhood_distance(example, results["another"]) == distance["another"]


def test_the_line_counts_pictures_on_which_ours_is_the_nearest():
    def row(side, distances, decibels):
        return {"case": "c", "side": side, "each": {"neighbourhoods": distances, "PSNR": decibels}}

    rows = [row(OURS, [1, 5, 1], [20, 20, 19]), *(row(each.name, [2, 2, 2], [20.2, 20.4, 19.2]) for each in FILLING)]
    (said,) = nearest(rows)
    assert "on 2 of 3 pictures" in said and said.endswith("the best of them on 2.")


def test_the_command_puts_texture_beside_its_control_and_the_classical_methods(tmp_path, capsys):
    pytest.importorskip("cv2", reason="the extra 'benchmark' is not installed")
    (tmp_path / "pictures").mkdir()
    Image.fromarray(np.round(255 * grain()).astype(np.uint8)).save(tmp_path / "pictures" / "0.png")
    keras.utils.set_random_seed(1)
    model = Restorer(3, (4, 4, 4), 2, blocks=1, seed=0, mask="given", corruptions=[{"kind": "boxes"}])
    run = write_run(tmp_path / "run", model, source=str(tmp_path / "pictures"))
    out = tmp_path / "numbers.json"
    data = ["--data", str(tmp_path / "pictures"), "--rounds", "0", "-o", str(out)]
    main(["restoration", "holes", str(run), *data])

    rows = {row["side"]: row for row in json.loads(out.read_text())["rows"]}
    control = "biharmonic, then our texture"
    assert {OURS, f"{OURS}, without texture", control, *(each.name for each in FILLING)} < set(rows)
    # Grain is laid over the smoothest filling.
    assert 2 * rows[control]["neighbourhoods"] < rows["biharmonic"]["neighbourhoods"]
    assert f"{KIND}: neighbourhoods nearer than those of Telea" in capsys.readouterr().out
