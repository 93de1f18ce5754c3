"""Labels of pictures from a table: for folders whose sub-folders are none."""

import codecs
import csv
import io
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfvae.data.images import UNLABELLED, Images
from tfvae.errors import UserError

COLUMNS = "name,label"
SEPARATORS = ",;\t"
# How tables begin that are not plain UTF-8: with a mark, or with the letter n.
BEGINNINGS = {
    codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
    b"n\0": "utf-16-le", b"\0n": "utf-16-be",
}  # fmt: skip


def label_by_table(images: Images, path: str | Path) -> tuple[Images, list[str]]:
    """The images with the labels that a table with the columns `name` and `label` gives, -1 where it gives none.

    Names match whatever their Unicode form (macOS stores accents apart) and their slashes.

    Args:
        images: Their names are those of the table: files within the folder.
        path: The table, UTF-8 or UTF-16, with a header; columns are separated by commas, semicolons or tabs, and
            further ones are left aside.

    Returns:
        The images, and phrases about the pictures and rows that found no partner.

    Raises:
        UserError: When it cannot be read, has no such columns, names none of the images, or one with two labels.
    """
    given = _labels(path)
    keys = [_key(name) for name in images.names]
    names = sorted(set(given.values()))
    labels = np.array([names.index(given[key]) if key in given else UNLABELLED for key in keys], np.int64)
    if (labels == UNLABELLED).all():
        example = images.names[0] if images.names else "none"
        raise UserError(f"data.labels: '{path}' names none of the pictures, such as '{example}'.")
    said = []
    if alone := [name for name, label in zip(images.names, labels, strict=True) if label == UNLABELLED]:
        said.append(f"{_counted(len(alone), 'picture')} without a label{_such_as(alone)}")
    if lost := sorted(given.keys() - set(keys)):
        said.append(
            f"{_counted(len(lost), 'row')} of '{Path(path).name}' for pictures that are not there{_such_as(lost)}"
        )
    images = images.take(np.arange(len(images)))
    images.labels, images.label_names = labels, names
    return images, said


def _labels(path: str | Path) -> dict[str, str]:
    """The label of each name; rows without one are left out."""
    if Path(path).exists() and not Path(path).is_file():
        raise UserError(f"data.labels: '{path}' is no file.")  # a pipe would be waited for without end
    try:
        content = Path(path).read_bytes()
        encoding = next((name for start, name in BEGINNINGS.items() if content.startswith(start)), "utf-8")
        text = content.decode(encoding)
        separator = max(SEPARATORS, key=text.partition("\n")[0].count)
        header, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        columns = [word.strip().lower() for word in header]
        name, label = columns.index("name"), columns.index("label")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"data.labels: '{path}' cannot be read: {error}.") from error
    except ValueError:
        raise UserError(
            f"data.labels: '{path}' must be a table with a header and the columns {COLUMNS}, separated by commas, "
            "semicolons or tabs."
        ) from None
    found: dict[str, str] = {}
    for row in rows:
        if len(row) <= max(name, label) or not row[label].strip():
            continue
        key, word = _key(row[name]), row[label].strip()
        if found.setdefault(key, word) != word:
            raise UserError(f"data.labels: '{path}' gives '{key}' two labels, '{found[key]}' and '{word}'.")
    return found


def _key(name: str) -> str:
    """What names that mean one file have in common."""
    return unicodedata.normalize("NFC", name.strip()).replace("\\", "/").removeprefix("./")


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' if count > 1 else ''}"


def _such_as(names: Sequence[str]) -> str:
    return f" (such as {', '.join(repr(name) for name in names[:3])})"
