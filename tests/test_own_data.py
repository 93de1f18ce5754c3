"""A run knows its images by what they are: moved, changed and added ones are found, and can be named."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_training_run import TINY, without_reports
from tiny_runs import vector_vae, write_run

from export import __main__ as export
from tfvae.cli import main as tfvae
from tfvae.data import load
from tfvae.data.own import load_own, manifest
from tfvae.errors import UserError, run_program
from tfvae.runs import MANIFEST, open_run
from tfvae.toml_sections import read_toml, write_toml
from training.__main__ import main

SETTINGS = [setting for setting in TINY if not setting.startswith("data.")]


def draw(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8), "u1")).save(path)


@pytest.fixture(autouse=True)
def unreported():
    with without_reports():
        yield


@pytest.fixture
def photos(tmp_path):
    for index in range(40):
        draw(tmp_path / "photos" / f"{index:02d}.png", index)
    return tmp_path / "photos"


@pytest.fixture
def run(photos, tmp_path):
    """A run of `photos`, as far as commands look at it."""
    path = write_run(tmp_path / "run", vector_vae(), source=str(photos), limit=0)
    opened = open_run(path)
    facts = manifest(load(opened.own_data(opened.load_model())), opened.data_config)
    facts["prepared"] |= {"height": 8, "width": 8, "channels": 1}
    (path / MANIFEST).write_text(json.dumps(facts))
    return path


def note(path, capsys, data=None):
    """What is said on stderr when the images of the run are loaded."""
    opened = open_run(path, data)
    capsys.readouterr()
    load_own(opened, opened.load_model())
    return capsys.readouterr().err


def trained(photos, out, *words):
    flags = [word for setting in SETTINGS for word in ("--set", setting)]
    return run_program("training", lambda: main(["--data", str(photos), "--out", str(out), *flags, *words]))


def test_images_that_are_what_they_were_are_no_news(run, capsys):
    assert note(run, capsys) == ""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda photos: draw(photos / "a new one.png", 99), " images, "),
        (lambda photos: [path.unlink() for path in sorted(photos.iterdir())[::2]], " train images, "),
        (lambda photos: [draw(path, 100) for path in photos.iterdir()], "other pixels in train images"),
        (lambda photos: [path.rename(path.with_name(f"x{path.name}")) for path in photos.iterdir()], "images"),
    ],
)
def test_changed_images_are_one_line_at_every_use(run, photos, capsys, change, told):
    change(photos)
    line = note(run, capsys)
    assert line.startswith(f"tfvae: note: the data of {run} changed since it was trained: ") and line.count("\n") == 1
    assert told in line and "position" not in line


@pytest.mark.parametrize("words", [["evaluate", "--figures", "elbo"], ["reconstruct"], ["interpolate", "0", "0"]])
def test_commands_say_it_and_go_on(run, photos, capsys, words):
    draw(photos / "a new one.png", 99)
    assert tfvae([words[0], str(run), *words[1:]]) == 0
    assert capsys.readouterr().err.count("changed since it was trained") == 1


def test_a_run_from_before_splits_by_name_is_split_as_it_was_and_says_what_an_added_picture_did(run, photos, capsys):
    """Its config has no `split`, and only its report says what was measured."""
    config = run / "config.toml"
    config.write_text("".join(line for line in config.read_text().splitlines(True) if not line.startswith("split")))
    (run / MANIFEST).unlink()
    opened = open_run(run)
    splits = load(opened.data_config)
    assert opened.data_config.split == "position" and len(splits.test) == 4
    facts = {"split": "test", "images": 4, "sha256": splits.test.digest()}
    (run / "report.json").write_text(json.dumps({"protocol": facts}))
    assert note(run, capsys) == ""
    draw(photos / "00 a new one.png", 99)
    assert "images it learnt may count as held out" in note(run, capsys)


def test_a_damaged_manifest_is_one_line(run, capsys):
    for content in ("", "[]", "{}", '{"parts": {"test": 3}}'):
        (run / MANIFEST).write_text(content)
        with pytest.raises(UserError, match=r"data\.json: damaged"):
            note(run, capsys)


# Moved data


def test_moved_images_are_asked_for_and_can_be_named(run, photos, tmp_path, capsys):
    moved = photos.rename(tmp_path / "moved")
    for words in (["evaluate", "--figures", "elbo"], ["reconstruct"], ["embed"], ["interpolate", "0", "0"]):
        assert tfvae([words[0], str(run), *words[1:]]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and error.endswith("Where they are now: --data SOURCE.\n")
        assert tfvae([words[0], str(run), *words[1:], "--data", str(moved)]) == 0
        assert "changed" not in capsys.readouterr().err
    draw(moved / "a new one.png", 99)
    assert tfvae(["evaluate", str(run), "--figures", "elbo", "--data", str(moved)]) == 0
    assert "changed since it was trained" in capsys.readouterr().err


def test_export_takes_the_place_of_moved_images(run, photos, tmp_path, capsys, monkeypatch):
    moved = photos.rename(tmp_path / "moved")
    assert export.main([str(run)]) == 2
    assert "Where they are now: --data SOURCE." in capsys.readouterr().err
    from export import bundle

    prepared = []
    monkeypatch.setattr(bundle, "placed", lambda out: pytest.fail("stop here") if prepared else None)
    real = bundle._prepare

    def stop(*arguments):
        prepared.append(real(*arguments))
        raise UserError("enough")

    monkeypatch.setattr(bundle, "_prepare", stop)
    assert export.main([str(run), "--data", str(moved)]) == 2
    assert len(prepared[0].splits.train) + len(prepared[0].splits.validation) + len(prepared[0].splits.test) == 40


def test_a_training_is_resumed_with_images_that_were_moved(photos, tmp_path, capsys, monkeypatch):
    out = tmp_path / "run"
    assert trained(photos, out, "--epochs", "1") == 0
    known = json.loads((out / MANIFEST).read_text())["parts"]
    assert sum(known[part]["count"] for part in known) == 40
    opened = open_run(out)
    capsys.readouterr()
    load_own(opened, opened.load_model())
    assert "changed" not in capsys.readouterr().err
    moved = photos.rename(tmp_path / "moved")
    again = ["--out", str(out), "--resume", "--epochs", "2"]
    assert run_program("training", lambda: main(again)) == 2
    assert "--data SOURCE" in capsys.readouterr().err
    # Other images are refused, and the run is as it was.
    draw(tmp_path / "others" / "a.png", 1)
    draw(tmp_path / "others" / "b.png", 2)
    before = (out / "config.toml").read_bytes()
    assert run_program("training", lambda: main([*again, "--data", str(tmp_path / "others")])) == 2
    assert "the data changed since the last checkpoint" in capsys.readouterr().err
    assert (out / "config.toml").read_bytes() == before
    monkeypatch.chdir(tmp_path)
    assert run_program("training", lambda: main([*again, "--data", "moved"])) == 0
    assert read_toml(out / "config.toml")["data"]["source"] == str(moved)


@pytest.mark.slow
def test_an_older_run_resumes_with_the_split_it_had(photos, tmp_path):
    out = tmp_path / "run"
    assert trained(photos, out, "--epochs", "1", "--set", "data.split=position") == 0
    config = out / "config.toml"
    config.write_text("".join(line for line in config.read_text().splitlines(True) if not line.startswith("split")))
    for file in (out / "checkpoints").iterdir():
        arrays = dict(np.load(file))
        progress = json.loads(str(arrays["progress"]))
        del progress["identity"]["settings"]["data"]["split"]
        np.savez(file, **{**arrays, "progress": np.array(json.dumps(progress))})
    assert run_program("training", lambda: main(["--out", str(out), "--resume", "--epochs", "2"])) == 0
    again = ["--recipe", str(config), "--out", str(tmp_path / "again")]
    assert run_program("training", lambda: main(again)) == 0
    assert (out / MANIFEST).read_bytes() == (tmp_path / "again" / MANIFEST).read_bytes()


# Names that a config.toml cannot hold as they are


NAMES = ["Icon\r", "esc\x1b[1m", "del\x7f", 'quote"', "back\\slash", "line\nfeed", "\x01\x1f", "\u2028 \x85", "é"]


@pytest.mark.parametrize("name", NAMES)
def test_any_text_comes_back_from_toml_as_value_and_as_key(tmp_path, name):
    (tmp_path / "a.toml").write_text(write_toml({"a": {"x": name, name: [name, {name: 1}]}}), encoding="utf-8")
    assert read_toml(tmp_path / "a.toml") == {"a": {"x": name, name: [name, {name: 1}]}}


def test_a_run_of_a_folder_of_any_name_can_be_opened(photos, tmp_path):
    moved = photos.rename(tmp_path / "".join(NAMES))
    assert trained(moved, tmp_path / "run", "--epochs", "1") == 0
    assert open_run(tmp_path / "run").data_config.source == str(moved)
    assert tfvae(["reconstruct", str(tmp_path / "run")]) == 0


@pytest.mark.parametrize("where", ["named", "above"])
def test_a_name_that_is_not_utf_8_is_refused_before_anything_is_read(photos, tmp_path, monkeypatch, capsys, where):
    folder = Path(os.fsdecode(bytes(tmp_path) + b"/latin-\xe9"))
    if where == "above":
        folder.mkdir()
        photos.rename(folder / "photos")
        monkeypatch.chdir(folder)
    monkeypatch.setattr("training.run.load", lambda *a, **k: pytest.fail("it was read"))
    assert trained("photos" if where == "above" else folder, tmp_path / "run") == 2
    error = capsys.readouterr().err
    assert "is not UTF-8" in error
    assert error.count("\n") == 1 and not (tmp_path / "run").exists()
