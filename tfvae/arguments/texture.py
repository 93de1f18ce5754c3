"""What `tfvae texture` accepts."""

from tfvae.arguments import shared as args
from tfvae.errors import OneLineParser


def texture(parser: OneLineParser) -> None:
    args.run(parser, data=True)
    args.size(parser, "pixels (default: 1024x1024)", (1024, 1024))
    parser.add_argument("--seamless", action="store_true", help="periodic in both directions: a tile without an edge")
    parser.add_argument(
        "--of", metavar="PICTURE", help="the texture: a picture of the run by name, a file, a folder (default: all)"
    )
    parser.add_argument(
        "--mix",
        type=args.mix,
        metavar="TEXTURE:SHARE",
        help="a second texture in a share of the area: another run, or as --of; RUN2:0.3",
    )
    parser.add_argument(
        "--patch",
        type=args.integer(1),
        default=96,
        metavar="PX",
        help="side of the windows taken at once (default: 96)",
    )
    args.seed(parser, "of the choice of windows")
    args.out(parser, "OUT.png", "RUN/texture.png")
    parser.note(
        "examples",
        [
            "tfvae texture runs/brick --size 4096x4096 --seamless",
            "tfvae texture runs/brick --mix runs/wood:0.3 -o wall.png",
        ],
    )
