"""`explorer/`: a page that runs the decoder and the encoder in a browser, written into a bundle; a codec's opens files.

The folder is complete: page, models, pictures, runtime and licence. It can be copied to any static server, under any
path, and needs no network beyond it. Models are copies of the bundle's float32 files, so that the folder can leave the
bundle; the runtime is LiteRT.js, whose files are no part of this repository (`litert_js.py`).
"""

import json
import shutil
from pathlib import Path

from export.artefacts import Artefact, Export
from export.formats import tfv_tables
from export.formats.tflite import file_name
from export.kits.explorer import compressed, contents, litert_js
from tfvae.errors import UserError
from tfvae.pictures import save_png

FOLDER = "explorer"
PAGE = Path(__file__).with_name("page")
LICENCE = Path(__file__).resolve().parents[3] / "LICENSE"  # Apache-2.0, which is LiteRT.js's licence, too
MODELS = tuple(file_name(part, "float32") for part in ("encoder", "decoder"))


def check(work: Export) -> None:
    """Raises `UserError` for a model that has nothing to explore: whose codes do not all stand for a picture."""
    if tfv_tables.writes_files(work.model):
        compressed.check(work)
    elif not hasattr(work.model, "decode"):
        raise UserError(
            f"--explorer: there is none for {type(work.model).__name__}: the page moves through codes of any values, "
            "as a VAE or an autoencoder decodes them, or opens the files of a codec. Without --explorer the bundle is "
            "written."
        )


def write(work: Export, artefacts: list[Artefact], folder: Path) -> str:
    """Write `explorer/` into the bundle at `folder`, which holds the `.tflite` files; returns one line about it.

    Where a model that the page needs was withheld there is nothing to explore, and nothing is written.

    Raises:
        UserError: When LiteRT.js cannot be had.
    """
    models, fill = (compressed.MODELS, compressed.fill) if tfv_tables.writes_files(work.model) else (MODELS, _fill)
    written = {artefact.name for artefact in artefacts if artefact.written}
    if missing := [name for name in models if name not in written]:
        return f"{FOLDER}: not written, since {' and '.join(missing)} was withheld"
    target = folder / FOLDER
    for name, content in litert_js.files().items():
        place = target / "litert" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    shutil.copyfile(LICENCE, target / "litert" / "LICENSE")
    for name in models:
        shutil.copyfile(folder / name, target / name)
    told = fill(work, folder, target)
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    return f"{FOLDER}: {size / 1e6:.0f} MB, {told}, LiteRT.js {litert_js.VERSION}"


def _fill(work: Export, folder: Path, target: Path) -> str:
    """Write the page of a model of any code into `target`, and what it is told; returns what is in it, in words."""
    shutil.copytree(PAGE, target, dirs_exist_ok=True)
    pictures = contents.choose(work)
    save_png(target / contents.SHEET, contents.sheet(pictures.pixels))
    table = contents.describe(work, pictures)
    text = json.dumps(table, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    (target / "data.json").write_text(text, encoding="utf-8")
    active = sum(unit["active"] for unit in table["units"])
    return f"{len(pictures.pixels)} {pictures.split} images on its map, {active} of {len(table['units'])} units active"
