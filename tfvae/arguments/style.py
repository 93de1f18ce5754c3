"""What `tfvae stylize` and `tfvae styles` accept."""

import argparse

from tfvae.arguments import shared as args
from tfvae.errors import OneLineParser, UserError
from tfvae.file_names import user_path

OF_PAINTINGS = ("shares", "moving", "colour", "stroke", "mask", "seed")
GROUPS, INVENTED = 3, 12  # styles by default
OF_RUNS = ("extrapolate", "steady", "tile")


def stylize(parser: OneLineParser) -> None:
    args.run(parser)
    args.pictures(parser, "RUN/stylized, of --from ./stylized", nargs="?")
    style = parser.add_mutually_exclusive_group(required=True)
    style.add_argument("--style", metavar="STYLE", help="a style, or several and their shares: monet:0.6,hokusai:0.4")
    style.add_argument(
        "--from",
        dest="paintings",
        type=user_path,
        action="append",
        metavar="PAINTING",
        help="without RUN: the paint of a painting; given again, of several, in colours between theirs",
    )
    parser.add_argument(
        "--shares", type=args.numbers, metavar="A,B", help="of several paintings (default: all the same)"
    )
    parser.add_argument(
        "--moving",
        type=args.integer(1),
        metavar="N",
        help="a film, of a film or of a picture: the style goes from each --from to the next in N frames",
    )
    args.strength(parser, "0: as it is, 2: exaggerated")
    parser.add_argument("--colour", choices=("painting", "photo"), help="with --from: whose (default: painting)")
    parser.add_argument(
        "--stroke",
        type=args.number(0.01),
        metavar="SIZE",
        help="with --from: of the painting beside IN, 0.5 for fine strokes (default: 1, where it has the pixels)",
    )
    parser.add_argument(
        "--mask", type=user_path, metavar="M", help="with --from: white is painted, or a folder with IN's names"
    )
    parser.add_argument("--seed", type=args.integer(0), metavar="S", help="with --from: of its choices (default: 0)")
    parser.add_argument(
        "--extrapolate", action="store_true", help="take the numbers of --style as they are: below 0, above 1, any sum"
    )
    parser.add_argument("--fps", type=args.fps, metavar="F", help="of a film: frames a second (default: as it is)")
    args.size(parser, "of a film: pixels (default: as it is)")
    parser.add_argument(
        "--steady", type=args.number(0, 1), metavar="S", help="of a film: 0 renders each frame by itself"
    )
    parser.checks.append(_run_or_painting)
    parser.note(
        "examples",
        [
            "tfvae stylize photo.jpg --from painting.jpg -o painted.png",
            "tfvae stylize PICTURES --from painting.jpg --colour photo --stroke 0.7",
            "tfvae stylize photo.jpg --from monet.jpg --from munch.jpg --shares 0.7,0.3",
            "tfvae stylize photo.jpg --from monet.jpg --from munch.jpg --moving 75 -o moving.mp4",
            "tfvae stylize runs/styles photo.jpg --style monet:0.6,hokusai:0.4",
            "tfvae stylize runs/styles film.mp4 --style monet --size 360x640 -o painted.mp4",
        ],
    )


def _run_or_painting(arguments: argparse.Namespace) -> None:
    """What there is of one way only, refused for the other; without a run the first word is IN."""
    given, other = ("--style", OF_PAINTINGS) if arguments.paintings is None else ("--from", OF_RUNS)
    for name in other:
        if getattr(arguments, name) is not None and getattr(arguments, name) is not False:
            raise UserError(f"stylize: --{name} cannot be used with {given}.")
    if arguments.paintings is None:
        if arguments.source is None:
            raise UserError("stylize: the following arguments are required: IN.")
        return
    _without_run(arguments, "stylize: --from")
    if arguments.moving is not None and (arguments.shares or len(arguments.paintings) < 2):
        raise UserError(
            "stylize: --moving goes from one --from to the next: two or more are required, and no --shares."
        )
    shares = arguments.shares or [1.0] * len(arguments.paintings)
    if len(shares) != len(arguments.paintings) or not any(shares):
        raise UserError(
            "stylize: --shares must be a number for each --from, one of them above 0. "
            f"Received: {','.join(f'{share:g}' for share in shares)} of {len(arguments.paintings)} paintings."
        )


def _without_run(arguments: argparse.Namespace, option: str) -> None:
    """Makes the only word the pictures; refuses two."""
    if arguments.source is not None:
        raise UserError(
            f"{option} takes one picture or folder and no RUN. Received: {arguments.run} {arguments.source}."
        )
    arguments.run, arguments.source = None, arguments.run


def styles(parser: OneLineParser) -> None:
    args.run(parser, data=True)
    args.source(parser)
    parser.add_argument(
        "--invent",
        type=user_path,
        metavar="PAINTINGS",
        help="without RUN: new styles, drawn from the prior of those of a folder of paintings and shown on SOURCE",
    )
    args.count(parser, "how many styles", shown=f"{GROUPS}, with --invent {INVENTED}")
    args.temperature(parser, "with --invent: factor of the prior's standard deviation", None, "1")
    args.seed(parser, "of the search, or of the draws")
    out = "OUT.csv, for --set data.labels=OUT.csv, or with --invent of what each is; a picture of the styles beside it"
    args.out(parser, out, "RUN/styles.csv, with --invent ./styles.csv")
    parser.checks.append(_groups_or_inventions)
    parser.note(
        "examples",
        [
            "tfvae styles runs/photos -n 4",
            "tfvae styles runs/photos PICTURES -o labels.csv",
            "tfvae styles PHOTOS --invent PAINTINGS -n 12",
        ],
    )


def _groups_or_inventions(arguments: argparse.Namespace) -> None:
    """What there is of one way only, refused for the other; without a run the first word is SOURCE."""
    inventing = arguments.invent is not None
    for name in ("data",) if inventing else ("temperature",):
        if getattr(arguments, name) is not None:
            raise UserError(f"styles: --{name} cannot be used {'with' if inventing else 'without'} --invent.")
    if arguments.count is None:
        arguments.count = INVENTED if inventing else GROUPS
    if not inventing:
        if arguments.count < 2:
            raise UserError(f"styles: --count must be 2 or more groups. Received: {arguments.count}")
        return
    _without_run(arguments, "styles: --invent")
    if arguments.temperature is None:
        arguments.temperature = 1.0
