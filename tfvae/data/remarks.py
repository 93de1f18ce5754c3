"""What was read of a source in another way than one might expect, in words."""

from collections.abc import Sequence
from typing import Any


def remarks(noted: Sequence[dict[str, Any]]) -> list[str]:
    """Phrases about what `reading.read_picture` noted of each picture: further pages, and what was taken for white."""
    said = []
    several = sum(note["several"] for note in noted)
    if several:
        whose = f"{several:,} files hold" if several > 1 else "1 file holds"
        said.append(f"{whose} several pages or frames, of which the first is used")
    for black, white in sorted({tuple(note["scale"]) for note in noted if note["scale"]}):
        reached = [note["reached"] for note in noted if note["scale"] and tuple(note["scale"]) == (black, white)]
        low, high = min(low for low, _ in reached), max(high for _, high in reached)
        phrase = f"{black:,.10g} is taken for black and {white:,.10g} for white; values are {low:,.10g} to {high:,.10g}"
        if 0 < high - low < (white - black) / 4:
            own = f"data.black={low:g} and " if low < 0 else ""
            phrase += f" (too dark or too flat? {own}data.white={high:g} makes the greatest white)"
        said.append(phrase)
    return said
