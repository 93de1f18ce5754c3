"""`tfvae embed` and `neighbours`: tables, maps, near-duplicates and TensorBoard's files, of tiny untrained models."""

import base64
import csv
import io
import json
import re
import sys

import keras
import numpy as np
import pyarrow.parquet as pq
import pytest
from chromium import chromium
from PIL import Image
from sklearn.datasets import load_digits
from test_bits_back import hierarchical_vae
from tiny_runs import autoencoder, conditional_vae, spatial_vae, vector_vae, write_run

from tfvae.applications.latent.embed import embed, embed_in_batches
from tfvae.cli import main
from tfvae.commands import code_tables, features
from tfvae.commands import projector as projecting
from tfvae.commands.pages.code_map import write_map
from tfvae.data import Images
from tfvae.runs import open_run

DIGITS = (load_digits().images * (255 / 16)).astype(np.uint8)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of the digits, and a folder of 60 of them in sub-folders that are their labels."""
    path = tmp_path_factory.mktemp("embed")
    write_run(path / "digits", vector_vae())
    write_run(path / "plain", autoencoder())
    for index in range(60):
        place = path / "pictures" / f"class{load_digits().target[index] % 2}" / f"{index:02d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(DIGITS[index]).save(place)
    return path


def done(*words):
    assert main([*map(str, words)]) == 0


def refusal(capsys, *words):
    assert main([*map(str, words)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("tfvae: error: ") and error.count("\n") == 1
    return error


@pytest.mark.parametrize("make", [vector_vae, conditional_vae, hierarchical_vae, spatial_vae, autoencoder])
def test_portions_are_the_codes_that_embed_gives_and_their_variances(make):
    model, x = make(), DIGITS[:10, ..., None]
    portions = list(embed_in_batches(model, x, 4))
    codes = np.concatenate([codes for codes, _ in portions])
    assert [len(codes) for codes, _ in portions] == [4, 4, 2]
    np.testing.assert_allclose(codes, model.embed(x), atol=1e-6)
    if not model.stochastic:
        assert portions[0][1] is None
        return
    variances = np.concatenate([variances for _, variances in portions])
    assert variances.shape == codes.shape and (variances > 0).all()
    if codes.shape[1:] == model.latent_shape:
        encoded = model.encode(x)
        np.testing.assert_allclose(variances, np.exp(encoded["log_var"]), rtol=1e-5)


def test_the_variance_of_an_average_over_places_is_that_of_draws():
    model, x = spatial_vae(), DIGITS[:1, ..., None]
    ((code, variance),) = embed_in_batches(model, x)
    encoded = {name: keras.ops.convert_to_numpy(value)[0] for name, value in model.encode(x).items()}
    noise = np.random.default_rng(0).standard_normal((20_000, *encoded["mean"].shape))
    draws = (encoded["mean"] + np.exp(0.5 * encoded["log_var"]) * noise).mean(axis=(1, 2))
    np.testing.assert_allclose(draws.mean(axis=0), code[0], atol=5 * np.sqrt(variance.max() / 20_000))
    np.testing.assert_allclose(draws.var(axis=0), variance[0], rtol=5 * np.sqrt(2 / 20_000))


def test_the_three_kinds_of_table_hold_the_same(runs, tmp_path):
    for suffix in ("npz", "csv", "parquet"):
        out = tmp_path / f"codes.{suffix}"
        done("embed", runs / "digits", runs / "pictures", "-o", out, "--batch-size", 7)
    with np.load(tmp_path / "codes.npz") as arrays:
        table = {name: arrays[name] for name in arrays.files}
    assert set(table) == {"codes", "variances", "names", "labels", "label_names"}
    numbers = np.concatenate([table["codes"], table["variances"]], axis=1)
    columns = ["name", "label", "z0", "z1", "z2", "var0", "var1", "var2"]
    with open(tmp_path / "codes.csv", newline="") as file:
        rows = list(csv.reader(file))
    found = pq.read_table(tmp_path / "codes.parquet")
    assert rows[0] == columns == found.column_names
    assert [row[0] for row in rows[1:]] == list(table["names"]) == found["name"].to_pylist()
    labels = [str(table["label_names"][number]) for number in table["labels"]]
    assert [row[1] for row in rows[1:]] == labels == found["label"].to_pylist()
    np.testing.assert_allclose([[float(value) for value in row[2:]] for row in rows[1:]], numbers, rtol=1e-7)
    np.testing.assert_array_equal(np.array([found[name] for name in columns[2:]]).T, numbers)
    model = open_run(runs / "digits").load_model()
    np.testing.assert_allclose(table["codes"][:1], embed(model, DIGITS[:1, ..., None]), atol=1e-6)


def test_an_autoencoder_has_codes_and_no_variances(runs, tmp_path, capsys):
    done("embed", runs / "plain", "-o", tmp_path / "codes.npz")
    with np.load(tmp_path / "codes.npz") as arrays:
        assert set(arrays.files) == {"codes", "names", "labels", "label_names"}
    assert "unsure of something" in refusal(capsys, "embed", runs / "plain", "--duplicates")


def test_a_table_grows_portion_by_portion(runs, tmp_path, monkeypatch):
    """Row groups of a Parquet file are no larger than asked for, so that memory does not grow with the rows."""
    monkeypatch.setattr(code_tables, "ROWS", 16)
    done("embed", runs / "digits", runs / "pictures", "-o", tmp_path / "codes.parquet", "--batch-size", 8)
    file = pq.ParquetFile(tmp_path / "codes.parquet")
    assert [file.metadata.row_group(place).num_rows for place in range(file.num_row_groups)] == [16, 16, 16, 12]


@pytest.mark.parametrize("suffix", ["npz", "csv", "parquet"])
def test_a_table_that_is_stopped_is_not_there(runs, tmp_path, monkeypatch, suffix):
    def stops(model, images, batch_size):
        yield np.zeros((3, 3), np.float32), np.ones((3, 3), np.float32)
        raise KeyboardInterrupt

    monkeypatch.setattr(features, "embed_in_batches", stops)
    out = tmp_path / f"codes.{suffix}"
    assert main(["embed", str(runs / "digits"), "-o", str(out), "--projector", str(tmp_path / "logs")]) == 130
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_parquet_without_pyarrow_is_one_line(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert "pip install 'tfvae[parquet]'" in refusal(capsys, "embed", runs / "digits", "-o", tmp_path / "a.parquet")
    assert not list(tmp_path.iterdir())


def test_a_map_is_thinned_out_and_says_so(runs, tmp_path, monkeypatch):
    seen = []
    real = features.pictures.latent_map
    monkeypatch.setattr(features, "MAPPED", 20)
    monkeypatch.setattr(features.pictures, "latent_map", lambda *a, **k: seen.append((a, k)) or real(*a, **k))
    done("embed", runs / "digits", runs / "pictures", "-o", tmp_path / "codes.npz", "--batch-size", 7)
    ((codes, labels, *_), said) = seen[0]
    with np.load(tmp_path / "codes.npz") as arrays:
        places = np.linspace(0, 59, 20).astype(int)
        np.testing.assert_array_equal(codes, arrays["codes"][places])
        np.testing.assert_array_equal(labels, arrays["labels"][places])
    assert said["title"] == "20 of 60 codes of 3 numbers"


def test_the_page_of_the_map_holds_every_picture_and_no_markup_of_names(runs, tmp_path):
    folder = tmp_path / "p"
    folder.mkdir()
    Image.fromarray(DIGITS[0]).save(folder / "a<.png")
    Image.fromarray(DIGITS[1]).save(folder / "<!--<script>.png")
    done("embed", runs / "digits", folder, "-o", tmp_path / "codes.npz", "--map")
    page = (tmp_path / "codes.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page)[1])
    assert sorted(data["names"]) == ["<!--<script>.png", "a<.png"]
    assert "<!--<script>" not in page
    assert np.abs(data["places"]).max() == 1
    sprite = Image.open(io.BytesIO(base64.b64decode(re.search('base64,([^"]*)', page)[1])))
    assert sprite.size == (2 * 48, 48)


def test_near_duplicates_are_found_and_drawn(runs, tmp_path, capsys):
    folder = tmp_path / "p"
    folder.mkdir()
    for index in range(6):
        Image.fromarray(DIGITS[index]).save(folder / f"{index}.png")
    again = np.clip(DIGITS[2].astype(int) + np.random.default_rng(0).integers(-3, 4, (8, 8)), 0, 255)
    Image.fromarray(again.astype(np.uint8)).save(folder / "2 again.png")
    run = write_run(tmp_path / "run", sharp_vae())
    done("embed", run, folder, "-o", tmp_path / "codes.csv", "--duplicates", "0.5")
    assert "1 groups of near-duplicates, 2 of 7 pictures" in capsys.readouterr().out
    with open(tmp_path / "codes-duplicates.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["group"], row["name"]) for row in rows] == [("1", "2 again.png"), ("1", "2.png")]
    assert float(rows[0]["distance"]) == 0 < float(rows[1]["distance"]) < 0.5
    assert (tmp_path / "codes-duplicates.png").is_file()
    done("embed", run, folder, "-o", tmp_path / "codes.csv", "--duplicates", "0")
    assert "0 groups" in capsys.readouterr().out


def sharp_vae():
    """An untrained VAE whose codes vary as those of a trained one do, with a deviation of 0.1."""
    model = vector_vae()
    x = DIGITS[:100, ..., None]
    mean = model.encode(x)["mean"]
    *others, kernel, bias = model.encoder.get_weights()
    kernel[:, :3] /= np.std(mean, axis=0)
    kernel[:, 3:], bias[3:] = 0, np.log(0.01)
    model.encoder.set_weights([*others, kernel, bias])
    return model


def test_neighbours_are_those_of_the_codes(runs, tmp_path, capsys):
    query = runs / "pictures" / "class0" / "00.png"
    words = ("neighbours", runs / "digits", runs / "pictures", query, "-n", 5)
    done(*words, "-o", tmp_path / "near.json")
    facts = json.loads((tmp_path / "near.json").read_text())
    assert facts["neighbours"][0] | {"distance": 0} == {"rank": 1, "name": "class0/00.png", "distance": 0}
    done("embed", runs / "digits", runs / "pictures", "-o", tmp_path / "codes.npz")
    with np.load(tmp_path / "codes.npz") as arrays:
        names = list(arrays["names"])
        apart = np.linalg.norm(arrays["codes"] - arrays["codes"][names.index("class0/00.png")], axis=1)
        order = np.argsort(apart, kind="stable")[:5]
        assert [one["name"] for one in facts["neighbours"]] == [names[index] for index in order]
        np.testing.assert_allclose([one["distance"] for one in facts["neighbours"]], apart[order], atol=1e-6)
    done(*words, "-o", tmp_path / "near.csv", "--distance", "cosine", "--batch-size", 9)
    with open(tmp_path / "near.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 and rows[0]["name"] == "class0/00.png" and float(rows[0]["distance"]) < 1e-6
    assert (tmp_path / "near.png").is_file() and "the most alike" in capsys.readouterr().out


def test_a_bad_request_is_one_line(runs, tmp_path, capsys):
    run, pictures = runs / "digits", runs / "pictures"
    picture = pictures / "class0" / "00.png"
    for words, said in (
        (("neighbours", run, pictures, tmp_path / "none.png"), "none.png"),
        (("neighbours", run, tmp_path / "none", picture), "none"),
        (("neighbours", run, pictures, pictures), "must be one picture"),
        (("neighbours", run, pictures, picture, "-n", 0), "1 or more"),
        (("neighbours", run, pictures, picture, "--distance", "cosin"), "Did you mean 'cosine'?"),
        (("neighbours", run, pictures, picture, "-o", "a.png"), ".csv or .json"),
        (("embed", run, "-o", "a.json"), ".npz or .csv or .parquet"),
        (("embed", run, "--duplicates", "-1"), "0 or more"),
        (("embed", run, "--projector", picture), "--projector must be a folder"),
    ):
        assert said in refusal(capsys, *words), words


def test_tensorboard_reads_the_files_of_the_projector(runs, tmp_path):
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    logs = tmp_path / "logs"
    done("embed", runs / "digits", runs / "pictures", "-o", tmp_path / "codes.npz", "--projector", logs)
    config = text_format.Parse((logs / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (one,) = config.embeddings
    assert (one.tensor_path, one.metadata_path) == ("tensors.tsv", "metadata.tsv")
    with np.load(tmp_path / "codes.npz") as arrays:
        np.testing.assert_allclose(np.loadtxt(logs / one.tensor_path, delimiter="\t"), arrays["codes"], rtol=1e-6)
        lines = (logs / one.metadata_path).read_text().splitlines()
        assert lines[0] == "name\tlabel" and [line.split("\t")[0] for line in lines[1:]] == list(arrays["names"])
    side = one.sprite.single_image_dim[0]
    sprite = np.asarray(Image.open(logs / one.sprite.image_path))
    assert sprite.shape == (8 * side, 8 * side, 3)  # 60 pictures, 8 in a row
    third = np.asarray(Image.open(runs / "pictures" / sorted(line.split("\t")[0] for line in lines[1:])[9]))
    cell = sprite[side : 2 * side, side : 2 * side]
    np.testing.assert_array_equal(cell[:: side // 8, :: side // 8, 0][:8, :8], third)


def test_a_projector_of_too_many_pictures_has_no_sprite(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(projecting, "MOST_SIDE", 31)
    logs = tmp_path / "logs"
    done("embed", runs / "digits", runs / "pictures", "-o", tmp_path / "codes.npz", "--projector", logs)
    assert not (logs / "sprite.png").exists() and "sprite" not in (logs / "projector_config.pbtxt").read_text()
    assert "too many pictures for a sprite" in capsys.readouterr().out


def test_the_page_of_the_map_says_what_is_under_the_pointer(tmp_path):
    page_of = tmp_path / "map.html"
    images = Images.from_array(DIGITS[:4, ..., None], [f"{index}.png" for index in range(4)])
    write_map(page_of, np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 3.0], [4.0, 3.0]]), images, "codes")
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1000, "height": 1100})
        errors = []
        page.on("console", lambda message: errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(page_of.as_uri())
        page.wait_for_selector("canvas[data-ready]")
        box = page.locator("canvas").bounding_box()
        side = 0.46 * min(box["width"], box["height"])
        for index, (x, y) in enumerate([(-1, 0.75), (1, 0.75), (-1, -0.75), (1, -0.75)]):
            page.mouse.move(box["x"] + box["width"] / 2 + x * side, box["y"] + box["height"] / 2 + y * side)
            assert page.locator("#told").inner_text() == f"{index}.png"
        page.fill("#find", "2.p")
        assert page.locator("#told").inner_text() == "1 of 4"
        assert not errors
