"""What a phone's engineer is given: true tables, samples that parse, and a call sequence that was run."""

import ast
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image
from tiny_runs import vector_vae, write_run

from export import bundle
from export.kits.phone import kit

SOURCES = sorted(path for path in kit.FILES.rglob("*") if path.suffix in (".kt", ".kts", ".swift"))


@pytest.fixture(scope="module")
def model():
    return vector_vae()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    run = write_run(tmp_path_factory.mktemp("runs") / "digits", model)
    out = tmp_path_factory.mktemp("bundle") / "out"
    bundle.export_run(run, out, say=lambda line: None)
    return out


@pytest.fixture(scope="module")
def index(folder):
    return json.loads((folder / kit.FOLDER / kit.INDEX).read_text())


@pytest.fixture
def picture(tmp_path):
    levels = np.random.default_rng(1).integers(0, 256, (8, 8), np.uint8)
    Image.fromarray(levels).save(tmp_path / "picture.png")
    return levels


def call(folder, tmp_path, *arguments):
    # -I: nothing of this checkout can be imported.
    command = [sys.executable, "-I", str(folder / kit.FOLDER / "call.py"), *arguments, "--out", "out.png"]
    process = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    with Image.open(tmp_path / "out.png") as image:
        return np.asarray(image)


def test_the_table_is_what_the_files_say(folder, index):
    assert set(index["files"]) == {path.relative_to(folder).as_posix() for path in folder.rglob("*.tflite")}
    for name, facts in index["files"].items():
        interpreter = Interpreter(str(folder / name))
        runner = interpreter.get_signature_runner(facts["signature"])
        for side, details in (("inputs", runner.get_input_details()), ("outputs", runner.get_output_details())):
            assert {tensor["name"]: tensor["dtype"] for tensor in facts[side]} == {
                key: np.dtype(entry["dtype"]).name for key, entry in details.items()
            }
            for tensor in facts[side]:
                shape = details[tensor["name"]]["shape_signature"].tolist()
                assert [-1 if side is None else side for side in tensor["shape"]] == shape
        assert facts["bytes"] == (folder / name).stat().st_size
        low, high = facts["inputs"][0]["seen"]
        assert low < high


def test_integers_inside_span_the_values_that_were_seen(index):
    for part in ("encoder", "decoder", "autoencoder"):
        floats, integers = index["files"][f"{part}.tflite"], index["files"][f"{part}_int8.tflite"]
        for tensor in (*floats["inputs"], *floats["outputs"]):
            assert tensor["inside"] is None
        for tensor in (*integers["inputs"], *integers["outputs"]):
            inside = tensor["inside"]
            assert inside["dtype"] == "int8"
            low, high = (inside["scale"] * (integer - inside["zero_point"]) for integer in (-128, 127))
            if tensor["name"] == "image":
                # Pixels: 0 … 1, give or take half a step.
                assert abs(low) <= inside["scale"] and 0.5 < high <= 1 + inside["scale"]
            else:
                assert low <= 0 <= high and high - low == pytest.approx(255 * inside["scale"])


@pytest.mark.parametrize("runtime", ["interpreter", "compiled"])
def test_the_call_sequence_gives_what_keras_gives(folder, model, picture, tmp_path, runtime):
    expected = 255 * np.asarray(model.reconstruct(picture[None, ..., None] / np.float32(255))["image"])[0, ..., 0]
    found = call(folder, tmp_path, "picture.png", "--runtime", runtime)
    assert np.abs(found - expected).max() <= 0.5 + 255e-4  # a rounded byte, and the bound of float32 files


def test_the_int8_files_are_called_alike(folder, model, picture, tmp_path):
    expected = 255 * np.asarray(model.reconstruct(picture[None, ..., None] / np.float32(255))["image"])[0, ..., 0]
    found = call(folder, tmp_path, "picture.png", "--variant", "int8")
    assert 0 < np.abs(found - expected).mean() < 6


def test_noise_is_decoded_to_what_keras_draws(folder, model, tmp_path):
    noise = np.random.default_rng(7).standard_normal((1, 3)).astype(np.float32)
    expected = 255 * np.asarray(model.generate(noise)["image"])[0, ..., 0]
    assert np.abs(call(folder, tmp_path, "--seed", "7") - expected).max() <= 0.5 + 255e-4


def test_a_picture_of_another_size_is_scaled_and_centre_cropped(folder, model, tmp_path):
    # 16 × 24 in colour; every 2 × 2 block is of one colour, so that half its size is known but for the filter's reach.
    rows = np.zeros((16, 24, 3), np.uint8)
    rows[:, 12:] = (200, 100, 50)
    Image.fromarray(rows).save(tmp_path / "wide.png")
    grey = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    wanted = np.zeros((8, 8), np.float32)
    wanted[:, 4:] = grey  # the half-size picture is 12 wide; columns 2 … 9 are its centre, and its edge lies at 6
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import call, numpy; from PIL import Image;"
        "numpy.save('prepared.npy', call.prepared(Image.open('wide.png')))"
    )
    command = [sys.executable, "-I", "-B", "-c", script, str(folder / kit.FOLDER)]
    subprocess.run(command, check=True, cwd=tmp_path)
    found = 255 * np.load(tmp_path / "prepared.npy")
    assert found.shape == (1, 8, 8, 1) and found.dtype == np.float32
    flat = [0, 1, 2, 5, 6, 7]  # away from the edge
    np.testing.assert_allclose(found[0, :, flat, 0], wanted[:, flat].T, atol=1e-4)


def test_call_py_needs_three_packages_only():
    names = set()
    for node in ast.walk(ast.parse((kit.FILES / "call.py").read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.partition(".")[0])
    assert names - set(sys.stdlib_module_names) == {"numpy", "PIL", "ai_edge_litert"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_kotlin_and_swift_parse(path):
    tree_sitter = pytest.importorskip("tree_sitter")
    grammar = pytest.importorskip("tree_sitter_swift" if path.suffix == ".swift" else "tree_sitter_kotlin")
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    content = path.read_bytes()
    assert not parser.parse(content).root_node.has_error
    # The parser is no rubber stamp: without its last brace the same file is refused.
    assert parser.parse(content[: content.rindex(b"}")]).root_node.has_error


def test_the_samples_ask_for_keys_and_tensors_that_there_are(index):
    kotlin = "".join(path.read_text() for path in SOURCES if path.suffix == ".kt")
    entry = next(iter(index["files"].values()))
    keys = set(re.findall(r'get(?:String|JSONArray|JSONObject|Boolean)\("(\w+)"\)', kotlin))
    assert {"image", "code", "code_shape", "has_prior", "files", "signature", "inputs", "name"} <= keys
    assert keys <= {*index, *entry, *entry["inputs"][0]}
    swift = (kit.FILES / "ios" / "Tensors.swift").read_text()
    stored = {re.sub("[A-Z]", lambda m: "_" + m[0].lower(), name) for name in re.findall(r"let (\w+): ", swift)}
    assert stored <= {*index, *entry, *entry["inputs"][0]}


def test_a_maintainer_is_told_what_ran_and_what_did_not(folder, index):
    text = (folder / kit.FOLDER / "README.md").read_text()
    assert "neither app has been built" in text and "$" not in text
    assert "(1, 8, 8, 1)" in text and "its output `mean` is the code" in text
    table = (folder / kit.FOLDER / kit.TABLE).read_text()
    assert not [name for name in index["files"] if f"`{name}`" not in table]
    build = (folder / kit.FOLDER / "android" / "app" / "build.gradle.kts").read_text()
    assert f"com.google.ai.edge.litert:litert:{kit.LITERT}" in build
