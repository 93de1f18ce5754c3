"""What the card says to the Hugging Face Hub, in YAML at its top, and whose licence the files are under."""

import re

from export import NO_LICENCE
from export.artefacts import Artefact, Export
from export.kits.phone import kit as phone
from tfvae.errors import UserError


def checked(licence: str) -> str:
    """`licence` as the Hub writes it: in lower case.

    Raises:
        UserError: When it is no short name, such as SPDX and the Hub have them.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", licence):
        raise UserError(
            "--license: expected a licence's short name, such as apache-2.0, cc-by-nc-4.0 or other. "
            f"Received: {licence!r}."
        )
    return licence.lower()


def head(work: Export, artefacts: list[Artefact]) -> str:
    """The lines that the Hub reads: licence, library, task, tags, and the day of the export."""
    probabilistic = work.model.prior is not None
    draws = "generate" in work.reference.signatures and work.reference.shown == work.reference.default
    note = "  # not stated: see Licence" if work.licence == NO_LICENCE else ""
    tags = ["tfvae", "variational-autoencoder" if probabilistic else "autoencoder", *_formats(artefacts)]
    lines = [
        f"license: {work.licence}{note}",
        "library_name: keras",
        f"pipeline_tag: {'unconditional-image-generation' if draws else 'image-to-image'}",
        "tags:",
        *(f"- {tag}" for tag in tags),
        f"date: {work.day.isoformat()}",
    ]
    return "\n".join(["---", *lines, "---"])


def licence(work: Export) -> str:
    """The section that says which licence it is, or that nobody has said."""
    text = f"`{work.licence}`, as stated by whoever exported the files."
    if work.licence == NO_LICENCE:
        text = (
            "Not stated. Whoever trained the model may say so, within what the licence of the training images allows: "
            "`python -m export RUN --license cc-by-4.0`."
        )
    folders = "`phone/` and `serving/`" if phone.fits(work) else "`serving/`"
    return f"## Licence\n\n{text} The samples in {folders} are part of tfvae, under Apache-2.0."


def _formats(artefacts: list[Artefact]) -> list[str]:
    """Tags by which the Hub's users look for the formats that were written."""
    names = [artefact.name for artefact in artefacts if artefact.written]
    tags = {"saved_model/": ["tensorflow"], ".tflite": ["tflite", "litert"], ".onnx": ["onnx"]}
    return [tag for part, found in tags.items() if any(part in name for name in names) for tag in found]
