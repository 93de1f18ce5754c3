"""`python -m benchmarks papers`: rows are what runs and their evaluations say, and nothing else."""

import csv
import json

import pytest

from benchmarks.__main__ import main
from benchmarks.papers import COLUMNS, command_of
from tfvae.errors import UserError
from training.config import merge, parse_setting, read_config, read_recipe


def figure(value, unit="", interval=None, **protocol):
    return {"value": value, "unit": unit, "interval": interval, "note": "", "protocol": protocol}


def write_run(path, recipe, *settings, nll=84.321, k=5000, seconds=90.0):
    """What `training` and `tfvae evaluate` leave of a run, as far as the table reads it."""
    path.mkdir()
    own = [{section: {key: value}} for section, key, value in map(parse_setting, settings)]
    found = {"data": {"height": 28, "width": 28, "channels": 1}}
    config = read_config(merge(read_recipe(recipe), found, *own), "test")
    (path / "config.toml").write_text(config.toml())
    cost = {"weights": 1234, "epochs": 7, "seconds": seconds}
    (path / "report.json").write_text(json.dumps({"training": cost, "test": {"elbo": -1.0}}))
    figures = {"nll": figure(nll, "nats", [nll - 0.5, nll + 0.5], k=k), "active_units": figure(32, "of 150")}
    figures |= {"active_units_h1": figure(25, "of 100"), "active_units_h2": figure(7, "of 50")}
    record = {"format": 1, "protocol": {"images": 10_000}, "figures": figures}
    (path / f"nll-{k}.json").write_text(json.dumps(record))
    return path


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_is_what_the_run_says(tmp_path, capsys):
    path = write_run(
        tmp_path / "a", "iwae_2", "training.seed=3", 'objective.bound={kind="iwae",samples=5,gradient="path"}'
    )
    assert main(["papers", str(path), "-o", str(tmp_path / "likelihood.csv")]) == 0
    (row,) = rows(tmp_path / "likelihood.csv")
    assert tuple(row) == COLUMNS and "84.32" in capsys.readouterr().out
    expected = {"model": "two_layer_vae tanh_mlp 200-200-100-100-100-50", "bound": "iwae, k = 5, path gradient"}
    expected |= {"NLL (nats)": "84.32", "95 %": "83.82 – 84.82", "k": "5000", "parameters": "1234", "minutes": "1.5"}
    expected |= {"active units": "32 of 150", "by layer": "25 + 7", "seed": "3", "prior": "standard_normal"}
    assert expected.items() <= row.items() and "Tucker" in row["reference"]


def test_a_run_that_began_with_the_weights_of_another_has_its_cost_and_command(tmp_path):
    first = write_run(tmp_path / "first", "iwae", 'objective.bound={kind="elbo",samples=1}', seconds=600)
    second = write_run(tmp_path / "second", "iwae", f"training.init='{first}'", "training.epochs=20", seconds=900)
    main(["papers", str(second), "-o", str(tmp_path / "likelihood.csv")])
    (row,) = rows(tmp_path / "likelihood.csv")
    assert row["epochs"] == "7 + 7" and row["minutes"] == "25.0" and row["bound"] == "iwae, k = 50"
    one, other = row["command"].split(" && ")
    assert one == "python -m training --recipe iwae --set 'objective.bound={ kind = \"elbo\", samples = 1 }' --out RUN1"
    assert other == "python -m training --recipe iwae --set training.epochs=20 --init RUN1"
    first.rename(tmp_path / "gone")
    with pytest.raises(UserError, match="first"):
        main(["papers", str(second)])


@pytest.mark.parametrize("recipe", ["iwae", "iwae_2", "mnist", "mnist_hierarchical"])
def test_the_command_makes_the_settings_again(recipe):
    settings = ["training.epochs=9", "model.widths=[20, 10]", "objective.beta=2.0"]
    own = [{section: {key: value}} for section, key, value in map(parse_setting, settings)]
    config = read_config(merge(read_recipe(recipe), *own), "test")
    words = command_of(config)
    assert words.startswith(f"python -m training --recipe {recipe} ") and words.count("--set") == 3
    assert command_of(read_config(read_recipe(recipe), "test")) == f"python -m training --recipe {recipe}"


def test_the_evaluation_with_the_most_draws_counts_and_other_rows_stay(tmp_path):
    out = tmp_path / "likelihood.csv"
    first = write_run(tmp_path / "a", "iwae", nll=90.0, k=100)
    main(["papers", str(first), "-o", str(out)])
    second = write_run(tmp_path / "b", "iwae", "training.seed=1", nll=85.0)
    main(["papers", str(second), "-o", str(out)])
    assert [row["NLL (nats)"] for row in rows(out)] == ["85.00", "90.00"]
    again = write_run(tmp_path / "c", "iwae", "training.seed=1", nll=84.0, seconds=60.0)
    record = json.loads((first / "nll-100.json").read_text())
    (again / "few.json").write_text(json.dumps(record))  # fewer draws than those of its other evaluation
    main(["papers", str(again), "-o", str(out)])
    assert [(row["NLL (nats)"], row["minutes"]) for row in rows(out)] == [("84.00", "1.0"), ("90.00", "1.5")]


def test_what_is_missing_is_a_line(tmp_path):
    path = write_run(tmp_path / "a", "iwae")
    (path / "nll-5000.json").unlink()
    with pytest.raises(UserError, match=r"tfvae evaluate .* --nll 5000 -o"):
        main(["papers", str(path)])
    (path / "report.json").unlink()
    with pytest.raises(UserError, match="no report yet"):
        main(["papers", str(path)])
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="another table"):
        main(["papers", str(write_run(tmp_path / "b", "iwae")), "-o", str(other)])
