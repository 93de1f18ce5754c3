"""Asymmetric numeral systems, by `constriction`, with integer tables: within a few bytes of the entropy."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from tfvae.applications.compression.varints import TOO_SHORT
from tfvae.decoding import UnreadableError
from tfvae.errors import UserError

WORD = np.dtype("<u4")


def library() -> ModuleType:
    """The package `constriction`. Raises `UserError` where it is missing."""
    try:
        import constriction
    except ImportError as error:
        raise UserError(
            "files are coded by the package constriction, which is not installed: pip install 'tfvae[codec]' "
            "(or --coder huffman, which needs nothing)."
        ) from error
    return constriction


class Ans:
    """Writes and reads symbols by integer tables, in 32-bit words.

    `constriction` makes a categorical distribution of n floats by adding 1 to each and scaling the sum of the floats to
    `2**24 - n`. Given `f_i - 1` of a table with the sum 2**24 the factor is exactly 1, and all floats are whole numbers
    that float64 holds: the table that is coded by is the table that was given, on every machine.

    Args:
        tables: Frequencies with the sum 2**24, int64, each `(n,)`.
    """

    def __init__(self, tables: Sequence[np.ndarray]):
        self.stack = library().stream.stack
        categorical = library().stream.model.Categorical
        self.models: list[Any] = [categorical((table - 1).astype(np.float64), perfect=False) for table in tables]

    def encode(self, groups: Sequence[tuple[int, np.ndarray]]) -> bytes:
        """The bytes of groups of places, each by the table of its number, in their order."""
        coder = self.stack.AnsCoder()
        for table, places in reversed(groups):
            if len(places):
                coder.encode_reverse(places.astype(np.int32), self.models[table])
        return coder.get_compressed().astype(WORD).tobytes()

    def decode(self, content: bytes, counts: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """The places, int64, of groups of so many symbols by the tables of those numbers.

        Raises:
            UnreadableError: If the bytes are not what `encode` wrote.
        """
        words = np.frombuffer(content, WORD) if len(content) % WORD.itemsize == 0 else None
        if words is None or (len(words) and words[-1] == 0):
            raise UnreadableError(TOO_SHORT)
        coder = self.stack.AnsCoder(words.astype(np.uint32)) if len(words) else self.stack.AnsCoder()
        found = [
            np.asarray(coder.decode(self.models[table], count) if count else [], np.int64) for table, count in counts
        ]
        if not coder.is_empty():
            raise UnreadableError(TOO_SHORT)
        return found
