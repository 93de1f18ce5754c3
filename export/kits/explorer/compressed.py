"""The page of a codec: it opens `.tfv` files, whose symbols JavaScript reads, and whose pixels the decoder computes."""

import json
import shutil
from pathlib import Path

from export.artefacts import Export
from export.formats import tfv_tables
from export.formats.tflite import file_name
from tfvae.errors import UserError

PAGE = Path(__file__).with_name("codec_page")
SHARED = ("icon.svg", "network.js", "refusal.js", "shared.js", "style.css")  # of the other models' page
MODELS = (file_name("decoder", "float32"),)
EXAMPLE = "example.tfv"
SIDE = 768  # pixels of the example, at most


def check(work: Export) -> None:
    """Raises `UserError` where the decoder's one size is all margin: it could show no larger picture."""
    least = work.model.factor * (2 * tfv_tables.margin(work.model) + 1)
    if min(work.size) < least:
        raise UserError(
            f"--explorer: the page computes pictures in tiles of the decoder's size, which must be {least}x{least} or "
            f"more for this model. Received: --size {work.size[0]}x{work.size[1]}."
        )


def fill(work: Export, folder: Path, target: Path) -> str:
    """Write page, tables, settings and an example into `target`; returns what is in it, in words."""
    for name in SHARED:
        shutil.copyfile(PAGE.with_name("page") / name, target / name)
    shutil.copytree(PAGE, target, dirs_exist_ok=True)
    shutil.copyfile(folder / tfv_tables.NAME, target / tfv_tables.NAME)
    split, held_out = work.splits.measured
    image = held_out[0]
    top, left = (max(0, side - SIDE) // 2 for side in image.shape[:2])
    # By the coder that needs no package.
    (target / EXAMPLE).write_bytes(work.model.compress(image[top : top + SIDE, left : left + SIDE], coder="huffman"))
    settings = {
        "name": work.run.path.resolve().name,
        "weights": work.weights,
        "channels": work.model.channels,
        "places": work.model.code_shape(*work.size)[:2],
        "example": EXAMPLE,
    }
    (target / "data.json").write_text(json.dumps(settings, ensure_ascii=False), encoding="utf-8")
    return f"opens .tfv files, {work.size[0]}×{work.size[1]} pixels at a time, with a {split} image as an example"
