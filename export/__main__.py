"""`python -m export RUN [--out DIR] … [--explorer] [--onnx] [--native]`: a run directory in, checked artefacts out."""

import functools
import os
import sys
from collections.abc import Sequence

from export import NO_LICENCE
from export.kits.native import REQUESTS
from tfvae.arguments import shared as args
from tfvae.errors import OneLineParser, ProgramParser, run_program
from tfvae.runs import open_run

VERIFY = "verify"  # python -m export verify BUNDLE


def parser() -> ProgramParser:
    p = ProgramParser(
        "python -m export",
        "Write a run's model as a SavedModel and as TFLite files (float32, float16, int8), each checked against Keras "
        "on held-out images; what misses its bound is withheld, and the exit code is then 1.",
    )
    args.run(p, data=True)
    args.out(p, "where the bundle goes", "RUN/export", metavar="DIR")
    args.size(
        p,
        "pixels that the .tflite files take, of films those of a frame, where sizes are open (default: the run's crop)",
    )
    p.add_argument(
        "--license",
        default=NO_LICENCE,
        metavar="NAME",
        help="licence that the files are given away under, for the card: apache-2.0, cc-by-4.0 … (default: not stated)",
    )
    p.add_argument(
        "--explorer",
        action="store_true",
        help="add a page that runs a VAE or an autoencoder in a browser, or opens the files of a codec "
        "(LiteRT.js is fetched from npm, once)",
    )
    p.add_argument(
        "--onnx", action="store_true", help="add .onnx files, checked in ONNX Runtime (needs the extra `onnx`)"
    )
    p.add_argument(
        "--native",
        nargs="?",
        type=args.integer(1),
        const=REQUESTS,
        default=0,
        metavar="REQUESTS",
        help="prove the SavedModel without Python: a C program answers every signature at batch 1 to 256, and "
        f"REQUESTS (default: {REQUESTS}) requests in a row with constant memory (minutes; needs a C compiler)",
    )
    p.note(
        "also, each with --help",
        [
            "python -m export verify BUNDLE           refuse a bundle that was changed; run every model again",
            "python -m benchmarks export_survey       every model with every network, held to its bounds",
            "python -m benchmarks export_latency RUN  the decoder in LiteRT, ONNX Runtime and PyTorch",
        ],
    )
    p.note(
        "examples",
        [
            "python -m export runs/digits",
            "python -m export runs/digits --explorer --onnx",
            "python -m export runs/photos --size 256x256 --out bundle",
            "python -m export vae.keras --data digits",
        ],
    )
    return p


def verify_parser() -> OneLineParser:
    p = OneLineParser(
        "python -m export verify",
        "Refuse a bundle in which any byte was changed, and repeat the comparison of every model file with Keras's "
        "answers, from the bundle alone. The sums prove integrity, not who made the bundle.",
    )
    p.add_argument("bundle", metavar="BUNDLE", help="folder that `python -m export` wrote")
    p.note("examples", ["python -m export verify runs/digits/export"])
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0; 1 when a file missed its bound; 2 for a request that cannot be met; 130 for Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    program, outcome = (_verify, "verify:") if words[:1] == [VERIFY] else (_export, "withheld,")
    missed: list[str] = []
    code = run_program("export", lambda: missed.extend(program(words)))
    if missed and not code:
        print(f"export: {outcome} out of bound: {', '.join(missed)}", file=sys.stderr)
        return 1
    return code


def _export(words: list[str]) -> list[str]:
    """Names of what was withheld."""
    options = parser().parse_args(words)
    open_run(options.run, options.data)  # raises for a mistyped one
    from export.bundle import export_run  # TensorFlow loads here, after the command line was read.

    artefacts = export_run(
        options.run,
        options.out,
        size=options.size,
        say=functools.partial(print, "export:", flush=True),
        explorer=options.explorer,
        onnx=options.onnx,
        native=options.native,
        licence=options.license,
        data_source=options.data,
    )
    return [artefact.name for artefact in artefacts if not artefact.written]


def _verify(words: list[str]) -> list[str]:
    """Names of the files that missed their bound."""
    options = verify_parser().parse_args(words[1:])
    from export.verify import verify  # Here as well.

    return verify(options.bundle, functools.partial(print, flush=True))


if __name__ == "__main__":
    # Both are read while TensorFlow is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # On a GPU convolutions may be computed in TensorFloat-32, which is 1e-3 away from every runtime we check with.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    sys.exit(main())
