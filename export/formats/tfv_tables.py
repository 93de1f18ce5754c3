"""`tfv.bin`: what a decoder of a codec's `.tfv` files needs besides `decoder.tflite`, for programs in other languages.

| bytes | what |
| --- | --- |
| 4 | `TFVB` |
| 4 | length of the JSON text |
| … | the settings as JSON, UTF-8, filled up with spaces to whole 4 bytes |
| … | the arrays that `arrays` lists (`name`, `type`, `shape`), one after the other, in C order |

All is little-endian, and whole numbers: the tables of the symbols, and weights of the integer hyper-decoder
(`tfvae/networks/integer_decoder.py`). The container is described in `tfvae/applications/compression/container.py`.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from tfvae.applications.compression.streams import digest
from tfvae.networks.hyperprior import REACH

NAME = "tfv.bin"
MAGIC = b"TFVB"


def writes_files(model: Any) -> bool:
    """Whether a model turns pictures into files."""
    return hasattr(model, "compress")


def margin(model: Any) -> int:
    """Latent places around those of a pixel that it depends on."""
    return -(-model.decoder.margin // model.factor)


def content(model: Any) -> bytes:
    """The bytes of `tfv.bin` of a `Codec`."""
    hyper, normal = model.prior.tables()
    layers, slope = model.hyper_decoder.integers()
    arrays = {
        "hyper_tables": hyper,
        "half_widths": np.array([(len(table) - 2) // 2 for table in normal]),
        "normal_tables": np.concatenate(normal),
        **{f"bias_{place}": bias for place, (_, bias) in enumerate(layers)},
        "slope": slope,
    }
    found = {name: np.asarray(value, "<i4") for name, value in arrays.items()}
    # The last, so that every array begins at a multiple of what one of its numbers takes.
    found |= {f"kernel_{place}": np.asarray(kernel, "<i2") for place, (kernel, _) in enumerate(layers)}
    settings = {
        "version": 1,
        "digest": digest(model).hex(),
        "channels": model.channels,
        "factor": model.factor,
        "margin": margin(model),
        "latent_dim": model.latent_dim,
        "hyper_dim": model.hyper_dim,
        "reach": REACH,
        "arrays": [{"name": name, "type": each.dtype.name, "shape": each.shape} for name, each in found.items()],
    }
    text = json.dumps(settings, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    parts = [MAGIC, len(text).to_bytes(4, "little"), text, *(each.tobytes() for each in found.values())]
    return b"".join(parts)


def write(model: Any, folder: Path) -> str:
    """Write `tfv.bin` into the bundle at `folder`, where the model writes files; returns one line about it, or none."""
    if not writes_files(model):
        return ""
    written = content(model)
    (folder / NAME).write_bytes(written)
    return f"{NAME}: {len(written) / 1000:,.0f} kB, by which other programs read its .tfv files"
