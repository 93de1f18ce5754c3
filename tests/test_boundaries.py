"""Package layout: who imports whom, and what the wheel holds."""

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import build
import pyproject_hooks
import pytest
from notebook_cells import NOTEBOOKS, code_cells

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("tfvae", "training", "export", "benchmarks")


def imported(source):
    """Top-level names that `source` imports anywhere in it; relative imports stay within their own room."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def imported_by(room):
    """`{file: names it imports}` of every module of a room."""
    files = sorted((ROOT / room).rglob("*.py"))
    assert files, f"{room}/ holds no module"
    return {str(file.relative_to(ROOT)): imported(file.read_text(encoding="utf-8")) for file in files}


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("tfvae", {"training", "export", "benchmarks", "tests"}),
        ("training", {"export", "benchmarks", "tests"}),
        ("export", {"training", "benchmarks", "tests"}),
        ("benchmarks", {"tests"}),
    ],
)
def test_imports_point_towards_the_library_only(room, forbidden):
    trespassing = {file: names & forbidden for file, names in imported_by(room).items() if names & forbidden}
    assert not trespassing


def folder_imports():
    """`{folder: folders it imports}` of what lies directly below `tfvae/`; a module there is a folder of its own."""
    files = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
        for file in (ROOT / "tfvae").rglob("*.py")
    }
    edges = {}
    for module, file in files.items():
        if module == "tfvae":
            continue  # the package itself names everything and is imported by nothing within
        names = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        folder = module.split(".")[1]
        edges.setdefault(folder, set())
        edges[folder] |= {name.split(".")[1] for name in names & files.keys() if name != "tfvae"} - {folder}
    return edges


def test_folders_of_the_library_form_no_circle():
    """Wherever an import stands, also within a function."""
    edges = folder_imports()
    assert {"models", "likelihoods"} <= edges.keys() and "likelihoods" in edges["models"] | edges["networks"]
    placed = set()
    while ready := {folder for folder, needs in edges.items() if folder not in placed and needs <= placed}:
        placed |= ready
    assert not {folder: edges[folder] - placed for folder in edges.keys() - placed}


def test_no_file_is_longer_than_a_sitting():
    lengths = {
        file: len((ROOT / file).read_text("utf-8").splitlines())
        for room in (*ROOMS, "tests")
        for file in imported_by(room)
    }
    assert not {file: length for file, length in lengths.items() if length > 400}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_import_the_library_only(notebook):
    names = set().union(*(imported(cell) for cell in code_cells(notebook)))
    assert "tfvae" in names
    assert not names & {"training", "export", "benchmarks", "tests"}


@pytest.mark.parametrize(
    ("script", "third_party"),
    [
        # One reader for each core, started for a folder of pictures: TensorFlow would take seconds and 500 MB each.
        ("tfvae/data/reader_process.py", {"numpy"}),
        # Copied into export bundles, whose clients have no tfvae.
        ("tfvae/decoding.py", {"numpy", "PIL"}),
        # Proves that a SavedModel needs neither Keras nor this project.
        ("export/formats/saved_model_process.py", {"numpy", "tensorflow"}),
        # Times one runtime where no other is loaded.
        ("benchmarks/export_latency_process.py", {"numpy", "ai_edge_litert", "onnxruntime", "torch"}),
    ],
)
def test_scripts_run_by_their_path_import_nothing_of_the_project(script, third_party):
    names = imported((ROOT / script).read_text(encoding="utf-8"))
    assert not names & set(ROOMS)
    assert names - set(sys.stdlib_module_names) <= third_party


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built with the setuptools of this environment: no network."""
    folder = tmp_path_factory.mktemp("wheel")
    # A copy, so that no build/ stays behind in the tree, and none that lies there gets into the wheel.
    source = folder / "source"
    for room in ("pyproject.toml", "README.md", "LICENSE", *ROOMS, "tests", "notebooks"):
        _copy(ROOT / room, source / room)
    builder = build.ProjectBuilder(source, runner=pyproject_hooks.quiet_subprocess_runner)
    missing = builder.check_dependencies("wheel")
    assert not missing, f"not in this environment (pip install -e '.[test]'): {missing}"
    return Path(builder.build("wheel", folder))


def test_the_wheel_holds_the_library_only(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    modules = {name for name in names if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in modules} == {"tfvae"}
    assert {name for name in modules if name.endswith(".py")} == {
        file.relative_to(ROOT).as_posix() for file in (ROOT / "tfvae").rglob("*.py")
    }


def test_the_wheel_works_without_the_programs(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    # -I: neither the current folder nor PYTHONPATH, so that the clone cannot help.
    program = f"""
import importlib.util, sys
sys.path.insert(0, {str(tmp_path)!r})
import tfvae, tfvae.applications, tfvae.cli, tfvae.data, tfvae.evaluation, tfvae.runs, tfvae.serving
assert tfvae.__file__.startswith({str(tmp_path)!r}), tfvae.__file__
assert not {{"training", "export", "benchmarks"}} & set(sys.modules)
# A folder of pictures must not wait for it.
assert "tensorflow_datasets" not in sys.modules
tfvae.cli.main(["--help"])
"""
    result = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "reconstruct" in result.stdout


def _copy(source, target):
    files = [source] if source.is_file() else [file for file in source.rglob("*") if file.is_file()]
    for file in files:
        if "__pycache__" not in file.parts:
            place = target / file.relative_to(source) if source.is_dir() else target
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.read_bytes())
