"""What `tfvae stylize` and `tfvae styles` accept."""

from tfvae.arguments import shared as args
from tfvae.errors import OneLineParser


def stylize(parser: OneLineParser) -> None:
    args.run(parser)
    args.pictures(parser, "RUN/stylized")
    parser.add_argument(
        "--style", required=True, metavar="STYLE", help="a style, or several and their shares: monet:0.6,hokusai:0.4"
    )
    args.strength(parser, "0: as it is, 2: exaggerated")
    parser.add_argument(
        "--extrapolate", action="store_true", help="take the numbers of --style as they are: below 0, above 1, any sum"
    )
    parser.add_argument("--fps", type=args.fps, metavar="F", help="of a film: frames a second (default: as it is)")
    args.size(parser, "of a film: pixels (default: as it is)")
    parser.add_argument(
        "--steady", type=args.number(0, 1), metavar="S", help="of a film: 0 renders each frame by itself"
    )
    parser.note(
        "examples",
        [
            "tfvae stylize runs/styles photo.jpg --style monet:0.6,hokusai:0.4",
            "tfvae stylize runs/styles film.mp4 --style monet --size 360x640 -o painted.mp4",
        ],
    )


def styles(parser: OneLineParser) -> None:
    args.run(parser, data=True)
    args.source(parser)
    args.count(parser, "how many styles", 3, lowest=2)
    args.seed(parser, "of the search")
    args.out(parser, "OUT.csv, for --set data.labels=OUT.csv; a picture of the styles beside it", "RUN/styles.csv")
    parser.note("examples", ["tfvae styles runs/photos -n 4", "tfvae styles runs/photos PICTURES -o labels.csv"])
