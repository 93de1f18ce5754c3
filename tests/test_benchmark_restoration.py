"""A fair comparison of restorations: equal damage for all sides, honest figures, other methods that do their work."""

import json
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import test_overlay
from PIL import Image
from tiny_runs import vector_vae, write_run

from benchmarks.__main__ import main
from benchmarks.measuring import OURS
from benchmarks.restoration import baselines as baselines
from benchmarks.restoration import compare as compare
from benchmarks.restoration import degraded as degraded
from benchmarks.restoration import speed, tables
from tfvae.errors import UserError
from tfvae.models.restorer import Restorer
from tfvae.pixels import pixels

SIDE = 64


@pytest.fixture
def photograph():
    """Smooth colours between 0.2 and 0.8, float32."""
    y, x = np.meshgrid(np.linspace(0, 3, SIDE), np.linspace(0, 4, SIDE), indexing="ij")
    return (0.5 + 0.3 * np.stack([np.sin(x), np.cos(y), np.sin(x + y)], axis=-1)).astype(np.float32)


@pytest.fixture
def folder(tmp_path, photograph):
    """Three pictures of unlike sizes."""
    (tmp_path / "pictures").mkdir()
    for index, width in enumerate((40, 48, 64)):
        image = Image.fromarray(np.round(255 * photograph[:48, :width]).astype(np.uint8))
        image.save(tmp_path / "pictures" / f"{index}.png")
    return tmp_path / "pictures"


def tiny_restorer(channels=3, **settings):
    keras.utils.set_random_seed(1)
    return Restorer(channels, (4, 4, 4), 2, blocks=1, seed=0, **settings)


# What the sides are given.


def test_a_compressed_picture_is_that_of_a_file_and_its_error_is_told(photograph, tmp_path):
    errors = []
    for quality in degraded.QUALITIES:
        example = degraded.compressed(photograph, quality)
        Image.fromarray(np.round(255 * photograph).astype(np.uint8)).save(tmp_path / "x.jpg", quality=quality)
        np.testing.assert_array_equal(example.degraded, np.asarray(Image.open(tmp_path / "x.jpg")) / np.float32(255))
        errors.append(example.sigma)
        assert example.sigma == pytest.approx(np.std(example.degraded - photograph), rel=0.05)
    assert errors == sorted(errors, reverse=True) and errors[-1] > 0
    assert degraded.compressed(photograph[..., :1], 40).degraded.shape == (SIDE, SIDE, 1)


def test_noise_has_the_stated_strength_and_is_not_clipped(photograph):
    white = np.ones_like(photograph)
    example = degraded.noisy(white, 0, seed=0, level=25)
    noise = 255 * (example.degraded - white)
    standard_error = 25 / np.sqrt(2 * noise.size)  # of a standard deviation
    assert abs(noise.std() - 25) < 5 * standard_error
    assert abs(noise.mean()) < 5 * 25 / np.sqrt(noise.size)
    assert example.degraded.max() > 1.1
    assert example.sigma == 25 / 255


def test_damage_depends_on_the_seed_and_the_picture_alone(photograph):
    cases = [
        lambda index, seed: degraded.noisy(photograph, index, seed, 25),
        *(lambda index, seed, kind=kind: degraded.holed(photograph, index, seed, kind) for kind in degraded.HOLES),
        *(
            lambda index, seed, kind=kind: degraded.watermarked(photograph, index, seed, kind)
            for kind in degraded.MARKS
        ),
    ]
    for case in cases:
        np.testing.assert_array_equal(case(1, 0).degraded, case(1, 0).degraded)
        assert not np.array_equal(case(1, 0).degraded, case(2, 0).degraded)
        assert not np.array_equal(case(1, 0).degraded, case(1, 7).degraded)


@pytest.mark.parametrize("kind", degraded.HOLES)
def test_a_hole_takes_what_the_mask_says_and_nothing_else(kind, photograph):
    example = degraded.holed(photograph, 0, 0, kind)
    known = example.known[:, :, 0] == 1
    np.testing.assert_array_equal(example.degraded[known], photograph[known])
    assert (example.degraded[~known] == 0).all()
    assert 0 < (~known).mean() < 0.8
    if kind.endswith("pixels"):
        share = int(kind.split()[0]) / 100
        assert abs((~known).mean() - share) < 5 * np.sqrt(share * (1 - share) / known.size)


@pytest.mark.parametrize("kind", degraded.MARKS)
def test_a_watermark_blends_one_colour_into_its_letters_only(kind):
    shade = np.full((200, 240, 3), 0.5, np.float32)
    example = degraded.watermarked(shade, 0, 0, kind)
    moved = example.degraded - degraded.as_a_file(shade)
    inside = example.damage[:, :, 0] == 1
    assert 0.02 < inside.mean() < 0.5
    assert (moved[~inside] == 0).all()
    # Half-way to black or white at the opacity of the letters, which is 0.35 to 0.6; half a level of rounding, twice.
    strongest = np.abs(moved).max()
    assert 0.5 * 0.35 - 1 / 255 <= strongest <= 0.5 * 0.6 + 1 / 255
    assert (moved >= 0).all() or (moved <= 0).all()


def test_the_models_own_corruptions_come_as_a_file_would(photograph):
    model = tiny_restorer(corruptions=[{"kind": "gaussian", "std": 0.3}])
    example = degraded.corrupted(photograph, 0, 0, model)
    levels = 255 * example.degraded
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)
    assert example.degraded.min() == 0.0 and example.degraded.max() == 1.0
    assert not np.array_equal(example.degraded, degraded.corrupted(photograph, 1, 0, model).degraded)


@pytest.mark.parametrize("kind", degraded.TONES)
def test_tones_are_one_curve_for_every_pixel_of_a_channel_or_colour(photograph, kind):
    example = degraded.toned(photograph, 0, 0, kind)
    again, other = degraded.toned(photograph, 0, 0, kind), degraded.toned(photograph, 1, 0, kind)
    np.testing.assert_array_equal(example.degraded, again.degraded)
    assert not np.array_equal(example.degraded, other.degraded)
    _, first, inverse = np.unique(
        photograph.reshape(-1, photograph.shape[2]), axis=0, return_index=True, return_inverse=True
    )
    flat = example.degraded.reshape(-1, photograph.shape[2])
    np.testing.assert_array_equal(flat[first][inverse.ravel()], flat)  # equal colours stay equal


def test_an_old_print_has_grey_blacks_and_yellow_whites():
    scale = np.tile(np.linspace(0, 1, 32, dtype=np.float32)[None, :, None], (32, 1, 3))
    worn = degraded.toned(scale, 0, 0, "old prints").degraded
    assert worn.min() > 0.0 and worn[..., 2].max() < worn[..., 0].max() < 1.0


# The other sides.


def test_biharmonic_and_opencv_keep_what_is_known_and_fill_a_gradient():
    pytest.importorskip("cv2", reason="the extra 'benchmark' is not installed")
    gradient = np.tile(np.linspace(0.2, 0.8, SIDE, dtype=np.float32)[None, :, None], (SIDE, 1, 3))
    example = degraded.holed(degraded.as_a_file(gradient), 0, 0, "25 % of pixels")
    lost = example.known[:, :, 0] == 0
    for method in baselines.baselines("inpaint")[1:]:
        result = baselines.cached(method, example, None)
        assert compare.known_kept(example, result) == 100.0
        # A hole left black would be 0.5 away.
        assert np.abs(result - example.original)[lost].mean() < 0.02, method.name
    # A straight gradient is biharmonic: inside, the equation's solution is the gradient itself, up to its bytes.
    inner = np.zeros_like(lost)
    inner[8:-8, 8:-8] = lost[8:-8, 8:-8]
    assert np.abs(baselines.biharmonic(example) - gradient)[inner].max() < 2 / 255


@pytest.mark.parametrize("method", baselines.METHODS["like"], ids=lambda method: method.name)
def test_a_reference_of_the_same_scene_brings_tones_back(method, photograph):
    both = np.concatenate([photograph, photograph[:, ::-1]], axis=1)
    example = degraded.beside_its_other_half(both, 2, seed=0, kind="old prints")
    np.testing.assert_array_equal(example.reference, photograph[:, ::-1])
    np.testing.assert_array_equal(example.original, photograph)
    before, after = (np.square(x - photograph).mean() for x in (example.degraded, baselines.finished(method, example)))
    assert after < 0.2 * before


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("method", baselines.METHODS["denoise"], ids=lambda method: method.name)
def test_denoisers_remove_most_of_the_noise_of_a_smooth_picture(method, channels, photograph):
    pytest.importorskip(baselines.MODULES[method.package], reason="the extra 'benchmark' is not installed")
    picture = photograph[:48, :40, :channels]
    example = degraded.noisy(picture, 0, 0, 25)
    result = baselines.cached(method, example, None)
    assert result.shape == picture.shape
    assert np.sqrt(np.mean((result - picture) ** 2)) < 0.6 * example.sigma


def test_grey_world_makes_the_means_of_the_channels_agree(photograph):
    tinted = degraded.Example(photograph, photograph * np.array([0.9, 0.6, 0.8], np.float32))
    means = baselines.grey_world(tinted).mean(axis=(0, 1))
    np.testing.assert_allclose(means, means.mean(), rtol=1e-5)


def test_auto_levels_stretch_every_channel_and_auto_contrast_keeps_the_hue(photograph):
    dull = degraded.Example(photograph, 0.4 + 0.2 * photograph * np.array([1.0, 0.5, 0.8], np.float32))
    levels = baselines.auto_levels(dull)
    assert (levels.min(axis=(0, 1)) == 0.0).all() and (levels.max(axis=(0, 1)) == 1.0).all()
    # One stretch for all channels: their order in a pixel stays.
    stretched = baselines.auto_contrast(dull)
    assert stretched.std() > 2 * dull.degraded.std()
    first, second = dull.degraded[..., 0] > dull.degraded[..., 1] + 1 / 255, stretched[..., 0] >= stretched[..., 1]
    assert second[first].all()


def test_clahe_changes_lightness_and_leaves_grey_grey(photograph):
    grey = degraded.Example(photograph[..., :1], 0.4 + 0.2 * photograph[..., :1])
    three = degraded.Example(photograph, np.repeat(grey.degraded, 3, axis=2))
    assert baselines.adaptive_equalisation(grey).std() > grey.degraded.std()
    assert np.ptp(baselines.adaptive_equalisation(three), axis=2).max() < 1 / 255


def test_a_kept_result_is_not_computed_again_and_others_are(photograph, tmp_path, monkeypatch):
    monkeypatch.setattr(baselines, "version", lambda package: "1")
    calls = []

    def halve(example):
        calls.append(example)
        return example.degraded / 2

    slow = baselines.Method("halve", halve, "some-package", slow=True)
    first, other = (degraded.noisy(photograph, index, 0, 25) for index in (0, 1))
    results = [baselines.cached(slow, first, tmp_path) for _ in range(2)]
    assert len(calls) == 1
    np.testing.assert_array_equal(*results)
    np.testing.assert_array_equal(results[0], np.clip(first.degraded / 2, 0, 1))
    baselines.cached(slow, other, tmp_path)
    baselines.cached(slow, degraded.Example(photograph, first.degraded, sigma=0.5), tmp_path)
    monkeypatch.setattr(baselines, "version", lambda package: "2")
    baselines.cached(slow, first, tmp_path)
    assert len(calls) == 4
    assert {path.suffix for path in tmp_path.iterdir()} == {".npy"}


# Figures.


def test_a_perfect_restoration_has_the_best_of_every_figure(photograph):
    example = degraded.watermarked(degraded.as_a_file(photograph), 0, 0, "SAMPLE, once")
    result = example.original
    of_masks = {"known kept", "neighbourhoods"}
    values = {name: figure(example, result) for name, figure in compare.FIGURES.items() if name not in of_masks}
    assert values == pytest.approx({"PSNR": 100.0, "SSIM": 1.0, "ΔE2000": 0.0, "moved elsewhere": 0.0}, abs=1e-5)


def test_known_kept_counts_pixels_and_moved_elsewhere_levels(photograph):
    known = np.ones((SIDE, SIDE, 1), np.float32)
    known[: SIDE // 2] = 0
    example = degraded.Example(photograph, photograph, known=known, damage=1 - known)
    result = photograph.copy()
    result[: SIDE // 2] = 0  # of what is lost nothing counts
    result[SIDE // 2 : SIDE * 3 // 4] += 2 / 255  # half of what is known
    assert compare.known_kept(example, result) == 50.0
    assert compare.moved_elsewhere(example, result) == pytest.approx(1.0, rel=1e-4)


def test_colour_difference_sees_a_tint_that_grey_has_not(photograph):
    tinted = np.clip(photograph * np.array([1.2, 1.0, 0.8], np.float32), 0, 1)
    assert compare.colour_difference(degraded.Example(photograph, tinted), tinted) > 2
    grey = photograph[..., :1]
    assert compare.colour_difference(degraded.Example(grey, grey), grey) == 0.0


def test_rows_hold_the_means_and_the_paired_lead_of_ours(photograph):
    def nearer(share):
        return lambda example: example.original + share * (example.degraded - example.original)

    sides = [
        baselines.Method(baselines.AS_IT_CAME, lambda example: example.degraded),
        baselines.Method(OURS, nearer(0.1)),
    ]
    examples = compare.Examples([photograph] * 3, [0, 2], lambda x, index: degraded.noisy(x, index, 0, 15))
    (came, own), shown = compare.measure("σ = 15", examples, sides, ("PSNR", "SSIM"), None)
    # A tenth of the error is 20 dB; a figure is the mean over pictures, not that of their mean error.
    assert came["tfvae_ahead_db"]["mean"] == pytest.approx(20.0, abs=1e-3)
    assert came["tfvae_ahead_db"]["standard_error"] == pytest.approx(0.0, abs=1e-3)
    assert own["PSNR"] == pytest.approx(np.mean(own["each"]["PSNR"])) and len(own["each"]["PSNR"]) == 2
    assert "tfvae_ahead_db" not in own
    assert own["SSIM"] > came["SSIM"]
    np.testing.assert_array_equal(shown.results[baselines.AS_IT_CAME], examples[0].degraded)


@pytest.mark.slow
def test_a_mark_that_all_pictures_share_is_taken_out_as_the_command_does():
    originals = [pixels(test_overlay.photograph(seed, 1)) for seed in range(30)]
    examples = [degraded.watermarked(x, 0, 0, "SAMPLE, once") for x in originals]
    model = tiny_restorer(channels=1, mask="found", corruptions=[{"kind": "boxes"}])
    side = compare.as_a_folder(model, examples)
    for example in examples[:3]:
        better, before = (compare.FIGURES["PSNR"](example, x) for x in (side.apply(example), example.degraded))
        assert better > before + 6

    # Five pictures that share nothing are each left to the model.
    apart = [degraded.Example(x, x) for x in originals[:5]]
    side = compare.as_a_folder(model, apart)
    np.testing.assert_array_equal(side.apply(apart[0]), compare.ours(model).apply(apart[0]))


def test_pictures_are_chosen_evenly_from_the_first():
    assert compare.evenly(68, 9) == [0, 8, 16, 24, 32, 40, 48, 56, 64]
    assert compare.evenly(5, None) == compare.evenly(5, 99) == [0, 1, 2, 3, 4]
    assert compare.evenly(5, 1) == [0]


def test_published_figures_stand_beside_the_very_pictures_only():
    def facts(**settings):
        same = {"channels": 1, "pictures": 68, "of": 68}
        return {"task": "denoise", "settings": same | settings}

    assert tables.published(facts(), "σ = 25")["BM3D"] == 28.57
    assert tables.published(facts(pictures=9), "σ = 25") == {}
    assert tables.published(facts(channels=3), "σ = 25") == {}


def test_the_peak_of_a_command_is_its_own_and_a_failure_is_told():
    small, large = (
        speed.timed_command([sys.executable, "-c", f"x = bytearray(b'1' * {size})"])[1] for size in (1, 200_000_000)
    )
    # The large one first builds the bytes and then copies them.
    assert 190e6 < large - small < 450e6
    with pytest.raises(UserError, match="exit code 3: no such thing"):
        speed.timed_command([sys.executable, "-c", "import sys; print('no such thing'); sys.exit(3)", "x"])


# The command.


def test_the_command_writes_table_numbers_and_picture(tmp_path, folder, capsys):
    model = tiny_restorer(mask="found", corruptions=[{"kind": "boxes"}])
    run = write_run(tmp_path / "run", model, source=str(folder))
    out = tmp_path / "numbers.json"
    flags = ["--data", str(folder), "-n", "2", "--rounds", "1", "-o", str(out)]
    main(["restoration", "dewatermark", str(run), *flags])

    facts = json.loads(out.read_text())
    said = capsys.readouterr().out
    shared = {f"{kind}, the same on all" for kind in degraded.MARKS}
    assert {row["case"] for row in facts["rows"]} == {*degraded.MARKS, *shared, "the model's own corruptions"}
    assert {row["side"] for row in facts["rows"]} == {baselines.AS_IT_CAME, OURS, f"{OURS}, as a folder"}
    assert facts["settings"]["pictures"] == 2 and facts["settings"]["of"] == 3
    assert facts["model"]["weights"] == model.count_params()
    assert [row["side"] for row in facts["megapixels_per_second"]] == [OURS]
    for row in facts["rows"]:
        assert f"| {row['case']} | {row['side']} | {row['PSNR']:.2f} |" in said
    picture = np.asarray(Image.open(out.with_suffix(".png")))
    assert picture.ndim == 3 and picture.shape[1] > 3 * 48
    assert str(tmp_path) not in json.dumps({**facts, "command": ""})


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["denose", "run"], "Did you mean 'denoise'"),
        (["denoise", "run", "-n", "0"], "-n/--count: must be a whole number, 1 or more"),
        (["denoise", "run", "--rounds", "-1"], "--rounds: must be a whole number, 0 or more"),
        (["speed", "run", "--rounds", "0"], "--rounds must be 1 or more"),
        (["denoise", "run", "--seed", "-1"], "--seed: must be a whole number, 0 or more"),
        (["speed", "run", "--megapixels", "nan"], "--megapixels: must be a number"),
        (["denoise", "run", "--data", "no/such/folder"], "--data: must be a folder"),
        (["denoise", "run", "-o", "numbers.csv"], "-o/--out: must be a .json file"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(flags, words):
    with pytest.raises(UserError, match=words):
        main(["restoration", *flags])


def test_a_model_that_cannot_do_the_task_is_refused(tmp_path):
    plain = write_run(tmp_path / "plain", vector_vae())
    blind = write_run(tmp_path / "blind", tiny_restorer())
    with pytest.raises(UserError, match="holds a VAE"):
        compare.restorer(plain, "denoise", takes_mask=False)
    with pytest.raises(UserError, match="takes no mask"):
        compare.restorer(blind, "holes", takes_mask=True)
    model = compare.restorer(blind, "denoise", takes_mask=False)[1]
    assert not model.takes_mask
    with pytest.raises(UserError, match="like: a run of light and colour is needed"):
        compare.like(model)


def test_a_missing_package_is_named_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setattr(baselines, "find_spec", lambda name: None if name == "bm3d" else SimpleNamespace())
    with pytest.raises(UserError, match=r"bm3d needed: pip install -e '\.\[benchmark\]'"):
        baselines.baselines("denoise")
