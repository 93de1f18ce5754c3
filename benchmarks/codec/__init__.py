"""`python -m benchmarks codec RUN`: how many bytes photographs take, beside JPEG, WebP and AVIF.

Every size is that of a real file: ours with header, digest and checksum, those of the others as Pillow writes them into
memory (JPEG 4:2:0 with optimised tables, WebP at method 6, AVIF at speed 4, where Pillow has it). A point of a curve is
the mean of bits per pixel and of PSNR (and MS-SSIM) over all pictures at one setting; the BD-rate is Bjøntegaard's mean
difference of rate at equal PSNR, against JPEG from 0.2 to 1.2 bits a pixel. The untrained model is the control: it is a
codec of cosines with guessed tables, and shows what the training added.

Besides: how far files are from the information of their symbols under the model's tables, what Huffman's whole bits
cost, megapixels a second of the way in and out, and the most memory that the process had.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.codec.rivals import JPEG, Coded, rivals
from benchmarks.measuring import OURS, cores, header, line, machine, progress, publish
from tfvae.errors import UserError

RANGE = (0.2, 1.2)  # bits a pixel of JPEG
CONTROL = "untrained"
SHOWN = 0.25  # bits a pixel of the pictures on the sheet
SHEET = 4  # pictures on it


def main(options: argparse.Namespace) -> None:
    """Measures, prints the tables, and writes `-o` and the sheet beside it."""
    facts, sheet = run(options)
    publish(facts, table(facts), options.words, options.out, sheet)


def run(options: argparse.Namespace) -> tuple[dict[str, Any], np.ndarray]:
    """The facts, and a sheet: a row for each of some pictures, itself, ours, and the others of about as many bytes."""
    from tfvae.applications.compression.compress import Encoder
    from tfvae.pictures import grid
    from tfvae.runs import open_run

    if len(set(options.qualities)) < 2:
        raise UserError(f"--qualities must be two or more. Received: {options.qualities}.")
    opened = open_run(options.run)
    model = opened.load_unfused()
    if not hasattr(model, "compress"):
        raise UserError(f"{opened.path} holds a {type(model).__name__}, which writes no files.")
    pictures = images(opened, model, options)
    untrained = type(model).from_config(model.get_config())
    qualities = sorted(set(options.qualities))

    clock = {"encode": 0.0, "decode": 0.0, "megapixels": 0.0}
    excess: dict[str, list[list[float]]] = {"ans": [], "huffman": []}

    def ours(pixels: np.ndarray) -> list[Coded]:
        started = time.perf_counter()
        encoder = Encoder(model, pixels)
        shared = time.perf_counter() - started  # what all qualities have in common; each would pay it
        other = Encoder(model, pixels[:1, :1], coder="huffman")
        other.latents, other.shape = encoder.latents, encoder.shape
        coded: list[Coded] = []
        excesses: dict[str, list[float]] = {"ans": [], "huffman": []}
        for quality in qualities:
            started = time.perf_counter()
            found = encoder.at(quality)
            clock["encode"] += time.perf_counter() - started + shared
            started = time.perf_counter()
            back = model.decompress(found.content)
            clock["decode"] += time.perf_counter() - started
            clock["megapixels"] += pixels.shape[0] * pixels.shape[1] / 1e6
            coded.append(Coded(quality, len(found.content), back))
            information = encoder.information(quality)
            excesses["ans"].append(8 * len(found.content) / information - 1)
            excesses["huffman"].append(8 * len(other.at(quality).content) / information - 1)
        for name, values in excesses.items():
            excess[name].append(values)
        return coded

    def control(pixels: np.ndarray) -> list[Coded]:
        encoder = Encoder(untrained, pixels)
        found = [encoder.at(quality) for quality in qualities]
        return [Coded(one.quality, len(one.content), untrained.decompress(one.content)) for one in found]

    model.decompress(model.compress(pictures[0]))  # traces the graphs, makes the tables
    sides: dict[str, Callable[[np.ndarray], list[Coded]]] = {OURS: ours, **rivals(), CONTROL: control}
    curves, cells = measured(sides, pictures)
    progress("")
    facts = {
        **machine(("keras", "numpy", "pillow", "constriction")),
        "cores": cores(),
        "model": {"kind": type(model).__name__, "weights": model.count_params()},
        "settings": {"pictures": len(pictures), "data": str(options.data or "test split"), "range": RANGE},
        "curves": curves,
        "bd_rate": savings(curves, "psnr"),
        "bd_rate_ms_ssim": savings(curves, "ms_ssim_db"),
        "excess": {
            name: dict(zip(map(str, qualities), np.mean(values, axis=0).tolist(), strict=True))
            for name, values in excess.items()
        },
        "megapixels_a_second": {
            "encode": clock["megapixels"] / clock["encode"],
            "decode": clock["megapixels"] / clock["decode"],
        },
        "peak_memory_bytes": peak_memory(),
    }
    return facts, grid(cells, columns=len(sides))


def images(opened: Any, model: Any, options: argparse.Namespace) -> list[np.ndarray]:
    """Pictures of the model's channels, uint8."""
    from tfvae.commands.shared import held_out_images
    from tfvae.data import DataConfig, load_images, load_own

    if options.data:
        like = DataConfig(source=str(options.data), channels=model.image_shape[-1], max_side=1 << 16)
        found, _ = load_images(options.data, like=like)
    else:
        found = held_out_images(opened, load_own(opened, model))
    count = min(options.count or len(found), len(found))
    chosen = np.linspace(0, len(found) - 1, count).astype(int)
    return [found[int(index)] for index in chosen]


def measured(
    sides: dict[str, Callable[[np.ndarray], list[Coded]]], pictures: list[np.ndarray]
) -> tuple[dict[str, list[dict[str, float]]], list[np.ndarray]]:
    """The curve of each side, a point a setting, and the cells of the sheet."""
    from tfvae.metrics import ms_ssim, psnr

    points: dict[str, list[list[dict[str, float]]]] = {name: [] for name in sides}
    cells: list[np.ndarray] = []
    for number, pixels in enumerate(pictures):
        original = pixels[None] / np.float32(255)
        row = [pixels]
        for name, side in sides.items():
            progress(f"{name}: picture {number + 1} of {len(pictures)}")
            coded = side(pixels)
            bits = [8 * one.bytes / (pixels.shape[0] * pixels.shape[1]) for one in coded]
            found = []
            for one, rate in zip(coded, bits, strict=True):
                back = one.pixels[None] / np.float32(255)
                similarity = float(ms_ssim(original, back)[0])
                found.append(
                    {
                        "quality": float(one.quality),
                        "bits_per_pixel": rate,
                        "psnr": float(psnr(original, back)[0]),
                        "ms_ssim": similarity,
                    }
                )
            points[name].append(found)
            if name != CONTROL:
                row.append(coded[int(np.argmin(np.abs(np.array(bits) - SHOWN)))].pixels)
        if number < SHEET:
            cells += row
    curves = {}
    for name, of_pictures in points.items():
        curves[name] = [
            {key: float(np.mean([one[key] for one in setting])) for key in setting[0]}
            for setting in zip(*of_pictures, strict=True)
        ]
        for point in curves[name]:
            point["ms_ssim_db"] = float(-10 * np.log10(max(1 - point["ms_ssim"], 1e-9)))
    return curves, cells


def savings(curves: dict[str, list[dict[str, float]]], quality: str) -> dict[str, float | None]:
    """BD-rate of each side against JPEG, by name; None where the curves do not overlap."""
    from tfvae.metrics import bd_rate

    def columns(name: str) -> tuple[np.ndarray, np.ndarray]:
        # A setting that is no better than a cheaper one is none that anybody would take.
        best, rows = -np.inf, []
        for point in sorted(curves[name], key=lambda point: point["bits_per_pixel"]):
            if point[quality] > best:
                best = point[quality]
                rows.append((point["bits_per_pixel"], best))
        return tuple(np.array(rows).T)  # type: ignore[return-value]

    found: dict[str, float | None] = {}
    for name in curves:
        try:
            found[name] = bd_rate(*columns(name), *columns(JPEG), within=RANGE)
        except ValueError:
            found[name] = None
    return found


def peak_memory() -> int:
    """The most memory that this process had, bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def table(facts: dict[str, Any]) -> list[str]:
    """Markdown: the savings, every point, and what the coding costs."""
    settings, excess, rates = facts["settings"], facts["excess"], facts["megapixels_a_second"]

    def share(value: float | None) -> str:
        return "—" if value is None else f"{100 * value:+.1f} %"

    lines = [f"{settings['pictures']} pictures of {settings['data']}; {facts['cpu']}, {facts['cores']} cores.", ""]
    lines += header(["codec", "BD-rate, PSNR", "BD-rate, MS-SSIM"], 1)
    lines += [
        line([name, share(facts["bd_rate"][name]), share(facts["bd_rate_ms_ssim"][name])]) for name in facts["curves"]
    ]
    lines += ["", *header(["codec", "quality", "bits/pixel", "PSNR, dB", "MS-SSIM"], 1)]
    for name, points in facts["curves"].items():
        for point in points:
            cells = [f"{point['bits_per_pixel']:.3f}", f"{point['psnr']:.2f}", f"{point['ms_ssim']:.4f}"]
            lines.append(line([name, f"{point['quality']:g}", *cells]))
    lines += ["", *header(["quality", "ANS over the information", "Huffman over the information"], 0)]
    lines += [
        line([quality, share(excess["ans"][quality]), share(excess["huffman"][quality])]) for quality in excess["ans"]
    ]
    memory = facts["peak_memory_bytes"] / 1e9
    lines += ["", f"Encode {rates['encode']:.2f}, decode {rates['decode']:.2f} megapixels/s; {memory:.2f} GB at most."]
    return lines
