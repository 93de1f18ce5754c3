"""Arguments that several commands have, and the types of their values."""

import argparse
import re
from collections.abc import Callable

from tfvae.file_names import user_path

SOURCE = "a folder of pictures, one picture, a file .npz or .npy, a film, digits, shapes, or tfds:NAME"


def run(parser: argparse.ArgumentParser, data: bool = False, also: str = "") -> None:
    """The run directory, and where its images lie now, if the command looks at them."""
    about = "run directory that `python -m training` wrote, or the .keras file of a model that was trained in Python"
    parser.add_argument("run", metavar="RUN", type=user_path, help=f"{about}; {also}" if also else about)
    if data:
        about = "where the images of RUN lie now, or those of a .keras file"
        parser.add_argument("--data", metavar="SOURCE", help=about)


def source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", nargs="?", help=f"{SOURCE}; default: the run's held-out images")


def pictures(parser: argparse.ArgumentParser, default: str, nargs: str | None = None) -> None:
    parser.add_argument("source", metavar="IN", nargs=nargs, type=user_path, help="a picture, or a folder of pictures")
    out(parser, "a folder, or OUT.png, .jpg, .webp, .tif or .bmp for one picture", default)
    parser.add_argument("--tile", type=integer(1), metavar="PX", help="side of the parts it is computed in")
    parser.add_argument("--page", action="store_true", help="a page before/after for one picture, too")


def count(
    parser: argparse.ArgumentParser, meaning: str, default: int | None = None, lowest: int = 1, shown: object = None
) -> None:
    """How many of what the command is about."""
    text = f"{meaning} (default: {default if shown is None else shown})"
    parser.add_argument("-n", "--count", type=integer(lowest), default=default, metavar="N", help=text)


def seed(parser: argparse.ArgumentParser, meaning: str, default: int | None = 0) -> None:
    shown = "the run's" if default is None else default
    parser.add_argument("--seed", type=integer(0), default=default, metavar="S", help=f"{meaning} (default: {shown})")


def temperature(
    parser: argparse.ArgumentParser,
    meaning: str,
    default: float | None = 1.0,
    shown: object = None,
    levels: bool = False,
) -> None:
    """A factor of deviations; with `levels` also several, `T,T,…`, for the levels of a hierarchical model."""
    several = "; T,T,…: for each level of a hierarchical model, coarse to fine" if levels else ""
    text = f"{meaning}{several} (default: {f'{default:g}' if shown is None else shown})"
    parser.add_argument(
        "--temperature", type=temperatures if levels else number(0), default=default, metavar="T", help=text
    )


def temperatures(text: str) -> float | tuple[float, ...]:
    """A number of 0 or more, or several with commas between them."""
    values = numbers(text)
    return tuple(values) if len(values) > 1 else values[0]


def label(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--label",
        metavar="LABEL",
        help="of a conditional run: a class or style, or shares: monet:0.6,hokusai:0.4",
    )


def strength(parser: argparse.ArgumentParser, meaning: str) -> None:
    parser.add_argument("--strength", type=number(0, 2), default=1.0, metavar="S", help=f"{meaning} (default: 1)")


def size(parser: argparse.ArgumentParser, meaning: str, default: tuple[int, int] | None = None) -> None:
    parser.add_argument("--size", type=height_and_width, default=default, metavar="HxW", help=meaning)


def batch_size(parser: argparse.ArgumentParser, meaning: str, default: int | None = None) -> None:
    parser.add_argument("--batch-size", type=integer(1), default=default, metavar="N", help=meaning)


def out(parser: argparse.ArgumentParser, meaning: str, default: str, metavar: str = "OUT") -> None:
    text = f"{meaning} (default: {default})"
    parser.add_argument("-o", "--out", type=user_path, metavar=metavar, help=text)


def integer(lowest: int) -> Callable[[str], int]:
    def parsed(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = lowest - 1
        if value < lowest:
            raise argparse.ArgumentTypeError(f"must be a whole number, {lowest} or more. Received: {text}")
        return value

    return parsed


def names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError(f"must be names with commas between them. Received: {text!r}")
    return names


def number(lowest: float, highest: float = float("inf")) -> Callable[[str], float]:
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


def numbers(text: str) -> list[float]:
    return [number(0)(part) for part in text.split(",")]


def fps(text: str) -> float:
    value = number(0, 1000)(text)
    if value < 0.1:
        raise argparse.ArgumentTypeError(f"must be frames a second, from 0.1 to 1000. Received: {text}")
    return value


def mix(text: str) -> tuple[str, float]:
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


def height_and_width(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})[x×X](\d{1,5})", text)
    if not match or "0" in (match[1].lstrip("0") or "0", match[2].lstrip("0") or "0"):
        raise argparse.ArgumentTypeError(f"must be HEIGHTxWIDTH in pixels, such as 128x192. Received: {text}")
    return int(match[1]), int(match[2])
