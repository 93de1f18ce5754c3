"""Compiles the C program against the headers and libraries that are in the TensorFlow wheel."""

import shutil
import subprocess
from pathlib import Path

import tensorflow as tf

from tfvae.errors import UserError

SOURCES = tuple(Path(__file__).with_name(name) for name in ("serve.c", "records.c"))
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror")


def compiler() -> str | None:
    """The C compiler of this machine, or `None`."""
    return next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)


def require() -> tuple[str, list[Path]]:
    """The compiler, and the libraries to link against.

    Raises:
        UserError: When one of them is not there.
    """
    name = compiler()
    if name is None:
        raise UserError("--native needs a C compiler, and there is no cc, gcc or clang on this machine's PATH.")
    libraries = [Path(tf.sysconfig.get_lib(), f"libtensorflow_{part}.so.2") for part in ("cc", "framework")]
    missing = [library.name for library in libraries if not library.is_file()]
    if missing:
        raise UserError(f"--native needs TensorFlow's wheel for Linux; this one has no {' and no '.join(missing)}.")
    return name, libraries


def build(folder: Path) -> Path:
    """The program `serve`, compiled into `folder`.

    Raises:
        UserError: As `require`.
        RuntimeError: With what the compiler said.
    """
    name, libraries = require()
    program = folder / "serve"
    command = [name, "-std=c11", "-O2", *WARNINGS, *map(str, SOURCES), "-o", str(program)]
    # -isystem: warnings are for our code, not for TensorFlow's headers.
    command += ["-isystem", tf.sysconfig.get_include(), *map(str, libraries)]
    command += [f"-Wl,-rpath,{tf.sysconfig.get_lib()}", "-lm"]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode != 0:
        raise RuntimeError(f"the C program does not compile:\n{process.stderr}")
    return program
