"""The folder `phone/` of a codec: a decoder of its `.tfv` files in Kotlin, whose pixels decoder.tflite computes."""

import shutil
from pathlib import Path
from string import Template

from export.artefacts import Artefact, Export
from export.formats.tflite import file_name

FILES = Path(__file__).with_name("codec_files")
MODEL = file_name("decoder", "float32")
LITERT = "2.4.0"  # the release whose interface it calls


def write(work: Export, written: list[Artefact], target: Path) -> None:
    """Write the decoder into `target`; nothing where `decoder.tflite` was withheld."""
    if MODEL not in {artefact.name for artefact in written}:
        return
    shutil.copytree(FILES, target)
    rows, columns, _ = work.model.code_shape(*work.size)
    words = {
        "name": work.run.path.resolve().name,
        "litert": LITERT,
        "size": "×".join(map(str, work.size)),
        "rows": rows,
        "columns": columns,
    }
    readme = target / "README.md"
    readme.write_text(Template(readme.read_text(encoding="utf-8")).substitute(words), encoding="utf-8")
