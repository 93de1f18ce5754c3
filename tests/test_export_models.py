"""Bundles of models whose codes are no vectors to decode alone: restorers, codebooks, styles, films."""

import functools
import json
import re
import sys

import keras
import numpy as np
import pytest
from tiny_runs import only, write_run

import tfvae
from export import __main__ as program
from export import parity, samples
from export.bundle import export_run
from export.evidence import read as read_evidence
from export.formats import tflite
from export.reference import Reference
from export.verify import verify
from tfvae import serving
from tfvae.data import DataConfig

NOISE = [{"kind": "gaussian", "std": 0.1}]
HOLES = [{"kind": "random_pixels", "fraction": 0.5}]
MARKS = [{"kind": "scratches"}]
TONES = [{"kind": "gamma", "gamma": 0.7}]
FRAMES = 4


def restorer(mask, corruptions):
    return tfvae.Restorer(1, (8, 8, 8), 2, blocks=1, mask=mask, corruptions=corruptions, seed=0)


MAKERS = {
    "blind": lambda: restorer("none", NOISE),
    "masked": lambda: restorer("given", HOLES),
    "finding": lambda: restorer("found", MARKS),
    "enhancer": lambda: tfvae.Enhancer(1, (8, 8), 2, "conv", 16, corruptions=TONES, seed=0),
    "codebook": lambda: tfvae.VQVAE.from_shape(
        (8, 8, 1), 3, widths=(8, 8), codes=16, prior_width=16, prior_depth=1, prior_heads=2, seed=0
    ),
    "grid": lambda: tfvae.VQVAE.from_shape(
        (8, 8, 1), 2, widths=(8, 8), levels=(4, 3), prior_width=16, prior_depth=1, prior_heads=2, seed=0
    ),
    "styles": lambda: tfvae.StyleVAE(1, (8, 8), 4, "gaussian", ("ink", "oil"), blocks=1, critic_widths=(4, 8), seed=0),
    "film": lambda: tfvae.VideoVAE(1, (4, 8), 2, frames=FRAMES, context=2, seed=0),
    "codec": lambda: tfvae.Codec(1, (6, 8), 5, hyper_dim=4, hyper_width=8, seed=0),
}
SIGNATURES = {
    "blind": {"restore": "restorer", "sample": "sampler"},
    "masked": {"restore": "restorer", "sample": "sampler"},
    "finding": {"restore": "restorer", "sample": "sampler"},
    "enhancer": {"restore": "restorer", "sample": "sampler"},
    "codebook": {"encode": "encoder", "reconstruct": "autoencoder", "generate": "generator", "decode": "decoder"},
    "grid": {"encode": "encoder", "reconstruct": "autoencoder", "generate": "generator", "decode": "decoder"},
    "styles": {"encode": "encoder", "reconstruct": "", "decode": "decoder", "generate": "", "stylize": "stylizer"},
    "film": {"encode": "", "reconstruct": "", "continue": "continuation"},
    "codec": {"encode": "encoder", "decode": "decoder", "reconstruct": "autoencoder"},
}
INT8: dict = {
    "masked": {},
    "enhancer": {},
    "film": {},
    "codec": {},
    "codebook": {"decode"},
    "grid": {"decode"},
}  # of the others, everything


def make(kind):
    """A tiny model, every weight moved: what starts at zero must not hide what it does once it is trained."""
    keras.utils.set_random_seed(1)
    model, rng = MAKERS[kind](), np.random.default_rng(2)
    for weight in model.trainable_variables:
        weight.assign_add(0.05 * rng.standard_normal(weight.shape).astype("float32"))
    return model


def pictures(model, count=3, side=16):
    height, width, channels = model.image_shape
    shape = (count, height or model.frames * side, width or side, channels)
    return np.random.default_rng(3).random(shape, dtype=np.float32)


def run_of(kind, folder):
    clips = {"source": "moving_digits", "frames": FRAMES, "limit": 12} if kind == "film" else {}
    return write_run(folder / kind, make(kind), **clips)


@functools.cache
def reference_of(kind):
    model = make(kind)
    return Reference(model, pictures(model), 0)


# What a model says of itself.


@pytest.mark.parametrize("kind", MAKERS)
def test_a_model_says_what_it_serves_and_gives_examples_of_every_input(kind):
    reference = reference_of(kind)
    images = reference.images
    assert {name: each.endpoint.file for name, each in reference.signatures.items()} == SIGNATURES[kind]
    for name, signature in reference.signatures.items():
        if signature.endpoint.file:
            assert ("int8" in signature.endpoint.variants) == (name in INT8.get(kind, SIGNATURES[kind]))
        for request, answer in zip(reference.requests[name], reference.answers[name], strict=True):
            for tensor, (shape, _) in signature.inputs.items():
                assert len(request[tensor]) == 3 and request[tensor].dtype == np.float32
                assert all(wanted in (None, side) for wanted, side in zip(shape, request[tensor].shape, strict=True))
            assert all(value.dtype == np.float32 and np.isfinite(value).all() for value in answer.values())
    shown = reference.answers[reference.shown][0]["image"]
    assert reference.signatures[reference.shown].endpoint.file and shown.shape == images.shape
    assert (reference.odd_size() is None) == (kind in ("codebook", "grid"))


def test_examples_are_first_of_the_pictures_and_then_of_something_else():
    styles, film = reference_of("styles"), reference_of("film")
    own, other = (request["labels"] for request in styles.requests["stylize"])
    np.testing.assert_array_equal(own, styles.model.predicted_style(styles.images))
    np.testing.assert_array_equal(own + other, np.ones_like(own))
    np.testing.assert_allclose(styles.answers["stylize"][0]["image"], styles.answers["reconstruct"][0]["image"])
    nothing, something = (request["noise"] for request in film.requests["continue"])
    assert not nothing.any() and something.std() > 0.5
    np.testing.assert_allclose(film.answers["continue"][0]["image"], film.answers["reconstruct"][0]["image"])


def test_a_restorer_is_compared_on_degraded_pictures_with_the_originals():
    reference = reference_of("masked")
    images = reference.images
    (request,) = reference.requests["restore"]
    known = request["known"] > 0
    assert 0.2 < known.mean() < 0.8
    np.testing.assert_array_equal(request["image"][known], images[known])
    restored = reference.answers["restore"]
    keras_psnr, perfect = reference.psnr_pair("restore", [{**restored[0], "image": images}])
    assert keras_psnr == pytest.approx(parity.mean_psnr(images, restored[0]["image"])) and perfect > 90


def test_the_least_size_of_a_window_is_drawn_from_a_codebook_of_any_size():
    keras.utils.set_random_seed(1)
    model = tfvae.VQVAE.from_shape(
        (None, None, 1), 3, widths=(8, 8), codes=16, window=(2, 3), prior_width=8, prior_depth=1, prior_heads=2, seed=0
    )
    found = serving.signatures(model, batch=1, size=(16, 16))
    assert found["generate"].inputs["noise"] == ((1, 2, 3, 3), "float32")
    assert found["decode"].inputs["z"] == ((1, 4, 4, 3), "float32")
    reference = Reference(model, np.zeros((2, 16, 16, 1), np.float32), 0)
    assert reference.answers["generate"][0]["image"].shape == (2, 8, 12, 1)


def test_an_int8_file_from_python_leaves_out_what_does_not_compute_in_integers(tmp_path):
    film = make("film")
    with pytest.raises(ValueError, match="`quantize` must be another one for VideoVAE"):
        options = {"quantize": "int8", "representative": pictures(film), "size": (64, 16)}
        film.export(tmp_path / "a.tflite", format="litert", **options)


# Bounds where the last digit may choose.


def answers(*changed, count=20):
    images = np.zeros((count, 2, 2, 1))
    images[list(changed)] = 0.5
    return [{"image": images}]


def test_answers_that_fall_otherwise_are_counted_by_image():
    bound = parity.BOUNDS_OF_CHOICES["float32"]
    few = parity.judge(bound, answers(), answers(3, 7), (20.0, 20.0))
    assert few.passed and few.value == 0.1 and few.figures["rows_chosen_otherwise"] == [[3, 7]]
    assert str(few) == "chosen otherwise in 10.0% of the images (bound 10%)"
    assert not parity.judge(bound, answers(), answers(3, 7, 9), (20.0, 20.0)).passed
    broken = answers()
    broken[0]["image"][4, 0, 0] = np.nan
    assert not parity.judge(bound, answers(), broken, (20.0, 20.0)).passed


def test_frames_are_cut_and_fitted_one_by_one():
    strip = np.arange(8, dtype=np.uint8).reshape(8, 1, 1)  # four frames of two rows
    assert samples.fitted(strip, (4, 1), frames=4).ravel().tolist() == [0, 2, 4, 6]
    assert samples.fitted(strip, (16, 1), frames=4).ravel().tolist()[:8] == [0, 0, 1, 1, 2, 2, 3, 3]
    np.testing.assert_array_equal(samples.cut(strip[None], -1, 1, 4).ravel(), [0, 2, 4, 6])
    assert samples.static_size((None, None, 1), DataConfig(source="moving_digits"), None, (64, 48)) == (64, 48)
    assert samples.static_size((None, None, 1), DataConfig(source="photos"), None, (640, 480)) == (256, 256)


# Bundles.

EXPORTED = [pytest.param(kind, marks=pytest.mark.slow) for kind in MAKERS]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """The folder of a bundle with float32 files alone, by the name of the model; made when it is first asked for."""
    folder = tmp_path_factory.mktemp("runs")

    @functools.cache
    def bundle(kind):
        with only("float32"):
            export_run(run_of(kind, folder), size=(8, 8), say=lambda line: None)
        return folder / kind / "export"

    return bundle


@pytest.mark.slow
@pytest.mark.parametrize("kind", EXPORTED)
def test_a_bundle_has_the_model_s_own_files_and_no_samples_that_do_not_fit(kind, bundles):
    folder, parts = bundles(kind), set(SIGNATURES[kind].values()) - {""}
    assert {path.name for path in folder.glob("*.tflite")} == {f"{part}.tflite" for part in parts}
    single = {"encoder", "autoencoder"} if kind == "codec" else {"generator"}  # what rounds or draws, of batch 1 alone
    opened = {f"{part}.tflite" for part in parts - single}
    assert {path.name for path in (folder / tflite.OPEN_BATCH).iterdir()} == opened
    report = json.loads((folder / "export_report.json").read_text())
    assert report["withheld"] == []
    assert (folder / "tfv.bin").exists() == ("tfv.bin" in report["files"]) == (kind == "codec")
    phone = (folder / "phone").rglob("*")  # of what writes files a decoder of them, and no app
    assert {path.suffix for path in phone if path.is_file()} == ({".kt", ".md"} if kind == "codec" else set())
    assert set(report["artefacts"][0]["parity"]) == {*SIGNATURES[kind], "serving_default"}
    card = (folder / "MODEL_CARD.md").read_text()
    assert ("phone/" in card) == (kind == "codec") and "explorer" not in card
    assert not [part for part in parts if f"`{part}.tflite`" not in card]


@pytest.mark.parametrize("kind", EXPORTED)
def test_a_bundle_of_any_model_proves_itself(kind, bundles):
    assert verify(bundles(kind), lambda line: None) == []
    kept, drawing = read_evidence(bundles(kind)), {"encode", "reconstruct", "generate"}
    assert kept.default == make(kind).default_endpoint
    for bounds in kept.artefacts.values():
        for signature, bound in bounds.items():
            method = kept.default if signature == "serving_default" else signature
            rebuilding = {"styles": {"reconstruct"}, "codec": {"encode", "reconstruct"}}
            chooses = method in {"codebook": drawing, "grid": drawing, **rebuilding}.get(kind, set())
            assert bound.measure == ("chosen_otherwise" if chooses else "max_abs")


@pytest.mark.parametrize("kind", EXPORTED)
def test_the_code_of_every_card_runs(kind, bundles, monkeypatch):
    monkeypatch.chdir(bundles(kind))
    images = pictures(make(kind), 1, 8)
    blocks = re.findall(r"```python\n(.*?)```", (bundles(kind) / "MODEL_CARD.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        names = {"images": images, "image": images}
        exec(block, names)
        assert np.shape(names["rebuilt"]) == images.shape


@pytest.mark.parametrize("kind", EXPORTED)
def test_the_serving_kit_calls_the_model_s_own_signatures(kind, bundles):
    readme = (bundles(kind) / "serving" / "README.md").read_text()
    called = re.findall(r"^python serving/client_\w+\.py (\w+)", readme, re.MULTILINE)
    assert set(called) == set(SIGNATURES[kind])
    assert f"gets `{make(kind).default_endpoint}`" in readme
    served = json.loads((bundles(kind) / "serving" / "model.json").read_text())
    assert set(served["signatures"]) == {*SIGNATURES[kind], "serving_default"}
    (example,) = re.findall(r"-d \\\n  '(.*)'", readme)
    asked = served["signatures"][json.loads(example)["signature_name"]]["inputs"]
    for name, value in json.loads(example)["inputs"].items():
        assert all(side in (None, found) for side, found in zip(asked[name], np.shape(value), strict=True))


def test_a_model_without_an_explorer_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("export.kits.explorer.litert_js.files", dict)
    assert program.main([str(run_of("enhancer", tmp_path)), "--size", "8x8", "--explorer"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("export: error: --explorer: there is none for Enhancer: ")
    assert captured.err.count("\n") == 1 and not (tmp_path / "enhancer" / "export").exists()


# Clients.


def test_a_client_makes_noise_and_masks_as_the_signature_takes_them(bundles, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(bundles("codebook") / "serving"))
    for name in ("client", "decoding"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import client

    model = {"image_shape": [None, None, 1], "factor": 8, "frames": 2, "black": 0.0, "white": 0.0, "labels": []}
    inputs = {"image": [None, None, None, 1], "noise": [None, None, None, 3], "known": [None, None, None, 1]}
    model["signatures"] = {"sample": {"inputs": inputs}}
    client.write_pictures(np.full((1, 20, 9, 1), 0.25), tmp_path / "a.png")
    client.write_pictures(np.eye(20, 9)[None, :, :, None], tmp_path / "mask.png")

    def asked(*words):
        options = client.parser("client", "").parse_args(["sample", str(tmp_path / "a.png"), *words])
        (found,) = client.requests(model, options)
        return found

    found = asked("--known", str(tmp_path / "mask.png"), "--seed", "4")
    assert found["noise"].shape == (1, 4, 2, 3)  # two frames of ten rows, each padded to two places
    np.testing.assert_array_equal(found["known"], np.eye(20, 9, dtype=np.float32)[None, :, :, None])
    assert (asked()["known"] == 1).all() and (asked()["noise"] != found["noise"]).all()
    client.write_pictures(np.zeros((1, 8, 9, 1)), tmp_path / "small.png")
    with pytest.raises(client.ClientError, match="a mask of 9x8 for 9x20 pixels"):
        asked("--known", str(tmp_path / "small.png"))


# All of it.


@pytest.mark.slow
@pytest.mark.parametrize("kind", MAKERS)
def test_every_file_of_every_model_is_within_its_bound(kind, tmp_path):
    run = run_of(kind, tmp_path)
    artefacts = export_run(run, size=(8, 8), say=lambda line: None)
    assert [artefact.name for artefact in artefacts if not artefact.written] == []
    assert verify(run / "export", lambda line: None) == []
