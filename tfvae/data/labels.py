"""Labels of pictures from a table: for folders whose sub-folders are none."""

import csv
from pathlib import Path

import numpy as np

from tfvae.data.images import UNLABELLED, Images
from tfvae.errors import UserError

COLUMNS = "name,label"


def label_by_table(images: Images, path: str | Path) -> Images:
    """The images, with the labels that a CSV file with the columns `name` and `label` gives; -1 where it gives none.

    Args:
        images: Their names are those of the table: files within the folder.
        path: The table, UTF-8, with a header; further columns are left aside.

    Raises:
        UserError: When it cannot be read, has no such columns, or names none of the images.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"data.labels: '{path}' cannot be read: {error}.") from error
    if not rows or not {"name", "label"} <= rows[0].keys():
        raise UserError(f"data.labels: '{path}' must be a table with a header and the columns {COLUMNS}.")
    told = {row["name"]: (row["label"] or "").strip() for row in rows}
    names = sorted(set(told.values()) - {""})
    labels = np.array([names.index(told[name]) if told.get(name) else UNLABELLED for name in images.names], np.int64)
    if (labels == UNLABELLED).all():
        example = images.names[0] if images.names else "none"
        raise UserError(f"data.labels: '{path}' names none of the pictures, such as '{example}'.")
    images = images.take(np.arange(len(images)))
    images.labels, images.label_names = labels, names
    return images
