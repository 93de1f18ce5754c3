"""How long a photograph of 24 megapixels takes through the `tfvae` command, and how much memory, compared with BM3D.

The photograph is a smaller one mirrored at its edges until it is large enough, saved as a JPEG. The command is a
process of its own, from its start to the written file: starting, reading, tiling and writing count. Its memory is the
peak of its resident set, TensorFlow's own share included. BM3D gets 512×512 pixels with noise and is timed in memory:
the comparison leaves out its starting and files, so it is not in our favour.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.measuring import OURS, header, heading, in_range, line, machine, progress, spread
from tfvae.errors import UserError
from tfvae.pictures import save_png
from tfvae.pixels import to_uint8

CROP = 512  # side of what BM3D gets, in pixels
LEVEL = 25  # of its noise, of 255
RESIDENT = 1024 if sys.platform.startswith("linux") else 1  # bytes in a unit of `ru_maxrss`; macOS counts bytes

# A process of its own starts the command: Linux counts to a process the peak of the one that started it, and ours holds
# the photograph and TensorFlow.
WATCH = """
import json, os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(process.pid, 0)
facts = {"seconds": time.perf_counter() - started, "peak": usage.ru_maxrss}
with open(sys.argv[1], "w") as file:
    json.dump(facts, file)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The facts: seconds, megapixels/s and peak memory of the command, and BM3D's rate, in turns with it."""
    from benchmarks.measuring import cores
    from benchmarks.restoration import compare as compare
    from benchmarks.restoration.baselines import MODULES, bm3d, require
    from benchmarks.restoration.degraded import HOLES, noisy

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    require("bm3d")
    opened, model = compare.restorer(options.run)
    photograph = compare.held_out(opened, model, options.data)[0]
    height = round(np.sqrt(options.megapixels * 1e6 / 1.5))
    large = enlarged(photograph, height, round(1.5 * height))
    size = large.shape[0] * large.shape[1] / 1e6
    crop = noisy(compare.centre(enlarged(photograph, CROP, CROP), CROP), 0, options.seed, LEVEL)
    found: dict[str, list[float]] = {"seconds": [], "peak": [], "ours": [], "bm3d": []}
    with tempfile.TemporaryDirectory() as folder:
        source, target, mask = (Path(folder) / name for name in ("photograph.jpg", "restored.jpg", "mask.png"))
        pixels = to_uint8(large)
        Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(source, quality=95)
        # A model without a neighbourhood changes light and colour only.
        command = ["restore" if model.margin else "enhance", str(options.run), str(source), "-o", str(target)]
        if model.takes_mask:
            save_png(
                mask,
                HOLES["text"](*large.shape[:2], np.random.default_rng(options.seed))[:, :, None].astype(np.float32),
            )
            command += ["--mask", str(mask)]
        for number in range(1, options.rounds + 1):
            progress(f"round {number}/{options.rounds}: tfvae {command[0]}")
            seconds, peak = timed_command([sys.executable, "-m", "tfvae", *command])
            progress(f"round {number}/{options.rounds}: BM3D")
            started = time.perf_counter()
            bm3d(crop)
            found["bm3d"].append(crop.original[:, :, 0].size / 1e6 / (time.perf_counter() - started))
            found["seconds"].append(seconds)
            found["peak"].append(peak)
            found["ours"].append(size / seconds)
    progress("")
    values = {name: np.array(value) for name, value in found.items()}
    return {
        **machine(("keras", "numpy", *MODULES)),
        "cores": cores(),
        "load_at_start": load,
        "task": "speed",
        "model": {"kind": type(model).__name__, "weights": model.count_params()},
        "settings": {
            "command": f"tfvae {command[0]}",
            "pixels": list(large.shape),
            "seed": options.seed,
            "rounds": options.rounds,
        },
        "seconds": spread(values["seconds"]),
        "peak_bytes": spread(values["peak"]),
        "megapixels_per_second": [
            {"side": OURS, **spread(values["ours"]), "rounds": found["ours"]},
            {"side": "BM3D", **spread(values["bm3d"]), "rounds": found["bm3d"]}
            | {"tfvae_is": spread(values["ours"] / values["bm3d"])},
        ],
    }


def table(facts: dict[str, Any]) -> list[str]:
    """The facts as Markdown."""
    settings = facts["settings"]
    height, width, channels = settings["pixels"]
    kind = "grey" if channels == 1 else "colour"
    ours, others = facts["megapixels_per_second"]
    peak = {name: value / 1e9 for name, value in facts["peak_bytes"].items()}
    return [
        *heading(facts),
        "",
        f"`{settings['command']}` on one {kind} picture of {width}×{height}, a process from start to file; BM3D on "
        f"{CROP}×{CROP} {kind} pixels in memory. Median of {settings['rounds']} alternating rounds (lowest – highest).",
        "",
        *header(["side", "seconds", "megapixels/s", "peak memory, GB", f"{OURS} is"], 1),
        line([OURS, in_range(facts["seconds"], ".1f"), in_range(ours, ".3g"), in_range(peak, ".2f"), ""]),
        line(["BM3D", "", in_range(others, ".3g"), "", f"{in_range(others['tfvae_is'], '.3g')} ×"]),
    ]


def enlarged(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """The picture mirrored at its lower and right edge until it has this size; a larger one stays as it is."""
    more = (max(0, height - picture.shape[0]), max(0, width - picture.shape[1]))
    return np.pad(picture, ((0, more[0]), (0, more[1]), (0, 0)), mode="symmetric")


def timed_command(command: list[str]) -> tuple[float, int]:
    """Seconds from start to end, and the peak of the resident set in bytes; `UserError` when the command fails."""
    if not hasattr(os, "wait4"):
        raise UserError("speed needs a system that reports the memory of a process that ended: Linux or macOS.")
    with tempfile.TemporaryDirectory() as folder:
        facts = Path(folder) / "facts.json"
        done = subprocess.run([sys.executable, "-c", WATCH, str(facts), *command], capture_output=True, text=True)
        if done.returncode:
            lines = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
            raise UserError(f"{' '.join(command[2:4])} ended with exit code {done.returncode}: {lines[-1]}")
        found = json.loads(facts.read_text())
    return found["seconds"], found["peak"] * RESIDENT
