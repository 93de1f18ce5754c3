"""A film file may hold covers and other stills: the film is the stream that moves."""

import struct
from fractions import Fraction

import numpy as np
import pytest

from tfvae.video import Film

av = pytest.importorskip("av")


def encoded(stream, pixels, pixel_format, time=0, base=None):
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=pixel_format)
    frame.pts = time
    if base:
        frame.time_base = base
    return stream.encode(frame)


def film(path, cover=True, attached=True):
    """Twelve grey frames of 64x48, ever brighter, and first, where there is one, a red still of 60x40."""
    with av.open(str(path), "w") as out:
        if cover:
            still = out.add_stream("mjpeg", rate=1)
            still.width, still.height, still.pix_fmt = 60, 40, "yuvj420p"
            if attached:
                still.disposition = av.stream.Disposition.attached_pic
        main = out.add_stream("libx264", rate=10, options={"crf": "5"})
        main.width, main.height, main.pix_fmt = 64, 48, "yuv420p"
        if cover:
            red = np.full((40, 60, 3), (255, 0, 0), np.uint8)
            for packet in (*encoded(still, red, "yuvj420p"), *still.encode()):
                out.mux(packet)
        for index in range(12):
            for packet in encoded(main, np.full((48, 64, 3), 20 * index, np.uint8), "yuv420p", index, Fraction(1, 10)):
                out.mux(packet)
        for packet in main.encode():
            out.mux(packet)
    return path


def boxes(content):
    place = 0
    while place < len(content):
        size, name = struct.unpack(">I4s", content[place : place + 8])
        yield name, content[place : place + size]
        place += size


def tagged_first(path):
    """The same MP4 with its tags, and so its cover, before the tracks, as some taggers write it."""
    content = b""
    for name, box in boxes(path.read_bytes()):
        if name == b"moov":
            parts = sorted(boxes(box[8:]), key=lambda part: {b"mvhd": 0, b"udta": 1}.get(part[0], 2))
            body = b"".join(part for _, part in parts)
            box = struct.pack(">I4s", 8 + len(body), b"moov") + body
        content += box
    other = path.with_name("tagged.mp4")
    other.write_bytes(content)
    return other


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: film(folder / "a.mp4", cover=False),
        lambda folder: film(folder / "a.mp4"),
        lambda folder: tagged_first(film(folder / "a.mp4")),
        lambda folder: film(folder / "a.mkv"),
        lambda folder: film(folder / "a.mkv", attached=False),
    ],
    ids=["no cover", "cover", "cover in the tags", "Matroska", "a still that is no cover"],
)
def test_the_film_is_the_stream_that_moves(tmp_path, make):
    found = Film(make(tmp_path))
    frames = list(found.frames())
    assert found.size == (48, 64) and len(frames) == 12 and not found.damage
    levels = [float(frame.mean()) for frame in frames]
    np.testing.assert_allclose(levels, 20.0 * np.arange(12), atol=3)
