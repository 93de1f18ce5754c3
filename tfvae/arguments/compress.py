"""What `tfvae compress` and `tfvae decompress` accept."""

import argparse
import re

from tfvae.arguments import shared as args
from tfvae.errors import OneLineParser
from tfvae.file_names import user_path

CODERS = ("ans", "huffman")
UNITS = {"": 1, "k": 1000, "m": 1_000_000, "kib": 1024, "mib": 1024 * 1024}


def compress(parser: OneLineParser) -> None:
    args.run(parser)
    parser.add_argument(
        "source", metavar="IN", type=user_path, help="a picture or a folder; with --lossless any source"
    )
    args.out(parser, "OUT.tfv, or a folder", "beside IN", metavar="OUT")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--quality",
        type=args.number(0, 100),
        default=50.0,
        metavar="Q",
        help="0: smallest, 100: best (default: 50); every tenth of it is another size",
    )
    how.add_argument(
        "--bytes", type=amount, metavar="N", help="the best quality in at most so many bytes: 50k, 1.5M, 48KiB"
    )
    how.add_argument(
        "--lossless",
        action="store_true",
        help="all pictures as one file from which the same pixels come back; RUN is of a VAE of pictures of that size "
        "with the likelihood bernoulli, logistic or logistic_mixture",
    )
    parser.add_argument(
        "--coder",
        choices=CODERS,
        default="ans",
        help="ans: within a few bytes of the entropy (default); huffman: whole bits, larger, without a package",
    )
    _tile(parser)
    parser.add_argument(
        "--page", action="store_true", help="a page: original, result, difference, bytes beside others'"
    )
    parser.note(
        "examples",
        [
            "tfvae compress runs/codec photo.jpg -o photo.tfv --quality 60",
            "tfvae compress runs/codec PICTURES -o small --bytes 50k --page",
            "tfvae compress runs/vae SCANS --lossless -o set.tfv",
        ],
    )


def decompress(parser: OneLineParser) -> None:
    parser.add_argument("source", metavar="IN", type=user_path, help="a .tfv file, or a folder of them")
    parser.add_argument(
        "--run",
        dest="model",
        metavar="RUN",
        type=user_path,
        help="the run that compressed them (default: found among those in ./runs)",
    )
    args.out(parser, "OUT.png, .jpg, .webp, .tif or .bmp, or a folder", "a PNG beside IN")
    _tile(parser)
    parser.note(
        "examples",
        ["tfvae decompress photo.tfv -o photo.png --run runs/codec", "tfvae decompress small -o opened"],
    )


def amount(text: str) -> int:
    """A number of bytes, with a unit or without."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([a-z]*)", text.strip().lower().removesuffix("b"))
    if not match or match[2] not in UNITS or not float(match[1]) * UNITS[match[2]] >= 1:
        raise argparse.ArgumentTypeError(f"must be a number of bytes, such as 50k, 1.5M or 48KiB. Received: {text}")
    return int(float(match[1]) * UNITS[match[2]])


def _tile(parser: OneLineParser) -> None:
    parser.add_argument(
        "--tile", type=args.integer(1), metavar="PX", help="side of the parts it is computed in (default: 1024)"
    )
