"""The notebooks run, keep their pictures, and leave Colab's TensorFlow alone."""

import re

import nbformat
import pytest
from nbclient import NotebookClient
from notebook_cells import NOTEBOOKS, code_cells, read

KILOBYTE = 1024
INSTALL = re.compile(r"\bpip\b.*\binstall\b.*")

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def outputs(notebook, kind=None):
    """All outputs of a notebook, or those of one type, in order."""
    found = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return found if kind is None else [output for output in found if output.output_type == kind]


def pictures(notebook):
    """How many pictures each cell shows."""
    shown = [[kind for output in cell.get("outputs", ()) for kind in output.get("data", ())] for cell in notebook.cells]
    return [sum(kind.startswith("image/") for kind in kinds) for kinds in shown]


def test_a_notebook_runs_in_miniature_and_shows_every_picture(path, tmp_path, monkeypatch):
    monkeypatch.setenv("TFVAE_NOTEBOOK_STEPS", "2")
    # Kernels that are not this environment's would test another tfvae.
    monkeypatch.delenv("JUPYTER_PATH", raising=False)
    kept = read(path)
    notebook = read(path)
    for cell in notebook.cells:
        cell.update({"outputs": [], "execution_count": None} if cell.cell_type == "code" else {})

    # What the notebook writes lands in its working folder.
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()

    assert pictures(notebook) == pictures(kept)
    assert any(pictures(kept))


def test_a_notebook_was_saved_after_one_whole_run(path):
    notebook = read(path)
    nbformat.validate(notebook)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert not outputs(notebook, "error")
    assert not [output.text for output in outputs(notebook, "stream") if output.name == "stderr"]


def test_a_notebook_is_small_and_names_no_folder_of_a_machine(path):
    assert path.stat().st_size < 600 * KILOBYTE
    text = "".join(str(output.get("text", "")) for output in outputs(read(path)))
    assert not re.search(r"/(home|root|tmp|work|Users)/", text)


def test_the_first_cell_installs_only_where_tfvae_is_missing_and_never_tensorflow(path):
    first, *others = [cell.source for cell in read(path).cells if cell.cell_type == "code"]
    installs = INSTALL.findall(first)
    assert installs
    # With --no-deps a package cannot bring another TensorFlow or Keras with it either.
    assert all("--no-deps" in line and not re.search("tensorflow|keras", line) for line in installs)
    assert 'if importlib.util.find_spec("tfvae") is None:' in first
    assert not [line for source in others for line in INSTALL.findall(source)]


def test_no_cell_runs_a_program_of_the_clone(path):
    # A pip-only user has the library alone. (What cells import is in test_boundaries.py.)
    assert not [cell for cell in code_cells(path) if re.search(r"-m\s+(training|export)\b", cell)]
