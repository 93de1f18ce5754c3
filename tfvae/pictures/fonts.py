"""A font for the characters that Matplotlib's own lacks, Chinese ones above all."""

import contextlib
from collections.abc import Iterator
from typing import Any

FIRST_EAST_ASIAN = 0x2E80  # Unicode's blocks from here on: ideographs, kana, Hangul, full-width punctuation
COMMON = "中"
# Words in the names of fonts without serifs, which match the rest of a chart.
PLAIN = ("sans", "hei", "gothic", "黑")


def make_legible(figure: Any) -> None:
    """Adds an installed font to those texts of a figure that need one; where there is none they stay as they are.

    Latin letters keep Matplotlib's own font: the other one is asked only for what that lacks.
    """
    from matplotlib import rcParams
    from matplotlib.text import Text

    texts = [
        text for text in figure.findobj(Text) if any(ord(letter) >= FIRST_EAST_ASIAN for letter in text.get_text())
    ]
    family = chinese_family() if texts else None
    if family is not None:
        for text in texts:
            text.set_fontfamily([*rcParams["font.family"], family])


def chinese_family() -> str | None:
    """The family of an installed font that has Chinese characters, one without serifs first; None without any."""
    from matplotlib import font_manager

    # Matplotlib lists the fonts when it first runs on a machine, and never again: one installed since is not listed.
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for path in set(font_manager.findSystemFonts()) - known:
        with contextlib.suppress(Exception):  # a damaged font is not ours to report
            font_manager.fontManager.addfont(path)
    return next(_families(font_manager.fontManager.ttflist), None)


def _families(entries: list[Any]) -> Iterator[str]:
    from matplotlib.ft2font import FT2Font

    def rank(entry: Any) -> tuple[bool, bool, str]:
        regular = entry.style == "normal" and entry.weight in (400, "normal", "regular")
        return not regular, not any(word in entry.name.lower() for word in PLAIN), entry.name

    for entry in sorted(entries, key=rank):
        with contextlib.suppress(Exception):
            if FT2Font(entry.fname).get_char_index(ord(COMMON)):
                yield entry.name
