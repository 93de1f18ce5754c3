"""The page of a codec: the symbols that Python reads, its pixels within a level, and one line about other files."""

import base64

import numpy as np
import pytest
from chromium import served
from codec_files import (
    HASHED,
    altered,
    assert_refused_as_in_python,
    assert_same,
    exported,
    files,
    foreign,
    python_symbols,
    rgb,
    synthesised,
)
from PIL import Image
from test_compression import of_other_alpha

from export.formats.tflite_runtime import TFLiteFile
from export.kits import explorer
from export.kits.explorer import compressed
from tfvae.applications.compression.compress import decompress
from tfvae.applications.compression.container import read_header
from tfvae.applications.compression.varints import TOO_SHORT

CHANNELS = (1, 3)
# From the bytes of a file, in base64, to what the decoder in JavaScript reads in it, or why it does not.
READ = """async (texts) => {
  const { decode, readModel, UnreadableError } = await import("./tfv.js");
  const model = readModel(await (await fetch("tfv.bin")).arrayBuffer());
  return texts.map((text) => {
    try {
      const { header, parts } = decode(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)), model);
      const { height, width, channels, quality, coder } = header;
      const arrays = parts.map((part) => Object.fromEntries(
        Object.entries(part).map(([name, values]) => [name, Array.from(values)])));
      return { header: { height, width, channels, quality, coder }, parts: arrays };
    } catch (error) {
      if (!(error instanceof UnreadableError)) throw error;
      return { refused: error.message };
    }
  });
}"""
SHOW = """async ([text, name]) => {
  await explorer.ready;
  const { pixels } = await explorer.show(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer, name);
  return Array.from(pixels);
}"""


def text(content):
    return base64.b64encode(content).decode()


@pytest.fixture(scope="module")
def kits(tmp_path_factory):
    """By channels: the folder with `decoder.tflite` and `tfv.bin`, what its export worked on, and files by name."""
    found = {}
    for channels in CHANNELS:
        folder = tmp_path_factory.mktemp("codec") / f"of{channels}"
        folder.mkdir()
        work, artefacts = exported(channels, folder)
        found[channels] = folder, work, artefacts, files(work.model)
    return found


@pytest.fixture(scope="module")
def pages(browser, contexts, kits):
    """By channels: the opened page. None may complain or call out."""
    complaints, found = [], {}
    with served(next(iter(kits.values()))[0].parents[1]) as (url, missing):
        for channels, (folder, work, artefacts, _) in kits.items():
            assert explorer.write(work, artefacts, folder).startswith("explorer: ")
            page = contexts().new_page()
            page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("request", lambda request: request.url.startswith((url, "blob:")) or complaints.append(request.url))
            page.goto(f"{url}/{folder.parent.name}/{folder.name}/explorer/")
            page.wait_for_selector("#explorer:not([hidden])")
            page.evaluate("explorer.ready.then(() => null)")
            found[channels] = page
        yield found
        for page in found.values():
            page.close()
        assert not complaints and not missing


@pytest.mark.parametrize("channels", CHANNELS)
def test_javascript_reads_the_symbols_that_python_reads(channels, kits, pages):
    _, work, _, vectors = kits[channels]
    answers = pages[channels].evaluate(READ, [text(content) for content in vectors.values()])
    for (name, content), answer in zip(vectors.items(), answers, strict=True):
        header = read_header(content)
        assert answer["header"] == {key: getattr(header, key) for key in answer["header"]}, name
        assert_same(answer["parts"], python_symbols(work.model, content))
        assert any(np.any(part["symbols"]) for part in answer["parts"]) or header.quality == 0


@pytest.mark.parametrize("channels", CHANNELS)
def test_the_page_shows_what_python_decompresses(channels, kits, pages):
    _, work, _, vectors = kits[channels]
    for name, content in vectors.items():
        expected = decompress(work.model, content)
        shown = np.array(pages[channels].evaluate(SHOW, [text(content), name]), int)
        shown = shown.reshape(*expected.pixels.shape[:2], 4)
        assert np.abs(shown[..., :3] - rgb(expected.pixels)).max() <= 1, name
        np.testing.assert_array_equal(shown[..., 3], 255 if expected.alpha is None else expected.alpha)
        assert name in pages[channels].inner_text("#caption")


@pytest.mark.parametrize("channels", CHANNELS)
def test_tflite_computes_in_tiles_what_python_decompresses(channels, kits):
    folder, work, _, vectors = kits[channels]
    file, untold = TFLiteFile((folder / "decoder.tflite").read_bytes()), 0.0
    for name, content in vectors.items():
        expected = decompress(work.model, content).pixels.astype(int)
        assert np.mean((expected > 0) & (expected < 255)) > 0.9
        assert np.abs(synthesised(file, work.model, content) - expected).max() <= 1, name
        untold = max(untold, np.abs(synthesised(file, work.model, content, masked=False) - expected).max())
    assert untold > 1  # a decoder that is not told of the border paints other pixels near it


def test_files_that_were_changed_are_refused_where_python_refuses_them(kits, pages):
    _, work, _, vectors = kits[3]
    changes = altered(vectors)
    answers = pages[3].evaluate(READ, [text(content) for content in changes])
    assert_refused_as_in_python(work.model, changes, answers)


def test_no_picture_of_a_file_whose_alpha_is_not_its_own(kits, pages):
    for content in of_other_alpha(kits[3][1].model, kits[3][3]["70x61x3_ans.tfv"]):
        answer = pages[3].evaluate(
            f"(arguments) => ({SHOW})(arguments).then(() => null, (error) => error.message)", [text(content), "a.tfv"]
        )
        assert answer == f"a.tfv: {TOO_SHORT}"


def test_each_kind_of_other_file_is_a_line_of_its_own(kits, pages):
    cases = foreign(kits[3][3], kits[1][3], "page")
    for message, changes in cases.items():
        answers = pages[3].evaluate(READ, [text(change) for change in changes])
        assert [answer.get("refused") for answer in answers] == [message] * len(changes)


def test_the_checksum_is_that_of_hashlib(pages):
    found = pages[3].evaluate(
        """async (texts) => {
          const { blake2b } = await import("./blake2b.js");
          return texts.map((text) => blake2b(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))));
        }""",
        [text(content) for content in HASHED],
    )
    assert found == list(HASHED.values())


def test_a_file_is_dropped_refused_chosen_and_saved(kits, pages, tmp_path):
    folder, work, _, vectors = kits[3]
    page, name = pages[3], "70x61x3_ans.tfv"
    example = (folder / "explorer" / compressed.EXAMPLE).read_bytes()
    assert decompress(work.model, example).pixels.shape == (8, 8, 3)
    for number, content in enumerate((vectors[name], vectors[name][:-1])):
        page.evaluate(
            """([text, name]) => {
              const transfer = new DataTransfer();
              transfer.items.add(new File([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], name));
              document.body.dispatchEvent(
                new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
            }""",
            [text(content), f"dropped {number}.tfv"],
        )
        page.wait_for_selector("text=dropped 0.tfv: 61×70, quality 100" if number == 0 else "#notice.problem")
    assert page.inner_text("#notice") == "dropped 1.tfv: is damaged or cut short: its checksum is another"
    assert "dropped 0.tfv: 61×70" in page.inner_text("#caption")
    opaque = vectors["70x61x3_huffman.tfv"]
    (tmp_path / "chosen.tfv").write_bytes(opaque)
    page.locator(".open input").set_input_files(tmp_path / "chosen.tfv")
    page.wait_for_selector("text=chosen.tfv: 61×70, quality 30")
    page.wait_for_selector("#notice", state="hidden")
    with page.expect_download() as waiting:
        page.click("#save")
    assert waiting.value.suggested_filename == "chosen.png"
    with Image.open(waiting.value.path()) as image:
        saved = np.asarray(image.convert("RGB"), int)
    assert np.abs(saved - decompress(work.model, opaque).pixels).max() <= 1
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
