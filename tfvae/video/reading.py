"""A film as upright frames, through PyAV: its measures, and as much of it as can be read."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tfvae.errors import UserError
from tfvae.video.codecs import pyav
from tfvae.video.colour import rgb_of

SUFFIXES = (".mp4", ".m4v", ".avi", ".mov", ".mkv", ".webm")  # that are read
# FFmpeg's bicubic filter with rounding and full colour: without these flags frames come out a level darker.
SCALING = 0x4 | 0x2000 | 0x4000 | 0x40000
SLACK = 3  # frames by which a whole film may end before the time that its header says


class Film:
    """A film that can be read: its measures, and its frames as often as they are asked for.

    Attributes:
        path: The file.
        rate: Frames a second; the mean where they come at uneven times.
        size: Height and width of an upright frame, in pixels.
        count: Frames as the header says; 0: unknown.
        aspect: Width of a pixel over its height, upright; 1 for square pixels.
        start: Seconds of the file's clock at which the first frame is shown.
        sound: Whether there is a sound track.
        damage: What kept the last reading of `frames` from the end of the film; empty where nothing did.

    Raises:
        UserError: When there is no such file, no frame of it can be read, or PyAV is not installed.
    """

    def __init__(self, path: str | Path):
        self.path, self.damage = Path(path), ""
        if not self.path.is_file():
            raise UserError(f"{path}: there is no such film.")
        av = pyav(f"'{self.path.name}' is a film, and reading films")
        try:
            with av.open(str(self.path)) as container:
                if not container.streams.video:
                    raise UserError(f"'{path}' holds no film, only {len(container.streams)} other streams.")
                stream = _main_stream(container)
                first = next(container.decode(stream), None)
                if first is None:
                    raise UserError(f"no frame of film '{path}' could be read.")
                self.rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
                self.start = (stream.start_time or 0) * Fraction(stream.time_base)
                # WebM and Matroska know the length of the whole file only; FFmpeg counts it in microseconds.
                length = Fraction(container.duration or 0, 10**6)
                self.seconds = stream.duration * Fraction(stream.time_base) if stream.duration else length
                self.count = stream.frames or int(self.seconds * self.rate)
                self.sound = bool(container.streams.audio)
                # Telephones film sideways and note the turn: counter-clockwise degrees.
                self.turns = round(getattr(first, "rotation", 0) / 90) % 4
                upright = 1 if self.turns % 2 == 0 else -1
                self.size = (first.height, first.width)[::upright]
                self.aspect = Fraction(stream.sample_aspect_ratio or 1) ** upright
        except (av.FFmpegError, OSError, ValueError) as error:
            raise UserError(f"no frame of film '{path}' could be read ({_reason(error)}).") from None

    def frames(
        self, limit: int = 0, rate: Fraction | float | None = None, size: tuple[int, int] | None = None
    ) -> Iterator[np.ndarray]:
        """Frames in order, uint8 `(height, width, 3)`, upright; one is held at a time.

        A film that is damaged gives what could be read, and `damage` says so afterwards.

        Args:
            limit: At most so many; 0: all.
            rate: Frames a second, evenly in time: repeated or left out where the film has fewer or more, so that
                they stay with the sound. None: each frame of the file once.
            size: Height and width that frames are scaled to; None: their own.
        """
        height, width = (size or self.size)[:: -1 if self.turns % 2 else 1]
        decoded = self._decoded() if rate is None else self._at(Fraction(rate).limit_denominator(10**5))
        for place, frame in enumerate(decoded, start=1):
            yield np.rot90(rgb_of(frame, width, height, SCALING), self.turns)
            if place == limit:
                self.damage = ""
                return

    def _decoded(self) -> Iterator[Any]:
        import av

        done, time, self.damage = 0, Fraction(0), ""
        try:
            with av.open(str(self.path)) as container:
                stream = _main_stream(container)
                stream.thread_type = "AUTO"
                for frame in _frames_of(container, stream):
                    yield frame
                    done, time = done + 1, self._time(frame, done)
            if time + SLACK / self.rate < self.seconds:
                self.damage = f"ends after {done} frames: {float(time):.1f} of {float(self.seconds):.1f} seconds"
        except (av.FFmpegError, OSError, ValueError) as error:
            self.damage = f"damaged after {done} frames: {_reason(error)}"

    def _at(self, rate: Fraction) -> Iterator[Any]:
        """Frames at multiples of 1/rate: for each the last that begins not half a step later."""
        held, end, place = None, Fraction(0), 0
        for index, frame in enumerate(self._decoded()):
            time = self._time(frame, index)
            while held is not None and place < (time * rate + Fraction(1, 2)).__floor__():
                yield held
                place += 1
            held, end = frame, time + 1 / self.rate
        while held is not None and place < (end * rate + Fraction(1, 2)).__floor__():
            yield held
            place += 1

    def _time(self, frame: Any, index: int) -> Fraction:
        """Seconds after the first frame."""
        return index / self.rate if frame.pts is None else frame.pts * Fraction(frame.time_base) - self.start


def _main_stream(container: Any) -> Any:
    """The video stream that is the film: covers are streams, too, and may come first."""
    from av.stream import Disposition

    films = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    best = container.streams.best("video")  # FFmpeg's choice, which prefers moving pictures to stills
    return best if not films or best.index in {stream.index for stream in films} else films[0]


def _frames_of(container: Any, stream: Any) -> Iterator[Any]:
    """The frames of a stream. WebM keeps transparency where FFmpeg's own decoders of VP8 and VP9 do not look."""
    import av

    transparent = stream.metadata.get("alpha_mode") == "1"
    decoder = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name)
    if not transparent or decoder not in av.codecs_available:
        yield from container.decode(stream)
        return
    context: Any = av.CodecContext.create(decoder, "r")
    for packet in container.demux(stream):
        yield from context.decode(packet)


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:160]
