"""The before/after page: what it refers to is there, and in a browser it does what it says, by hand and by key."""

import io
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from chromium import chromium
from PIL import Image
from playwright.sync_api import expect

from tfvae.commands.pages import before_after
from tfvae.commands.pages.before_after import Item, write_page

NAME = """<b>Grandma's "best" & $title</b>"""


OLD, NEW, UNSURE = (200, 0, 0), (0, 0, 200), (0, 200, 0)


def picture(path, colour, size=(60, 40)):
    Image.new("RGB", size, colour).save(path)
    return path


@pytest.fixture
def items(tmp_path):
    folder = tmp_path / "in & out, 100%"
    folder.mkdir()
    return [
        Item(
            NAME,
            picture(folder / "1 #old.png", OLD, (300, 200)),
            picture(folder / "1 new?.png", NEW, (600, 400)),
            picture(folder / "1 std.png", UNSURE, (300, 200)),
            {"PSNR": "31.2 dB", "SSIM": 0.912345},
        ),
        *(
            Item(f"{number}", picture(folder / f"{number}a.png", "black"), picture(folder / f"{number}b.png", "white"))
            for number in range(2, 12)
        ),
    ]


class References(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.images, self.links = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag == "img":
            self.images.append(values["src"])
        elif tag == "a":
            self.links.append(values["href"])


def test_the_page_refers_to_what_is_there_and_to_nothing_else(tmp_path, items):
    page = write_page(tmp_path / "page", items, "Album <1931>")
    text = page.read_text(encoding="utf-8")
    found = References(text)
    assert len(found.images) == len(found.links) == 3 + 10 * 2
    for address in found.images + found.links:
        assert (page.parent / unquote(address)).is_file(), address
        assert not Path(unquote(address)).is_absolute()
    assert {(page.parent / image).resolve() for image in found.images} == set((page.parent / "pictures").iterdir())
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)


def test_large_pictures_are_shown_by_copies_and_small_ones_without_loss(tmp_path, monkeypatch):
    monkeypatch.setattr(before_after, "MAX_SIDE", 100)
    large = picture(tmp_path / "large.png", "red", (400, 200))
    noise = np.random.default_rng(0).integers(0, 256, (50, 100), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "small.png")
    write_page(tmp_path, [Item("x", large, tmp_path / "small.png")], "x")
    with Image.open(tmp_path / "pictures" / "0001-before.webp") as copy:
        assert copy.size == (100, 50)
    with Image.open(tmp_path / "pictures" / "0001-after.webp") as copy:
        np.testing.assert_array_equal(np.asarray(copy.convert("L")), noise)


def test_what_cannot_be_compared_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        write_page(tmp_path, [], "x")
    item = Item("x", picture(tmp_path / "a.png", "red"), picture(tmp_path / "b.png", "red", (40, 60)))
    with pytest.raises(ValueError, match=r"proportions.*'x'"):
        write_page(tmp_path, [item], "x")


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture
def visit(browser, tmp_path, items):
    """`visit(**settings)`: the page, opened from disk. It may complain of nothing, and ask for nothing but files."""
    address = write_page(tmp_path / "page", items, "Album").as_uri()
    contexts, complaints = [], []

    def opened(**settings):
        contexts.append(browser.new_context(**settings))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or complaints.append(request.url))
        page.goto(address)
        for place in (0, 2):
            # Asked from outside: the page's policy lets no function wait within.
            expect(page.locator("img").nth(place)).to_have_js_property("complete", True)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not complaints


def seen(page, across):
    """Colour, RGB, of what is shown at a part of the width of the first picture."""
    box = page.locator(".frame").first.bounding_box()
    x, y = box["x"] + across * box["width"], box["y"] + box["height"] / 2
    data = page.screenshot(clip={"x": x, "y": y, "width": 1, "height": 1})
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB").getpixel((0, 0))


def test_the_slider_is_moved_by_keys_and_the_pictures_part_there(visit):
    page = visit()
    assert (seen(page, 0.4), seen(page, 0.6)) == (OLD, NEW)
    slider = page.get_by_role("slider").first
    slider.focus()
    page.keyboard.press("Home")
    assert (seen(page, 0.02), seen(page, 0.4)) == (NEW, NEW)
    page.keyboard.press("End")
    assert (seen(page, 0.6), seen(page, 0.98)) == (OLD, OLD)
    page.keyboard.press("PageDown")
    page.keyboard.press("ArrowLeft")
    value = float(slider.input_value())
    assert 50 < value < 100
    clip = page.locator(".before").first.evaluate("(image) => getComputedStyle(image).clipPath")
    assert clip in (f"inset(0px {100 - value:g}% 0px 0px)", f"inset(0px calc(100% - {value:g}%) 0px 0px)")
    assert slider.get_attribute("aria-valuetext") == f"{np.floor(value + 0.5):g}% before, then after"


def test_a_picture_is_dragged_across_and_shows_its_uncertainty_on_request(visit):
    page = visit()
    box = page.locator(".frame").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 30)
    page.mouse.up()
    page.mouse.move(0, 0)
    assert (seen(page, 0.2), seen(page, 0.3)) == (OLD, NEW)
    button = page.get_by_role("button", name="Uncertainty")
    assert button.count() == 1  # of eleven pictures one has an uncertainty
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    assert (seen(page, 0.2), seen(page, 0.3)) == (OLD, UNSURE)
    page.keyboard.press("Enter")
    assert seen(page, 0.3) == NEW


def test_names_are_text_and_everything_fits_a_phone_in_the_dark(visit):
    page = visit(viewport={"width": 360, "height": 700}, color_scheme="dark", is_mobile=True, has_touch=True)
    assert page.get_by_role("heading", level=2).first.inner_text() == NAME
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", background))) < 64
    page.get_by_text("List of pictures").click()
    assert page.get_by_role("listitem").count() == 11
    assert page.get_by_text("0.9123").is_visible()


def test_pictures_far_down_are_loaded_when_they_are_scrolled_to(visit):
    page = visit(viewport={"width": 800, "height": 400})
    last = page.locator(".after").last
    assert last.evaluate("(image) => image.naturalWidth") == 0
    page.get_by_text("List of pictures").click()
    page.get_by_role("link", name="11").click()
    # Asked again and again from outside: within, the page's policy allows no code from strings.
    expect(last).to_have_js_property("naturalWidth", 60)
