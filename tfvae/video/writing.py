"""Frames as a film, through PyAV and Pillow: MP4, WebM and GIF, with the sound of the film they were made from."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfvae.errors import UserError
from tfvae.pixels import to_uint8
from tfvae.video.codecs import pyav
from tfvae.video.reading import Film
from tfvae.video.sound import Sound
from tfvae.whole_files import part_of, put_in_place

WRITTEN = (".mp4", ".webm", ".gif")
# Constant quality, visually lossless or nearly so; the table of contents first, so that browsers need not load all.
CODECS = {
    ".mp4": ("libx264", {"crf": "18", "movflags": "+faststart"}),
    ".webm": ("libvpx-vp9", {"crf": "28", "b:v": "0", "row-mt": "1", "cpu-used": "4", "deadline": "good"}),
}
GIF_RATE = 50  # frames a second; browsers slow down what is faster
BT709 = 1  # FFmpeg's number of the colour space, and of its primaries and its transfer function


class FilmWriter:
    """A film that grows frame by frame: H.264 in MP4, VP9 in WebM, or GIF without end, by the suffix of `path`.

    It is written beside `path` under a temporary name. Leaving the `with` block gives it its name; so does Ctrl-C,
    with the frames that there are; any other error leaves nothing.

    MP4 and WebM store colour for squares of 2×2 pixels, so that odd sides get one more row or
    column, a copy of the last.

    Args:
        path: File to write; its folder is made.
        rate: Frames a second, at most 50 for GIF.
        size: Height and width of the frames, in pixels.
        sound_from: Film whose sound is written, too: copied where the container takes its codec, else as AAC or Opus.
        aspect: Width of a pixel over its height.

    Attributes:
        count: Frames written.

    Raises:
        UserError: When the suffix is not one of `WRITTEN`, GIF is asked for more frames a second, or PyAV is missing.
        ValueError: When a frame has another size.
    """

    def __init__(
        self,
        path: str | Path,
        rate: Fraction | float,
        size: tuple[int, int],
        sound_from: Film | None = None,
        aspect: Fraction | float = 1,
    ):
        self.path, self.size, self.count = Path(path), (size[0], size[1]), 0
        self.rate = Fraction(rate).limit_denominator(10**5)
        suffix = self.path.suffix.lower()
        if suffix not in WRITTEN:
            raise UserError(f"{path}: a film cannot end in '{suffix}'. Accepted: {', '.join(WRITTEN)}.")
        self.temporary = part_of(self.path)
        sink = _Gif if suffix == ".gif" else _Encoded
        self.sink: Any = sink(self.temporary, suffix, self.rate, self.size, sound_from, Fraction(aspect))

    def write(self, frame: np.ndarray) -> None:
        """Adds a frame: `(height, width, 1 or 3)`, uint8 or float in [0, 1]."""
        if frame.shape[:2] != self.size or frame.shape[2] not in (1, 3):
            raise ValueError(f"`frame` must have the shape {(*self.size, 3)}. Received: {frame.shape}")
        pixels = to_uint8(frame)
        self.sink.write(np.ascontiguousarray(np.broadcast_to(pixels, (*self.size, 3))))
        self.count += 1

    def __enter__(self) -> "FilmWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        try:
            whole = kind is None
            self.sink.close(whole)
            if self.count and (whole or issubclass(kind, KeyboardInterrupt)):  # type: ignore[arg-type]
                put_in_place(self.temporary, self.path)
        finally:
            self.temporary.unlink(missing_ok=True)


class _Encoded:
    """Frames through a codec of PyAV's."""

    def __init__(
        self, path: Path, suffix: str, rate: Fraction, size: tuple[int, int], sound: Film | None, aspect: Fraction
    ):
        self.av = av = pyav(f"writing {suffix} files")
        codec, options = CODECS[suffix]
        muxing = {"movflags": options["movflags"]} if "movflags" in options else {}
        self.container = av.open(str(path), "w", format=suffix[1:], options=muxing)
        self.stream = self.container.add_stream(codec, rate=rate, options=options)
        self.odd = (size[0] % 2, size[1] % 2)
        self.stream.height, self.stream.width = size[0] + self.odd[0], size[1] + self.odd[1]
        self.stream.pix_fmt = "yuv420p"
        self.stream.codec_context.sample_aspect_ratio = aspect.limit_denominator(255)
        context = self.stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        self.rate, self.place = rate, 0
        self.sound = Sound(sound.path, sound.start, self.container) if sound is not None and sound.sound else None

    def write(self, pixels: np.ndarray) -> None:
        if any(self.odd):
            pixels = np.pad(pixels, ((0, self.odd[0]), (0, self.odd[1]), (0, 0)), mode="edge")
        frame = self.av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="itu709", dst_color_range="MPEG")
        frame.pts, frame.time_base = self.place, 1 / self.rate
        self.container.mux(self.stream.encode(frame))
        self.place += 1
        if self.sound:
            self.sound.write_until(self.place / self.rate)

    def close(self, whole: bool) -> None:
        try:
            if self.place:
                self.container.mux(self.stream.encode())
            if self.sound:
                self.sound.close(whole)
        finally:
            self.container.close()


class _Gif:
    """Frames in 256 colours each, held until the end: Pillow writes all at once."""

    def __init__(
        self, path: Path, suffix: str, rate: Fraction, size: tuple[int, int], sound: Film | None, aspect: Fraction
    ):
        if rate > GIF_RATE:
            raise UserError(f"a GIF shows at most {GIF_RATE} frames a second. Received: {float(rate):g}.")
        self.path, self.rate, self.frames = path, rate, list[Image.Image]()

    def write(self, pixels: np.ndarray) -> None:
        self.frames.append(Image.fromarray(pixels).convert("P", palette=Image.Palette.ADAPTIVE, colors=256))

    def close(self, whole: bool) -> None:
        if not self.frames:
            return
        # Durations are in hundredths of a second: rounded so that their sum stays right.
        ends = [round(100 * place / self.rate) for place in range(len(self.frames) + 1)]
        durations = [10 * (end - begin) for begin, end in pairwise(ends)]
        first, *others = self.frames
        first.save(self.path, format="GIF", save_all=True, append_images=others, duration=durations, loop=0)
