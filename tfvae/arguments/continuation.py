"""What `tfvae continue` accepts."""

from tfvae.arguments import shared as args
from tfvae.errors import OneLineParser
from tfvae.file_names import user_path


def continue_film(parser: OneLineParser) -> None:
    args.run(parser, data=True)
    parser.add_argument("source", metavar="FILM", type=user_path, nargs="?", help="default: a held-out clip of the run")
    parser.add_argument("--frames", type=args.integer(1), default=20, metavar="N", help="how many more (default: 20)")
    args.temperature(parser, "0: the mean of what may happen; 1: one of the things that may", 0.0)
    args.seed(parser, "of what is drawn")
    args.out(parser, "OUT.mp4, .webm or .gif; a picture of the frames beside it as OUT.png", "RUN/continued.mp4")
    parser.note(
        "examples",
        ["tfvae continue runs/video", "tfvae continue runs/video film.mp4 --frames 40 --temperature 1 -o more.mp4"],
    )
