"""Whole numbers in as few bytes as they need, and a reader that never reads beyond what is there."""

from tfvae.decoding import UnreadableError

TOO_SHORT = "a compressed picture that is cut short or damaged"


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last byte have their highest bit set."""
    found = bytearray()
    while value > 127:
        found.append(128 | value & 127)
        value >>= 7
    return bytes([*found, value])


class Reader:
    """Reads bytes in order. Raises `UnreadableError` where there are fewer than are asked for."""

    def __init__(self, content: bytes):
        self.content, self.place = memoryview(content), 0

    @property
    def left(self) -> int:
        return len(self.content) - self.place

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise UnreadableError(TOO_SHORT)
        self.place += count
        return bytes(self.content[self.place - count : self.place])

    def varint(self, most: int) -> int:
        """A number of `varint`, at most `most`."""
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if value > most or shift > 70:
                raise UnreadableError(TOO_SHORT)
            if byte < 128:
                return value
