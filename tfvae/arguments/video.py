"""What `tfvae animate` accepts."""

from tfvae.arguments import shared as args
from tfvae.errors import OneLineParser


def animate(parser: OneLineParser) -> None:
    args.run(parser)
    parser.add_argument(
        "pictures", metavar="PICTURE", nargs="*", help="two or more, passed in this order; default: draws of the prior"
    )
    parser.add_argument(
        "--frames", type=args.integer(1), default=30, metavar="N", help="from one picture to the next (default: 30)"
    )
    parser.add_argument("--fps", type=args.fps, default=25, metavar="F", help="frames a second (default: 25)")
    parser.add_argument(
        "--method",
        choices=("slerp", "linear", "spline"),
        default="slerp",
        help="on a sphere from one to the next (default), straight, or one smooth curve through all",
    )
    parser.add_argument("--loop", action="store_true", help="back to the first at the end")
    args.count(parser, "draws of the prior", 5, lowest=2)
    args.seed(parser, "of the draws")
    args.temperature(parser, "below 1: nearer to typical", levels=True)
    args.label(parser)
    args.size(parser, "pixels of draws, where the model leaves them open")
    args.out(parser, "OUT.mp4, .webm or .gif", "RUN/walk.mp4")
    parser.note(
        "examples",
        ["tfvae animate runs/digits -n 8 --loop -o walk.gif", "tfvae animate runs/photos a.png b.png c.png --fps 30"],
    )
