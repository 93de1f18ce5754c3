"""What `tfvae dreams` accepts."""

from tfvae.arguments import shared as args
from tfvae.errors import OneLineParser


def dreams(parser: OneLineParser) -> None:
    args.run(parser, data=True)
    args.count(parser, "draws a temperature", 24)
    parser.add_argument(
        "--minus",
        type=args.names,
        action="append",
        metavar="A,B,C",
        help="A - B + C of three pictures, files or indices into the held-out images; may be repeated",
    )
    args.seed(parser, "of all draws")
    args.out(parser, "a folder for index.html and its pictures", "RUN/dreams")
    parser.note("examples", ["tfvae dreams runs/digits", "tfvae dreams runs/photos --minus 0,1,2 -o page"])
