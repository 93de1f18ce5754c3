"""What a phone's engineer is given: true tables, samples that parse, and a call sequence that was run."""

import ast
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from picture_writer import tiff
from PIL import ExifTags, Image, ImageOps
from tiny_runs import vector_vae

from export.kits.phone import compressed, kit
from tfvae.data.reading import Preparation, read_picture

SOURCES = sorted(path for path in kit.FILES.rglob("*") if path.suffix in (".kt", ".kts", ".swift"))
DECODER = sorted(compressed.FILES.rglob("*.kt"))


@pytest.fixture(scope="module")
def model():
    return vector_vae()


@pytest.fixture(scope="module")
def folder(digits_bundle, tmp_path_factory):
    # Python leaves what it compiled beside call.py.
    return shutil.copytree(digits_bundle, tmp_path_factory.mktemp("elsewhere") / "bundle")


@pytest.fixture(scope="module")
def index(folder):
    return json.loads((folder / kit.FOLDER / kit.INDEX).read_text())


@pytest.fixture
def picture(tmp_path):
    levels = np.random.default_rng(1).integers(0, 256, (8, 8), np.uint8)
    Image.fromarray(levels).save(tmp_path / "picture.png")
    return levels


def call(folder, tmp_path, *arguments):
    # -E -s: of this checkout nothing but what lies in the bundle can be imported.
    command = [sys.executable, "-E", "-s", str(folder / kit.FOLDER / "call.py"), *arguments, "--out", "out.png"]
    process = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    with Image.open(tmp_path / "out.png") as image:
        return np.asarray(image)


def in_call_py(folder, tmp_path, expression):
    """What `expression` is where `call` is this bundle's call.py and nothing of this checkout can be imported."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import call, numpy, resource; from PIL import Image;"
        f"numpy.save('value.npy', {expression})"
    )
    command = [sys.executable, "-I", "-B", "-c", script, str(folder / kit.FOLDER)]
    process = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    return np.load(tmp_path / "value.npy")


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
    found = 255 * in_call_py(folder, tmp_path, "call.prepared(Image.open('wide.png'))")
    assert found.shape == (1, 8, 8, 1) and found.dtype == np.float32
    flat = [0, 1, 2, 5, 6, 7]  # away from the edge
    np.testing.assert_allclose(found[0, :, flat, 0], wanted[:, flat].T, atol=1e-4)


def stored(path, orientation):
    """A photograph with a bright corner, so that every rotation and reflection is another; what it shows, 8 × 8."""
    levels = np.zeros((16, 16), np.uint8)
    levels[:4, :8] = 255
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(levels).save(path, exif=exif, **({"quality": 100} if path.suffix == ".jpg" else {}))
    with path.open("rb") as file:
        upright = ImageOps.exif_transpose(Image.open(file))
    return np.asarray(upright.resize((8, 8), Image.Resampling.BILINEAR), np.float32) / 255


def test_a_photograph_goes_in_upright(folder, tmp_path):
    wanted = [stored(tmp_path / f"{orientation}.jpg", orientation) for orientation in range(1, 9)]
    assert min(np.abs(wanted[0] - other).max() for other in wanted[1:]) > 0.5
    found = in_call_py(folder, tmp_path, "[call.prepared(Image.open(f'{n}.jpg')) for n in range(1, 9)]")
    np.testing.assert_allclose(found[:, 0, :, :, 0], wanted, atol=3 / 255)


@pytest.mark.parametrize(("name", "orientation"), [("photo.jpg", 6), ("photo.png", 8), ("photo.tif", 5)])
def test_the_script_turns_every_kind_of_file(folder, model, tmp_path, name, orientation):
    wanted = stored(tmp_path / name, orientation)
    expected = 255 * np.asarray(model.reconstruct(wanted[None, ..., None])["image"])[0, ..., 0]
    assert np.abs(call(folder, tmp_path, name) - expected).max() <= 0.5 + 255e-4


def test_a_photograph_of_200_megapixels_is_decoded_small(folder, tmp_path):
    ramp = np.linspace(0, 255, 12240, dtype=np.uint8)
    Image.fromarray(np.broadcast_to(ramp[:, None], (12240, 16320))).save(tmp_path / "huge.jpg")
    peak = "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss"
    opened = "(file := call.decoding.open_checked('huge.jpg', call.MOST_PIXELS)).__enter__()"
    column = f"(255 * call.prepared({opened}))[0, :, 0, 0]"
    before, *found, after = in_call_py(folder, tmp_path, f"[{peak}, *{column}, {peak}]")
    # At the ends the filter reaches over the edge.
    np.testing.assert_allclose(found[1:-1], ramp.reshape(8, -1).mean(1)[1:-1], atol=2)
    assert (after - before) * 1024 < 100e6  # bytes; decoded whole it is twice that


@pytest.mark.parametrize("size", [(400, 600), (37, 16), (16, 640)])
def test_a_jpeg_that_is_decoded_small_looks_as_if_it_had_been_decoded_whole(folder, tmp_path, size):
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7), np.uint8))
    coarse.resize(size[::-1], Image.Resampling.BICUBIC).save(tmp_path / "photo.jpg", quality=95)
    small = in_call_py(folder, tmp_path, "call.prepared(Image.open('photo.jpg'))")
    whole = in_call_py(folder, tmp_path, "call.prepared(Image.open('photo.jpg').convert('L'))")
    assert np.abs(255 * (small - whole)).max() <= 4


def test_transparent_and_deep_pictures_go_in_as_training_read_them(folder, tmp_path):
    rng = np.random.default_rng(4)
    rgba = rng.integers(0, 256, (8, 8, 4), np.uint8)
    Image.fromarray(rgba[:, :, :2], "LA").save(tmp_path / "clear.png")
    negative = tiff(rng.integers(0, 65536, (8, 8)).astype("u2"), photometric=0)
    (tmp_path / "x_ray.tif").write_bytes(negative)
    for name in ("clear.png", "x_ray.tif"):
        found = in_call_py(folder, tmp_path, f"call.prepared(Image.open('{name}'))")
        learnt = read_picture(str(tmp_path / name), Preparation(channels=1))
        np.testing.assert_array_equal(np.rint(255 * found[0]), learnt)


def test_the_apps_lay_transparent_pictures_on_white_and_turn_them_upright():
    kotlin = next(path for path in SOURCES if path.name == "Pictures.kt").read_text()
    # ImageDecoder applies EXIF by itself; Bitmap's pixels are not premultiplied.
    assert "ImageDecoder.decodeBitmap" in kotlin and "1 - alpha * (1 - it / 255f)" in kotlin
    swift = next(path for path in SOURCES if path.name == "Pictures.swift").read_text()
    assert "kCGImageSourceCreateThumbnailWithTransform: true" in swift
    assert swift.index("UIColor.white.setFill()") < swift.index("context.fill(") < swift.index("picture.draw(in:")


def test_a_file_that_is_no_picture_is_named_in_one_line(folder, tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    command = [sys.executable, "-E", "-s", str(folder / kit.FOLDER / "call.py"), "notes.txt"]
    process = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert process.returncode == 1
    assert process.stderr.startswith("call.py: notes.txt: ") and process.stderr.count("\n") == 1


def test_call_py_needs_three_packages_and_its_neighbour_only():
    names = set()
    for node in ast.walk(ast.parse((kit.FILES / "call.py").read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.partition(".")[0])
    assert names - set(sys.stdlib_module_names) == {"numpy", "PIL", "ai_edge_litert", "decoding"}


@pytest.mark.parametrize("path", [*SOURCES, *DECODER], ids=lambda path: path.name)
def test_kotlin_and_swift_parse(path):
    tree_sitter = pytest.importorskip("tree_sitter")
    grammar = pytest.importorskip("tree_sitter_swift" if path.suffix == ".swift" else "tree_sitter_kotlin")
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    content = path.read_bytes()
    assert not parser.parse(content).root_node.has_error
    # The parser is no rubber stamp: without its last brace or bracket the same file is refused.
    assert parser.parse(content.rstrip().removesuffix(b"}").removesuffix(b")")).root_node.has_error


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
    text = " ".join((folder / kit.FOLDER / "README.md").read_text().split())
    assert "neither app has been built" in text and "$" not in text
    assert "(1, 8, 8, 1)" in text and "its output `mean` is the code" in text
    table = (folder / kit.FOLDER / kit.TABLE).read_text()
    assert not [name for name in index["files"] if f"`{name}`" not in table]


ANDROID = kit.FILES / "android"
BUILD = (ANDROID / "app" / "build.gradle.kts").read_text()


def test_the_app_has_a_flavour_for_each_way_to_litert_and_bundles_it_by_default():
    flavours = re.findall(r'create\("(\w+)"\) \{(.*?)\}', BUILD, re.DOTALL)
    assert [name for name, _ in flavours] == ["bundled", "play"]
    assert [name for name, settings in flavours if "isDefault = true" in settings] == ["bundled"]
    dependencies = set(re.findall(r'"(\w+)Implementation"\("(\S+)"\)', BUILD))
    assert dependencies == {
        ("bundled", f"com.google.ai.edge.litert:litert:{kit.LITERT}"),
        ("bundled", f"com.google.ai.edge.litert:litert-gpu:{kit.LITERT}"),
        ("play", f"com.google.android.gms:play-services-litert:{kit.PLAY_LITERT}"),
    }
    # Either flavour starts LiteRT in its own way, under one name.
    for name, start in (("bundled", "Environment.create()"), ("play", "LiteRt.initialize(context)")):
        source = ANDROID / "app" / "src" / name / "kotlin" / "org" / "tfvae" / "sample" / "Runtime.kt"
        assert "fun startLiteRt(context: Context): Environment =" in source.read_text() and start in source.read_text()


def test_the_project_opens_without_a_bundle_and_finds_the_one_it_lies_in(folder):
    assert "by project" not in BUILD and 'gradleProperty("bundle").orElse("../..")' in BUILD
    # It is asked for when the app's assets are merged, and not by preBuild, which opening the project may run.
    assert "preBuild" not in BUILD and "addGeneratedSourceDirectory(copyModels" in BUILD
    default = folder / kit.FOLDER / "android" / "../.."
    copied = re.findall(r'"([^"]+\.(?:tflite|json))"', BUILD)
    assert {"encoder.tflite", "decoder.tflite", f"{kit.FOLDER}/{kit.INDEX}"} <= set(copied)
    assert all((default / name).is_file() for name in copied if "/" in name or name.endswith(".tflite"))


def test_the_app_asks_for_one_accelerator_at_a_time():
    model = (ANDROID / "app" / "src" / "main" / "kotlin" / "org" / "tfvae" / "sample" / "Model.kt").read_text()
    assert re.findall(r"Accelerator\.(\w+)\)", model) == ["GPU", "CPU"]
    assert "CompiledModel.Options(accelerator)" in model
