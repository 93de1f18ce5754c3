"""The explorer in a real browser: the numbers that Keras gives, and everything that a person can do."""

import base64
import json
import shutil

import numpy as np
import pytest
from chromium import served
from pages import BOUND, KINDS, STILL, assert_shows, canvas, decoded, floats, png, read
from PIL import Image

from tfvae.pixels import to_uint8


@pytest.mark.parametrize("kind", KINDS)
def test_the_browser_computes_what_keras_computes(kind, visit):
    page, work = visit(kind)
    for index in range(0, 30, 7):
        pixels = floats(page, f"explorer.sheet.pixels({index})")
        code = floats(page, f"explorer.encode(explorer.sheet.pixels({index}))")
        expected = work.reference.examples(pixels.reshape(1, *work.size, -1))["z"][0]
        np.testing.assert_allclose(code, expected.ravel(), rtol=0, atol=BOUND)
        image = floats(page, f"explorer.decode({json.dumps(expected.ravel().tolist())})")
        decoded = work.reference.answer("decode", {"z": expected})["image"]
        np.testing.assert_allclose(image, decoded.ravel(), rtol=0, atol=BOUND)


def test_a_browser_without_relaxed_simd_takes_the_other_build_and_computes_the_same(made, contexts, server):
    folder, work = made("vae")
    page = contexts().new_page()
    try:
        # Such a browser refuses the module of a few bytes by which the runtime asks.
        page.add_init_script(
            """const instantiate = WebAssembly.instantiate;
            WebAssembly.instantiate = (bytes, ...more) =>
              bytes.byteLength < 1000 ? Promise.reject(new Error("no SIMD")) : instantiate(bytes, ...more);"""
        )
        asked = []
        page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
        page.goto(f"{server[0]}/{folder.name}/explorer/")
        page.wait_for_selector("#explorer:not([hidden])")
        assert "litert_wasm_compat_internal.wasm" in asked and "litert_wasm_internal.wasm" not in asked
        codes = work.reference.requests["decode"][0]["z"][:1]
        image = floats(page, f"explorer.ready.then(() => explorer.decode({json.dumps(codes.ravel().tolist())}))")
        decoded = work.reference.answer("decode", {"z": codes})["image"]
        np.testing.assert_allclose(image, decoded.ravel(), rtol=0, atol=BOUND)
    finally:
        page.close()


def test_the_sheet_gives_back_the_bytes_that_python_wrote(visit):
    page, work = visit()
    images = work.splits.measured[1]
    for index in (0, 5, page.evaluate("explorer.sheet.count") - 1):
        pixels = floats(page, f"explorer.sheet.pixels({index})")
        np.testing.assert_array_equal(pixels, (images[index].astype(np.float32) / np.float32(255)).ravel())


@pytest.mark.parametrize("kind", KINDS)
def test_a_slider_changes_the_picture_into_what_keras_decodes(kind, visit):
    page, work = visit(kind, **STILL)
    before = canvas(page)
    slider = page.locator(".unit input").first
    slider.focus()
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    code = floats(page, "explorer.code.flat()")
    assert_shows(page, work, code)
    assert (canvas(page) != before).any()
    unit = page.evaluate("explorer.data.units[0]")
    np.testing.assert_allclose(page.evaluate(f"explorer.code.value({unit['unit']})"), float(slider.input_value()))
    slider.dblclick()
    assert abs(page.evaluate(f"explorer.code.value({unit['unit']})") - unit["centre"]) < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_the_buttons_give_other_pictures_and_the_middle(kind, visit):
    page, work = visit(kind, **STILL)
    page.evaluate("Math.random = ((state) => () => (state = (state * 16807) % 2147483647) / 2147483647)(7)")
    codes = []
    for button in ("#surprise", "#surprise", "#reset"):
        page.click(button)
        page.evaluate(
            "explorer.encode(explorer.sheet.pixels(0)).then(() => null)"
        )  # calls take turns: its own has ended
        page.evaluate("new Promise((resolve) => requestAnimationFrame(resolve))")
        codes.append(floats(page, "explorer.code.flat()"))
        assert_shows(page, work, codes[-1])
    assert np.abs(codes[0] - codes[1]).max() > 1e-3
    if kind == "vae":
        np.testing.assert_array_equal(codes[2], 0.0)
    if kind == "autoencoder":
        np.testing.assert_allclose(codes[2], page.evaluate("explorer.data.map.mean"), rtol=1e-5)
    if kind == "spatial":
        np.testing.assert_array_equal(codes[2], codes[1])


def test_a_button_for_each_label_decodes_the_same_code_under_it(visit):
    page, work = visit("conditional", **STILL)
    assert page.locator("#labels button").all_inner_texts() == [str(digit) for digit in range(10)]
    code, seen = floats(page, "explorer.code.flat()"), []
    for label in (3, 8):
        page.locator("#labels button").nth(label).click()
        assert page.locator("#labels button[aria-pressed=true]").all_inner_texts() == [str(label)]
        assert_shows(page, work, code, labels=np.eye(10, dtype=np.float32)[[label]])
        np.testing.assert_array_equal(floats(page, "explorer.code.flat()"), code)
        seen.append(canvas(page))
    assert (seen[0] != seen[1]).any()
    # A picture of the sheet is shown under its own label.
    page.locator("#start button").nth(2).click()
    pictures = page.evaluate("explorer.data.pictures")
    assert page.locator("#labels button[aria-pressed=true]").inner_text() == str(pictures["labels"][2])


def test_a_model_without_labels_has_no_buttons_for_them(visit):
    page, _ = visit("vae", **STILL)
    assert page.locator("#labels").is_hidden()


@pytest.mark.parametrize("kind", ["vae", "spatial"])
def test_every_place_of_the_map_decodes(kind, visit):
    page, work = visit(kind)
    page.click("#tab-map")
    box = page.locator("#map").bounding_box()
    seen = []
    for x, y in ((0.3, 0.4), (0.7, 0.6)):
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.evaluate("explorer.map.arrived")
        seen.append(floats(page, "explorer.code.pooled()"))
        assert_shows(page, work, floats(page, "explorer.code.flat()"))
    plane = page.evaluate("explorer.data.map")
    mean, axes = np.array(plane["mean"]), np.array(plane["axes"])
    if kind == "vae":  # nothing but the two directions has moved from the mean
        for code in seen:
            np.testing.assert_allclose(mean + (code - mean) @ axes.T @ axes, code, atol=1e-5)
    places = [(code - mean) @ axes.T for code in seen]
    assert places[1][0] > places[0][0] and places[1][1] < places[0][1]
    page.keyboard.press("ArrowLeft")
    page.evaluate("explorer.map.arrived")
    moved = (floats(page, "explorer.code.pooled()") - mean) @ axes.T
    assert moved[0] < places[1][0]
    np.testing.assert_allclose(moved[1], places[1][1], atol=1e-4)


def test_the_decoded_plane_shows_what_keras_decodes_there(visit):
    page, work = visit(viewport={"width": 900, "height": 900})
    page.click("#tab-map")
    page.select_option("#ground", "decoded")
    size = np.array(page.evaluate("[explorer.map.canvas.clientWidth, explorer.map.canvas.clientHeight]"))
    page.evaluate(
        """(async () => {
          const frame = () => new Promise(requestAnimationFrame);
          while (!explorer.map.decoded) await frame();
          await explorer.map.decoded;
          for (let count = 0; count < 3; count++) await frame();
        })()"""
    )
    shown = canvas(page, "#map")
    columns, rows = page.evaluate("explorer.map.tiles")
    wide, high = size / (columns, rows)
    plane = page.evaluate("explorer.data.map")
    middle, scale = page.evaluate("[explorer.map.middle, explorer.map.scale()]")
    for column, row in ((0, 0), (columns - 1, 0), (2, rows - 1)):
        x, y = (column + 0.5) * wide, (row + 0.5) * high
        place = np.array(middle) + np.array([x - size[0] / 2, size[1] / 2 - y]) / scale
        code = np.array(plane["mean"]) + place @ np.array(plane["axes"])
        picture = decoded(work, code.astype(np.float32)).mean()
        tile = shown[int(y - high / 2) : int(y + high / 2), int(x - wide / 2) : int(x + wide / 2)].mean()
        assert abs(tile - picture) < 4  # of 255: the tile is cut to its shape, and smoothed


@pytest.mark.parametrize(
    ("kind", "size", "mode"),
    [("vae", (45, 60), "RGB"), ("vae", (5, 7), "RGBA"), ("vae", (200, 64), "L"), ("spatial", (31, 20), "RGB")],
)
def test_a_picture_is_prepared_as_python_prepares_it(kind, size, mode, visit, tmp_path):
    page, work = visit(kind, **STILL)
    path = png(tmp_path / "picture.png", 1, size, mode)
    page.locator(".open input").set_input_files(path)
    page.wait_for_selector("text=reconstruction of picture.png")
    shown = canvas(page, "#original")
    expected = to_uint8(read(path, work))
    # Two roundings, of the transparency and of the filter, may each differ by one level.
    assert np.abs(shown.astype(int) - expected).max() <= 2
    code = work.reference.examples(shown[None, :, :, : expected.shape[2]].astype(np.float32) / 255)["z"][0]
    np.testing.assert_allclose(floats(page, "explorer.code.flat()"), code.ravel(), rtol=0, atol=BOUND)
    assert_shows(page, work, code)


def test_two_dropped_pictures_are_blended_along_a_line_and_along_a_great_circle(visit, tmp_path):
    page, work = visit()
    page.click("#tab-blend")
    paths = [png(tmp_path / f"{name}.png", seed) for name, seed in (("one", 1), ("two", 2))]
    contents = [base64.b64encode(path.read_bytes()).decode() for path in paths]
    page.evaluate(
        """(contents) => {
          const transfer = new DataTransfer();
          contents.forEach((text, index) => {
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            transfer.items.add(new File([bytes], `dropped ${index}.png`, { type: "image/png" }));
          });
          document.querySelector("#panel-blend .hint").dispatchEvent(
            new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
        }""",
        contents,
    )
    page.wait_for_selector("#slot-b >> text=dropped 1.png")
    page.wait_for_selector("#slot-a >> text=dropped 0.png")
    page.wait_for_selector("text=50 % of the way")
    ends = []
    for share, path in enumerate(paths):
        page.locator("#share").fill(str(share))
        ends.append(floats(page, "explorer.code.flat()"))
        # One level of a pixel, by which the two readers may differ, moves a code a little.
        expected = work.reference.examples(read(path, work)[None])["z"][0][0]
        np.testing.assert_allclose(ends[-1], expected, atol=0.02)
    angle = np.arccos(np.dot(*ends) / np.prod([np.linalg.norm(end) for end in ends]))
    circle = (np.sin(0.7 * angle) * ends[0] + np.sin(0.3 * angle) * ends[1]) / np.sin(angle)
    line = 0.7 * ends[0] + 0.3 * ends[1]
    assert np.abs(circle - line).max() > 1e-3
    for way, expected in (("linear", line), ("slerp", circle)):
        page.check(f"input[value={way}]")
        page.locator("#share").fill("0.3")
        code = floats(page, "explorer.code.flat()")
        np.testing.assert_allclose(code, expected, atol=1e-5)
        assert_shows(page, work, code)


def test_a_journey_along_a_unit_moves_and_can_be_stopped(visit):
    page, _ = visit()
    play = page.locator(".play").first
    unit = page.evaluate("explorer.data.units[0].unit")
    start = floats(page, "explorer.code.flat()")
    play.click()
    assert play.get_attribute("aria-pressed") == "true"
    page.wait_for_timeout(400)
    play.click()
    assert play.get_attribute("aria-pressed") == "false"
    stopped = floats(page, "explorer.code.flat()")
    page.wait_for_timeout(200)
    np.testing.assert_array_equal(floats(page, "explorer.code.flat()"), stopped)
    assert np.flatnonzero(stopped != start).tolist() == [unit]


def test_where_motion_is_unwanted_nothing_glides_and_journeys_are_still_pictures(visit):
    page, _ = visit(**STILL)
    page.evaluate(
        "(self.steps = [], explorer.code.listeners.push(() => self.steps.push(explorer.code.base.slice())), null)"
    )
    page.locator("#start .thumbnail").nth(3).click()
    page.wait_for_selector("text=reconstruction of test picture 4")
    assert page.evaluate("steps.length") == 1
    page.locator(".play").first.click()
    page.wait_for_timeout(1500)
    page.locator(".play").first.click()
    assert 1 <= page.evaluate("steps.length") - 1 <= 4  # pictures in a second and a half, where a film has ninety


def test_the_picture_is_saved_as_a_png_and_the_code_copied_as_json(visit):
    page, work = visit(permissions=["clipboard-read", "clipboard-write"])
    with page.expect_download() as waiting:
        page.click("#save")
    with Image.open(waiting.value.path()) as image:
        assert image.format == "PNG" and image.size == (256, 256)
        saved = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(saved[::32, ::32], canvas(page))
    page.click("#copy")
    page.wait_for_selector("text=code copied")
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert (copied["signature"], copied["shape"]) == ("decode", [1, 3])
    assert_shows(page, work, np.array(copied["z"], np.float32))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_colour_scheme_and_fits_a_telephone(scheme, visit):
    page, _ = visit(color_scheme=scheme, viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
    colours = [
        np.array(json.loads(page.evaluate(f"getComputedStyle(document.body).{name}").replace("rgb(", "[")[:-1] + "]"))
        for name in ("backgroundColor", "color")
    ]
    paper, ink = (colour.mean() / 255 for colour in colours)
    assert (paper < 0.2 and ink > 0.8) if scheme == "dark" else (paper > 0.8 and ink < 0.2)
    for tab in ("units", "map", "blend"):
        page.tap(f"#tab-{tab}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), tab
    page.tap("#tab-map")
    before = floats(page, "explorer.code.flat()")
    page.tap("#map")
    assert (floats(page, "explorer.code.flat()") != before).any()


def test_the_tabs_can_be_reached_and_turned_by_keyboard(visit):
    page, _ = visit()
    page.focus("#tab-units")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-map" and page.is_visible("#panel-map")
    page.keyboard.press("ArrowLeft")
    assert page.is_visible("#panel-units") and not page.is_visible("#panel-map")
    unnamed = """[...document.querySelectorAll("button:not([hidden]), input, canvas[tabindex]")]
      .filter((element) => !(element.labels?.length || element.textContent.trim() || element.ariaLabel))
      .map((element) => element.outerHTML)"""
    assert page.evaluate(unnamed) == []


def test_a_file_that_is_no_picture_is_named_in_the_page(visit, tmp_path):
    page, _ = visit()
    (tmp_path / "notes.txt").write_text("no picture")
    page.locator(".open input").set_input_files(tmp_path / "notes.txt")
    page.wait_for_selector("#notice:not([hidden])")
    assert page.inner_text("#notice") == "notes.txt: the browser cannot read it as a picture."
    page.locator(".open input").set_input_files(png(tmp_path / "picture.png", 1))
    page.wait_for_selector("#notice", state="hidden")


@pytest.mark.parametrize("case", ["no decoder", "no WebAssembly", "no server"])
def test_what_is_missing_is_said_in_the_page(case, browser, made, tmp_path):
    folder = tmp_path / "explorer"
    shutil.copytree(made("vae")[0] / "explorer", folder)
    (folder / "decoder.tflite").unlink()
    page = browser.new_page()
    try:
        with served(folder) as (url, _):
            if case == "no WebAssembly":
                page.add_init_script("delete globalThis.WebAssembly")
            page.goto(f"file://{folder}/index.html" if case == "no server" else url)
            page.wait_for_selector("#notice.problem")
            words = {"no decoder": "decoder.tflite is missing", "no server": "python -m http.server"}
            assert words.get(case, "no WebAssembly") in page.inner_text("#notice")
            assert page.is_hidden("#explorer")
    finally:
        page.close()
