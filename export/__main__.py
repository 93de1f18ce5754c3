"""`python -m export RUN [--out DIR] … [--explorer] [--onnx] [--native]`: a run directory in, checked artefacts out."""

import argparse
import functools
import importlib
import os
import re
import sys

if __name__ == "__main__":  # both are read while TensorFlow is imported, so they are set before it is
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # On a GPU convolutions may be computed in TensorFloat-32, which is 1e-3 away from every runtime we check with.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

from export.artefacts import NO_LICENCE
from export.bundle import export_run
from export.kits.native.prove import REQUESTS
from tfvae.errors import OneLineParser, UserError, run_program

PROGRAMS = ("verify",)  # python -m export NAME …


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = OneLineParser(
        prog="export",
        description="Write a run's model as a SavedModel and as TFLite files (float32, float16, int8), each checked "
        "against Keras on held-out images; what misses its bound is withheld, and the exit code is then 1.",
    )
    parser.add_argument("run", metavar="RUN", help="run directory that `python -m training` wrote")
    parser.add_argument("--out", metavar="DIR", help="where the bundle goes (default: RUN/export)")
    parser.add_argument(
        "--size",
        metavar="HEIGHTxWIDTH",
        help="pixels that the .tflite files take, for models with spatial latents (default: the run's crop)",
    )
    parser.add_argument(
        "--license",
        default=NO_LICENCE,
        metavar="NAME",
        help="licence that the files are given away under, for the card: apache-2.0, cc-by-4.0 … (default: not stated)",
    )
    parser.add_argument(
        "--explorer",
        action="store_true",
        help="add a page that runs the model in a browser (LiteRT.js is fetched from the npm registry, once)",
    )
    parser.add_argument(
        "--onnx", action="store_true", help="add .onnx files, checked in ONNX Runtime (needs the extra `onnx`)"
    )
    parser.add_argument(
        "--native",
        nargs="?",
        type=_count,
        const=REQUESTS,
        default=0,
        metavar="REQUESTS",
        help="prove the SavedModel without Python: a C program answers every signature at batch 1 to 256, and "
        f"REQUESTS (default {REQUESTS}) requests in a row with constant memory (minutes; needs a C compiler)",
    )
    options = parser.parse_args(arguments)
    options.size = options.size and _size(options.size)
    return options


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)[x×](\d+)", text)
    if not found or 0 in (size := (int(found[1]), int(found[2]))):
        raise UserError(f"--size: expected HEIGHTxWIDTH in pixels, such as 256x256. Received: {text!r}.")
    return size


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise UserError(f"--native: expected a number of requests, or nothing. Received: {text!r}.")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0; 1 when an artefact missed its bound; 2 for a request that cannot be met; 130 for Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in PROGRAMS:
        return importlib.import_module(f"export.{arguments[0]}").main(arguments[1:])
    withheld: list[str] = []
    code = run_program("export", lambda: _export(parse(arguments), withheld))
    if withheld and not code:
        print(f"export: withheld, out of bound: {', '.join(withheld)}", file=sys.stderr)
        return 1
    return code


def _export(options: argparse.Namespace, withheld: list[str]) -> None:
    say = functools.partial(print, "export:", flush=True)
    artefacts = export_run(
        options.run,
        options.out,
        size=options.size,
        say=say,
        explorer=options.explorer,
        onnx=options.onnx,
        native=options.native,
        licence=options.license,
    )
    withheld += [artefact.name for artefact in artefacts if not artefact.written]


if __name__ == "__main__":
    sys.exit(main())
