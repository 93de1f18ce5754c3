"""What a person did that cannot work, said in one line."""

import difflib
import sys
from collections.abc import Callable, Iterable


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
