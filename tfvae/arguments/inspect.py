"""What `tfvae inspect` accepts."""

import argparse

from tfvae.arguments import shared as args
from tfvae.errors import OneLineParser
from tfvae.file_names import user_path
from tfvae.runs import CONFIG


def inspect(parser: OneLineParser) -> None:
    args.run(parser, also="with --template a folder of good pieces, which calibrate, is accepted as well")
    parser.add_argument("source", metavar="IN", type=user_path, help="a picture, a folder of pictures, or a film")
    args.out(parser, "a folder", "RUN/inspected; ./inspected where RUN is a folder of pieces", metavar="DIR")
    parser.add_argument(
        "--template",
        type=user_path,
        metavar="GOOD",
        help="compare with this good piece instead, or each picture with that of its name in this folder",
    )
    parser.add_argument(
        "--alpha",
        type=_share,
        metavar="A",
        help="the share of false alarms that is admitted (default: the run's, or 0.05)",
    )
    parser.add_argument("--tile", type=args.integer(1), metavar="PX", help="side of the parts it is computed in")
    parser.checks.append(_run_or_good_pieces)
    parser.note(
        "exit code",
        ["0: every picture, or frame, passes; 1: one or more fail; 2: the request, or a picture, cannot be met"],
    )
    parser.note(
        "examples",
        [
            "tfvae inspect runs/inspect PIECES -o found",
            "tfvae inspect runs/inspect piece.png --alpha 0.01",
            "tfvae inspect GOOD BOARDS --template board.png -o found",
        ],
    )


def _run_or_good_pieces(arguments: argparse.Namespace) -> None:
    """What calibrates a template: `run`, or, where that is a folder of pictures, `good`."""
    arguments.good = None
    if arguments.template is not None and arguments.run.is_dir() and not (arguments.run / CONFIG).is_file():
        arguments.good, arguments.run = arguments.run, None


def _share(text: str) -> float:
    value = args.number(0, 1)(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be between 0 and 1, such as 0.05. Received: {text}")
    return value
