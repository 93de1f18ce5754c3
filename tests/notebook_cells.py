"""The notebooks, and their code as plain Python."""

from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
assert NOTEBOOKS, "no notebook is found beside tests/"


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(path):
    """Each code cell as Python that parses: `%magic` and `!command` lines become calls with their text in quotes."""
    return [TransformerManager().transform_cell(cell.source) for cell in read(path).cells if cell.cell_type == "code"]
