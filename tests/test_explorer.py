"""The explorer: what its page is told, where its runtime comes from."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from PIL import Image
from test_serving import make
from tiny_runs import autoencoder, only, vector_vae, write_run

import tfvae
from export import __main__ as program
from export import bundle, parity
from export.artefacts import Artefact, Export
from export.kits import explorer
from export.kits.explorer import compressed, contents, litert_js
from tfvae.errors import UserError
from tfvae.runs import open_run

PAGES = sorted(explorer.PAGE.iterdir())
# What the page of a codec is made of: its own files, and some of the other page's.
CODEC_PAGES = [*sorted(compressed.PAGE.iterdir()), *(explorer.PAGE / name for name in compressed.SHARED)]


@pytest.fixture
def archives(tmp_path, monkeypatch):
    """A folder with two archives of a few bytes, whose hashes are taken to be those of LiteRT.js."""
    folder = tmp_path / "archives"
    packages = []
    for package in litert_js.PACKAGES:
        inside = folder / package.name
        for member in package.members:
            (inside / member).parent.mkdir(parents=True, exist_ok=True)
            (inside / member).write_bytes(f"{package.name} {member}".encode())
        subprocess.run(["tar", "czf", folder / package.archive, "-C", inside, "package"], check=True)
        digest = base64.b64encode(hashlib.sha512((folder / package.archive).read_bytes()).digest()).decode()
        packages.append(litert_js.Package(package.name, f"sha512-{digest}", package.members))
    monkeypatch.setattr(litert_js, "PACKAGES", tuple(packages))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(litert_js.VARIABLE, raising=False)
    return folder


@pytest.fixture
def offline(monkeypatch):
    """Neither npm nor the registry can be reached."""

    def refuse(*_, **__):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(urllib.request, "urlopen", refuse)


def worked_on(model, tmp_path, size=None):
    """What an export of a tiny run works on, without any conversion."""
    run = open_run(write_run(tmp_path / "run", model, limit=300))
    return bundle._prepare(run, size, parity.BOUNDS, lambda line: None)


def test_units_are_ordered_by_the_variance_of_their_codes():
    rng = np.random.default_rng(0)
    codes = (rng.standard_normal((500, 4)) * [0.5, 2.0, 0.01, 1.0] + [0.0, 1.0, 0.0, 0.0]).astype(np.float32)
    table = contents.units(codes, prior=True)
    assert [unit["unit"] for unit in table] == [1, 3, 0, 2]
    assert [unit["active"] for unit in table] == [True, True, True, False]
    np.testing.assert_allclose([unit["deviation"] for unit in table], codes[:, [1, 3, 0, 2]].std(axis=0), rtol=1e-5)


def test_a_slider_spans_the_prior_and_every_code_or_three_deviations_without_a_prior():
    rng = np.random.default_rng(1)
    codes = (rng.standard_normal((500, 2)) * [0.1, 2.5] + [0.0, 3.0]).astype(np.float32)
    by_unit = {unit["unit"]: unit for unit in contents.units(codes, prior=True)}
    assert (by_unit[0]["low"], by_unit[0]["high"]) == (-3.0, 3.0)
    assert by_unit[1]["high"] >= np.abs(codes[:, 1]).max() and by_unit[1]["low"] == -by_unit[1]["high"]
    for unit in contents.units(codes, prior=False):
        mean, deviation = codes[:, unit["unit"]].mean(), codes[:, unit["unit"]].std()
        np.testing.assert_allclose([unit["low"], unit["high"]], [mean - 3 * deviation, mean + 3 * deviation], rtol=1e-5)


def test_a_channel_of_a_spatial_latent_is_shifted_around_nothing():
    codes = np.random.default_rng(2).normal(5.0, 1.0, (6, 3, 4, 2)).astype(np.float32)
    assert [(unit["centre"], unit["low"]) for unit in contents.units(codes, prior=True)] == [
        (0.0, -unit["high"]) for unit in contents.units(codes, prior=True)
    ]


def test_the_plane_gives_back_rows_that_lie_in_it():
    rng = np.random.default_rng(3)
    flat = rng.standard_normal((50, 2)) @ rng.standard_normal((2, 7)) + rng.standard_normal(7)
    plane = contents.principal_plane(flat)
    np.testing.assert_allclose(plane["mean"] + plane["points"] @ plane["axes"], flat, atol=1e-12)
    np.testing.assert_allclose(plane["axes"] @ plane["axes"].T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(plane["shares"].sum(), 1.0)


def test_no_plane_holds_more_of_the_variance_than_the_principal_one():
    rng = np.random.default_rng(4)
    rows = rng.standard_normal((200, 6)) * [3, 2, 1, 1, 0.5, 0.1]
    plane = contents.principal_plane(rows)
    for _ in range(50):
        other, _ = np.linalg.qr(rng.standard_normal((6, 2)))
        assert ((rows - rows.mean(axis=0)) @ other).var(axis=0).sum() <= plane["points"].var(axis=0).sum() + 1e-9


@pytest.mark.parametrize("shape", [(1, 4), (5, 1), (1, 1)])
def test_a_single_picture_or_a_single_unit_has_a_map(shape):
    plane = contents.principal_plane(np.random.default_rng(5).standard_normal(shape))
    assert plane["points"].shape == (shape[0], 2) and np.isfinite(plane["points"]).all()
    assert plane["axes"].shape == (2, shape[1])


def test_pictures_can_be_cut_out_of_the_sheet_again():
    pixels = np.random.default_rng(6).integers(0, 256, (7, 4, 5, 3), np.uint8)
    sheet, wide = contents.sheet(pixels), contents.columns(7)
    for index, picture in enumerate(pixels):
        y, x = 4 * (index // wide), 5 * (index % wide)
        np.testing.assert_array_equal(sheet[y : y + 4, x : x + 5], picture)


@pytest.mark.parametrize("kind", ["vae", "autoencoder", "spatial"])
def test_the_page_is_told_about_every_kind_of_model(kind, tmp_path):
    models = {"vae": vector_vae, "autoencoder": autoencoder, "spatial": lambda: make(image_shape=(None, None, 1))}
    work = worked_on(models[kind](), tmp_path, (10, 6) if kind == "spatial" else None)
    pictures = contents.choose(work)
    table = json.loads(json.dumps(contents.describe(work, pictures), allow_nan=False))
    count = table["pictures"]["count"]
    assert count == len(table["map"]["points"]) == len(table["pictures"]["names"]) == len(pictures.codes)
    assert table["latent"] == list(pictures.codes.shape[1:])
    assert table["image"] == dict(zip(("height", "width", "channels"), pictures.pixels.shape[1:], strict=True))
    assert sorted(unit["unit"] for unit in table["units"]) == list(range(table["latent"][-1]))
    deviations = [unit["deviation"] for unit in table["units"]]
    assert deviations == sorted(deviations, reverse=True)
    assert table["prior"] == (kind != "autoencoder")
    assert table["code_output"] == ("code" if kind == "autoencoder" else "mean")
    # A place on the map is the projection of the picture's code.
    axes, mean = np.array(table["map"]["axes"]), np.array(table["map"]["mean"])
    codes = pictures.codes.reshape(count, -1, table["latent"][-1]).mean(axis=1)
    np.testing.assert_allclose((codes - mean) @ axes.T, table["map"]["points"], atol=1e-5)


@pytest.mark.parametrize("file", sorted({*PAGES, *CODEC_PAGES}), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_the_page_loads_nothing_from_elsewhere(file):
    text = file.read_text(encoding="utf-8")
    foreign = re.findall(r"""(?:src|href)\s*=\s*["'](?:https?:)?//|url\(\s*["']?(?:https?:)?//|@import""", text)
    foreign += re.findall(r"""(?:from|import|fetch)\s*\(?\s*["'`](?:https?:)?//""", text)
    assert not foreign


@pytest.mark.parametrize("files", [PAGES, CODEC_PAGES], ids=["codes", "compressed"])
def test_every_file_that_the_page_names_is_beside_it(files):
    named = set()
    for file in files:
        if file.suffix in (".html", ".js"):
            found = re.findall(
                r"""(?:src|href)="([^"]+)"|from "(\./[^"]+)"|new Worker\("([^"]+)\"""", file.read_text("utf-8")
            )
            named |= {name.removeprefix("./") for names in found for name in names if name}
    assert {"main.js", "network.js"} <= named <= {file.name for file in files}
    assert all(file.is_file() for file in files)


@pytest.mark.parametrize("folder", [explorer.PAGE, compressed.PAGE], ids=["codes", "compressed"])
def test_the_policy_admits_the_import_map_and_no_other_inline_script(folder):
    html = (folder / "index.html").read_text(encoding="utf-8")
    (text,) = re.findall(r'<script type="importmap">(.*?)</script>', html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', html)
    assert f"'sha256-{digest}'" in policy and "'unsafe-inline'" not in policy and "'unsafe-eval'" not in policy
    places = {place for package in litert_js.PACKAGES for place in package.members.values()}
    assert {f"./litert/{place}" for place in places} >= set(json.loads(text)["imports"].values())


def test_the_runtime_is_taken_from_the_folder_that_is_named(archives, offline, monkeypatch):
    monkeypatch.setenv(litert_js.VARIABLE, str(archives))
    files = litert_js.files()
    assert files["core/index.js"] == b"@litertjs/core package/dist/index.js"
    assert {name for name in files if name.startswith("wasm/")} == {f"wasm/{name}" for name in litert_js.WASM}
    assert all(package.integrity in files["NOTICE.txt"].decode() for package in litert_js.PACKAGES)


def test_a_second_export_needs_no_network(archives, monkeypatch):
    asked = []

    class Answer:
        def __init__(self, url):
            asked.append(url)
            self.content = (archives / f"litertjs-{url.rpartition('/')[2]}").read_bytes()

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def read(self):
            return self.content

    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: Answer(url))
    first = litert_js.files()
    assert asked == [package.url for package in litert_js.PACKAGES]
    assert litert_js.files() == first and len(asked) == 2
    # A cached archive that was damaged is fetched again.
    (litert_js.cache() / litert_js.PACKAGES[0].archive).write_bytes(b"half")
    assert litert_js.files() == first and len(asked) == 3


def test_what_was_changed_on_the_way_is_refused_and_not_kept(archives, offline, monkeypatch):
    content = bytearray((archives / litert_js.PACKAGES[0].archive).read_bytes())
    content[100] ^= 1
    monkeypatch.setattr(litert_js, "_http", lambda package: bytes(content))
    with pytest.raises(UserError, match="not what was published"):
        litert_js.files()
    assert not [file for file in litert_js.cache().rglob("*") if file.is_file()]
    (archives / litert_js.PACKAGES[0].archive).write_bytes(content)
    monkeypatch.setenv(litert_js.VARIABLE, str(archives))
    with pytest.raises(UserError, match="SHA-512 differs"):
        litert_js.files()


def test_without_network_one_line_says_what_would_help_and_nothing_is_written(archives, offline, tmp_path, capsys):
    run = write_run(tmp_path / "run", vector_vae())
    assert program.main([str(run), "--explorer"]) == 2
    output = capsys.readouterr()
    (line,) = output.err.strip().splitlines()
    assert "Network is unreachable" in line and litert_js.VARIABLE in line and "npm pack @litertjs/core@2.5.3" in line
    assert not (run / "export").exists() and not output.out


def test_a_named_folder_without_the_archives_is_an_error(archives, offline, tmp_path, monkeypatch):
    monkeypatch.setenv(litert_js.VARIABLE, str(tmp_path))
    with pytest.raises(UserError, match=r"TFVAE_LITERT_JS=.*litertjs-core-2\.5\.3\.tgz cannot be read there"):
        litert_js.files()


def test_a_bundle_with_an_explorer_holds_its_files_and_knows_their_hashes(archives, offline, tmp_path, monkeypatch):
    monkeypatch.setenv(litert_js.VARIABLE, str(archives))
    run = write_run(tmp_path / "run", vector_vae())
    with only("float32"):
        assert program.main([str(run), "--explorer", "--out", str(tmp_path / "bundle")]) == 0
    folder = tmp_path / "bundle" / "explorer"
    for name in explorer.MODELS:
        assert (folder / name).read_bytes() == (tmp_path / "bundle" / name).read_bytes()
    assert {file.name for file in PAGES} <= {file.name for file in folder.iterdir()}
    assert "Apache License" in (folder / "litert" / "LICENSE").read_text()
    report = json.loads((tmp_path / "bundle" / "export_report.json").read_text())
    page = (folder / "main.js").read_bytes()
    assert report["files"]["explorer/main.js"]["sha256"] == hashlib.sha256(page).hexdigest()
    with Image.open(folder / "pictures.png") as sheet:
        assert sheet.mode == "L"


def test_a_codec_s_page_wants_a_decoder_with_a_middle():
    model = tfvae.Codec(1, (4, 4), 4, hyper_dim=2)  # places of 8 pixels, of which two around one are needed
    explorer.check(Export(None, model, None, None, (40, 48), None, parity.BOUNDS))
    with pytest.raises(UserError, match=r"must be 40x40 or more for this model. Received: --size 48x32"):
        explorer.check(Export(None, model, None, None, (48, 32), None, parity.BOUNDS))


def test_no_page_is_written_for_a_model_that_was_withheld(tmp_path):
    artefacts = [Artefact("encoder.tflite", {}), Artefact("decoder.tflite", {}, defects=["RANDOM is no builtin op"])]
    line = explorer.write(worked_on(vector_vae(), tmp_path), artefacts, tmp_path / "bundle")
    assert line == "explorer: not written, since decoder.tflite was withheld"
    assert not (tmp_path / "bundle").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no npm script to stand in for npm")
def test_npm_is_asked_where_there_is_one(archives, tmp_path, monkeypatch):
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\ncp {archives}/*.tgz .\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    assert "core/index.js" in litert_js.files()
    assert [line.split()[:2] for line in (tmp_path / "asked").read_text().splitlines()] == [
        ["pack", f"{package.name}@2.5.3"] for package in litert_js.PACKAGES
    ]
