"""What a person meets first: `import tfvae`, and the help, the version and the errors of every program."""

import ast
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import benchmarks.__main__
import export.__main__
import tfvae
import tfvae.cli
import training.__main__
from benchmarks.__main__ import BENCHMARKS
from benchmarks.arguments import RECIPES, RESTORATION, benchmark_parser
from benchmarks.restoration import SPEED, TASKS, UNCERTAINTY
from benchmarks.workers import PICTURES
from training import encrypt, tune

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = {
    "tfvae": tfvae.cli.program_parser,
    "python -m training": training.__main__.parser,
    "python -m export": export.__main__.parser,
    "python -m benchmarks": benchmarks.__main__.parser,
}
PARSERS = [
    *(make() for make in PROGRAMS.values()),
    *(tfvae.cli.command_parser(name) for name in tfvae.cli.COMMANDS),
    *(benchmark_parser(name, about) for name, about in BENCHMARKS.items()),
    *(tune.parser(), encrypt.parser(), export.__main__.verify_parser()),
]
BY_PROG = {parser.prog: parser for parser in PARSERS}


def python(program, *words):
    """Output, errors and exit code of a process of its own."""
    command = [sys.executable, "-c", program, *words]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    return ended.stdout, ended.stderr, ended.returncode


# What is loaded when.

DOOR = """
import atexit, runpy, sys
libraries = {"keras", "tensorflow", "numpy", "PIL", "matplotlib", "sklearn"}
atexit.register(lambda: print("loaded:", *sorted(libraries & sys.modules.keys())))
runpy.run_module(sys.argv[1], run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("tfvae", 2),
        ("tfvae --version", 0),
        ("tfvae restore --help", 0),
        ("tfvae restroe", 2),
        ("tfvae generate --nonsense", 2),
        ("tfvae generate no/such/run", 2),
        ("training", 2),
        ("training --help", 0),
        ("training tune --help", 0),
        ("training --set bogus", 2),
        ("training --recipe digit", 2),
        ("training --recipe digits --set model.latent_dims=3", 2),
        ("training --out no/such/run --resume", 2),
        ("export --help", 0),
        ("export verify --help", 0),
        ("export no/such/run", 2),
        ("benchmarks flickr", 2),
        ("benchmarks export_survey --help", 0),
    ],
)
def test_help_and_what_is_mistyped_wait_for_no_library(words, code):
    module, *rest = words.split()
    # `runpy` replaces the first word by the file.
    out, err, ended = python(DOOR.replace("sys.argv[1]", repr(module)), *rest)
    assert ended == code, err
    assert out.splitlines()[-1] == "loaded:", err


LOADS_AND_KNOWS_ALL = """
import importlib, pkgutil
model = keras.saving.load_model("tests/files/vae-0.1.0.keras")
known = {name for name in keras.saving.get_custom_objects() if name.startswith("tfvae>")}
import tfvae
assert type(model) is tfvae.VAE, type(model)
for module in pkgutil.walk_packages(tfvae.__path__, "tfvae."):
    if module.name != "tfvae.__main__":
        importlib.import_module(module.name)
more = {name for name in keras.saving.get_custom_objects() if name.startswith("tfvae>")} - known
assert known and not more, more
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports",
    [
        "import tfvae, keras",
        "import keras, tfvae",
        "from tfvae.layers import Dropout; import keras",
        pytest.param("import tfvae, tensorflow, keras", marks=pytest.mark.slow),
    ],
)
def test_a_saved_model_loads_whatever_was_imported_and_in_whichever_order(imports):
    """Every class is registered by then, not only those that this file needs."""
    _, err, ended = python(f"{imports}\n{LOADS_AND_KNOWS_ALL}")
    assert ended == 0, err
    if imports.startswith(("import tfvae", "from tfvae")):
        assert err == "", "TensorFlow's notes on the machine are held back"


def test_another_backend_of_keras_is_refused_at_the_first_use():
    program = "import keras; keras.backend.backend = lambda: 'jax'; import tfvae"
    _, err, ended = python(program)
    assert ended == 1
    assert "ImportError: tfvae needs the TensorFlow backend of Keras, and 'jax' is loaded" in err


def test_every_public_name_is_there_for_people_and_for_type_checkers():
    for name in tfvae.__all__:
        assert getattr(tfvae, name) is not None and name in dir(tfvae)
    assert tfvae.applications.generate and tfvae.health.findings and tfvae.MODELS["vae"] is tfvae.VAE
    with pytest.raises(AttributeError, match="'tfvae' has no attribute 'VEA'"):
        tfvae.VEA  # noqa: B018
    (checked,) = (node for node in ast.parse(Path(tfvae.__file__).read_text()).body if isinstance(node, ast.If))
    assert {alias.name for node in checked.body for alias in node.names} == set(tfvae.__all__)


# What the doors say.


@pytest.mark.parametrize("prog", PROGRAMS)
def test_a_bare_call_gets_the_help_and_an_exit_code_that_says_nothing_was_done(prog, capsys):
    parser = PROGRAMS[prog]()
    with pytest.raises(SystemExit) as ended:
        parser.parse_args([])
    assert ended.value.code == 2
    assert capsys.readouterr().err == parser.format_help()


@pytest.mark.parametrize("prog", PROGRAMS)
def test_every_program_says_its_version(prog, capsys):
    with pytest.raises(SystemExit) as ended:
        PROGRAMS[prog]().parse_args(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"tfvae {tfvae.__version__}\n"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert tfvae.__version__ == project["version"]


def test_help_names_what_else_there_is():
    said = {prog: make().format_help() for prog, make in PROGRAMS.items()}
    assert all(name in said["tfvae"] for name in tfvae.cli.COMMANDS)
    recipes = {path.stem for path in (ROOT / "training" / "recipes").glob("*.toml")}
    assert recipes and all(name in said["python -m training"] for name in recipes)
    assert all(f"python -m training {name}" in said["python -m training"] for name in ("tune", "encrypt"))
    for other in ("python -m export verify", "python -m benchmarks export_survey", "benchmarks export_latency"):
        assert other in said["python -m export"]
    assert all(name in said["python -m benchmarks"] for name in BENCHMARKS)


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.prog)
def test_help_ends_with_examples_that_are_accepted(parser, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "PHOTOS").mkdir()
    _, _, examples = parser.format_help().partition("examples:\n")
    lines = examples.splitlines()
    assert lines and any(line.strip().startswith(parser.prog) for line in lines)
    for line in lines:
        words = shlex.split(line)
        length = max(length for length in (1, 2, 3, 4) if " ".join(words[:length]) in BY_PROG)
        if words[-1] == "--help":
            continue
        BY_PROG[" ".join(words[:length])].parse_args(words[length:])


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.prog)
def test_one_thing_has_one_name_everywhere(parser):
    options = {name: action for action in parser._actions for name in action.option_strings}
    for short, long in (("-o", "--out"), ("-n", "--count")):
        assert options.get(short) is options.get(long)
    assert {name for name in options if not name.startswith("--")} <= {"-h", "-n", "-o"}
    for name, metavar in (("--seed", "S"), ("--size", "HxW"), ("--temperature", "T"), ("--strength", "S")):
        assert name not in options or options[name].metavar == metavar
    synonyms = {
        "--batch",
        "--cases",
        "--clips",
        "--draw",
        "--draws",
        "--images",
        "--k",
        "--number",
        "--output",
        "--photos",
    }
    assert not options.keys() & synonyms


def test_what_parsers_list_is_what_there_is():
    assert tuple(PICTURES) == RECIPES
    assert (*TASKS, UNCERTAINTY, SPEED) == RESTORATION
