"""The decoder in Kotlin: the symbols that Python reads, its pixels within a level, and one line about other files."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from codec_files import (
    HASHED,
    SIZE,
    altered,
    assert_refused_as_in_python,
    assert_same,
    exported,
    files,
    foreign,
    python_symbols,
    rgb,
)
from test_compression import of_other_alpha

from export.formats.tflite_runtime import TFLiteFile
from export.kits.phone import compressed, kit
from tfvae.applications.compression.compress import decompress
from tfvae.applications.compression.container import read_header
from tfvae.applications.compression.varints import TOO_SHORT

CHANNELS = (1, 3)
MAIN = Path(__file__).with_name("kotlin") / "Main.kt"


class Decoder:
    """A process that reads files in Kotlin; what it asks of decoder.tflite is answered by LiteRT in Python."""

    def __init__(self, program, folder, places):
        command = ["java", "-jar", program, folder / "tfv.bin", *map(str, places)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.file = TFLiteFile((folder / "decoder.tflite").read_bytes())
        self.shapes = {"z": (1, *places, -1), "quality": (1, 1), "inside": (1, *places, 1)}

    def ask(self, command, content):
        answer = self.line(f"{command} {base64.b64encode(content).decode()}")
        while "z" in answer:
            inputs = {name: np.float32(answer[name]).reshape(shape) for name, shape in self.shapes.items()}
            answer = self.line(" ".join(map(str, self.file.run(inputs)["image"].ravel())))
        return answer

    def line(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        assert self.process.wait() == 0


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if missing := [name for name in ("kotlinc", "java") if not shutil.which(name)]:
        pytest.skip(f"no {' and no '.join(missing)} on PATH: the decoder in Kotlin cannot be compiled and run here")
    jar = tmp_path_factory.mktemp("kotlin") / "tfv.jar"
    sources = [MAIN, *sorted(compressed.FILES.rglob("*.kt"))]
    command = ["kotlinc", *sources, "-include-runtime", "-d", jar]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    return jar


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """By channels: a bundle as far as the decoder needs it, what its export worked on, and its artefacts."""
    folders = {channels: tmp_path_factory.mktemp("codec") for channels in CHANNELS}
    return {channels: (folder, *exported(channels, folder)) for channels, folder in folders.items()}


@pytest.fixture(scope="module")
def decoders(program, exports):
    """By channels: a process that reads, the model, and files by name."""
    found = {}
    for channels, (folder, work, _) in exports.items():
        decoder = Decoder(program, folder, work.model.code_shape(*SIZE)[:2])
        found[channels] = decoder, work.model, files(work.model)
    yield found
    for decoder, *_ in found.values():
        decoder.close()


@pytest.mark.parametrize("channels", CHANNELS)
def test_kotlin_reads_the_symbols_that_python_reads(channels, decoders):
    decoder, model, vectors = decoders[channels]
    for name, content in vectors.items():
        header, answer = read_header(content), decoder.ask("read", content)
        assert answer["header"] == {key: getattr(header, key) for key in answer["header"]}, name
        assert_same(answer["parts"], python_symbols(model, content))
        assert any(np.any(part["symbols"]) for part in answer["parts"]) or header.quality == 0


@pytest.mark.parametrize("channels", CHANNELS)
def test_kotlin_s_tiles_are_what_python_decompresses(channels, decoders):
    decoder, model, vectors = decoders[channels]
    for name, content in vectors.items():
        expected = decompress(model, content)
        pixels = np.array(decoder.ask("show", content)["pixels"]).astype(">i4").view(np.uint8)
        shown = pixels.reshape(*expected.pixels.shape[:2], 4).astype(int)
        assert np.abs(shown[..., 1:] - rgb(expected.pixels)).max() <= 1, name
        np.testing.assert_array_equal(shown[..., 0], 255 if expected.alpha is None else expected.alpha)


def test_files_that_were_changed_are_refused_where_python_refuses_them(decoders):
    decoder, model, vectors = decoders[3]
    changes = altered(vectors)
    assert_refused_as_in_python(model, changes, [decoder.ask("read", content) for content in changes])


def test_no_picture_of_a_file_whose_alpha_is_not_its_own(decoders):
    decoder, model, vectors = decoders[3]
    for content in of_other_alpha(model, vectors["70x61x3_ans.tfv"]):
        assert decoder.ask("show", content) == {"refused": TOO_SHORT}


def test_each_kind_of_other_file_is_a_line_of_its_own(decoders):
    for message, changes in foreign(decoders[3][2], decoders[1][2], "app").items():
        assert [decoders[3][0].ask("read", change) for change in changes] == [{"refused": message}] * len(changes)


def test_the_checksum_is_that_of_hashlib(decoders):
    found = [decoders[3][0].ask("hash", content)["hash"] for content in HASHED]
    assert [number % 2**32 for number in found] == list(HASHED.values())


def test_the_bundle_has_the_decoder_where_that_of_pixels_was_written(exports, tmp_path):
    _, work, artefacts = exports[3]
    kit.write(work, artefacts, tmp_path)
    target = tmp_path / kit.FOLDER
    assert {path.name for path in target.rglob("*.kt")} == {path.name for path in compressed.FILES.rglob("*.kt")}
    readme = (target / "README.md").read_text(encoding="utf-8")
    assert "Synthesis(model, 8, 6)" in readme and "tiles of 64×48 pixels" in readme and "$" not in readme
    kit.write(work, [], tmp_path / "withheld")
    assert not (tmp_path / "withheld").exists()
