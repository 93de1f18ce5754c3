"""What `tfvae restore` and `tfvae enhance` accept."""

import argparse

from tfvae.arguments import shared as args
from tfvae.errors import OneLineParser
from tfvae.file_names import user_path


def restore(parser: OneLineParser) -> None:
    args.run(parser)
    args.pictures(parser, "RUN/restored")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--mask",
        type=user_path,
        metavar="M",
        help="picture that is white where IN is damaged, or a folder with IN's names",
    )
    where.add_argument("--auto", action="store_true", help="find what 5 or more pictures of one size share, or damage")
    parser.add_argument(
        "--samples", type=args.integer(0), default=0, metavar="N", help="also N plausible originals of each picture"
    )
    parser.add_argument("--uncertainty", action="store_true", help="also a map of standard deviations")
    parser.add_argument(
        "--texture",
        action=argparse.BooleanOptionalAction,
        help="lay texture of the picture itself into wide holes of a mask: invented (default for runs that fill holes, "
        "without --samples and --uncertainty)",
    )
    parser.add_argument(
        "--ensemble",
        action="store_true",
        help="average over the picture's eight orientations: a little better, in eight times the time",
    )
    args.seed(parser, "of the samples and of the texture")
    parser.add_argument(
        "--method",
        choices=("model", "map", "langevin", "gibbs"),
        help="how: as the model was trained to (default), or by the prior of any VAE",
    )
    parser.add_argument(
        "--noise",
        type=args.number(0, 1),
        metavar="STD",
        help="of the noise in IN where white is 1; for map and langevin",
    )
    parser.note(
        "examples",
        [
            "tfvae restore runs/denoise SCANS -o clean --ensemble",
            "tfvae restore runs/inpaint photo.jpg --mask damage.png --page",
            "tfvae restore runs/inpaint scan.png --mask damage.png --no-texture",
            "tfvae restore runs/dewatermark PICTURES --auto",
            "tfvae restore runs/digits noisy.png --method langevin --noise 0.2 --samples 4 --uncertainty",
        ],
    )


def enhance(parser: OneLineParser) -> None:
    args.run(parser)
    args.pictures(parser, "RUN/enhanced")
    args.strength(parser, "0: as it is, 2: twice as far")
    parser.add_argument(
        "--like",
        type=user_path,
        metavar="PICTURE",
        help="with the light and colours of PICTURE",
    )
    parser.note(
        "examples",
        [
            "tfvae enhance runs/enhance PICTURES -o bright --strength 0.8",
            "tfvae enhance runs/enhance photo.jpg --like good.jpg",
        ],
    )
