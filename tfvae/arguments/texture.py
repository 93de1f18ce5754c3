"""What `tfvae texture` accepts."""

import argparse
import mimetypes
from pathlib import Path

from tfvae.arguments import shared as args
from tfvae.errors import OneLineParser, UserError
from tfvae.file_names import user_path
from tfvae.runs import CONFIG, SUFFIX


def texture(parser: OneLineParser) -> None:
    parser.add_argument(
        "run",
        metavar="IN",
        type=user_path,
        help="a photograph of a texture, or a folder of a few; or a RUN that learnt them",
    )
    parser.add_argument("--data", metavar="SOURCE", help="of a RUN: where its images lie now")
    args.size(parser, "pixels (default: 1024x1024)", (1024, 1024))
    parser.add_argument("--seamless", action="store_true", help="periodic in both directions: a tile without an edge")
    parser.add_argument(
        "--of", metavar="PICTURE", help="of a RUN: one of its pictures by name, a file, a folder (default: all)"
    )
    parser.add_argument(
        "--mix",
        type=args.mix,
        metavar="TEXTURE:SHARE",
        help="a second texture in a share of the area, a file, a folder or a run: moss.jpg:0.3",
    )
    parser.add_argument(
        "--patch",
        type=args.integer(1),
        metavar="PX",
        help="side of the windows taken at once (default: 96, of large photographs three tenths of their side)",
    )
    args.seed(parser, "of the choice of windows")
    args.out(parser, "OUT.png", "texture.png, of a RUN in it")
    parser.checks.append(_photographs_or_run)
    parser.note(
        "examples",
        [
            "tfvae texture brick.jpg --size 2048x2048 --seamless -o wall.png",
            "tfvae texture brick.jpg --mix moss.jpg:0.3 -o overgrown.png",
            "tfvae texture runs/brick --of brick2.jpg --patch 64",
        ],
    )


def _photographs_or_run(arguments: argparse.Namespace) -> None:
    """Pictures, as `source`, or a RUN: what there is of a run only is refused for pictures."""
    missing = _is_picture(arguments.run) and not arguments.run.exists()
    arguments.source = arguments.run if missing or _pictures(arguments.run) else None
    if arguments.source is None:
        return
    for name in ("of", "data"):
        if getattr(arguments, name) is not None:
            raise UserError(f"texture: --{name} is for a RUN, and {arguments.run} is none: name the picture itself.")
    arguments.run = None


def _pictures(path: Path) -> bool:
    """Whether a path is a file that is no model, or a folder with pictures and no run."""
    if not path.is_dir():
        return path.is_file() and path.suffix.lower() != SUFFIX
    return not (path / CONFIG).exists() and any(_is_picture(each) for each in path.iterdir())


def _is_picture(path: Path) -> bool:
    """Whether a file is named as pictures are."""
    return str(mimetypes.MimeTypes().guess_type(path.name)[0]).startswith("image/")
