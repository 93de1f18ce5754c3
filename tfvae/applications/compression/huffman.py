"""Huffman coding of the same integer tables: whole bits, no library, and what that costs.

A symbol cannot take less than a bit, and most symbols of a codec are zeros that carry a thousandth of one. So where
zero is likely, runs of zeros are coded: "M zeros", or "r < M zeros and then another symbol", which follows by a code of
its own. M is where half of the runs end, as Golomb's parameter is.
"""

import functools
from collections.abc import Sequence

import numpy as np

from tfvae.applications.compression.varints import TOO_SHORT
from tfvae.decoding import UnreadableError
from tfvae.integer_tables import PRECISION, TOTAL

LONGEST = 16  # bits of a code
MOST_RUN = 1 << 12


def code_lengths(frequencies: np.ndarray, longest: int = LONGEST) -> np.ndarray:
    """Lengths of the best prefix code of at most `longest` bits, int64 `(n,)`: package-merge.

    Args:
        frequencies: Positive whole numbers, `(n,)`.
        longest: `2**longest` is at least n.

    Reference:
        Larmore and Hirschberg (1990), https://doi.org/10.1145/79147.79150
    """
    count = len(frequencies)
    if count == 1:
        return np.zeros(1, np.int64)
    order = np.argsort(frequencies, kind="stable")
    leaves = np.asarray(frequencies, np.int64)[order]
    merged, are_leaves = leaves, [np.ones(count, bool)]
    for _ in range(longest - 1):
        pairs = merged[: len(merged) // 2 * 2].reshape(-1, 2).sum(axis=1)
        both = np.concatenate([leaves, pairs])
        place = np.argsort(both, kind="stable")
        merged = both[place]
        are_leaves.append(place < count)
    lengths, taken = np.zeros(count, np.int64), 2 * count - 2
    for leaf in reversed(are_leaves):
        own = int(leaf[:taken].sum())
        lengths[:own] += 1  # the rarest so many have a bit at this level
        taken = 2 * (taken - own)
    found = np.empty(count, np.int64)
    found[order] = lengths
    return found


def canonical_codes(lengths: np.ndarray) -> np.ndarray:
    """Codes in the order of (length, place), int64 `(n,)`: lengths alone say them."""
    codes, code, former = np.zeros(len(lengths), np.int64), 0, 0
    for place in np.lexsort((np.arange(len(lengths)), lengths)):
        code <<= int(lengths[place]) - former
        codes[place], former = code, int(lengths[place])
        code += 1
    return codes


class _Code:
    """A prefix code of places 0 … n - 1."""

    def __init__(self, frequencies: np.ndarray):
        self.lengths = code_lengths(frequencies)
        self.codes = canonical_codes(self.lengths)

    @functools.cached_property
    def look_up(self) -> tuple[list[int], list[int]]:
        """Place and length by the next `LONGEST` bits; length 0 where no code begins so."""
        places, lengths = np.zeros(1 << LONGEST, np.int64), np.zeros(1 << LONGEST, np.int64)
        for place, (code, length) in enumerate(zip(self.codes.tolist(), self.lengths.tolist(), strict=True)):
            span = slice(code << (LONGEST - length), (code + 1) << (LONGEST - length))
            places[span], lengths[span] = place, length
        return places.tolist(), lengths.tolist()


class _Table:
    """How the symbols of one table are coded: one by one, or as runs of its likeliest place."""

    def __init__(self, frequencies: np.ndarray):
        self.frequent = int(np.argmax(frequencies))
        share = int(frequencies[self.frequent])
        self.longest_run = 0
        if 2 * share > TOTAL:
            # Whole numbers, as all of a file: p**r by repeated products, rounded down by a shift.
            left = TOTAL
            runs: list[int] = []
            while len(runs) < MOST_RUN and (2 * left > TOTAL or not runs):
                after = left * share >> PRECISION
                runs.append(max(1, left - after))
                left = after
            self.longest_run = len(runs)
            self.runs = _Code(np.array([*runs, max(1, left)]))
            others = frequencies.copy()
            others[self.frequent] = 1
            self.single = _Code(others)
        else:
            self.single = _Code(frequencies)


class Huffman:
    """Writes and reads symbols by integer tables, as canonical codes of at most 16 bits.

    Args:
        tables: Frequencies, int64, each `(n,)` with n of at most 2**16.
    """

    def __init__(self, tables: Sequence[np.ndarray]):
        self.sources = tables
        self.made: dict[int, _Table] = {}

    def table(self, number: int) -> _Table:
        """What is made of a table when it is first met."""
        if number not in self.made:
            self.made[number] = _Table(self.sources[number])
        return self.made[number]

    def encode(self, groups: Sequence[tuple[int, np.ndarray]]) -> bytes:
        """The bytes of groups of places, each by the table of its number, in their order."""
        codes, lengths = [], []
        for number, places in groups:
            table = self.table(number)
            code, length = _with_runs(table, places) if table.longest_run else _singly(table, places)
            codes.append(code)
            lengths.append(length)
        return _packed(np.concatenate([*codes, np.zeros(0, np.int64)]), np.concatenate([*lengths, np.zeros(0, int)]))

    def decode(self, content: bytes, counts: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """The places, int64, of groups of so many symbols by the tables of those numbers.

        Raises:
            UnreadableError: If the bytes are not what `encode` wrote.
        """
        windows, place, found = _windows(content), 0, []
        for number, count in counts:
            table = self.table(number)
            symbols, place = (_read_runs if table.longest_run else _read_singly)(table, windows, place, count)
            found.append(np.asarray(symbols, np.int64))
        if (place + 7) // 8 != len(content) or any(windows[place:]):
            raise UnreadableError(TOO_SHORT)
        return found


def _singly(table: _Table, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return table.single.codes[places], table.single.lengths[places]


def _with_runs(table: _Table, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes and lengths of the tokens, in order; a run at the end is written as if another symbol came."""
    longest, ends = table.longest_run, np.flatnonzero(places != table.frequent)
    starts = np.concatenate([[0], ends + 1])
    runs = np.concatenate([ends, [len(places)]]) - starts
    full, rest = runs // longest, runs % longest
    count = full + 2
    last = np.cumsum(count) - 1
    codes = np.full(int(count.sum()), table.runs.codes[longest])
    lengths = np.full(len(codes), table.runs.lengths[longest])
    codes[last - 1], lengths[last - 1] = table.runs.codes[rest], table.runs.lengths[rest]
    symbols = np.concatenate([places[ends], [table.frequent]])
    codes[last], lengths[last] = table.single.codes[symbols], table.single.lengths[symbols]
    # A run that ends the group needs no symbol after it, and one of none is no run.
    end = -1 if rest[-1] else -2
    return codes[:end], lengths[:end]


def _read_singly(table: _Table, windows: list[int], place: int, count: int) -> tuple[list[int], int]:
    places, lengths = table.single.look_up
    found = []
    for _ in range(count):
        window = _window(windows, place)
        found.append(places[window])
        place += lengths[window]
    return found, place


def _read_runs(table: _Table, windows: list[int], place: int, count: int) -> tuple[list[int], int]:
    found: list[int] = []
    while len(found) < count:
        window = _window(windows, place)
        run, length = table.runs.look_up[0][window], table.runs.look_up[1][window]
        place += length
        found += [table.frequent] * min(run, count - len(found))
        if run < table.longest_run and len(found) < count:
            window = _window(windows, place)
            found.append(table.single.look_up[0][window])
            place += table.single.look_up[1][window]
    return found, place


def _window(windows: list[int], place: int) -> int:
    if place >= len(windows):
        raise UnreadableError(TOO_SHORT)
    return windows[place]


def _packed(codes: np.ndarray, lengths: np.ndarray) -> bytes:
    """Codes one after the other, the highest bit first, filled up with zeros to whole bytes."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    bits = np.zeros(total, np.uint8)
    for bit in range(LONGEST):
        has = lengths > bit
        bits[ends[has] - 1 - bit] = codes[has] >> bit & 1
    return np.packbits(bits).tobytes()


def _windows(content: bytes) -> list[int]:
    """The `LONGEST` bits from every bit on, with zeros after the end."""
    bytes_ = np.frombuffer(content + bytes(3), np.uint8).astype(np.uint32)
    joined = bytes_[:-2] << 16 | bytes_[1:-1] << 8 | bytes_[2:]
    shifts = np.arange(8, 0, -1, dtype=np.uint32)
    found = (joined[:-1, None] >> shifts) & 0xFFFF
    return found.ravel().tolist()
