"""Streams of a file: symbols grouped by their tables, by an entropy coder, with an escape for what no table holds."""

import hashlib
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import keras
import numpy as np

from tfvae import integer_tables
from tfvae.applications.compression.ans import Ans
from tfvae.applications.compression.container import CODERS
from tfvae.applications.compression.huffman import Huffman
from tfvae.applications.compression.symbols import MOST_SYMBOL, grouped
from tfvae.applications.compression.varints import TOO_SHORT, Reader, varint
from tfvae.decoding import UnreadableError
from tfvae.networks.hyperprior import REACH


class Coder(Protocol):
    """What an entropy coder does: groups of places, each by the table of its number, as bytes; and back."""

    def encode(self, groups: Sequence[tuple[int, np.ndarray]]) -> bytes: ...

    def decode(self, content: bytes, counts: Sequence[tuple[int, int]]) -> list[np.ndarray]: ...


MADE: dict[str, Callable[[Sequence[np.ndarray]], Coder]] = {"ans": Ans, "huffman": Huffman}
_KNOWN: weakref.WeakKeyDictionary[Any, tuple[bytes, dict[str, "Streams"]]] = weakref.WeakKeyDictionary()


class Streams:
    """Writes and reads the symbols of one model by one coder.

    Args:
        model: A `Codec`.
        coder: `"ans"` or `"huffman"`.

    Attributes:
        digest: Of the model as it is now, by the function of that name.
    """

    def __init__(self, model: Any, coder: str):
        self.digest = digest(model)
        hyper, normal = model.prior.tables()
        self.channels = len(hyper)
        self.tables = [*hyper, *normal]
        self.half_widths = np.array([REACH] * len(hyper) + [(len(table) - 2) // 2 for table in normal])
        self.coder = MADE[coder](self.tables)

    def hyper(self, symbols: np.ndarray) -> bytes:
        """The stream of hyper-latents `(h, w, channels)`: channel after channel, each by its own table."""
        return self._write([(channel, symbols[..., channel].ravel()) for channel in range(self.channels)])

    def read_hyper(self, stream: bytes, places: tuple[int, int]) -> np.ndarray:
        """Hyper-latents, int32 `(*places, channels)`. Raises `UnreadableError` for another stream."""
        count = places[0] * places[1]
        found = self._read(stream, [(channel, count) for channel in range(self.channels)])
        return np.stack(found, axis=-1).reshape(*places, self.channels)

    def latents(self, symbols: np.ndarray, index: np.ndarray) -> bytes:
        """The stream of latents, each by the table of its index: table after table, in each the symbols in order."""
        flat, places = symbols.ravel(), grouped(index.ravel(), range(integer_tables.COUNT))
        return self._write([(self.channels + table, flat[place]) for table, place in enumerate(places)])

    def read_latents(self, stream: bytes, index: np.ndarray) -> np.ndarray:
        """Latents, int32 of the shape of `index`. Raises `UnreadableError` for another stream."""
        places = grouped(index.ravel(), range(integer_tables.COUNT))
        found = self._read(stream, [(self.channels + table, len(place)) for table, place in enumerate(places)])
        flat = np.empty(index.size, np.int32)
        for place, symbols in zip(places, found, strict=True):
            flat[place] = symbols
        return flat.reshape(index.shape)

    def bits(self, groups: Sequence[tuple[int, np.ndarray]]) -> float:
        """The information of groups of symbols by the model's tables, bits; of an escape also the bytes that follow."""
        total = 0.0
        for table, symbols in groups:
            places, escaped = self._places(table, symbols)
            total += integer_tables.bits(self.tables[table], places) + 8 * len(b"".join(map(varint, escaped)))
        return total

    def information(self, hyper: np.ndarray, symbols: np.ndarray, index: np.ndarray) -> float:
        """The information of all symbols of a picture, bits: what no coder by these tables can be below of."""
        places = grouped(index.ravel(), range(integer_tables.COUNT))
        groups = [(channel, hyper[..., channel].ravel()) for channel in range(self.channels)]
        groups += [(self.channels + table, symbols.ravel()[place]) for table, place in enumerate(places)]
        return self.bits(groups)

    def _places(self, table: int, symbols: np.ndarray) -> tuple[np.ndarray, list[int]]:
        """Places in a table, and what its escapes stand for."""
        half_width = int(self.half_widths[table])
        outside = np.abs(symbols) > half_width
        places = np.where(outside, 2 * half_width + 1, symbols + half_width)
        # Beyond the table, counted from its border on.
        beyond = [int(value - np.sign(value) * (half_width + 1)) for value in symbols[outside].tolist()]
        signs = [value < 0 for value in symbols[outside].tolist()]
        return places, [2 * abs(value) + sign for value, sign in zip(beyond, signs, strict=True)]

    def _write(self, groups: Sequence[tuple[int, np.ndarray]]) -> bytes:
        coded, escapes = [], []
        for table, symbols in groups:
            places, escaped = self._places(table, symbols)
            coded.append((table, places))
            escapes += [varint(value) for value in escaped]
        tail = b"".join(escapes)
        return varint(len(tail)) + tail + self.coder.encode(coded)

    def _read(self, stream: bytes, counts: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        reader = Reader(stream)
        escapes = Reader(reader.take(reader.varint(reader.left)))
        found = []
        for (table, _), places in zip(counts, self.coder.decode(reader.take(reader.left), counts), strict=True):
            half_width = int(self.half_widths[table])
            symbols = (places - half_width).astype(np.int32)
            for place in np.flatnonzero(places == 2 * half_width + 1):
                value = escapes.varint(2 * MOST_SYMBOL)
                symbols[place] = (-1) ** (value & 1) * (half_width + 1 + value // 2)
            found.append(symbols)
        if escapes.left:
            raise UnreadableError(TOO_SHORT)
        return found


def streams(model: Any, coder: str) -> Streams:
    """`Streams` of a model, made once while its weights stay as they are.

    Raises:
        ValueError: For another coder.
        UserError: If the coder's package is missing.
    """
    if coder not in CODERS:
        raise ValueError(f"`coder` must be one of {', '.join(CODERS)}. Received: coder={coder!r}")
    known = digest(model)
    made = _KNOWN.get(model)
    if made is None or made[0] != known:
        made = _KNOWN[model] = (known, {})
    if coder not in made[1]:
        made[1][coder] = Streams(model, coder)
    return made[1][coder]


def digest(model: Any) -> bytes:
    """4 bytes that tell models apart: a hash of all that a file depends on."""
    model.prior.make_tables()
    found = hashlib.blake2b(digest_size=4)
    for part in (model.decoder, model.gains, model.hyper_decoder, model.prior):
        for weight in part.weights:
            found.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).tobytes())
    return found.digest()
