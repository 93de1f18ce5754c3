"""The notebooks run, keep their pictures, and leave Colab's TensorFlow alone."""

import importlib.util
import re

import nbformat
import pytest
from nbclient import NotebookClient
from notebook_cells import NOTEBOOKS, code_cells, read

KILOBYTE = 1024
INSTALL = re.compile(r"\bpip\b.*\binstall\b.*")

# The second trains, exports and converts: minutes.
LONG = [pytest.param(path, marks=pytest.mark.slow) if path.stem.startswith("02") else path for path in NOTEBOOKS]
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def outputs(notebook, kind=None):
    """All outputs of a notebook, or those of one type, in order."""
    found = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return found if kind is None else [output for output in found if output.output_type == kind]


def pictures(notebook):
    """How many pictures each cell shows."""
    shown = [[kind for output in cell.get("outputs", ()) for kind in output.get("data", ())] for cell in notebook.cells]
    return [sum(kind.startswith("image/") for kind in kinds) for kinds in shown]


@pytest.mark.parametrize("path", LONG, ids=lambda path: path.stem)
def test_a_notebook_runs_in_miniature_shows_every_picture_and_complains_of_nothing(path, tmp_path, monkeypatch):
    # oneDNN, which TensorFlow chooses by the processor, is where its remapper may fail, and say so in red.
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    # A reader has not set what conftest.py sets to keep TensorFlow quiet. Under pytest a kernel leaves alone the file
    # descriptor 2, where native code complains. And kernels of another environment would test another tfvae.
    for name in ("TF_CPP_MIN_LOG_LEVEL", "PYTEST_CURRENT_TEST", "JUPYTER_PATH"):
        monkeypatch.delenv(name, raising=False)
    kept = read(path)
    notebook = read(path)
    for cell in notebook.cells:
        cell.update({"outputs": [], "execution_count": None} if cell.cell_type == "code" else {})
    (settings,) = [cell for cell in notebook.cells if "miniature" in cell.metadata]
    settings.source += f"\n{settings.metadata['miniature']}"

    # What the notebook writes lands in its working folder.
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()

    assert pictures(notebook) == pictures(kept)
    assert any(pictures(kept))
    assert not [output.text for output in outputs(notebook, "stream") if output.name == "stderr"]


@every_notebook
def test_a_notebook_was_saved_after_one_whole_run(path):
    notebook = read(path)
    nbformat.validate(notebook)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert not outputs(notebook, "error")
    assert not [output.text for output in outputs(notebook, "stream") if output.name == "stderr"]


@every_notebook
def test_a_notebook_is_small_and_names_no_folder_of_a_machine(path):
    assert path.stat().st_size < 600 * KILOBYTE
    text = "".join(str(output.get("text", "")) for output in outputs(read(path)))
    assert not re.search(r"/(home|root|tmp|work|Users)/", text)


@every_notebook
def test_the_first_cell_installs_only_where_tfvae_is_missing_and_never_tensorflow(path):
    first, *others = [cell.source for cell in read(path).cells if cell.cell_type == "code"]
    installs = INSTALL.findall(first)
    assert installs
    # With --no-deps a package cannot bring another TensorFlow or Keras with it either.
    assert all("--no-deps" in line and not re.search("tensorflow|keras", line) for line in installs)
    assert 'if importlib.util.find_spec("tfvae") is None:' in first
    assert not [line for source in others for line in INSTALL.findall(source)]


@every_notebook
@pytest.mark.parametrize("found", [False, True])
def test_where_tfvae_cannot_be_installed_the_first_cell_says_what_to_do(path, monkeypatch, found):
    asked = []

    class Shell:
        def run_line_magic(self, magic, line):
            asked.append((magic, line))

    # Missing at first; after pip there, or still missing.
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if asked and found else None)
    names = {"get_ipython": Shell}
    if found:
        exec(code_cells(path)[0], names)
    else:
        with pytest.raises(ModuleNotFoundError, match=r"no tfvae at 'tfvae'.*pip wheel --no-deps.*TFVAE"):
            exec(code_cells(path)[0], names)
    assert asked[0] == ("pip", "install -q --no-deps {TFVAE}")


@every_notebook
def test_no_cell_runs_a_program_of_the_clone(path):
    # A pip-only user has the library alone. (What cells import is in test_boundaries.py.)
    assert not [cell for cell in code_cells(path) if re.search(r"-m\s+(training|export)\b", cell)]


@every_notebook
def test_the_bound_by_hand_is_that_of_the_library(path):
    """In the notebook that has it: the rates agree to the last digit, the distortions up to the draws of the code."""
    text = "".join(output.text for output in outputs(read(path), "stream"))
    told = re.findall(r"^(by hand|evaluate) +elbo (\S+) = -\((\S+) \+ (\S+)\) nats$", text, re.MULTILINE)
    if not told:
        pytest.skip("computes no bound by hand")
    (elbo, distortion, rate), again = ([float(value) for value in values] for _, *values in told)
    assert [name for name, *_ in told] == ["by hand", "evaluate"]
    assert elbo == pytest.approx(-(distortion + rate), abs=0.011)
    assert again[2] == rate and again[1] == pytest.approx(distortion, abs=2.0)
