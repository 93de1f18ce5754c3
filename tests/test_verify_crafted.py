"""Bundles that were made to mislead, with sums that fit: one line, and no crash."""

import json
import os
import shutil

import numpy as np
import pytest
from tiny_runs import only

from export import __main__ as program
from export import bundle, checksums, evidence


@pytest.fixture
def copy(digits_bundle, tmp_path):
    return shutil.copytree(digits_bundle, tmp_path / "copy")


def refused(folder, capsys):
    assert program.main(["verify", str(folder)]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and captured.out == ""
    return captured.err


def test_empty_folders_are_refused_and_none_is_written(digits_bundle, copy, capsys):
    assert not [path for path in digits_bundle.rglob("*") if path.is_dir() and not any(path.iterdir())]
    (copy / "serving" / "empty").mkdir()
    assert "serving/empty is an empty folder" in refused(copy, capsys)
    (copy / "serving" / "empty" / "inner").mkdir()
    assert "is an empty folder" in refused(copy, capsys)
    checksums.write(copy)
    assert checksums.check(copy) == checksums.check(digits_bundle)


def test_links_to_folders_pipes_and_names_that_sums_cannot_hold_are_refused(copy, capsys):
    (copy / "more").symlink_to(copy.parent)
    assert "more is a link" in refused(copy, capsys)
    (copy / "more").unlink()
    os.mkfifo(copy / "more")
    assert "more is a link or a special file" in refused(copy, capsys)
    (copy / "more").unlink()
    for name in ("a\n" + "0" * 64 + "  b", "esc\x1b[1m", os.fsdecode(b"\xe9")):
        (copy / name).touch()
        assert "is no name" in refused(copy, capsys)
        (copy / name).unlink()


def test_a_thousand_nested_folders_are_walked(deep_folder, tmp_path, capsys):
    (deep_folder / "file").touch()
    (tmp_path / "deep" / checksums.SUMS).touch()
    assert "/a/a/a/file does not belong to it" in refused(tmp_path / "deep", capsys)


def crafted(index):
    """Changes of `parity.json`, each of which something once stumbled over."""
    artefacts = index["artefacts"]
    first = next(iter(artefacts))
    signature, bound = next(iter(artefacts[first].items()))
    yield []
    yield {}
    yield {**index, "cases": []}
    yield {**index, "images": ["a"]}
    yield {**index, "images": "nowhere"}
    yield {**index, "cases": {name: [] for name in index["cases"]}}
    yield {**index, "artefacts": {**artefacts, first: {"of none": bound}}}
    yield {**index, "artefacts": {**artefacts, first: {}}}
    for other in ({"measure": "goodwill"}, {"limit": "9e1x"}):
        changed = {**artefacts[first], signature: {**bound, **other}}
        yield {**index, "artefacts": {**artefacts, first: changed}}
    yield {**index, "artefacts": {**artefacts, first: None}}
    yield {**index, "artefacts": {**artefacts, "../../outside.tflite": artefacts[first]}}


def test_evidence_that_was_made_up_is_one_line(copy, capsys):
    path = copy / evidence.FOLDER / evidence.INDEX
    index = json.loads(path.read_text())
    contents = [json.dumps(each).encode() for each in crafted(index)]
    for content in [*contents, b"", b"[" * 100_000, b"\xff\xfe\x00"]:
        path.write_bytes(content)
        checksums.write(copy)
        assert "incomplete: parity/" in refused(copy, capsys)


def test_arrays_that_are_no_answers_are_one_line(copy, capsys):
    path = copy / evidence.FOLDER / evidence.ARRAYS
    whole = path.read_bytes()
    arrays = dict(np.load(path))
    last = list(arrays)[-1]
    np.savez(path, **{**arrays, last: np.array([None], object)})
    pickled = path.read_bytes()
    np.savez(path, **{**arrays, last: np.array(["text"])})
    text = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], pickled, text):
        path.write_bytes(content)
        checksums.write(copy)
        assert "incomplete: parity/" in refused(copy, capsys)


def test_exporting_again_writes_the_next_version_for_servers_to_load(tmp_path):
    out = tmp_path / "bundle"
    assert bundle.next_version(out) == "saved_model/1"
    (out / "saved_model" / "1").mkdir(parents=True)
    assert bundle.next_version(out) == "saved_model/2"
    (out / "saved_model" / "9").mkdir()
    (out / "saved_model" / "latest").mkdir()
    assert bundle.next_version(out) == "saved_model/10"
    # One that was withheld has no folder, and its number is not given again.
    (out / "export_report.json").write_text('{"artefacts": [{"name": "saved_model/41"}, {"name": "decoder.tflite"}]}')
    assert bundle.next_version(out) == "saved_model/42"
    for damaged in ("{", "[]", '{"artefacts": 3}', '{"artefacts": [{}]}'):
        (out / "export_report.json").write_text(damaged)
        assert bundle.next_version(out) == "saved_model/10"


@pytest.mark.slow
def test_the_next_version_is_a_whole_bundle(digits_bundle, tmp_path):
    run = shutil.copytree(digits_bundle.parent, tmp_path / "digits")
    exported = run / "export"
    with only("float32"):
        artefacts = bundle.export_run(run, say=lambda line: None)
    assert artefacts[0].name == "saved_model/2"
    assert [path.name for path in (exported / "saved_model").iterdir()] == ["2"]
    assert 'tf.saved_model.load("saved_model/2")' in (exported / "MODEL_CARD.md").read_text()
    assert checksums.check(exported)
    report = json.loads((exported / "export_report.json").read_text())
    assert report["artefacts"][0]["name"] == "saved_model/2"
