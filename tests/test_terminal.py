"""What a program prints cannot end its work: readers that have gone, encodings without the letter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import sys
from tfvae.errors import UserError, run_program

def main():
    for _ in range(3):
        print("8\u00d78; measuring \u2026", flush=True)
        print("to the log \u2026", file=sys.stderr, flush=True)
    with open(sys.argv[1], "w") as file:
        file.write("the work")
    if len(sys.argv) > 2:
        raise UserError("caf\u00e9: no such file.")

sys.exit(run_program("training", main))
"""


def started(path, *words, **options):
    command = [sys.executable, "-c", PROGRAM, str(path), *words]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, **options)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1251", "latin-1", "ascii"])
def test_a_letter_that_the_encoding_has_not_ends_nothing(tmp_path, encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    process = started(tmp_path / "file", stdout=subprocess.PIPE, env=environment)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and (tmp_path / "file").read_text() == "the work"
    assert out.decode(encoding).count("measuring") == 3 and b"Traceback" not in err


@pytest.mark.parametrize(("words", "code"), [((), 0), (("fail",), 2)])
def test_a_reader_that_has_gone_ends_nothing(tmp_path, words, code):
    reader, writer = os.pipe()
    process = started(tmp_path / "file", *words, stdout=writer)
    os.close(writer)
    os.close(reader)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code and (tmp_path / "file").read_text() == "the work"
    assert b"Traceback" not in err and b"Exception ignored" not in err
