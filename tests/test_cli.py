"""The `tfvae` command on run directories of untrained models: files it writes, and what it says no to."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from tiny_runs import autoencoder, spatial_vae, vector_vae, write_run

from tfvae.applications import embed
from tfvae.cli import main
from tfvae.commands.shared import file_names
from tfvae.data import load
from tfvae.runs import open_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    write_run(root / "digits", vector_vae())
    write_run(root / "auto", autoencoder())
    write_run(root / "photos", spatial_vae(channels=3), source=str(photos(root / "pictures")), limit=0)
    return root


def photos(folder):
    """Eight coloured pictures of two sizes in two sub-folders, and a file that is none."""
    rng = np.random.default_rng(0)
    for index in range(8):
        path = folder / ("cats" if index % 2 else "dogs") / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (20, 13, 3) if index < 4 else (12, 18, 3)
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(path)
    (folder / "cats" / "notes.png").write_text("these are cats")
    return folder


def refusal(capsys, *argv):
    """The one line of a request that is refused with exit code 2."""
    assert main([str(word) for word in argv]) == 2
    shown = capsys.readouterr()
    lines = shown.err.strip().splitlines()
    assert len(lines) == 1, shown.err
    assert lines[0].startswith("tfvae: error: ")
    return lines[0]


def done(capsys, *argv):
    assert main([str(word) for word in argv]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def test_what_was_taken_for_white_and_how_many_files_have_further_pages_is_said_of_a_source(runs, tmp_path, capsys):
    np.save(tmp_path / "deep.npy", np.random.default_rng(0).integers(0, 4096, (4, 8, 8), np.uint16))
    assert main(["reconstruct", str(runs / "digits"), str(tmp_path / "deep.npy"), "-o", str(tmp_path / "a.png")]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"tfvae: note: {tmp_path / 'deep.npy'}: 0 is taken for black and 65,535 for white")
    assert "data.white=4084" in line
    pages = [Image.new("L", (8, 8), 40 * page) for page in range(3)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    assert main(["embed", str(runs / "digits"), str(tmp_path / "stack.tif"), "-o", str(tmp_path / "codes.npz")]) == 0
    told = "1 file holds several pages or frames, of which the first is used"
    assert capsys.readouterr().err == f"tfvae: note: {tmp_path / 'stack.tif'}: {told}\n"


def test_generate_writes_a_grid_that_depends_on_the_seed(runs, tmp_path, capsys):
    out = done(capsys, "generate", runs / "digits", "-n", 9, "--seed", 3)
    assert str(runs / "digits" / "generated.png") in out
    first = (runs / "digits" / "generated.png").read_bytes()
    done(capsys, "generate", runs / "digits", "-n", 9, "--seed", 3, "-o", tmp_path / "again.PNG")
    done(capsys, "generate", runs / "digits", "-n", 9, "--seed", 4, "-o", tmp_path / "other.png")
    assert (tmp_path / "again.PNG").read_bytes() == first
    assert (tmp_path / "other.png").read_bytes() != first


def test_generate_into_a_folder_writes_single_pictures_of_the_asked_size(runs, tmp_path, capsys):
    done(capsys, "generate", runs / "photos", "-n", 2, "--size", "21x34", "-o", tmp_path / "drawn")
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["00000.png", "00001.png", "grid.png"]
    assert Image.open(tmp_path / "drawn" / "00001.png").size == (34, 21)


def test_reconstruct_compares_the_held_out_images(runs, capsys):
    assert "reconstruction.png" in done(capsys, "reconstruct", runs / "digits")
    assert Image.open(runs / "digits" / "reconstruction.png").width > 200


def test_reconstruct_of_a_folder_keeps_names_and_sizes_and_names_the_refused(runs, tmp_path, capsys):
    assert main(["reconstruct", str(runs / "photos"), str(runs / "pictures"), "-o", str(tmp_path / "out")]) == 0
    assert "notes.png" in capsys.readouterr().err
    files = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png")}
    assert files == {"comparison.png"} | {f"{'cats' if i % 2 else 'dogs'}/{i}.png" for i in range(8)}
    assert Image.open(tmp_path / "out" / "cats" / "1.png").size == (13, 20)


def test_one_picture_of_another_size_and_colour_is_prepared_like_those_of_the_run(runs, tmp_path, capsys):
    picture = runs / "pictures" / "dogs" / "0.png"
    done(capsys, "reconstruct", runs / "digits", picture, "-o", tmp_path / "one")
    assert Image.open(tmp_path / "one" / "0.png").size == (8, 8)


def test_interpolate_between_pictures_and_held_out_images(runs, tmp_path, capsys):
    picture = runs / "pictures" / "dogs" / "0.png"
    done(capsys, "interpolate", runs / "digits", 0, picture, "--count", 4, "--method", "slerp", "-o", tmp_path / "a")
    assert len(list((tmp_path / "a").iterdir())) == 5
    done(capsys, "interpolate", runs / "digits", 0, 1, "--count", 4, "-o", tmp_path / "a.gif")
    assert Image.open(tmp_path / "a.gif").n_frames == 6
    done(capsys, "interpolate", runs / "digits", 0, 1)
    assert (runs / "digits" / "interpolation.png").is_file()


def test_interpolate_fits_the_second_picture_to_the_size_of_the_first(runs, tmp_path, capsys):
    first, second = runs / "pictures" / "dogs" / "0.png", runs / "pictures" / "dogs" / "4.png"
    done(capsys, "interpolate", runs / "photos", first, second, "-n", 3, "-o", tmp_path / "a")
    assert Image.open(tmp_path / "a" / "00002.png").size == (13, 20)


def test_embed_writes_codes_names_labels_and_a_map(runs, tmp_path, capsys):
    out = done(capsys, "embed", runs / "digits", "-o", tmp_path / "codes.npz")
    assert str(tmp_path / "codes.png") in out
    run = open_run(runs / "digits")
    held_out = load(run.data_config, seed=run.seed).test
    with np.load(tmp_path / "codes.npz") as codes:
        np.testing.assert_allclose(codes["codes"], embed(run.load_model(), held_out), atol=1e-6)
        np.testing.assert_array_equal(codes["labels"], held_out.labels)
        assert list(codes["names"]) == held_out.names


def test_embed_writes_the_same_codes_as_csv(runs, tmp_path, capsys):
    done(capsys, "embed", runs / "photos", runs / "pictures", "-o", tmp_path / "new" / "codes.csv")
    done(capsys, "embed", runs / "photos", runs / "pictures", "-o", tmp_path / "codes.npz")
    with (tmp_path / "new" / "codes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with np.load(tmp_path / "codes.npz") as codes:
        np.testing.assert_allclose([[float(row["z0"]), float(row["z1"])] for row in rows], codes["codes"], rtol=1e-6)
        assert [row["name"] for row in rows] == list(codes["names"])
    assert {row["label"] for row in rows} == {"cats", "dogs"}
    assert (tmp_path / "new" / "codes.png").is_file()


def test_evaluate_prints_a_table_and_writes_the_same_figures(runs, tmp_path, capsys):
    out = done(capsys, "evaluate", runs / "digits", "-o", tmp_path / "figures.json")
    record = json.loads((tmp_path / "figures.json").read_text())
    figures = {name: figure["value"] for name, figure in record["figures"].items()}
    assert f"{figures['elbo']:.4f} ± " in out
    assert figures["elbo"] == pytest.approx(-figures["rate"] - figures["distortion"])
    assert {"active_units", "elbo_gap", "psnr", "ssim"} < set(figures)
    run = open_run(runs / "digits")
    held_out = load(run.data_config, seed=run.seed).test
    assert record["protocol"]["sha256"] == held_out.digest()
    assert record["protocol"] | {"split": "test", "images": 6, "seed": 0, "binarised": False} == record["protocol"]
    done(capsys, "evaluate", runs / "photos", runs / "pictures", "-o", tmp_path / "photos.json")
    record = json.loads((tmp_path / "photos.json").read_text())
    assert record["protocol"]["images"] == 8 and record["protocol"]["split"] == "whole source"
    assert "elbo_gap" not in record["figures"], "these are not held out of the run's data"


def test_evaluate_measures_by_default_with_the_seed_and_batch_size_of_the_run(tmp_path, capsys):
    run = write_run(tmp_path / "run", vector_vae(), training={"seed": 4, "batch_size": 2})
    done(capsys, "evaluate", run, "-o", tmp_path / "a.json")
    done(capsys, "evaluate", run, "--seed", 4, "--batch-size", 2, "-o", tmp_path / "b.json")
    done(capsys, "evaluate", run, "--seed", 5, "-o", tmp_path / "c.json")
    a, b, c = (json.loads((tmp_path / f"{name}.json").read_text()) for name in "abc")
    assert a == b
    assert a["figures"]["elbo"]["value"] != c["figures"]["elbo"]["value"]


def test_evaluate_takes_the_part_the_number_and_the_figures_that_are_asked_for(runs, tmp_path, capsys):
    out = tmp_path / "a.json"
    done(
        capsys,
        "evaluate",
        runs / "digits",
        "--split",
        "train",
        "-n",
        5,
        "--figures",
        "nll,units",
        "--nll",
        9,
        "-o",
        out,
    )
    record = json.loads(out.read_text())
    assert set(record["figures"]) == {"nll", "effective_samples", "active_units"}
    assert record["figures"]["nll"]["protocol"]["k"] == 9
    assert record["protocol"]["split"] == "5 of train"
    shown = done(capsys, "evaluate", runs / "auto", "--all")
    assert "left out: nll: a Autoencoder" in shown and "psnr" in shown


def test_compare_sets_like_evaluations_side_by_side_and_refuses_unlike_ones(runs, tmp_path, capsys):
    a, b, c = (tmp_path / f"{name}.json" for name in "abc")
    done(capsys, "evaluate", runs / "digits", "--nll", 3, "-o", a)
    done(capsys, "evaluate", runs / "digits", "--nll", 3, "--batch-size", 3, "-o", b)
    done(capsys, "evaluate", runs / "digits", "--nll", 4, "-o", c)
    out = done(capsys, "compare", a, b)
    assert "overlap" in out and "+0.0000" in out
    line = refusal(capsys, "compare", a, c)
    assert "nll: k 3 and 4" in line
    assert "nll" not in done(capsys, "compare", a, c, "--figures", "elbo,psnr")
    assert "Did you mean 'psnr'?" in refusal(capsys, "compare", a, c, "--figures", "psrn")
    assert "two files" in refusal(capsys, "compare", a)
    assert "No such file" in refusal(capsys, "compare", a, tmp_path / "none.json")
    (tmp_path / "other.json").write_text('{"elbo": 1}')
    assert "no evaluation" in refusal(capsys, "compare", a, tmp_path / "other.json")


def test_an_autoencoder_is_evaluated_and_not_drawn_from(runs, capsys):
    out = done(capsys, "evaluate", runs / "auto")
    assert "elbo" not in out
    assert "mse per image" in out
    assert "Autoencoder" in refusal(capsys, "generate", runs / "auto")
    assert "Autoencoder" in refusal(capsys, "evaluate", runs / "auto", "--figures", "nll")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["genrate", "RUN"], "Did you mean 'generate'?"),
        (["generate"], "RUN"),
        (["generate", "RUN", "--tempreature", "1"], "Did you mean '--temperature'?"),
        (["generate", "RUN", "--temperature", "-1"], "Received: -1"),
        (["generate", "RUN", "--temperature", "nan"], "Received: nan"),
        (["generate", "RUN", "--temperature", "1,x"], "Received: x"),
        (["generate", "RUN", "--temperature", "1,0.5"], "must be a number for a VAE"),
        (["animate", "RUN", "--temperature", "1,0.5"], "must be a number for a VAE"),
        (["generate", "RUN", "-n", "-3"], "Received: -3"),
        (["generate", "RUN", "--size", "big"], "Received: big"),
        (["generate", "RUN", "--size", "9x9"], "8x8 only"),
        (["generate", "RUN", "-o", "out.jpg"], ".png"),
        (["generate", "RUN", "extra"], "extra"),
        (["interpolate", "RUN", "0", "999"], "999"),
        (["interpolate", "RUN", "0", "-1"], "-1"),
        (["interpolate", "RUN", "0", "1", "--method", "slurp"], "Did you mean 'slerp'?"),
        (["interpolate", "RUN", "0", "1", "-n", "1"], "Received: 1"),
        (["interpolate", "RUN", "0", "nowhere.png"], "nowhere.png: there is no such picture."),
        (["animate", "RUN", "a.png", "nowhere.png"], "a.png: there is no such picture."),
        (["dreams", "RUN", "--minus", "0,nowhere.png,1"], "nowhere.png: there is no such picture."),
        (["reconstruct", "RUN", "no/such/folder"], "no/such/folder"),
        (["embed", "RUN", "-o", "codes.txt"], ".npz or .csv or .parquet"),
        (["evaluate", "RUN", "-o", "figures.png"], ".json"),
        (["evaluate", "RUN", "--figures", "nil"], "Did you mean 'nll'?"),
        (["evaluate", "RUN", "--nll", "0"], "Received: 0"),
        (["evaluate", "RUN", "--split", "tset"], "Did you mean 'test'?"),
        (["evaluate", "RUN", "digits", "--split", "train", "--figures", "gap"], "held-out images"),
    ],
)
def test_a_bad_request_is_one_line_that_says_what_is_wrong(runs, capsys, argv, said):
    assert said in refusal(capsys, *[runs / "digits" if word == "RUN" else word for word in argv])


def test_a_path_that_is_no_run_is_said_with_the_nearest_one(runs, tmp_path, capsys):
    assert f"Did you mean '{runs / 'digits'}'?" in refusal(capsys, "generate", runs / "digit")
    assert f"Did you mean '{runs / 'digits'}'?" in refusal(capsys, "generate", runs / "digits" / "config.toml")
    assert "Runs in it: auto, digits, photos" in refusal(capsys, "evaluate", runs)
    assert "config.toml" in refusal(capsys, "embed", tmp_path)


def test_a_run_without_or_with_a_damaged_model_or_config_is_refused(tmp_path, capsys):
    run = write_run(tmp_path / "run", vector_vae())
    whole = (run / "model.keras").read_bytes()
    (run / "model.keras").write_bytes(whole[: len(whole) // 2])
    assert "model.keras" in refusal(capsys, "generate", run)
    (run / "model.keras").unlink()
    assert "no trained model yet" in refusal(capsys, "generate", run)
    (run / "model.keras").write_bytes(whole)
    (run / "config.toml").write_text('[data]\nsauce = "digits"\n')
    assert "Did you mean 'source'?" in refusal(capsys, "evaluate", run)
    (run / "config.toml").write_text("[data\n")
    assert "not valid TOML" in refusal(capsys, "evaluate", run)


def test_a_place_that_cannot_be_written_is_refused_before_any_work(runs, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refusal(capsys, "generate", runs / "digits", "-o", tmp_path / "file" / "a.png")


def test_the_report_of_a_run_is_empty_until_it_is_written(runs):
    run = open_run(runs / "digits")
    assert run.report == {}
    (run.path / "report.json").write_text('{"test": {"elbo": -1.0}}')
    assert run.report["test"]["elbo"] == -1.0
    (run.path / "report.json").unlink()


def test_file_names_are_distinct_stay_in_the_folder_and_keep_sub_folders():
    names = [
        "cats/1.jpg",
        "cats/1.png",
        "../../etc/passwd",
        "C:\\a\\b.tif",
        "A.gif",
        "a.bmp",
        "000001",
        "comparison.png",
    ]
    files = file_names(names)
    assert files[:3] == ["cats/1.png", "cats/1_2.png", "etc/passwd.png"]
    assert files[-1] == "comparison_2.png"
    assert len({file.lower() for file in files}) == len(files)
    assert not any(file.startswith("/") or ".." in file for file in files)


def test_python_m_tfvae_says_one_line_and_nothing_of_tensorflow(tmp_path):
    command = [sys.executable, "-m", "tfvae", "generate", str(tmp_path / "nowhere")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("tfvae: error: ")
    assert len(ended.stderr.splitlines()) == 1
