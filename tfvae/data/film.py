"""A film as frames, through PyAV."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tfvae.data.gathering import Gathering
from tfvae.data.reading import prepare
from tfvae.errors import UserError

SUFFIXES = (".mp4", ".m4v", ".avi", ".mov", ".mkv", ".webm")


def gather_film(path: Path, into: Gathering, limit: int) -> None:
    """The first `limit` (0 = all) frames of a film, in order, named `film.mp4#000000` and so on.

    A film that is damaged half-way gives the frames before the damage, and is named in `refused`.
    """
    count = 0
    for pixels in _frames(path, into, limit):
        into.add_prepared(prepare(Image.fromarray(pixels), into.how), f"{path.name}#{count:06d}")
        count += 1
    if not count:
        reason = f" ({into.refused[-1].reason})" if into.refused else ""
        raise UserError(f"data.source: no frame of film '{path}' could be read{reason}.")
    into.in_order = True
    into.description = f"{count:,} frames of film '{path.name}'"


def _frames(path: Path, into: Gathering, limit: int) -> Iterator[np.ndarray]:
    """Frames as uint8 `(height, width, 3)`, upright."""
    try:
        import av
    except ImportError as error:
        raise UserError(
            f"data.source: '{path.name}' is a film, and reading films needs PyAV: pip install 'tfvae[video]'."
        ) from error
    av.logging.set_level(None)  # damage is reported once, by us
    done = 0
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise UserError(f"data.source: '{path}' holds no film, only {len(container.streams)} other streams.")
            stream = container.streams.video[0]
            size = stream.codec_context.width * stream.codec_context.height
            if size > into.how.max_pixels:
                into.refuse(path.name, f"frames larger than {into.how.max_pixels:,} pixels")
                return
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                # Telephones film sideways and note the turn: counter-clockwise degrees.
                turns = round(getattr(frame, "rotation", 0) / 90) % 4
                yield np.rot90(frame.to_ndarray(format="rgb24"), turns)
                done += 1
                into.progress(done, min(limit, stream.frames) if limit else stream.frames)
                if done == limit:
                    return
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:160]
        into.refuse(path.name, f"damaged after {done} frames: {reason}")
