"""The `tfvae` command: a table of commands; each declares its arguments in `tfvae.commands`.

`tfvae generate | reconstruct | interpolate | animate | embed | dreams | restore | enhance | texture | stylize |
styles | continue | evaluate RUN …`, `tfvae compare A.json B.json …`, also as `python -m tfvae …`.
"""

import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

from tfvae.errors import OneLineParser, run_program


class Command(NamedTuple):
    """A module of `tfvae.commands`, with the function that carries the command out, and `…_arguments` beside it."""

    module: str
    summary: str
    function: str = ""


COMMANDS = {
    "generate": Command("latent", "Draw images that were never seen."),
    "reconstruct": Command("latent", "Rebuild images from their codes, next to the originals and the difference."),
    "interpolate": Command("latent", "The way from one image to another through the latent space."),
    "animate": Command("video", "A film of the way from picture to picture through the latent space."),
    "embed": Command("latent", "Images as short vectors of numbers, with a map of them."),
    "restore": Command("restore", "Take damage and noise out of pictures of any size."),
    "enhance": Command("restore", "Give light, contrast and colour back to dull pictures."),
    "texture": Command("texture", "A picture of any size with the texture of a few photographs."),
    "stylize": Command("style", "Render pictures or a film in a style that was learnt."),
    "styles": Command("style", "Find styles without labels: clusters by the statistics of codes."),
    "continue": Command("continuation", "Continue a film where it ended.", "continue_film"),
    "dreams": Command("dreams", "A page of draws, neighbours, sums, walks, maps and units."),
    "evaluate": Command("evaluate", "Figures with their confidence intervals and protocol."),
    "compare": Command("evaluate", "Evaluations side by side, if measured alike."),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; `argv` without the program's name. Returns the exit code: 2 after one line for a bad request."""
    return run_program("tfvae", lambda: _run(sys.argv[1:] if argv is None else list(argv)))


def _run(words: list[str]) -> None:
    if not words or words[0] not in COMMANDS:
        _parser().parse_args(words)  # prints the help, or says what is wrong
        return
    name, *rest = words
    command = COMMANDS[name]
    module = importlib.import_module(f"tfvae.commands.{command.module}")
    function = command.function or name
    parser = OneLineParser(f"tfvae {name}", description=command.summary)
    getattr(module, f"{function}_arguments")(parser)
    getattr(module, function)(parser.parse_args(rest))


def _parser() -> OneLineParser:
    """Of the commands' names alone: a mistyped one waits for no module."""
    about = "Use a trained model: RUN is a directory that `python -m training` wrote."
    parser = OneLineParser("tfvae", description=about)
    actions = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        actions.add_parser(name, help=command.summary)
    return parser
