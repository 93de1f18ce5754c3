"""`tfvae restore` and `tfvae enhance` on untrained models: files they write, and what they say no to."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny_runs import autoencoder, calibration, spatial_vae, vector_vae, write_run

from tfvae.applications import enhance, restore
from tfvae.cli import main
from tfvae.commands import jobs
from tfvae.models.enhancer import Enhancer
from tfvae.models.restorer import Restorer
from tfvae.runs import open_run

pytestmark = pytest.mark.usefixtures("loaded_once")


def restorer(channels, mask):
    model = Restorer(channels, (4, 4, 4), 2, blocks=1, mask=mask, seed=0)
    kernel = model.exit.kernel  # zero before training: it would change nothing
    model.exit.kernel.assign(0.05 * tf.random.stateless_normal(kernel.shape, (1, 2)))
    return model


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    write_run(root / "noise", restorer(1, "none"))
    write_run(root / "holes", restorer(3, "given"))
    write_run(root / "scratches", restorer(3, "found"))
    write_run(root / "dull", Enhancer(3, (4, 4, 4), 2, network="conv", hidden=8, seed=0))
    write_run(root / "digits", vector_vae())
    write_run(root / "vae", spatial_vae())
    write_run(root / "auto", autoencoder())
    return root


def picture(path, *shape, seed=0, dtype=np.uint8):
    """A file of random pixels; returns them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    Image.fromarray(pixels).save(path)
    return pixels


def mask(path, height, width, rows):
    damaged = np.zeros((height, width), bool)
    damaged[rows] = True
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(damaged).save(path)
    return damaged


def pixels(path):
    return np.asarray(Image.open(path))


def tfvae(capsys, *argv, code=0):
    """What is printed on stdout and the lines on stderr, of a call that ends with `code`."""
    ended = main([str(word) for word in argv])
    shown = capsys.readouterr()
    assert ended == code, shown.err
    return shown.out, shown.err.strip().splitlines()


def refusal(capsys, *argv):
    """The one line of a request that is refused with exit code 2."""
    (line,) = tfvae(capsys, *argv, code=2)[1]
    assert line.startswith("tfvae: error: ")
    return line


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_picture_is_restored_in_its_size_and_depth_into_the_run(runs, tmp_path, capsys):
    deep = picture(tmp_path / "x-ray.png", 37, 21, dtype=np.uint16)
    out, _ = tfvae(capsys, "restore", runs / "noise", tmp_path / "x-ray.png")
    written = runs / "noise" / "restored" / "x-ray.png"
    assert out == f"wrote {written}\n"
    expected = restore(open_run(runs / "noise").load_model(), deep[:, :, None]).image[:, :, 0]
    assert pixels(written).dtype == np.uint16
    np.testing.assert_array_equal(pixels(written), expected)
    assert (expected != deep).any()


def test_what_was_taken_for_white_is_said_once_for_all_pictures(runs, tmp_path, capsys):
    for seed, most in enumerate((4000, 4095)):
        (tmp_path / "scans").mkdir(exist_ok=True)
        levels = np.random.default_rng(seed).integers(0, most, (16, 16), np.uint16)
        levels[0, :2] = 0, most
        Image.fromarray(levels).save(tmp_path / "scans" / f"{seed}.png")
    picture(tmp_path / "scans" / "plain.png", 16, 16)
    _, said = tfvae(capsys, "restore", runs / "noise", tmp_path / "scans")
    assert said == [
        "tfvae: note: 0 is taken for black and 65,535 for white; values are 0 to 4,095 (too dark or too flat? "
        "data.white=4095 makes the greatest white)"
    ]


def test_only_what_the_mask_marks_is_changed(runs, tmp_path, capsys):
    before = picture(tmp_path / "in.png", 30, 26, 3)
    damaged = mask(tmp_path / "mask.png", 30, 26, slice(8, 12))
    tfvae(
        capsys,
        "restore",
        runs / "holes",
        tmp_path / "in.png",
        "--mask",
        tmp_path / "mask.png",
        "-o",
        tmp_path / "o.png",
    )
    after = pixels(tmp_path / "o.png")
    np.testing.assert_array_equal(after[~damaged], before[~damaged])
    assert (after[damaged] != before[damaged]).mean() > 0.9


def test_samples_and_the_map_of_uncertainty_are_written_beside_the_picture(runs, tmp_path, capsys):
    picture(tmp_path / "in.jpg", 24, 24, 3)
    for out in ("one", "two"):
        request = (
            "restore",
            runs / "noise",
            tmp_path / "in.jpg",
            "-o",
            tmp_path / out,
            "--samples",
            2,
            "--uncertainty",
        )
        tfvae(capsys, *request, "--seed", 4)
    assert files(tmp_path / "one") == ["in.jpg", "in_sample1.png", "in_sample2.png", "in_uncertainty.png"]
    first, second = (pixels(tmp_path / "one" / f"in_sample{index}.png") for index in (1, 2))
    assert (first != second).mean() > 0.5
    np.testing.assert_array_equal(first, pixels(tmp_path / "two" / "in_sample1.png"))
    uncertainty = Image.open(tmp_path / "one" / "in_uncertainty.png")
    assert (uncertainty.size, uncertainty.mode) == ((24, 24), "RGB")
    assert uncertainty.text["Description"].startswith("standard deviation of each pixel: black is 0")


def test_a_folder_is_done_though_a_picture_in_it_is_bad(runs, tmp_path, capsys):
    folder = tmp_path / "in"
    picture(folder / "a.png", 20, 20)
    picture(folder / "deep" / "b.bmp", 12, 31, 3)
    picture(folder / "c.gif", 9, 9)
    (folder / "bad.png").write_text("these are cats")
    (folder / "notes.txt").write_text("no picture, and nobody's mistake")
    out, lines = tfvae(capsys, "restore", runs / "noise", folder, "-o", tmp_path / "out", code=2)
    written = files(tmp_path / "out")
    assert {"a.png", "c.png", "deep/b.bmp", "index.html"} <= set(written) and not {"bad.png", "notes.png"} & set(
        written
    )
    assert f"wrote {tmp_path / 'out'} and 3 pictures in it" in out
    assert [line for line in lines if "refused" in line] == [
        "tfvae: refused bad.png: not a picture: it does not begin like PNG, JPEG, WebP, BMP, TIFF, GIF or PNM"
    ]
    assert lines[-1] == "tfvae: error: restore: 1 of the pictures could not be used, the other 3 are done."
    assert "notes" not in "".join(lines)
    (folder / "bad.png").unlink()
    out, lines = tfvae(capsys, "restore", runs / "noise", folder, "-o", tmp_path / "out")
    assert not any("refused" in line or "error" in line for line in lines)


def test_one_picture_gets_a_page_when_asked_for(runs, tmp_path, capsys):
    picture(tmp_path / "in.png", 20, 20, 3)
    request = ("restore", runs / "noise", tmp_path / "in.png", "-o", tmp_path / "out" / "in.png")
    tfvae(capsys, *request)
    assert files(tmp_path / "out") == ["in.png"]
    out, _ = tfvae(capsys, *request, "--page", "--uncertainty")
    page = tmp_path / "out" / "in_page" / "index.html"
    assert f"wrote {page}" in out
    assert "../in.png" in page.read_text() and "../in_uncertainty.png" in page.read_text()


def test_results_in_a_folder_within_are_not_restored_again(runs, tmp_path, capsys):
    picture(tmp_path / "a.png", 12, 12)
    for _ in range(2):
        out, _ = tfvae(capsys, "restore", runs / "noise", tmp_path, "-o", tmp_path / "restored")
        assert "and 1 picture in it" in out


def test_pictures_that_would_get_one_name_get_two(runs, tmp_path, capsys):
    picture(tmp_path / "in" / "a.gif", 8, 8)
    picture(tmp_path / "in" / "A.png", 8, 8)
    tfvae(capsys, "restore", runs / "noise", tmp_path / "in", "-o", tmp_path / "out")
    assert {name.lower() for name in files(tmp_path / "out")} >= {"a.png", "a_2.png"}


def test_masks_of_a_folder_have_the_names_of_its_pictures(runs, tmp_path, capsys):
    before = {name: picture(tmp_path / "in" / name, 16, 20, 3) for name in ("a.png", "sub/b.png", "c.png", "d.png")}
    marks = {"a.png": "a.png", "sub/b.png": "sub/b.bmp"}
    marked = {name: mask(tmp_path / "masks" / file, 16, 20, slice(3, 5)) for name, file in marks.items()}
    mask(tmp_path / "masks" / "d.png", 16, 21, slice(3, 5))
    request = ("restore", runs / "holes", tmp_path / "in", "--mask", tmp_path / "masks", "-o", tmp_path / "out")
    _, lines = tfvae(capsys, *request, code=2)
    for name, damaged in marked.items():
        np.testing.assert_array_equal(pixels(tmp_path / "out" / name)[~damaged], before[name][~damaged])
    assert any(line.startswith("tfvae: refused c.png: has no mask: none is called c in ") for line in lines)
    assert any("refused d.png" in line and "has 21x16 pixels, the picture 20x16" in line for line in lines)
    assert lines[-1].endswith("2 of the pictures could not be used, the other 2 are done.")


def test_a_mask_that_does_not_fit_or_marks_nothing_is_refused(runs, tmp_path, capsys):
    picture(tmp_path / "in.png", 16, 20, 3)
    request = ("restore", runs / "holes", tmp_path / "in.png", "-o", tmp_path / "out.png", "--mask")
    mask(tmp_path / "small.png", 16, 19, slice(2))
    assert "small.png has 19x16 pixels, the picture 20x16" in refusal(capsys, *request, tmp_path / "small.png")
    mask(tmp_path / "none.png", 16, 20, slice(0))
    assert "marks nothing: white is what is damaged" in refusal(capsys, *request, tmp_path / "none.png")
    mask(tmp_path / "all.png", 16, 20, slice(None))
    assert "marks everything: black is what is kept" in refusal(capsys, *request, tmp_path / "all.png")
    assert "no such file" in refusal(capsys, *request, tmp_path / "missing.png")
    (tmp_path / "cats.png").write_text("these are cats")
    assert "not a picture" in refusal(capsys, *request, tmp_path / "cats.png")
    assert not (tmp_path / "out.png").exists()


def test_a_model_that_fills_holes_wants_a_mask(runs, tmp_path, capsys):
    picture(tmp_path / "in.png", 16, 20, 3)
    line = refusal(capsys, "restore", runs / "holes", tmp_path / "in.png")
    assert line.endswith("fills what a mask marks. Add --mask M (white is filled), or --auto for a folder.")
    line = refusal(capsys, "restore", runs / "holes", tmp_path / "in.png", "--auto")
    assert "finds no damage by itself" in line and "--mask M" in line
    refused = refusal(capsys, "restore", runs / "holes", tmp_path / "in.png", "--auto", "--mask", tmp_path / "in.png")
    assert "--mask" in refused and "--auto" in refused


def test_a_model_that_finds_damage_needs_no_mask(runs, tmp_path, capsys):
    before = picture(tmp_path / "in.png", 33, 20, 3)
    tfvae(capsys, "restore", runs / "scratches", tmp_path / "in.png", "--auto", "-o", tmp_path / "out.png")
    expected = restore(open_run(runs / "scratches").load_model(), before).image
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), expected)


def test_what_is_read_is_never_written_over(runs, tmp_path, capsys):
    before = picture(tmp_path / "in.png", 16, 20, 3)
    damaged = mask(tmp_path / "mask.png", 16, 20, slice(2))
    path = tmp_path / "in.png"
    for request in (
        (path, "-o", path),
        (path, "-o", tmp_path),
        (path, "-o", tmp_path / "mask.png", "--mask", tmp_path / "mask.png"),
        (tmp_path, "-o", tmp_path),
    ):
        assert "would be written over, and is to be read" in refusal(capsys, "restore", runs / "noise", *request)
    picture(tmp_path / "in_sample1.png", 16, 20)
    request = ("restore", runs / "noise", tmp_path / "in_sample1.png", "-o", tmp_path / "in.jpg", "--samples", 1)
    assert "in_sample1.png: would be written over" in refusal(capsys, *request)
    np.testing.assert_array_equal(pixels(path), before)
    np.testing.assert_array_equal(pixels(tmp_path / "mask.png"), damaged)


def test_what_was_done_before_a_stop_is_kept(runs, tmp_path, capsys, monkeypatch):
    for index in range(3):
        picture(tmp_path / "in" / f"{index}.png", 12, 12)
    real = jobs._progress

    def stopping(meter, plan, sizes, index):
        if index == 2:
            raise KeyboardInterrupt
        return real(meter, plan, sizes, index)

    monkeypatch.setattr(jobs, "_progress", stopping)
    out, lines = tfvae(capsys, "restore", runs / "noise", tmp_path / "in", "-o", tmp_path / "out", code=130)
    assert out == f"wrote {tmp_path / 'out'} so far: 2 of 3 pictures\n"
    assert lines == ["tfvae: stopped"]
    assert files(tmp_path / "out") == ["0.png", "1.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing.png"], "missing.png: there is no such file or folder"),
        (["empty"], "empty: no picture in it"),
        (["bad.png"], "bad.png: not a picture"),
        (["in.png", "-o", "out.gif"], "-o cannot end in '.gif'"),
        (["in.png", "--tile", "64"], "--tile must be 184 or more for this model. Received: 64"),
        (["in.png", "--noise", "25"], "must be a number, from 0 to 1. Received: 25"),
        (["in.png", "--noise", "0.1"], "--noise is for --method map and langevin"),
        (["in.png", "--method", "gibbs"], "--method gibbs is for runs that learnt pictures"),
        (["in.png", "--method", "gips"], "Did you mean 'gibbs'?"),
        (["in.png", "--texture"], "--texture fills what a mask marks. Add --mask M"),
        (["in.png", "--samples", "-1"], "whole number, 0 or more"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line(runs, tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "in.png", 12, 12)
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.png").write_text("these are cats")
    assert message in refusal(capsys, "restore", runs / "noise", *words)


def test_a_vae_restores_by_its_prior_what_the_mask_leaves_open(runs, tmp_path, capsys):
    before = picture(tmp_path / "in.png", 8, 8)
    damaged = mask(tmp_path / "mask.png", 8, 8, slice(2, 4))
    for method, more in (("map", ()), ("gibbs", ("--samples", 2, "--uncertainty"))):
        out = tmp_path / method / "in.png"
        request = ("restore", runs / "digits", tmp_path / "in.png", "--mask", tmp_path / "mask.png", "-o", out)
        tfvae(capsys, *request, "--method", method, *more)
        np.testing.assert_array_equal(pixels(out)[~damaged], before[~damaged])
        assert (pixels(out)[damaged] != before[damaged]).any()
    assert files(tmp_path / "gibbs") == ["in.png", "in_sample1.png", "in_sample2.png", "in_uncertainty.png"]


def test_an_ensemble_is_asked_for_by_name_and_of_estimates_alone(runs, tmp_path, capsys):
    before, out = picture(tmp_path / "in.png", 21, 34, 3), runs / "noise" / "restored" / "in.png"
    tfvae(capsys, "restore", runs / "noise", tmp_path / "in.png", "--ensemble")
    assert (pixels(out) == restore(open_run(runs / "noise").load_unfused(), before, ensemble=True).image).all()
    for run, *words in (("noise", "--samples", "1"), ("digits", "--noise", "0.1")):
        said = refusal(capsys, "restore", runs / run, tmp_path / "in.png", "--ensemble", *words)
        assert "--ensemble averages" in said


def test_a_vae_must_be_told_what_is_wrong_and_a_picture_of_its_size(runs, tmp_path, capsys):
    picture(tmp_path / "in.png", 8, 8)
    picture(tmp_path / "large.png", 9, 8)
    mask(tmp_path / "mask.png", 8, 8, slice(2, 4))
    request = ("restore", runs / "digits", tmp_path / "in.png")
    assert "must be given what is wrong: --mask M" in refusal(capsys, *request)
    assert "--method model is for runs that learnt to restore" in refusal(capsys, *request, "--method", "model")
    assert "need --method langevin or gibbs" in refusal(capsys, *request, "--noise", "0.1", "--uncertainty")
    assert "--noise must be above 0" in refusal(capsys, *request, "--noise", "0")
    line = refusal(capsys, "restore", runs / "digits", tmp_path / "large.png", "--noise", "0.1")
    assert "has 8x9 pixels, and this model takes 8x8 only" in line
    assert "no prior to restore with" in refusal(capsys, "restore", runs / "auto", tmp_path / "in.png")


def test_enhance_goes_as_far_as_the_strength_says(runs, tmp_path, capsys):
    before = picture(tmp_path / "in.png", 21, 34, 3)
    enhanced, model = runs / "dull" / "enhanced" / "in.png", open_run(runs / "dull").load_model()
    assert str(enhanced) in tfvae(capsys, "enhance", runs / "dull", tmp_path / "in.png")[0]
    np.testing.assert_array_equal(pixels(enhanced), enhance(model, before))
    other, like = picture(tmp_path / "like.png", 30, 12, 3, seed=1), tmp_path / "like.png"
    for option, value, taken in (("strength", 0.5, 0.5), ("like", like, other), ("strength", 0, 0)):
        path = tmp_path / "out.png"
        tfvae(capsys, "enhance", runs / "dull", tmp_path / "in.png", "-o", path, f"--{option}", value)
        np.testing.assert_array_equal(pixels(path), enhance(model, before, **{option: taken}))
    np.testing.assert_array_equal(pixels(path), before)  # with a strength of 0
    assert "from 0 to 2. Received: 3" in refusal(capsys, "enhance", runs / "dull", tmp_path / "in.png", "--strength", 3)
    for name in ("vae", "holes"):
        assert "does not enhance" in refusal(capsys, "enhance", runs / name, tmp_path / "in.png")


def test_a_folder_that_shares_an_overlay_is_freed_of_it(runs, tmp_path, capsys):
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 1, 64)
    clean, marked = [], np.zeros((64, 64), bool)
    marked[20:44, 28:36] = True
    for index in range(12):
        corners = rng.uniform(20, 200, (2, 2, 3))
        plain = np.einsum("ia,jb,abc->ijc", np.stack([1 - ramp, ramp], 1), np.stack([1 - ramp, ramp], 1), corners)
        clean.append(plain)
        stamped = np.where(marked[..., None], 0.5 * plain + 0.5 * 255, plain) + rng.normal(0, 1, plain.shape)
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(np.clip(np.rint(stamped), 0, 255).astype(np.uint8)).save(tmp_path / "in" / f"{index:02d}.png")
    _, lines = tfvae(capsys, "restore", runs / "holes", tmp_path / "in", "--auto", "-o", tmp_path / "out")
    assert any("an overlay covers" in line for line in lines)
    for index, plain in enumerate(clean):
        error = [
            np.abs(pixels(tmp_path / where / f"{index:02d}.png")[marked] - plain[marked]).mean()
            for where in ("in", "out")
        ]
        assert error[1] < 0.25 * error[0]


@pytest.mark.slow
def test_what_is_not_known_of_the_uncertainty_is_said(runs, tmp_path, capsys):
    picture(tmp_path / "in.png", 16, 20, 3)
    request = ("restore", runs / "scratches", tmp_path / "in.png", "-o", tmp_path / "out.png")
    assert not tfvae(capsys, *request)[1]
    out, lines = tfvae(capsys, *request, "--samples", 1, "--uncertainty")
    assert "never calibrated" in " ".join(lines) and "in.png: standard deviation, of 255: black 0" in out
    model = restorer(3, "found")
    for place, (found, said) in enumerate(
        [
            ({"coverage": 0.95, "estimate_psnr": 30.0, "sample_psnr": 27.0}, ()),
            ({"coverage": 0.95, "estimate_psnr": 30.0, "sample_psnr": 17.5}, ("12.5 dB below the estimate",)),
            ({"coverage": 0.8, "estimate_psnr": 30.0, "sample_psnr": 27.0}, ("hold 80.0% of the errors",)),
        ]
    ):
        model.use_uncertainty({**calibration(7), "amplitudes": None, "measured": found})
        run = write_run(tmp_path / f"run{place}", model)
        request = ("restore", run, tmp_path / "in.png", "-o", tmp_path / "o.png", "--samples", 1, "--uncertainty")
        _, lines = tfvae(capsys, *request)
        assert len(lines) == len(said) and all(one in line for one, line in zip(said, lines, strict=True)), lines


def test_a_run_that_was_stopped_early_says_so(tmp_path, capsys):
    run = write_run(tmp_path / "run", restorer(3, "none"), {"seed": 0, "epochs": 20})
    picture(tmp_path / "in.png", 16, 20, 3)
    (run / "metrics.csv").write_text("epoch,loss\n1,3.0\n2,2.0\n", encoding="utf-8")
    (line,) = tfvae(capsys, "restore", run, tmp_path / "in.png", "-o", tmp_path / "out.png")[1]
    assert "has not ended (2 of 20 epochs)" in line and "--resume" in line
    (run / "report.json").write_text("{}", encoding="utf-8")
    assert not tfvae(capsys, "restore", run, tmp_path / "in.png", "-o", tmp_path / "out.png")[1]
