"""The facts of a restoration benchmark as Markdown."""

from typing import Any

import numpy as np

from benchmarks.measuring import OURS, header, heading, in_range, line
from benchmarks.restoration.baselines import FILLING

# BSD68, grey, 68 pictures, mean PSNR in dB. BM3D and DnCNN-S: Zhang et al. (2017), table II,
# https://arxiv.org/abs/1608.03981; Noise2Void: Krull, Buchholz and Jug (2019), https://arxiv.org/abs/1811.10980; HDN:
# Prakash et al. (2022), https://arxiv.org/abs/2104.01374.
PUBLISHED = {
    "σ = 15": {"BM3D": 31.07, "DnCNN-S": 31.73},
    "σ = 25": {"BM3D": 28.57, "DnCNN-S": 29.23, "HDN, about": 28.8, "Noise2Void": 27.7},
    "σ = 50": {"BM3D": 25.62, "DnCNN-S": 26.23},
}
BSD68 = 68  # pictures; on fewer or others, published figures mean nothing
DIGITS = {
    "PSNR": ".2f",
    "SSIM": ".4f",
    "ΔE2000": ".2f",
    "known kept": ".1f",
    "neighbourhoods": ".0f",
    "moved elsewhere": ".2f",
}
UNITS = {"PSNR": "PSNR, dB", "known kept": "known kept, %", "moved elsewhere": "moved elsewhere, of 255"}


def table(facts: dict[str, Any]) -> list[str]:
    """What was measured and how, a table for every case, and the rates."""
    settings, rows = facts["settings"], facts["rows"]
    lines = [*heading(facts), "", described(settings) + f" {facts['caption']}", ""]
    figures = [name for name in DIGITS if name in rows[0]]
    lines += header(["case", "side", *(UNITS.get(name, name) for name in figures), f"{OURS} is ahead by, dB"], 2)
    for case in dict.fromkeys(row["case"] for row in rows):
        for row in (row for row in rows if row["case"] == case):
            ahead = signed(row["tfvae_ahead_db"]) if "tfvae_ahead_db" in row else ""
            lines.append(line([case, row["side"], *(format(row[name], DIGITS[name]) for name in figures), ahead]))
        for name, value in published(facts, case).items():
            lines.append(line([case, f"{name} (as published)", f"{value:g}", *[""] * (len(figures) - 1), ""]))
    if "neighbourhoods" in figures:
        lines += ["", *nearest(rows)]
    if facts["megapixels_per_second"]:
        lines += ["", f"Rates on one picture, median of {settings['rounds']} turns each (lowest – highest).", ""]
        lines += header(["side", "megapixels/s", f"{OURS} is"], 1)
        for row in facts["megapixels_per_second"]:
            ratio = "" if row["side"] == OURS else f"{in_range(row['tfvae_is'], '.3g')} ×"
            lines.append(line([row["side"], in_range(row, ".3g"), ratio]))
    return lines


def nearest(rows: list[dict[str, Any]]) -> list[str]:
    """On how many pictures of each case ours is the nearest to the original, of all that have no part in it."""
    lines = []
    for case in dict.fromkeys(row["case"] for row in rows):
        each = {row["side"]: row["each"] for row in rows if row["case"] == case}
        mine = each[OURS]
        names = [method.name for method in FILLING]
        others = [each[name] for name in names]
        near = np.array(mine["neighbourhoods"]) < np.min([other["neighbourhoods"] for other in others], axis=0)
        behind = np.max([other["PSNR"] for other in others], axis=0) - np.array(mine["PSNR"])
        lines.append(
            f"{case}: neighbourhoods nearer than those of {', '.join(names)} on {near.sum()} of {len(near)} "
            f"pictures; PSNR at most 0.3 dB below the best of them on {(behind <= 0.3).sum()}."
        )
    return lines


def described(settings: dict[str, Any]) -> str:
    """Which pictures, and the seed."""
    colour = "grey" if settings["channels"] == 1 else "colour"
    chosen = "" if settings["pictures"] == settings["of"] else f", evenly spaced among {settings['of']}"
    return f"{settings['pictures']} {colour} pictures of {settings['data']}{chosen}, seed {settings['seed']}."


def published(facts: dict[str, Any], case: str) -> dict[str, float]:
    """Figures of papers on the very pictures that were measured; none where these are others."""
    settings = facts["settings"]
    same = facts["task"] == "denoise" and settings["channels"] == 1 and settings["pictures"] == settings["of"] == BSD68
    return PUBLISHED.get(case, {}) if same else {}


def signed(value: dict[str, float | None]) -> str:
    """A paired difference with its standard error: `+1.23 ± 0.05`."""
    error = "" if value["standard_error"] is None else f" ± {value['standard_error']:.2f}"
    return f"{value['mean']:+.2f}{error}"
