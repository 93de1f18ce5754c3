"""What `tfvae continue` accepts."""

from pathlib import Path

from tfvae.arguments import shared as args
from tfvae.errors import OneLineParser


def continue_film(parser: OneLineParser) -> None:
    args.run(parser)
    parser.add_argument("source", metavar="FILM", type=Path, nargs="?", help="default: the run's first held-out clip")
    parser.add_argument("--frames", type=args.integer(1), default=20, metavar="N", help="how many more (default: 20)")
    args.temperature(parser, "0: the mean of what may happen; 1: one of the things that may", 0.0)
    args.seed(parser, "of what is drawn")
    args.out(parser, "OUT.mp4, .webm or .gif; a picture of the frames beside it as OUT.png", "RUN/continued.mp4")
    parser.note(
        "examples",
        ["tfvae continue runs/video", "tfvae continue runs/video film.mp4 --frames 40 --temperature 1 -o more.mp4"],
    )
