"""The `tfvae` command: what a person types, checked; the rooms of `commands` do it.

`tfvae generate | reconstruct | interpolate | animate | embed | dreams | restore | enhance | texture | stylize |
styles | continue | evaluate RUN …`, `tfvae compare A.json B.json …`, also as `python -m tfvae …`.
"""

import argparse
import importlib
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tfvae.errors import OneLineParser, run_program

SOURCE = "a folder of pictures, one picture, a file .npz or .npy, a film, digits, shapes, or tfds:NAME"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; `argv` without the program's name. Returns the exit code: 2 after one line for a bad request."""

    def program() -> None:
        arguments = parse(sys.argv[1:] if argv is None else list(argv))
        # Only now: a mistyped option must not wait for the data readers.
        module = importlib.import_module(f"tfvae.commands.{arguments.module}")
        getattr(module, arguments.function)(arguments)

    return run_program("tfvae", program)


def parse(argv: list[str]) -> argparse.Namespace:
    """The checked arguments. Raises `UserError` for what argparse refuses, with a suggestion where one is near."""
    parser, commands = _parser()
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        commands[arguments.command].refuse(unknown)
    return arguments


def _parser() -> tuple[OneLineParser, dict[str, OneLineParser]]:
    parser = OneLineParser(
        "tfvae", description="Use a trained model: RUN is a directory that `python -m training` wrote."
    )
    actions = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands: dict[str, OneLineParser] = {}

    def command(name: str, summary: str, module: str = "latent", run: bool = True, function: str = "") -> OneLineParser:
        added = actions.add_parser(name, help=summary, description=summary)
        added.set_defaults(module=module, function=function or name)
        if run:
            added.add_argument("run", metavar="RUN", type=Path, help="run directory")
        commands[name] = added
        return added

    generate = command("generate", "Draw images that were never seen.")
    generate.add_argument("-n", type=_integer(1), default=64, dest="count", help="how many (default: 64)")
    _seed(generate, "of the noise")
    generate.add_argument("--temperature", type=_number(0), default=1.0, metavar="T", help="below 1: nearer to typical")
    generate.add_argument("--size", type=_size, metavar="HxW", help="pixels, where the model leaves the size open")
    generate.add_argument("--style", metavar="STYLE", help="of a run that learnt styles: monet, monet:0.6,hokusai:0.4")
    _out(generate, "OUT.png for one grid, or a folder for single pictures and the grid", "RUN/generated.png")

    reconstruct = command("reconstruct", "Rebuild images from their codes, beside the originals and the difference.")
    reconstruct.add_argument("source", metavar="SOURCE", nargs="?", help=f"{SOURCE}; default: the held-out images")
    reconstruct.add_argument(
        "-n", type=_integer(1), dest="count", help="at most so many (default: 16; all for a folder)"
    )
    _out(reconstruct, "OUT.png, or a folder for every reconstruction as well", "RUN/reconstruction.png")

    interpolate = command("interpolate", "The way from one image to another through the latent space.")
    for place, name in (("start", "A"), ("end", "B")):
        interpolate.add_argument(place, metavar=name, help="a picture, or a number: index into the held-out images")
    interpolate.add_argument("--steps", type=_integer(2), default=10, help="images, both ends included (default: 10)")
    interpolate.add_argument("--method", choices=("linear", "slerp"), default="linear", help="straight, or on a sphere")
    _out(interpolate, "OUT.png for a strip, OUT.gif, or a folder for single pictures", "RUN/interpolation.png")

    animate = command("animate", "A film of the way from picture to picture through the latent space.", "video")
    animate.add_argument(
        "pictures", metavar="PICTURE", nargs="*", help="two or more, passed in this order; default: draws of the prior"
    )
    animate.add_argument(
        "--frames", type=_integer(1), default=30, metavar="N", help="from one picture to the next (default: 30)"
    )
    animate.add_argument("--fps", type=_fps, default=25, metavar="F", help="frames a second (default: 25)")
    animate.add_argument(
        "--method",
        choices=("slerp", "linear", "spline"),
        default="slerp",
        help="on a sphere from one to the next (default), straight, or one smooth curve through all",
    )
    animate.add_argument("--loop", action="store_true", help="back to the first at the end")
    animate.add_argument("-n", type=_integer(2), default=5, dest="count", help="draws of the prior (default: 5)")
    _seed(animate, "of the draws")
    animate.add_argument("--temperature", type=_number(0), default=1.0, metavar="T", help="below 1: nearer to typical")
    animate.add_argument("--size", type=_size, metavar="HxW", help="pixels of draws, where the model leaves them open")
    _out(animate, "OUT.mp4, .webm or .gif", "RUN/walk.mp4")

    embed = command("embed", "Images as short vectors of numbers, with a map of them.")
    embed.add_argument("source", metavar="SOURCE", nargs="?", help=f"{SOURCE}; default: the held-out images")
    _out(embed, "OUT.npz or OUT.csv; the map is written beside it as OUT.png", "RUN/codes.npz")

    restore = command("restore", "Take damage and noise out of pictures of any size.", "restore")
    _pictures(restore, "RUN/restored")
    where = restore.add_mutually_exclusive_group()
    where.add_argument(
        "--mask", type=Path, metavar="M", help="picture that is white where IN is damaged, or a folder with IN's names"
    )
    where.add_argument("--auto", action="store_true", help="find what 5 or more pictures of one size share, or damage")
    restore.add_argument(
        "--samples", type=_integer(0), default=0, metavar="N", help="also N plausible originals of each picture"
    )
    restore.add_argument("--uncertainty", action="store_true", help="also a map of standard deviations")
    _seed(restore, "of the samples")
    restore.add_argument(
        "--method",
        choices=("model", "map", "langevin", "gibbs"),
        help="how: as the model was trained to (default), or by the prior of any VAE",
    )
    restore.add_argument(
        "--noise", type=_number(0, 1), metavar="STD", help="of the noise in IN where white is 1; for map and langevin"
    )

    enhance = command("enhance", "Give light, contrast and colour back to dull pictures.", "restore")
    _pictures(enhance, "RUN/enhanced")
    enhance.add_argument(
        "--strength", type=_number(0, 2), default=1.0, metavar="S", help="0: as it is, 2: twice as far (default: 1)"
    )

    texture = command("texture", "A picture of any size with the texture of a few photographs.", "texture")
    texture.add_argument("--size", type=_size, default=(1024, 1024), metavar="HxW", help="pixels (default: 1024x1024)")
    texture.add_argument("--seamless", action="store_true", help="periodic in both directions: a tile without an edge")
    texture.add_argument(
        "--of", metavar="PICTURE", help="the texture: a picture of the run by name, a file, a folder (default: all)"
    )
    texture.add_argument(
        "--mix",
        type=_mix,
        metavar="TEXTURE:SHARE",
        help="a second texture in a share of the area: another run, or as --of; RUN2:0.3",
    )
    texture.add_argument(
        "--patch", type=_integer(1), default=96, metavar="PX", help="side of the windows taken at once (default: 96)"
    )
    _seed(texture, "of the choice of windows")
    _out(texture, "OUT.png", "RUN/texture.png")

    stylize = command("stylize", "Render pictures or a film in a style that was learnt.", "style")
    _pictures(stylize, "RUN/stylized")
    stylize.add_argument(
        "--style", required=True, metavar="STYLE", help="a style, or several and their shares: monet:0.6,hokusai:0.4"
    )
    stylize.add_argument(
        "--strength", type=_number(0, 2), default=1.0, metavar="S", help="0: as it is, 2: exaggerated (default: 1)"
    )
    stylize.add_argument(
        "--extrapolate", action="store_true", help="take the numbers of --style as they are: below 0, above 1, any sum"
    )
    stylize.add_argument("--fps", type=_fps, metavar="F", help="of a film: frames a second (default: as it is)")
    stylize.add_argument("--size", type=_size, metavar="HxW", help="of a film: pixels (default: as it is)")
    stylize.add_argument("--steady", type=_number(0, 1), metavar="S", help="of a film: 0 renders each frame by itself")

    styles = command("styles", "Find styles that nobody named: groups by the statistics of codes.", "style")
    styles.add_argument("source", metavar="SOURCE", nargs="?", help=f"{SOURCE}; default: the held-out images")
    styles.add_argument("-k", type=_integer(2), default=3, dest="count", help="how many (default: 3)")
    _seed(styles, "of the search")
    _out(styles, "OUT.csv, for --set data.labels=OUT.csv; a picture of the styles beside it", "RUN/styles.csv")

    go_on = command("continue", "Continue a film where it ended.", "continuation", function="continue_film")
    go_on.add_argument("source", metavar="FILM", type=Path, nargs="?", help="default: the run's first held-out clip")
    go_on.add_argument("--frames", type=_integer(1), default=20, metavar="N", help="how many more (default: 20)")
    go_on.add_argument("--draw", action="store_true", help="one of the things that may happen, not their mean")
    _seed(go_on, "of what is drawn")
    _out(go_on, "OUT.mp4, .webm or .gif; a picture of the frames beside it as OUT.png", "RUN/continued.mp4")

    dreams = command("dreams", "A page of draws, neighbours, sums, walks, maps and units.", "dreams")
    dreams.add_argument("-n", type=_integer(1), default=24, dest="count", help="draws a temperature (default: 24)")
    dreams.add_argument(
        "--minus",
        type=_names,
        action="append",
        metavar="A,B,C",
        help="A - B + C of three pictures, files or indices into the held-out images; may be repeated",
    )
    _seed(dreams, "of all draws")
    _out(dreams, "a folder for index.html and its pictures", "RUN/dreams")

    evaluate = command("evaluate", "Figures with their confidence intervals and protocol.", "evaluate")
    evaluate.add_argument(
        "--data", metavar="SOURCE", dest="source", help=f"{SOURCE}; default: the run's held-out images"
    )
    evaluate.add_argument(
        "--split",
        choices=("test", "validation", "train"),
        help="part of the data (default: test of a run, all of SOURCE)",
    )
    evaluate.add_argument("-n", type=_integer(1), dest="count", metavar="N", help="at most so many images, drawn")
    evaluate.add_argument(
        "--nll",
        type=_integer(1),
        nargs="?",
        const=1000,
        dest="k",
        metavar="K",
        help="-log p(x), K draws (default: 1000)",
    )
    evaluate.add_argument("--figures", type=_names, metavar="A,B", help="elbo, units, gap, nll, …: these only")
    evaluate.add_argument("--all", action="store_true", help="every figure that means something here")
    evaluate.add_argument(
        "--features",
        metavar="NAME",
        help="what frechet and prdc are taken in: encoder, classifier (on the labels), inception[:FILE], raw "
        "(default: encoder)",
    )
    evaluate.add_argument("--batch-size", type=_integer(1), metavar="N", help="images in a step (default: the run's)")
    _seed(evaluate, "of the posterior samples and the binarisation", None)
    _out(evaluate, "OUT.json: the same figures with their protocol, for `tfvae compare`", "printed only")

    compare = command("compare", "Evaluations side by side, if measured alike.", "evaluate", run=False)
    compare.add_argument("files", metavar="OUT.json", nargs="+", type=Path, help="of `tfvae evaluate RUN -o OUT.json`")
    compare.add_argument("--figures", type=_names, metavar="A,B", help="these only; default: all in the files")
    return parser, commands


def _pictures(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("source", metavar="IN", type=Path, help="a picture, or a folder of pictures")
    _out(parser, "a folder, or OUT.png, .jpg, .webp, .tif or .bmp for one picture", default)
    parser.add_argument("--tile", type=_integer(1), metavar="PX", help="side of the parts it is computed in")
    parser.add_argument("--page", action="store_true", help="a page before/after for one picture, too")


def _seed(parser: argparse.ArgumentParser, meaning: str, default: int | None = 0) -> None:
    shown = "the run's" if default is None else default
    parser.add_argument("--seed", type=_integer(0), default=default, help=f"{meaning} (default: {shown})")


def _out(parser: argparse.ArgumentParser, meaning: str, default: str) -> None:
    parser.add_argument("-o", "--out", type=Path, metavar="OUT", help=f"{meaning} (default: {default})")


def _integer(lowest: int) -> Callable[[str], int]:
    def parsed(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = lowest - 1
        if value < lowest:
            raise argparse.ArgumentTypeError(f"must be a whole number, {lowest} or more. Received: {text}")
        return value

    return parsed


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError(f"must be names with commas between them. Received: {text!r}")
    return names


def _number(lowest: float, highest: float = float("inf")) -> Callable[[str], float]:
    accepted = f"{lowest:g} or more" if highest == float("inf") else f"from {lowest:g} to {highest:g}"

    def parsed(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not lowest <= value <= highest or value == float("inf"):
            raise argparse.ArgumentTypeError(f"must be a number, {accepted}. Received: {text}")
        return value

    return parsed


def _fps(text: str) -> float:
    value = _number(0, 1000)(text)
    if value < 0.1:
        raise argparse.ArgumentTypeError(f"must be frames a second, from 0.1 to 1000. Received: {text}")
    return value


def _mix(text: str) -> tuple[str, float]:
    source, colon, share = text.rpartition(":")
    try:
        value = float(share)
    except ValueError:
        value = 0.0
    if not colon or not source or not 0 < value < 1:
        raise argparse.ArgumentTypeError(
            f"must be TEXTURE:SHARE with a share between 0 and 1, such as runs/moss:0.3. Received: {text}"
        )
    return source, value


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})[x×X](\d{1,5})", text)
    if not match or "0" in (match[1].lstrip("0") or "0", match[2].lstrip("0") or "0"):
        raise argparse.ArgumentTypeError(f"must be HEIGHTxWIDTH in pixels, such as 128x192. Received: {text}")
    return int(match[1]), int(match[2])
