"""`python -m benchmarks lossless RUN …`: held-out pictures as bytes, by bits-back coding beside general compressors.

Bytes are those of the whole file: head, grid, check sums and the random bits at the bottom of the stack are among them.
Every file is decoded again and compared. A run whose likelihood is Bernoulli codes its pictures binarised, by one draw
of each pixel that `tfvae evaluate` draws as well; its peers get eight pixels in a byte, and one a byte, and count with
the better. Other runs code the pictures as they are.
"""

import argparse
import bz2
import gzip
import lzma
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from benchmarks.measuring import header, line, machine, progress, publish
from tfvae.errors import UserError

PEERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip -9": lambda data: gzip.compress(data, 9, mtime=0),
    "bzip2 -9": lambda data: bz2.compress(data, 9),
    "xz -9e": lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
}


def main(options: argparse.Namespace) -> None:
    """Measures, prints the table, and writes `-o`."""
    facts = run(options)
    publish(facts, table(facts), options.words, options.out)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The facts: of each set of pictures the rows of its peers, and a row for each run."""
    from tfvae.applications.compression.lossless import compress_images, decompress_images, facts
    from tfvae.data import load_own
    from tfvae.runs import open_run

    rows: list[dict[str, Any]] = []
    seen: set[str] = set()
    for path in options.runs:
        opened = open_run(path)
        model = opened.load_model()
        held_out = load_own(opened, model).measured[1]
        held_out = held_out.take(np.arange(min(options.count or len(held_out), len(held_out))))
        if not held_out.uniform:
            raise UserError(f"{opened.path}: its pictures have unequal sizes, and are coded together only at one.")
        binary = model.likelihood.binary
        pictures = _binarised(held_out, opened.own_data(model), options.seed) if binary else held_out.array
        named = f"{opened.data_config.source}, {'binarised' if binary else '8 bit'}"
        shared = {"pictures": named, "count": len(pictures), "pixels": int(pictures[0].size) * len(pictures)}
        if named not in seen:
            rows += [shared | row for row in _peers(pictures, binary)]
            seen.add(named)
        progress(f"{path}: {len(pictures):,} pictures")
        started = time.perf_counter()
        try:
            data = compress_images(model, pictures, batch_size=options.batch_size, seed=options.seed)
        except ValueError as error:
            raise UserError(f"{opened.path}: {error}") from error
        coded = time.perf_counter()
        images, _ = decompress_images(model, data)
        decoded = time.perf_counter()
        if not np.array_equal(images, pictures):
            raise UserError(f"{opened.path}: other pictures came back.")
        rows.append(
            shared
            | {"coder": f"tfvae, {opened.path.resolve().name}", "bytes": len(data), "bound": _bound(model, pictures)}
            | {"start_bits": facts(data)["bits"]["start"], "head_bits": facts(data)["bits"]["head"]}
            | {"seconds": [coded - started, decoded - coded]}
        )
    for row in rows:
        row["bits_per_pixel"] = 8 * row["bytes"] / row["pixels"]
    return {
        "benchmark": "lossless",
        "machine": machine(("keras", "numpy", "constriction")),
        "seed": options.seed,
        "rows": rows,
    }


def _binarised(images: Any, config: Any, seed: int) -> np.ndarray:
    """The pixels that `tfvae evaluate` measures on, uint8 0 and 255."""
    from tfvae.data import evaluation_batches

    config = replace(config, binarize=True)
    batches = [batch.numpy() for batch in evaluation_batches(images, 500, seed=seed, config=config)]
    return (np.concatenate(batches) * 255).astype(np.uint8)


def _peers(pictures: np.ndarray, binary: bool) -> list[dict[str, Any]]:
    """General compressors, all pictures as one file."""
    rows = []
    for name, compress in PEERS.items():
        progress(name)
        started = time.perf_counter()
        sizes = {"a byte a pixel": len(compress(pictures.tobytes()))}
        if binary:
            sizes["a bit a pixel"] = len(compress(np.packbits(pictures > 0).tobytes()))
        how = min(sizes, key=lambda way: sizes[way])
        seconds = (time.perf_counter() - started) / len(sizes)
        rows.append({"coder": f"{name}, {how}", "bytes": sizes[how], "seconds": [seconds]})
    return rows


def _bound(model: Any, pictures: np.ndarray) -> float:
    """Negative ELBO of one draw of each code, bits a pixel."""
    total = 0.0
    for first in range(0, len(pictures), 100):
        terms = model.elbo_terms(pictures[first : first + 100].astype(np.float32) / np.float32(255))
        total += sum(float(keras.ops.sum(term)) for term in terms)
    return total / math.log(2) / pictures.size


def table(facts: dict[str, Any]) -> list[str]:
    """The facts as a Markdown table for each set of pictures."""
    rows, lines = facts["rows"], []
    for named in dict.fromkeys(row["pictures"] for row in rows):
        own = [row for row in rows if row["pictures"] == named]
        lines += [
            f"{own[0]['count']:,} pictures of {named}; every file of tfvae was decoded again: no pixel differs.",
            "",
        ]
        columns = ["coder", "bytes", "bits/pixel", "negative ELBO", "start, bits", "head, bits", "seconds, and back"]
        lines += header(columns, 1)
        for row in own:
            bound = f"{row['bound']:.4f}" if "bound" in row else ""
            bits = [f"{row[name]:,}" if name in row else "" for name in ("start_bits", "head_bits")]
            seconds = " + ".join(f"{value:.1f}" for value in row["seconds"])
            lines.append(
                line([row["coder"], f"{row['bytes']:,}", f"{row['bits_per_pixel']:.4f}", bound, *bits, seconds])
            )
        lines.append("")
    return lines[:-1]
