"""The sound track of one film written into another."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

ENCODERS = {"mp4": ("aac", None), "webm": ("libopus", 48_000)}  # and the only sampling rate that Opus is sure of


class Sound:
    """The first sound track of a film, written as far as the pictures are: neither waits for the other.

    Packets are copied as they are where the container takes their codec, and else encoded again.

    Args:
        path: Film to take it from.
        start: Seconds of that film's clock at which the first picture is shown, and the new film begins.
        container: PyAV's output container, before its first packet.
    """

    def __init__(self, path: Path, start: Fraction, container: Any):
        import av

        self.errors = (av.FFmpegError, OSError, ValueError)
        self.start, self.container = start, container
        self.source = av.open(str(path))
        self.track = self.source.streams.audio[0]
        codec, rate = ENCODERS[container.format.name]
        self.copied = self.track.codec_context.name in container.supported_codecs
        if self.copied:
            self.stream = container.add_stream_from_template(self.track)
        else:
            self.stream = container.add_stream(codec, rate=rate or self.track.rate)
            self.stream.layout = self.track.layout.name
        self.packets = self._copies() if self.copied else self._encoded()
        self.next: tuple[Fraction, Any] | None = next(self.packets, None)

    def write_until(self, seconds: Fraction | None) -> None:
        """Writes what is heard before this time of the new film; None: all that is left."""
        while self.next is not None and (seconds is None or self.next[0] < seconds):
            self.container.mux(self.next[1])
            self.next = next(self.packets, None)

    def close(self, whole: bool) -> None:
        """Writes the rest, if the film is `whole`, and closes the source."""
        if whole:
            self.write_until(None)
        if not self.copied:
            self.container.mux(self.stream.encode())
        self.source.close()

    def _copies(self) -> Iterator[tuple[Fraction, Any]]:
        for packet in self._until_damaged(self.source.demux(self.track)):
            if packet.dts is None:  # the empty packet at the end
                continue
            shift = round(self.start / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = self.stream
            yield packet.dts * Fraction(packet.time_base), packet

    def _encoded(self) -> Iterator[tuple[Fraction, Any]]:
        for frame in self._until_damaged(self.source.decode(self.track)):
            frame.pts -= round(self.start / frame.time_base)
            yield frame.pts * Fraction(frame.time_base), self.stream.encode(frame)

    def _until_damaged(self, parts: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from parts
        except self.errors:  # the film's own reader says that it is damaged
            return
