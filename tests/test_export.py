"""The way from a run directory to checked artefacts."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from ai_edge_litert.interpreter import Interpreter
from test_serving import NETWORKS, make, pictures
from tiny_runs import autoencoder, only, write_run

from export import __main__ as program
from export import atomic_folder, bundle, parity, samples
from export.formats import saved_model, tflite
from export.formats.tflite_runtime import TFLiteFile
from tfvae import serving
from tfvae.data import DataConfig
from tfvae.errors import UserError
from tfvae.quiet import native_messages_held

PARTS = ("encoder", "decoder", "autoencoder")
NAMES = [tflite.file_name(part, variant) for part in PARTS for variant in tflite.VARIANTS]


@pytest.fixture(scope="module")
def run(digits_bundle):
    return digits_bundle.parent


@pytest.fixture(scope="module")
def exported(digits_bundle):
    """The folder of a bundle, and its report."""
    return digits_bundle, json.loads((digits_bundle / atomic_folder.REPORT).read_text())


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """A spatial autoencoder's bundle in which nothing in float16 and no SavedModel can be good enough."""
    model = make(image_shape=(None, None, 1), kind=type(autoencoder()))
    run = write_run(tmp_path_factory.mktemp("runs") / "spatial", model)
    impossible = {"saved_model": parity.Bound("max_abs", -1.0), "float16": parity.Bound("max_abs", -1.0)}
    lines = []
    with only("float32", "float16"):
        bundle.export_run(run, size=(10, 6), bounds=parity.BOUNDS | impossible, say=lines.append, licence="CC-BY-4.0")
    return run / "export", json.loads((run / "export" / atomic_folder.REPORT).read_text()), lines


def test_a_bundle_holds_what_was_promised(exported):
    folder, _ = exported
    assert {path.name for path in folder.iterdir()} == {
        "saved_model", *NAMES, tflite.OPEN_BATCH, atomic_folder.REPORT, "SHA256SUMS", "parity", "phone",
        "MODEL_CARD.md", "reconstructions.png", "generated.png", "serving",
    }  # fmt: skip
    assert (folder / "saved_model" / "1" / "saved_model.pb").is_file()
    assert {path.name for path in (folder / tflite.OPEN_BATCH).iterdir()} == set(NAMES)


def test_every_artefact_is_within_the_bounds_of_the_targets(exported):
    _, report = exported
    assert report["withheld"] == []
    assert {name: bound["limit"] for name, bound in report["bounds"].items()} == {
        "saved_model": 1e-5, "float32": 1e-4, "float16": 5e-3, "dynamic_range": 0.3, "int8": 0.5,
        "onnx": 1e-4,
    }  # fmt: skip
    for artefact in report["artefacts"]:
        limit = report["bounds"][artefact.get("variant", "saved_model")]["limit"]
        assert all(verdict["value"] <= limit for verdict in artefact["parity"].values()), artefact["name"]


def test_the_report_knows_every_file_by_its_hash(exported):
    folder, report = exported
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(report["files"]) == found - {atomic_folder.REPORT, "SHA256SUMS"}
    for name, facts in report["files"].items():
        content = (folder / name).read_bytes()
        assert (facts["bytes"], facts["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_the_saved_model_answered_for_every_signature_with_an_open_batch(exported):
    _, report = exported
    artefact = report["artefacts"][0]
    assert set(artefact["parity"]) == {"encode", "decode", "reconstruct", "generate", "serving_default"}
    assert artefact["signatures"]["generate"]["inputs"] == {"noise": {"shape": [None, 3], "dtype": "float32"}}


@pytest.mark.parametrize("name", NAMES)
def test_files_have_named_float32_tensors_and_builtin_ops_only(exported, name):
    folder, _ = exported
    file = TFLiteFile((folder / name).read_bytes())
    tensors = {
        "encode": {"inputs": ["image"], "outputs": ["log_var", "mean"]},
        "decode": {"inputs": ["z"], "outputs": ["image"]},
        "reconstruct": {"inputs": ["image"], "outputs": ["image"]},
    }[file.signature]
    assert {side: sorted(entries) for side, entries in file.tensors().items()} == tensors
    assert {e["dtype"] for side in file.tensors().values() for e in side.values()} == {"float32"}
    assert not [op for op in file.ops() if "custom" in op or "RANDOM" in op or "MULTINOMIAL" in op]


@pytest.mark.parametrize("name", [tflite.file_name(part, v, True) for part in PARTS for v in tflite.VARIANTS])
def test_an_open_batch_takes_any_number_of_images_and_each_keeps_its_answer(exported, name):
    """Bit for bit, but for a dynamic range, whose scales are those of what is in the call."""
    folder, _ = exported
    file = TFLiteFile((folder / name).read_bytes())
    assert file.open_batch
    ((tensor, entry),) = file.runner.get_input_details().items()
    inputs = np.random.default_rng(0).random((7, *entry["shape_signature"][1:])).astype("float32")
    together, alone = file.runner(**{tensor: inputs}), file.runner(**{tensor: inputs[3:4]})
    for output, value in together.items():
        assert len(value) == 7
        np.testing.assert_allclose(value[3:4], alone[output], atol=0 if "dynamic" not in name else 2e-2)
    static = TFLiteFile((folder / name.removeprefix("open_batch/")).read_bytes())
    assert not static.open_batch


def test_latencies_are_of_one_and_two_threads_and_int8_is_held_beside_float32(exported):
    _, report = exported
    facts = {artefact["name"]: artefact for artefact in report["artefacts"]}
    for name in NAMES:
        assert facts[name]["latency_ms_one_thread"] > 0 and facts[name]["latency_ms_two_threads"] > 0
    int8, float32 = facts["decoder_int8.tflite"], facts["decoder.tflite"]
    ratio = int8["latency_ms_one_thread"] / float32["latency_ms_one_thread"]
    np.testing.assert_allclose(int8["latency_ratio"], ratio, rtol=1e-2)
    assert int8["latency_target"] == {"limit": 0.6, "met": int8["latency_ratio"] <= 0.6}
    assert int8["size_target"] == {"limit": 0.3, "met": int8["size_ratio"] <= 0.3}


@pytest.mark.parametrize("part", PARTS)
def test_int8_files_compute_in_integers(exported, part):
    folder, _ = exported
    assert TFLiteFile((folder / f"{part}_int8.tflite").read_bytes()).float_ops() == []
    assert "FULLY_CONNECTED" in TFLiteFile((folder / f"{part}.tflite").read_bytes()).float_ops()


def test_the_card_names_every_file_and_shows_its_pictures(exported):
    folder, _ = exported
    card = (folder / "MODEL_CARD.md").read_text()
    assert not [name for name in NAMES if f"`{name}`" not in card]
    assert all((folder / picture).is_file() for picture in re.findall(r"!\[.*?\]\((.*?)\)", card))
    assert str(folder.parent.parent) not in card  # the disk of whoever exported it is nobody's business


def card_of(folder):
    """The YAML head of the card, read, and the text below it."""
    _, head, text = (folder / "MODEL_CARD.md").read_text().split("---\n", 2)
    return yaml.safe_load(head), text


@pytest.mark.slow
def test_the_card_opens_with_what_the_hub_reads(exported, refused):
    head, text = card_of(exported[0])
    assert {key: head[key] for key in ("license", "library_name", "pipeline_tag")} == {
        "license": "other", "library_name": "keras", "pipeline_tag": "unconditional-image-generation",
    }  # fmt: skip
    assert head["tags"] == ["tfvae", "variational-autoencoder", "tensorflow", "tflite", "litert"]
    assert head["date"].isoformat() == exported[1]["date"]
    assert text.startswith("\n# digits\n") and "## Licence\n\nNot stated." in text
    # No prior, and the SavedModel was withheld.
    head, text = card_of(refused[0])
    assert head["pipeline_tag"] == "image-to-image" and head["tags"] == ["tfvae", "autoencoder", "tflite", "litert"]
    assert (head["license"], refused[1]["licence"]) == ("cc-by-4.0", "cc-by-4.0")
    assert "## Licence\n\n`cc-by-4.0`, as stated" in text


def test_the_code_of_the_card_runs(exported, monkeypatch):
    folder, _ = exported
    monkeypatch.chdir(folder)
    images = pictures(1, 8, 8, 1)
    for block in re.findall(r"```python\n(.*?)```", (folder / "MODEL_CARD.md").read_text(), re.DOTALL):
        names = {"images": images, "image": images}
        exec(block, names)
        assert np.shape(names["rebuilt"]) == images.shape


@pytest.mark.parametrize("network", NETWORKS)
def test_float32_files_agree_with_keras_on_odd_sizes(network, tmp_path):
    model = make(network, image_shape=(28, 20, 1))
    serving.write_saved_model(model, tmp_path / "static", batch=1, to_convert=True)
    content = tflite.convert(tmp_path / "static", "reconstruct", "float32")
    runner = Interpreter(model_content=content).get_signature_runner("reconstruct")
    for image in pictures(2, 28, 20, 1):
        expected = model.reconstruct(image[None])["image"]
        np.testing.assert_allclose(runner(image=image[None])["image"], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("likelihood", ["optimal_gaussian", "pixel_gaussian", "logistic_mixture"])
def test_every_kind_of_likelihood_quantises_to_integers(likelihood, tmp_path):
    model = make(likelihood=likelihood)
    serving.write_saved_model(model, tmp_path / "static", batch=1, to_convert=True)
    codes = np.random.default_rng(6).standard_normal((20, 3)).astype(np.float32)
    content = tflite.convert(tmp_path / "static", "decode", "int8", [{"z": code[None]} for code in codes])
    file = TFLiteFile(content)
    assert file.float_ops() == []
    error = np.abs(file.run({"z": codes})["image"] - np.asarray(model.decode(codes)["image"]))
    assert error.max() < 0.1 and error.mean() < 0.02


def test_what_misses_its_bound_is_not_written(refused):
    folder, report, lines = refused
    withheld = {tflite.file_name(part, "float16", batch) for part in PARTS for batch in (False, True)}
    withheld.add("saved_model/1")
    assert set(report["withheld"]) == withheld
    assert not [name for name in withheld if (folder / name).exists()]
    assert not (folder / "saved_model").exists()
    assert sorted(line.split(":")[0] for line in lines if line.startswith("WITHHELD")) == sorted(
        f"WITHHELD {name}" for name in withheld
    )
    figures = {a["name"]: a["parity"] for a in report["artefacts"]}
    assert figures["decoder_float16.tflite"]["decode"]["value"] > 0
    assert "**withheld**" in (folder / "MODEL_CARD.md").read_text()


def test_spatial_files_have_the_size_that_was_asked_for(refused):
    folder, report, _ = refused
    assert report["tflite_image_size"] == [10, 6]
    tensors = TFLiteFile((folder / "autoencoder.tflite").read_bytes()).tensors()
    assert tensors["outputs"]["image"]["shape"] == [1, 10, 6, 1]
    # Two levels of down-sampling: ceil(10 / 4) × ceil(6 / 4) places, decoded to whole multiples of 4.
    tensors = TFLiteFile((folder / "decoder.tflite").read_bytes()).tensors()
    assert tensors["inputs"]["z"]["shape"] == [1, 3, 2, 3]
    assert tensors["outputs"]["image"]["shape"] == [1, 12, 8, 1]


def test_the_exit_code_is_1_when_something_is_withheld(run, monkeypatch, capsys):
    missed = parity.Verdict("max_abs", 2e-4, 1e-4, False)
    artefact = bundle.Artefact("decoder.tflite", {"decode": missed})
    monkeypatch.setattr(bundle, "export_run", lambda *args, **kwargs: [artefact])
    assert program.main([str(run)]) == 1
    assert capsys.readouterr().err == "export: withheld, out of bound: decoder.tflite\n"


def test_the_fresh_process_has_no_keras_and_no_tfvae(tmp_path):
    script = (
        "import importlib.util, sys, saved_model_process as fresh\n"
        "sys.meta_path[:] = [fresh.WithoutKeras(list(sys.meta_path))]\n"
        "print([importlib.util.find_spec(name) for name in fresh.ABSENT], importlib.util.find_spec('tensorflow').name)"
    )
    environment = {**os.environ, "PYTHONPATH": str(saved_model.SCRIPT.parent)}
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert process.stdout == "[None, None, None] tensorflow\n", process.stderr


def test_a_saved_model_that_fails_in_the_fresh_process_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="failed in a fresh process"):
        saved_model.run_in_fresh_process(tmp_path, [])


# Where the bundle goes


def test_a_bundle_takes_the_place_of_an_earlier_one(tmp_path):
    out = tmp_path / "export"
    for text in ("old", "new"):
        with atomic_folder.placed(out) as folder:
            (folder / atomic_folder.REPORT).write_text(text)
            (folder / text).touch()
    assert {path.name for path in out.iterdir()} == {atomic_folder.REPORT, "new"}
    assert list(tmp_path.iterdir()) == [out]


def test_a_failed_export_leaves_the_earlier_bundle(tmp_path):
    out = tmp_path / "export"
    with atomic_folder.placed(out) as folder:
        (folder / atomic_folder.REPORT).write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_folder.placed(out) as folder:
        (folder / atomic_folder.REPORT).write_text("half")
        raise KeyboardInterrupt
    assert (out / atomic_folder.REPORT).read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_the_remains_of_a_killed_export_are_cleared_by_the_next(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".export.partial-{dead.pid}").mkdir()
    old = tmp_path / f".export.old-{dead.pid}"  # killed between the two renames
    old.mkdir()
    (old / atomic_folder.REPORT).write_text("old")
    with pytest.raises(ValueError, match="stop"), atomic_folder.placed(tmp_path / "export"):
        raise ValueError("stop")
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
    assert (tmp_path / "export" / atomic_folder.REPORT).read_text() == "old"


def test_a_folder_that_is_no_bundle_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="no export bundle"):
        atomic_folder.check_place(tmp_path)
    with pytest.raises(UserError, match="no export bundle"):
        atomic_folder.check_place(tmp_path / "thesis.tex")
    with pytest.raises(UserError, match="cannot be made"):
        atomic_folder.check_place(tmp_path / "thesis.tex" / "export")


# Parity and samples


def test_an_output_that_is_not_finite_is_never_within_a_bound():
    good, bad = {"image": np.zeros((1, 2))}, {"image": np.array([[0.0, np.nan]])}
    for measure in ("max_abs", "psnr_drop_db"):
        verdict = parity.judge(parity.Bound(measure, 9.0), [good, good], [bad, good], (20.0, 20.0))
        assert not verdict.passed
        json.dumps(verdict.as_json(), allow_nan=False)


def test_outputs_of_other_names_or_shapes_are_no_match():
    reference = {"mean": np.zeros((2, 3))}
    with pytest.raises(ValueError, match="named"):
        parity.max_abs(reference, {"output_0": np.zeros((2, 3))})
    with pytest.raises(ValueError, match="shape"):
        parity.max_abs(reference, {"mean": np.zeros((2, 1))})  # would broadcast


def test_int8_is_judged_by_what_it_costs_against_the_originals():
    image = {"image": np.zeros((1, 2))}
    bound = parity.BOUNDS["int8"]
    assert parity.judge(bound, [image], [image], (30.0, 29.6)).passed
    assert not parity.judge(bound, [image], [image], (30.0, 29.4)).passed


def test_samples_are_spread_over_all_images():
    assert samples.spread(10, 4) == [0, 3, 6, 9]
    assert samples.spread(3, 8) == [0, 1, 2]
    assert samples.spread(1, 8) == [0]


def test_a_picture_is_fitted_by_cutting_and_by_mirroring():
    row = np.arange(4, dtype=np.uint8).reshape(1, 4, 1)
    assert samples.fitted(row, (1, 2)).ravel().tolist() == [1, 2]
    assert samples.fitted(row, (1, 6)).ravel().tolist() == [0, 0, 1, 2, 3, 3]


@pytest.mark.parametrize(
    ("image_shape", "crop", "asked", "expected"),
    [((28, 20, 1), 0, None, (28, 20)), ((None, None, 3), 64, None, (64, 64)),
     ((None, None, 3), 64, (48, 80), (48, 80)), ((None, None, 3), 0, None, (256, 256))],
)  # fmt: skip
def test_the_size_of_tflite_files(image_shape, crop, asked, expected):
    assert samples.static_size(image_shape, DataConfig(source="digits", crop=crop), asked) == expected


def test_library_chatter_is_dropped_unless_something_fails(capfd, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    with native_messages_held():
        os.write(2, b"chatter")
    with pytest.raises(ValueError, match="bug"), native_messages_held():
        os.write(2, b"reason")
        raise ValueError("bug")
    assert capfd.readouterr().err == "reason"


# Requests that cannot be met


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{runs}"], "no run directory (no config.toml in it). Runs in it: digits."),
        (["{runs}/digts"], "there is no such run directory. Did you mean '{runs}/digits'?"),
        (["{run}", "--size", "big"], "--size: must be HEIGHTxWIDTH in pixels, such as 128x192. Received: big."),
        (["{run}", "--size", "9x9"], "--size: this model takes 8x8 only. Received: 9x9."),
        (["{run}", "--license", "All rights reserved"], "--license: expected a licence's short name"),
        (["{run}", "--out", "{run}"], "exists and is no export bundle"),
        (["{run}", "--outt", "x"], "unknown option '--outt'. Did you mean '--out'?"),
        (["--onnx"], "the following arguments are required: RUN"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(arguments, message, run, capsys):
    places = {"run": run, "runs": run.parent}
    assert program.main([argument.format(**places) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("export: error: ") and captured.err.count("\n") == 1
    assert message.format(**places) in captured.err


def test_the_program_passes_its_options_on(run, monkeypatch):
    calls = []
    monkeypatch.setattr(bundle, "export_run", lambda *args, **kwargs: calls.append((args, kwargs)) or [])
    assert program.main([str(run), "--out", "b", "--size", "48x64", "--license", "MIT"]) == 0
    ((places, options),) = calls
    assert places == (run, Path("b")) and (options["size"], options["licence"]) == ((48, 64), "MIT")
