"""What `tfvae inspect` accepts."""

import argparse

from tfvae.arguments import shared as args
from tfvae.errors import OneLineParser
from tfvae.file_names import user_path


def inspect(parser: OneLineParser) -> None:
    args.run(parser)
    parser.add_argument("source", metavar="IN", type=user_path, help="a picture, or a folder of pictures")
    args.out(parser, "a folder", "RUN/inspected", metavar="DIR")
    parser.add_argument(
        "--alpha", type=_share, metavar="A", help="the share of false alarms that is admitted (default: the run's)"
    )
    parser.add_argument("--tile", type=args.integer(1), metavar="PX", help="side of the parts it is computed in")
    parser.note(
        "exit code",
        ["0: every picture passes; 1: one or more fail; 2: the request, or a picture, cannot be met"],
    )
    parser.note(
        "examples",
        [
            "tfvae inspect runs/inspect PIECES -o found",
            "tfvae inspect runs/inspect piece.png --alpha 0.01",
        ],
    )


def _share(text: str) -> float:
    value = args.number(0, 1)(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be between 0 and 1, such as 0.05. Received: {text}")
    return value
