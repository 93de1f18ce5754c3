"""The file `.tfv`: what it says of itself, and that nothing in it was changed.

| bytes | what |
| --- | --- |
| 4 | `TFV1`: the format and its version |
| 4 | digest of the model |
| 4 | checksum of all other bytes |
| 1 | flags: coder, what else is kept |
| varints | height, width, channels, quality in tenths |
| varint and bytes, each | what else is kept: alpha, EXIF, colour profile, XMP, resolution |
| varints | lengths of the streams |
| … | the streams: of each view of the picture its hyper-latents, then its tiles in reading order |

Whole numbers are varints (seven bits a byte). Every length is checked against what is there before anything is made of
it, and the checksum before anything is believed.
"""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from tfvae.applications.compression.varints import TOO_SHORT, Reader, varint
from tfvae.decoding import UnreadableError

MAGIC, VERSION = b"TFV", b"1"
HEAD = 12  # bytes before the flags
CODERS = ("ans", "huffman")
TILE = 64  # latent places: the side of what is read by itself
TENTHS = 10  # of a quality
MOST_SIDE = 1 << 20
MOST_PIXELS = 256_000_000  # as of the pictures that are read
KEPT = ("alpha", "exif", "icc", "xmp", "dpi")  # in the order of their flags and of the file


@dataclass(frozen=True)
class Header:
    """What a file says of its picture.

    Attributes:
        model: Digest of the model that wrote it, 4 bytes.
        coder: One of `CODERS`.
        height, width: Pixels.
        channels: 1 or 3.
        quality: From 0 to 100.
        kept: By name of `KEPT`, bytes as they stand in the file.
    """

    model: bytes
    coder: str
    height: int
    width: int
    channels: int
    quality: float
    kept: dict[str, bytes] = field(default_factory=dict)

    def places(self, factor: int) -> tuple[int, int]:
        """Rows and columns of latent places."""
        return -(-self.height // factor), -(-self.width // factor)

    def tiles(self, factor: int) -> list[tuple[slice, slice]]:
        """Rows and columns of the tiles, in places, in reading order."""
        rows, columns = self.places(factor)
        return [
            (slice(row, min(row + TILE, rows)), slice(column, min(column + TILE, columns)))
            for row in range(0, rows, TILE)
            for column in range(0, columns, TILE)
        ]


def pack(header: Header, streams: Sequence[bytes]) -> bytes:
    """The bytes of a file."""
    flags = CODERS.index(header.coder) + sum(2 << place for place, name in enumerate(KEPT) if name in header.kept)
    numbers = (header.height, header.width, header.channels, round(header.quality * TENTHS))
    kept = [varint(len(header.kept[name])) + header.kept[name] for name in KEPT if name in header.kept]
    lengths = [varint(len(stream)) for stream in streams]
    body = b"".join([bytes([flags]), *map(varint, numbers), *kept, *lengths, *streams])
    head = MAGIC + VERSION + header.model
    return head + _checksum(head + body) + body


def unpack(content: bytes, model: bytes, factor: int, views: int) -> tuple[Header, list[bytes]]:
    """The header, and the streams.

    Args:
        content: Of the file.
        model: Digest of the model that is to open it.
        factor: Pixels of a latent place.
        views: Channels of the model: a picture of three channels is three pictures to a model of one.

    Raises:
        UnreadableError: With the reason: not such a file, of a later version, of another model, cut short or changed.
    """
    header, reader = _opened(content)
    if header.model != model:
        raise UnreadableError(
            f"was written by another model (digest {header.model.hex()}; this one is {model.hex()}): "
            "name the run that compressed it"
        )
    count = (1 + len(header.tiles(factor))) * (header.channels if views == 1 else 1)
    if count > reader.left:  # a length is a byte at least
        raise UnreadableError(TOO_SHORT)
    lengths = [reader.varint(reader.left) for _ in range(count)]
    if sum(lengths) != reader.left:
        raise UnreadableError(TOO_SHORT)
    return header, [reader.take(length) for length in lengths]


def read_header(content: bytes) -> Header:
    """What a file says of itself. Raises `UnreadableError` where it is none, or was changed."""
    return _opened(content)[0]


def packed_alpha(alpha: bytes) -> bytes:
    """The transparency of each pixel, without loss."""
    return zlib.compress(alpha, 9)


def unpacked_alpha(content: bytes, size: int) -> bytes:
    """`size` bytes of `packed_alpha`. Raises `UnreadableError` where there are more or fewer, or others behind them."""
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(content, size + 1)
    except zlib.error:
        raise UnreadableError(TOO_SHORT) from None
    if len(found) != size or not inflater.eof or inflater.unused_data:
        raise UnreadableError(TOO_SHORT)
    return found


def _opened(content: bytes) -> tuple[Header, Reader]:
    if content[:3] != MAGIC:
        raise UnreadableError("not a compressed picture of tfvae (.tfv)")
    if content[3:4] != VERSION:
        raise UnreadableError(f"is of version {content[3:4]!r} of the format, and this tfvae reads version {VERSION!r}")
    if len(content) < HEAD or _checksum(content[:8] + content[HEAD:]) != content[8:HEAD]:
        raise UnreadableError("is damaged or cut short: its checksum is another")
    reader = Reader(content)
    reader.take(HEAD)
    flags = reader.take(1)[0]
    height, width = reader.varint(MOST_SIDE), reader.varint(MOST_SIDE)
    channels, tenths = reader.varint(3), reader.varint(100 * TENTHS)
    if flags >> 1 + len(KEPT) or channels not in (1, 3) or not 0 < height * width <= MOST_PIXELS:
        raise UnreadableError(TOO_SHORT)
    kept = {name: reader.take(reader.varint(reader.left)) for n, name in enumerate(KEPT) if flags & 2 << n}
    header = Header(content[4:8], CODERS[flags & 1], height, width, channels, tenths / TENTHS, kept)
    return header, reader


def _checksum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=4).digest()
