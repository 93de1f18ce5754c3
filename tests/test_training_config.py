import dataclasses
import subprocess
import sys

import pytest

from tfvae.errors import UserError, run_program
from training.__main__ import main
from training.build import build_model, check_model
from training.config import RECIPES, ModelConfig, RunConfig, merge, parse_setting, read_config, read_recipe

MINIMAL = {"data": {"source": "digits"}}


def error_of(arguments, capsys):
    """Exit code 2 and the one line of `python -m training` with these arguments."""
    assert run_program("training", lambda: main(arguments)) == 2
    captured = capsys.readouterr().err
    assert captured.count("\n") == 1 and captured.startswith("training: error: ")
    return captured


@pytest.mark.parametrize("recipe", sorted(path.stem for path in RECIPES.glob("*.toml")))
def test_every_recipe_is_valid_builds_and_opens_with_command_cost_and_result(recipe):
    tables = merge({"data": {"source": "digits"}}, read_recipe(recipe))
    config = read_config(tables, recipe)
    check_model(config.model, config.objective)
    assert build_model(config, (28, 28, 1)).count_params() > 0
    header = [line for line in (RECIPES / f"{recipe}.toml").read_text().splitlines() if line.startswith("#")]
    for word in ("Command", "Data", "Cost", "Result"):
        assert any(line.startswith(f"# {word}") for line in header), f"{recipe}.toml does not open with its {word}"
    assert "see below" not in "".join(header)


def test_a_config_written_and_read_again_is_the_same(tmp_path):
    config = read_config(
        merge(
            MINIMAL,
            {
                "data": {"augment": ["flip"], "test": 7},
                "objective": {"beta": {"schedule": "linear", "steps": 5}, "bound": {"kind": "iwae", "samples": 3}},
                "training": {"ema": 0.5},
                "model": {"widths": [8]},
            },
        ),
        "test",
    )
    (tmp_path / "config.toml").write_text(config.toml())
    assert read_config(read_recipe(str(tmp_path / "config.toml")), "again") == config


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model.latent_dim=3", ("model", "latent_dim", 3)),
        ("model.network=conv", ("model", "network", "conv")),
        ("model.widths=[8, 16]", ("model", "widths", [8, 16])),
        ("data.binarize=true", ("data", "binarize", True)),
        ("data.manual_dir=a b/c", ("data", "manual_dir", "a b/c")),
        ('objective.beta={schedule="linear", steps=4}', ("objective", "beta", {"schedule": "linear", "steps": 4})),
    ],
)
def test_settings_are_toml_and_bare_words_are_strings(text, expected):
    assert parse_setting(text) == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--recipe", "digits", "--set", "model.latent_dims=3"], ["latent_dims", "Did you mean 'latent_dim'?"]),
        (["--recipe", "digits", "--set", "modle.latent_dim=3"], ["[modle]", "Did you mean 'model'?"]),
        (["--recipe", "digits", "--set", "latent_dim=3"], ["section.key=value", "latent_dim=3"]),
        (["--recipe", "digits", "--set", "model.latent_dim=many"], ["'latent_dim' must be int", "'many'"]),
        (["--recipe", "digits", "--set", "model.network=resnt"], ["'resnt'", "Did you mean 'resnet'?"]),
        (
            ["--recipe", "digits", "--set", "objective.bound=iwea"],
            ["objective.bound", "'iwea'", "Did you mean 'iwae'?"],
        ),
        (
            ["--recipe", "digits", "--set", 'objective.bound={kind="iwae", samples=0}'],
            ["objective.bound", "`samples` must be positive"],
        ),
        (
            ["--recipe", "digits", "--set", 'objective.regulariser={kind="mmd", wieght=3}'],
            ["objective.regulariser", "takes weight", "wieght"],
        ),
        (["--recipe", "digits", "--set", "model.kind=vea"], ["'vea'", "Did you mean 'vae'?"]),
        (["--recipe", "digits", "--set", "model.latent_dim=0", "--out", "OUT"], ["latent_dim=0"]),
        (["--recipe", "digits", "--set", "objective.beta=-1", "--out", "OUT"], ["`beta` must be non-negative"]),
        (["--recipe", "digits", "--set", "objective.gamma=1"], ["'gamma'", "beta, free_bits"]),
        (["--recipe", "digits", "--set", "objective.beta=high"], ["objective.beta", "'high'"]),
        (["--recipe", "digits", "--set", "training.learning_rate=0"], ["training.learning_rate must be positive"]),
        (["--recipe", "nosuch"], ["no recipe 'nosuch'", "Known recipes:"]),
        (["--recipe", "digit"], ["Did you mean 'digits'?"]),
        (["--recipe", "digits", "--epochs", "-3"], ["--epochs", "1 or more. Received: -3."]),
        (["--recipe", "digits", "--epochs", "many"], ["--epochs", "Received: many"]),
        (["--recipe", "digits", "--precison", "float32"], ["--precison", "Did you mean '--precision'?"]),
        (["--recipe", "digits", "--precision", "float8"], ["float8"]),
        (["--recipe", "digits", "--strategy", "mirrored", "--jit"], ["'mirrored' does not work with jit"]),
        (["--recipe", "digits", "--resume"], ["--resume needs --out"]),
        (["--data", "MISSING"], ["MISSING"]),
        (["--data", "EMPTY"], ["EMPTY"]),
        (["--data", "TEXT"], ["could be read"]),
        (["--epochs", "3"], ["no data. Accepted: --data"]),
        (["--recipe", "digits", "--out", "FULL"], ["FULL", "not empty"]),
        (["--recipe", "digits", "--out", "RUN"], ["holds a run already", "--resume"]),
        (["--out", "EMPTY", "--resume"], ["nothing to resume"]),
        (
            ["--out", "RUN", "--resume", "--set", "model.latent_dim=3"],
            ["only --epochs, and --data where"],
        ),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("--") else None,
)
def test_bad_requests_get_one_line(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for folder in ("EMPTY", "TEXT", "FULL", "RUN"):
        (tmp_path / folder).mkdir()
    (tmp_path / "TEXT" / "note.png").write_text("this is no picture")
    (tmp_path / "FULL" / "thesis.txt").write_text("do not touch")
    (tmp_path / "RUN" / "config.toml").write_text('[data]\nsource = "digits"\n')
    line = error_of(arguments, capsys)
    for word in words:
        assert word in line
    assert (tmp_path / "FULL" / "thesis.txt").read_text() == "do not touch"
    assert not (tmp_path / "OUT").exists() and not (tmp_path / "runs").exists()


def test_the_program_itself_exits_with_two_and_one_line(tmp_path):
    command = [sys.executable, "-m", "training", "--recipe", "nosuch"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr


def test_defaults_are_a_valid_run():
    config = read_config(MINIMAL, "test")
    assert config == RunConfig(data=config.data)
    assert dataclasses.replace(config, model=ModelConfig()) == config


def test_sections_that_are_no_tables_are_refused():
    with pytest.raises(UserError, match="must be a section"):
        read_config({"data": 3}, "test")
