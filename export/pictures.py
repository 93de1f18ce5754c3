"""The pictures of a model card: what each file makes of held-out images, and what the model draws from noise."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from export.artefacts import Artefact, Export
from export.formats.tflite import VARIANTS, file_name
from tfvae.pictures import grid, save_png

COMPARISON, GENERATED = "reconstructions.png", "generated.png"
COLUMNS = 8
GENERATED_IMAGES = 32
MARGIN = 150  # pixels for the names of the rows


def write_comparison(work: Export, artefacts: list[Artefact], folder: Path) -> str:
    """Rows original, what is given (where it is another), Keras, and each `.tflite` variant; returns the file's name.

    Of the first held-out images, through the signature `Reference.shown`.
    """
    originals, shown = work.samples.held_out, work.reference.shown
    rows = {"original": originals}
    given = work.reference.requests[shown][0]["image"]
    if not np.array_equal(given, originals):
        rows["given"] = given
    rows["Keras"] = work.reference.answers[shown][0]["image"]
    by_name = {artefact.name: artefact for artefact in artefacts}
    endpoint = work.reference.signatures[shown].endpoint
    for variant in (variant for variant in VARIANTS if variant in endpoint.variants):
        artefact = by_name[file_name(endpoint.file, variant)]
        if not artefact.outputs:
            continue  # the runtime refused it
        label = f"TFLite {variant}" if artefact.written else f"{variant} (withheld)"
        rows[label] = artefact.outputs["image"]
    save_png(folder / COMPARISON, _stacked({name: images[:COLUMNS] for name, images in rows.items()}))
    return COMPARISON


def write_generated(work: Export, folder: Path) -> str | None:
    """A grid of prior samples; `None`, and no file, for a model that does not draw."""
    if "generate" not in work.reference.answers:
        return None
    images = work.reference.answers["generate"][0]["image"][:GENERATED_IMAGES]
    save_png(folder / GENERATED, grid(list(images), columns=COLUMNS))
    return GENERATED


def _stacked(rows: dict[str, np.ndarray]) -> np.ndarray:
    """One row of images under the other, each with its name on the left; uint8 RGB."""
    font = ImageFont.load_default(size=15)
    bands = []
    for name, images in rows.items():
        band = grid(list(images), columns=len(images))
        margin = Image.new("RGB", (MARGIN, band.shape[0]), "white")
        place = (MARGIN - 10, band.shape[0] / 2)
        ImageDraw.Draw(margin).text(place, name, fill=(60, 60, 60), font=font, anchor="rm")
        bands.append(np.concatenate([np.asarray(margin), band], axis=1))
    return np.pad(np.concatenate(bands), ((6, 6), (0, 6), (0, 0)), constant_values=255)
