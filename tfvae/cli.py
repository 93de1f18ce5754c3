"""The `tfvae` command: a table of commands, also as `python -m tfvae`.

What a command accepts stands in `tfvae.arguments`, what it does in `tfvae.commands`, in modules of one name. The former
import nothing large; the latter are imported when there is something to do.
"""

import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

from tfvae.errors import OneLineParser, ProgramParser, run_program
from tfvae.runs import open_run


class Command(NamedTuple):
    """A module of `tfvae.arguments` and of `tfvae.commands`; in both, a function of this name or the command's own."""

    module: str
    summary: str
    function: str = ""


COMMANDS = {
    "generate": Command("latent", "Draw images that were never seen."),
    "reconstruct": Command("latent", "Rebuild images from their codes, next to the originals and the difference."),
    "interpolate": Command("latent", "The way from one image to another through the latent space."),
    "animate": Command("video", "A film of the way from picture to picture through the latent space."),
    "embed": Command("features", "Images as short vectors of numbers, with a map of them; near-duplicates."),
    "neighbours": Command("features", "The pictures of a folder that are most like one."),
    "restore": Command("restore", "Take damage and noise out of pictures of any size."),
    "enhance": Command("restore", "Give light, contrast and colour back to dull pictures."),
    "compress": Command("compress", "Pictures as small files, at any quality or size."),
    "decompress": Command("compress", "Open such files again."),
    "inspect": Command("inspect", "Find what does not belong in pictures: scores, verdicts, heat maps, regions."),
    "texture": Command("texture", "A picture of any size with the texture of a few photographs."),
    "stylize": Command("style", "Render pictures with the paint of a painting, or, films too, in a learnt style."),
    "styles": Command("style", "Find styles without labels: clusters by the statistics of codes."),
    "continue": Command("continuation", "Continue a film where it ended.", "continue_film"),
    "dreams": Command("dreams", "A page of draws, neighbours, sums, walks, maps and units."),
    "evaluate": Command("evaluate", "Figures with their confidence intervals and protocol."),
    "compare": Command("evaluate", "Evaluations side by side, if measured alike."),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; `argv` without the program's name. Returns the exit code: 2 after one line for a bad request."""
    codes: list[int] = []
    return run_program("tfvae", lambda: codes.append(_run(sys.argv[1:] if argv is None else list(argv)))) or codes[0]


def _run(words: list[str]) -> int:
    """The command's own exit code: that of `tfvae inspect` says whether a picture fails."""
    if not words or words[0] not in COMMANDS:
        program_parser().parse_args(words)  # prints the help or the version, or says what is wrong
        return 0
    name, *rest = words
    arguments = command_parser(name).parse_args(rest)
    if getattr(arguments, "run", None):
        open_run(arguments.run)  # raises for a mistyped one
    command = COMMANDS[name]
    module = importlib.import_module(f"tfvae.commands.{command.module}")
    return getattr(module, command.function or name)(arguments) or 0


def program_parser() -> ProgramParser:
    """Of the commands' names alone."""
    parser = ProgramParser(
        "tfvae",
        "Use a trained model: RUN is a directory that `python -m training` wrote.",
        {name: command.summary for name, command in COMMANDS.items()},
        metavar="COMMAND",
    )
    parser.note("examples", ["tfvae generate runs/digits", "tfvae restore --help"])
    return parser


def command_parser(name: str) -> OneLineParser:
    """Of one command."""
    command = COMMANDS[name]
    parser = OneLineParser(f"tfvae {name}", command.summary)
    getattr(importlib.import_module(f"tfvae.arguments.{command.module}"), command.function or name)(parser)
    return parser
