"""What a person did that cannot work, said in one line."""

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn


class UserError(Exception):
    """A request that cannot be met: the message says where, what, which value, and what would be accepted."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` when a known word is close to `word`, else the empty string."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""


def run_program(name: str, main: Callable[[], None]) -> int:
    """Exit code of `main()`: 0; 2 after one line for a `UserError`; 130 when stopped with Ctrl-C.

    Any other exception is a bug and keeps its traceback.
    """
    try:
        main()
    except UserError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: stopped", file=sys.stderr)
        return 130
    return 0


class OneLineParser(argparse.ArgumentParser):
    """argparse whose errors are one line, with the near word where there is one; abbreviations are not guessed."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def parse_args(self, args=None, namespace=None):
        arguments, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.refuse(unknown)
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
        _, _, command = self.prog.partition(" ")
        raise UserError(f"{command}: {message}." if command else f"{message}. See --help.")
