"""Charts whose words need another font than Matplotlib's, and pictures as a notebook shows them."""

import io
import warnings

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager, rcParams
from matplotlib.figure import Figure
from PIL import Image

from tfvae.pictures import fonts, latent_map, show

SHIPPED = [entry for entry in font_manager.fontManager.ttflist if entry.name.startswith("DejaVu")]


def made_font(path, name, letters):
    """A font in which every letter is a black square, written to `path`."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 1000), (1000, 1000), (1000, 0)):
        pen.lineTo(corner)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap({ord(letter): "square" for letter in letters})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "square": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "square": (1000, 0)})
    builder.setupHorizontalHeader(ascent=1000, descent=0)
    builder.setupNameTable({"familyName": name, "styleName": "Regular"})
    builder.setupOS2(usWeightClass=400)
    builder.setupPost()
    builder.save(path)
    return str(path)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """The fonts of the machine: Matplotlib's own, and those made here after Matplotlib had listed its own."""
    files = []
    monkeypatch.setattr(font_manager.fontManager, "ttflist", list(SHIPPED))
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: list(files))

    def add(name, letters):
        files.append(made_font(tmp_path / f"{name}.ttf", name, letters))

    return add


def labelled(*names):
    codes = np.random.default_rng(0).standard_normal((20, 2))
    return latent_map(codes, np.arange(20) % len(names), names)


def test_chinese_words_are_drawn_with_an_installed_font_that_has_them(install):
    install("Latin Hei", "abc")
    install("Some Song", "中山水")
    install("Some Hei", "中山水")
    assert fonts.chinese_family() == "Some Hei"  # without serifs, and with the characters
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Matplotlib warns of every glyph that is missing
        picture = labelled("山水", "b")
    assert has_black_block(picture) and not has_black_block(labelled("aa", "b"))


def has_black_block(picture):
    """Whether two of the squares of `made_font` stand side by side: no letter and no line is so high and wide."""
    black = (picture < 60).all(axis=-1)
    return np.lib.stride_tricks.sliding_window_view(black, (10, 25)).all(axis=(2, 3)).any()


def test_other_words_keep_the_font_that_they_had(install):
    before = labelled("a", "b")
    install("Some Hei", "中ab")
    np.testing.assert_array_equal(labelled("a", "b"), before)
    figure = Figure()
    text = figure.text(0, 0, "中b")
    fonts.make_legible(figure)
    assert text.get_fontfamily() == [*rcParams["font.family"], "Some Hei"]


@pytest.mark.filterwarnings("ignore:Glyph")
def test_without_such_a_font_a_chart_is_drawn_all_the_same(install):
    install("Latin Hei", "abc")
    assert fonts.chinese_family() is None
    assert labelled("山水", "b").shape == labelled("aa", "b").shape


def test_a_notebook_shows_a_picture_in_the_smaller_file():
    noise = np.random.default_rng(0).random((64, 48, 3)) * 0.2 + np.linspace(0, 0.8, 64)[:, None, None]
    squares = np.kron(np.random.default_rng(0).integers(0, 256, (4, 6, 1), np.uint8), np.ones((9, 9, 3), np.uint8))
    assert show(noise)._repr_png_() is None and show(squares)._repr_jpeg_() is None
    photograph = Image.open(io.BytesIO(show(noise)._repr_jpeg_()))
    assert (photograph.format, photograph.size) == ("JPEG", (48, 64))
    np.testing.assert_allclose(np.asarray(photograph) / 255, noise, atol=0.2)
    drawing = Image.open(io.BytesIO(show(squares)._repr_png_()))
    assert (drawing.format, drawing.mode) == ("PNG", "L")
    np.testing.assert_array_equal(np.asarray(drawing), squares[..., 0])
    np.testing.assert_array_equal(np.asarray(show(squares[..., :1]).image), squares[..., 0])
    chart = np.full((200, 200, 3), 255, np.uint8)
    chart[20:60, 20:60] = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    few = Image.open(io.BytesIO(show(chart)._repr_png_()))
    assert few.mode == "P" and (np.asarray(few.convert("RGB"))[60:] == 255).all()
    assert repr(show(noise)) == "<picture of 64×48 pixels>"
