"""A bundle proves by itself that it is what was exported."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from export import __main__ as program
from export import checksums, evidence
from tfvae.errors import UserError


@pytest.fixture(scope="module")
def bundle_alone(digits_bundle, tmp_path_factory):
    """A bundle that lies elsewhere than its run."""
    return shutil.copytree(digits_bundle, tmp_path_factory.mktemp("elsewhere") / "bundle")


@pytest.fixture
def copy(bundle_alone, tmp_path):
    return shutil.copytree(bundle_alone, tmp_path / "copy")


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_bundle_verifies_without_its_run(bundle_alone, capsys):
    assert program.main(["verify", str(bundle_alone)]) == 0
    first, *rows, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{bundle_alone}: {len(files(bundle_alone))} files, each what SHA256SUMS says")
    report = json.loads((bundle_alone / "export_report.json").read_text())
    assert [row.split()[:2] for row in rows] == [["ok", artefact["name"]] for artefact in report["artefacts"]]
    assert last == f"{len(report['artefacts'])} model files are in bound"


def test_a_changed_byte_in_any_file_is_refused_by_name(copy):
    names = files(copy)
    assert {"SHA256SUMS", "export_report.json", "decoder.tflite", "parity/reference.npz"} <= set(names)
    for name in names:
        content = (copy / name).read_bytes()
        for place in {0, len(content) // 2, len(content) - 1}:
            changed = bytearray(content)
            changed[place] ^= 1
            (copy / name).write_bytes(changed)
            with pytest.raises(UserError, match="refused") as refusal:
                checksums.check(copy)
            # A changed sum no longer matches its file: then it is the file that is named, beside SHA256SUMS.
            assert name in str(refusal.value)
        (copy / name).write_bytes(content)
    assert checksums.check(copy) == len(names)


def test_every_byte_of_the_sums_counts(copy):
    listed = (copy / checksums.SUMS).read_bytes()
    first, *others = listed.splitlines(keepends=True)
    variants = [
        bytes([*listed[:place], listed[place] ^ 0x20, *listed[place + 1 :]])  # a capital letter, a tab for a space …
        for place in range(len(first) + 1)
    ]
    variants += [
        listed.replace(b"\n", b"\r\n"),
        listed[:-1],
        listed + b"\n",
        b"".join([*others, first]),
        first * 2,
        b"",
    ]
    for variant in variants:
        (copy / checksums.SUMS).write_bytes(variant)
        with pytest.raises(UserError, match="refused"):
            checksums.check(copy)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda folder: (folder / "decoder.tflite").unlink(), "decoder.tflite is missing"),
        (lambda folder: (folder / "extra.txt").touch(), "extra.txt does not belong to it"),
        (
            lambda folder: (folder / "encoder.tflite").rename(folder / "e.tflite"),
            "encoder.tflite is missing, e.tflite does not belong to it",
        ),
        (lambda folder: (folder / checksums.SUMS).unlink(), "no export bundle that can be verified"),
        (lambda folder: _link(folder / "MODEL_CARD.md"), "MODEL_CARD.md is a link"),
    ],
)
def test_what_is_missing_added_renamed_or_linked_is_refused(copy, capsys, spoil, named):
    spoil(copy)
    assert program.main(["verify", str(copy)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("export: error: ") and captured.err.count("\n") == 1
    assert named in captured.err and captured.out == ""


def test_sums_are_read_by_sha256sum(bundle_alone):
    if not shutil.which("sha256sum"):
        pytest.skip("no sha256sum here")
    process = subprocess.run(["sha256sum", "-c", "--strict", "--quiet", checksums.SUMS], cwd=bundle_alone)
    assert process.returncode == 0


def test_models_that_answer_otherwise_are_found_behind_renewed_sums(copy, capsys):
    _scale_weights(copy / "decoder.tflite", 1.01)
    (copy / "encoder_float16.tflite").write_bytes(b"no model")
    # A swap of two files that both are fine, with other signatures than their names say.
    (copy / "autoencoder_int8.tflite").write_bytes((copy / "decoder_int8.tflite").read_bytes())
    variables = copy / "saved_model" / "1" / "variables" / "variables.data-00000-of-00001"
    variables.write_bytes(bytes(len(variables.read_bytes())))
    checksums.write(copy)
    assert program.main(["verify", str(copy)]) == 1
    captured = capsys.readouterr()
    missed = ["saved_model/1", "encoder_float16.tflite", "decoder.tflite", "autoencoder_int8.tflite"]
    rows = {line.split()[1]: line for line in captured.out.splitlines()[1:-1]}
    assert [name for name, line in rows.items() if line.startswith("MISSED")] == missed
    assert captured.err == f"export: verify: out of bound: {', '.join(missed)}\n"
    figure = float(rows["decoder.tflite"].split("max error ")[1].split()[0])
    assert 1e-4 < figure < 1
    assert "its signature is decode, not reconstruct" in rows["autoencoder_int8.tflite"]


def test_evidence_that_does_not_fit_the_folder_is_incomplete(copy, capsys):
    (copy / "decoder.tflite").unlink()
    checksums.write(copy)
    assert program.main(["verify", str(copy)]) == 2
    assert "differ in decoder.tflite" in capsys.readouterr().err
    shutil.rmtree(copy / evidence.FOLDER)
    checksums.write(copy)
    assert program.main(["verify", str(copy)]) == 2
    assert "parity/ cannot be read" in capsys.readouterr().err


def test_a_bundle_without_its_saved_model_decodes_codes_with_its_decoder(copy, capsys):
    # As an export leaves it whose SavedModel was withheld.
    shutil.rmtree(copy / "saved_model")
    index = json.loads((copy / evidence.FOLDER / evidence.INDEX).read_text())
    del index["artefacts"]["saved_model/1"]
    (copy / evidence.FOLDER / evidence.INDEX).write_text(json.dumps(index))
    checksums.write(copy)
    assert program.main(["verify", str(copy)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.split()[1] == "encoder_int8.tflite"]
    assert line.startswith("ok") and "PSNR drop" in line
    # With no decoder at all nothing can be said about integer codes, which is not the same as good.
    (copy / "decoder.tflite").unlink()
    del index["artefacts"]["decoder.tflite"]
    (copy / evidence.FOLDER / evidence.INDEX).write_text(json.dumps(index))
    checksums.write(copy)
    assert program.main(["verify", str(copy)]) == 1
    assert "encoder_int8.tflite" in capsys.readouterr().err


def test_large_images_are_kept_in_small_numbers_and_small_ones_all():
    assert evidence.VALUES // (28 * 28) == 63
    assert evidence.VALUES // (256 * 256 * 3) < evidence.FEWEST


def test_what_two_signatures_answer_alike_is_stored_once(bundle_alone):
    index = json.loads((bundle_alone / evidence.FOLDER / evidence.INDEX).read_text())
    with np.load(bundle_alone / evidence.FOLDER / evidence.ARRAYS) as stored:
        assert {array.dtype.name for array in map(stored.get, stored.files)} == {"float32"}
        used = {key for calls in index["cases"].values() for call in calls for side in ("inputs", "outputs")
                for key in call[side].values()}  # fmt: skip
        assert used | {index["images"]} == set(stored.files)
    (encode,) = index["cases"]["encode"]
    assert encode["inputs"]["image"] == index["cases"]["reconstruct"][0]["inputs"]["image"] == index["images"]


def _link(path):
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


def _scale_weights(path, factor):
    """Multiply the largest constant of a float32 `.tflite` file by `factor`, leaving everything else as it is."""
    content = path.read_bytes()
    model = schema.Model.GetRootAs(content)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    largest = max((b.DataAsNumpy() for b in buffers if b.DataLength()), key=len).tobytes()
    scaled = (np.frombuffer(largest, np.float32) * np.float32(factor)).tobytes()
    assert content.count(largest) == 1
    path.write_bytes(content.replace(largest, scaled))
