"""What a person did that cannot work, said in one line; and the parsers of all programs, which say it so."""

import argparse
import difflib
import errno
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import NoReturn

from tfvae import __version__
from tfvae.terminal import patient_output

# What a disk refuses, so that no other file could be written there either; and names that it cannot hold.
FULL_OR_CLOSED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
OF_THE_DISK = (*FULL_OR_CLOSED, errno.ENAMETOOLONG)


class UserError(Exception):
    """A request that cannot be met: the message says where, what, which value, and what would be accepted."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` when a known word is close to `word`, else the empty string."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""


def run_program(name: str, main: Callable[[], None]) -> int:
    """Exit code of `main()`: 0; 2 after one line for a `UserError` or a disk that refuses; 130 after Ctrl-C.

    Any other exception is a bug and keeps its traceback. Nothing that is printed can end the work.
    """
    with patient_output():
        try:
            main()
        except UserError as error:
            print(f"{name}: error: {error}", file=sys.stderr)
            return 2
        except OSError as error:
            if error.errno not in OF_THE_DISK:
                raise
            where = error.filename2 or error.filename  # the latter is only the unfinished file where there are both
            print(f"{name}: error: {f'{where}: ' if where else ''}{error.strerror}.", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print(f"{name}: stopped", file=sys.stderr)
            return 130
        return 0


class OneLineParser(argparse.ArgumentParser):
    """argparse whose errors are one line, with the near word where there is one; abbreviations are not guessed.

    Args:
        prog: The command as it is typed: `tfvae generate`, `python -m training tune`.
        description: Of any length; it is wrapped.

    Attributes:
        checks: Called with the arguments, of which some may exclude others; they raise `UserError`.
    """

    def __init__(self, prog: str, description: str):
        super().__init__(
            prog=prog,
            description=textwrap.fill(description, _width()),
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=32),
            allow_abbrev=False,
        )
        self.checks: list[Callable[[argparse.Namespace], None]] = []

    def note(self, title: str, lines: Iterable[str]) -> None:
        """A paragraph at the end of `--help`, its lines as they are."""
        paragraph = "\n".join([f"{title}:", *(f"  {line}" for line in lines)])
        self.epilog = f"{self.epilog}\n\n{paragraph}" if self.epilog else paragraph

    def parse_args(self, args=None, namespace=None):
        arguments, unknown = self.parse_known_args(args, namespace)
        if unknown and not self._subparsers and not all(word.startswith("-") for word in unknown):
            # An argument that may be left out was given its default where it stands after an option.
            arguments, unknown = self.parse_known_intermixed_args(args, namespace)
        if unknown:
            self.refuse(unknown)
        for check in self.checks:
            check(arguments)
        return arguments

    def refuse(self, unknown: list[str]) -> NoReturn:
        """Raises `UserError` for words that are no argument of this parser."""
        known = [name for action in self._actions for name in action.option_strings]
        options = [word for word in unknown if word.startswith("-")]
        word = options[0].split("=")[0] if options else unknown[0]
        what, hint = ("option", did_you_mean(word, known)) if options else ("argument", "")
        self.error(f"unknown {what} '{word}'.{hint} Options: {', '.join(known)}")

    def error(self, message: str) -> NoReturn:
        choice = re.match(r"argument (\S+): invalid choice: '?(.*?)'? \(choose from (.*)\)$", message)
        if choice:
            what, word, known = choice.group(1), choice.group(2), choice.group(3).replace("'", "").split(", ")
            raise UserError(f"unknown {what.lower()} '{word}'.{did_you_mean(word, known)} Known: {', '.join(known)}.")
        _, _, command = self.prog.removeprefix("python -m ").partition(" ")
        raise UserError(f"{command}: {message}." if command else f"{message}. See --help.")


class ProgramParser(OneLineParser):
    """That of a whole program: it has `--version`, and a bare call gets the help and exit code 2: nothing was done.

    Args:
        prog: As it is typed.
        description: As above.
        commands: What each does, by the word that follows `prog`; none when there are only options.
        metavar: What such a word is called.
    """

    def __init__(self, prog: str, description: str, commands: Mapping[str, str] | None = None, metavar: str = ""):
        super().__init__(prog, description)
        self.add_argument("--version", action="version", version=f"tfvae {__version__}")
        if commands:
            actions = self.add_subparsers(metavar=metavar, required=True, parser_class=argparse.ArgumentParser)
            for name, about in commands.items():
                actions.add_parser(name, help=about)

    def parse_args(self, args=None, namespace=None):
        if not (sys.argv[1:] if args is None else args):
            self.exit(2, self.format_help())
        return super().parse_args(args, namespace)


def wrapped(words: Iterable[str]) -> list[str]:
    """Lines of words with commas between them, as wide as the terminal."""
    return textwrap.wrap(", ".join(words), _width() - 2)


def _width() -> int:
    return shutil.get_terminal_size().columns - 2
