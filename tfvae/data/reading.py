"""Turns one picture file into uint8 pixels, and is the worker process that does so within limits.

This file imports NumPy and Pillow only and is run by its path, so that a worker starts in a fraction of a second
and carries no TensorFlow. A file that hangs or crashes a decoder then costs its own worker and nothing else.
"""

import contextlib
import dataclasses
import io
import json
import math
import os
import signal
import struct
import sys
import warnings
from collections.abc import Iterator
from typing import IO

import numpy as np
from PIL import Image, ImageFilter, ImageOps

# Only these decoders run: others (EPS, FLI, …) have a worse record and no place in an image folder.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM")
REPLY = struct.Struct(">BIIIQ")  # status, height, width, channels, bytes that follow
PIXELS, REFUSED, READY = range(3)
BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8": "JPEG", b"GIF8": "GIF", b"RIFF": "WebP", b"BM": "BMP",
    b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "TIFF", b"MM\0+": "TIFF",
}  # fmt: skip
ORIENTATION = 0x0112  # EXIF tag
GREY_MODES = ("1", "L", "LA", "La", "I", "F")


class UnreadableError(Exception):
    """A picture that is set aside; the message is the reason, for a person."""


@dataclasses.dataclass(frozen=True)
class Preparation:
    """What happens to each picture at load; the fields are those of `DataConfig`."""

    height: int = 0
    width: int = 0
    channels: int = 0
    fit: str = "crop"
    max_side: int = 1024
    max_pixels: int = 64_000_000
    denoise: int = 0
    contrast: float = 0.0


def read_picture(path: str | bytes, how: Preparation) -> np.ndarray:
    """Pixels of a picture file, by its path or its content, uint8 of shape `(height, width, 1 or 3)`.

    Raises `UnreadableError` with the reason.
    """
    with open_checked(path, how) as image:
        try:
            width, height = image.size
            if image.format in ("JPEG", "MPO"):
                turn = orientation_of(image)
                # The decoder leaves out frequencies that the reduction would drop: several times faster.
                scale = _reduction(*((height, width) if turn >= 5 else (width, height)), how)
                if scale < 0.5:
                    image.draft(None, (math.ceil(2 * scale * width), math.ceil(2 * scale * height)))
            image.load()
            turn = orientation_of(image)  # the TIFF decoder turns on its own and then removes the tag
            plain = turned(eight_bits(image), turn)
            own = (height, width) if turn >= 5 else (width, height)
            return prepare(plain, how, own if image.format in ("JPEG", "MPO") else plain.size)
        except MemoryError:
            raise UnreadableError("takes too much memory to decode") from None
        except Exception as error:  # decoders raise almost anything on damaged input
            raise UnreadableError(damage_of(error)) from None


def look_at_picture(path: str | bytes, how: Preparation) -> tuple[int, int, int]:
    """Height, width after rotation, and channels (1 or 3) that the header promises."""
    with open_checked(path, how) as image:
        width, height = image.size
        turned_size = image.format != "TIFF" and orientation_of(image, in_header=True) >= 5
        channels = 1 if image.mode in GREY_MODES or image.mode.startswith("I;") else 3
        return (width, height, channels) if turned_size else (height, width, channels)


def prepare(image: Image.Image, how: Preparation, size: tuple[int, int] | None = None) -> np.ndarray:
    """Fits, composites, filters: an 8 bit L, LA, RGB or RGBA picture as uint8 pixels `(height, width, 1 or 3)`.

    Args:
        image: The picture, upright.
        how: Sizes, filters and channels.
        size: Width and height before the decoder reduced it, if it did: they decide the result's size.
    """
    width, height = size or image.size
    box = None
    if how.height:
        target = (how.width, how.height)
        if how.fit == "crop":
            box = _centre_box(image.size, target)
    else:
        scale = _reduction(width, height, how)
        target = (max(1, round(width * scale)), max(1, round(height * scale)))
    if target != image.size:
        image = image.resize(target, Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
    if image.mode in ("LA", "RGBA"):
        white = Image.new(image.mode, image.size, (255,) * len(image.mode))
        image = Image.alpha_composite(white.convert("RGBA"), image.convert("RGBA")).convert(image.mode[:-1])
    if how.channels:
        image = image.convert("L" if how.channels == 1 else "RGB")
    elif image.mode == "RGB" and is_grey(np.asarray(image)):
        image = image.getchannel(0)
    if how.denoise:
        image = image.filter(ImageFilter.MedianFilter(how.denoise))
    if how.contrast:
        # One stretch for all channels, or the colours would shift.
        image = ImageOps.autocontrast(image, cutoff=how.contrast, preserve_tone=True)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def eight_bits(image: Image.Image) -> Image.Image:
    """The picture in mode L, LA, RGB or RGBA: every other mode brought there without clipping.

    16 bit values are divided by 257 and rounded. 32 bit integers and floats have no white of their own: values within
    [0, 1] (floats), [0, 255] or [0, 65535] are taken to mean that range, any others are stretched from least to most.
    """
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        plain = image
    elif image.mode.startswith("I;16"):
        bits = image.tag_v2.get(258, (16,))[0] if image.format == "TIFF" else 16  # type: ignore[attr-defined]
        white = 2 ** min(max(bits, 1), 16) - 1
        table = np.minimum(np.rint(np.arange(65536) * (255 / white)), 255).astype(np.uint8)
        return Image.fromarray(table[np.asarray(image)])
    elif image.mode in ("I", "F"):
        return Image.fromarray(_ranged(np.asarray(image), sixteen_bits=image.format in ("PNG", "PPM")))
    elif image.mode == "1":
        plain = image.convert("L") if "transparency" not in image.info else image.convert("RGBA")
    elif image.mode in ("La", "RGBa", "PA"):
        plain = image.convert("LA" if image.mode == "La" else "RGBA")
    elif image.mode == "LAB":
        from PIL import ImageCms

        to_rgb = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
        return ImageCms.applyTransform(image, to_rgb)  # type: ignore[return-value]
    else:  # P, CMYK, YCbCr, HSV, RGBX
        plain = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if "transparency" in plain.info and plain.mode in ("L", "RGB"):
        return plain.convert("LA" if plain.mode == "L" else "RGBA")
    return plain


def _ranged(values: np.ndarray, sixteen_bits: bool) -> np.ndarray:
    """uint8 of 32 bit integers or floats, by the rule of `eight_bits`; what is not finite becomes black."""
    values = np.nan_to_num(values.astype(np.float32), copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if sixteen_bits and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    elif low >= 0 and high <= 65535:
        low, high = 0.0, next(white for white in (1.0, 255.0, 65535.0) if high <= white)
    scale = 255.0 / (high - low) if high > low else 0.0
    values -= low
    values *= scale
    return np.rint(values, out=values).astype(np.uint8)


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """The picture as its EXIF orientation (1 to 8) says it is to be seen."""
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def is_grey(pixels: np.ndarray) -> bool:
    """Whether red, green and blue (the last axis) agree in every pixel."""
    return bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all())


@contextlib.contextmanager
def open_checked(path: str | bytes, how: Preparation) -> Iterator[Image.Image]:
    """The picture's header, checked for size before anything is decoded."""
    warnings.simplefilter("ignore")  # Pillow warns of damage that it survives
    Image.MAX_IMAGE_PIXELS = None  # our own limit follows, with a better message
    # An open file instead of its name: by name Pillow 13 maps raw TIFFs, and scrambles those that are to be turned.
    with contextlib.ExitStack() as stack:
        try:
            file: IO[bytes] = io.BytesIO(path) if isinstance(path, bytes) else stack.enter_context(open(path, "rb"))
            if not file.seek(0, os.SEEK_END):
                raise UnreadableError("empty file")
            file.seek(0)
            image = stack.enter_context(Image.open(file, formats=FORMATS))
            width, height = image.size
        except UnreadableError:
            raise
        except MemoryError:
            raise UnreadableError("takes too much memory to decode") from None
        except Image.UnidentifiedImageError:
            raise UnreadableError(_unidentified(file)) from None
        except Exception as error:
            raise UnreadableError(damage_of(error)) from None
        if width * height > how.max_pixels:
            raise UnreadableError(f"larger than {how.max_pixels:,} pixels ({width} x {height} = {width * height:,})")
        if width < 1 or height < 1:
            raise UnreadableError(f"has no pixels ({width} x {height})")
        yield image


def orientation_of(image: Image.Image, in_header: bool = False) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none.

    Args:
        image: Already loaded, or a JPEG: of a PNG, Pillow decodes the pixels to find the block, and what is damaged in
            them would go unnoticed here.
        in_header: Whether only what opening has read counts, so that nothing is decoded.
    """
    try:
        value = (Image.Image.getexif(image) if in_header else image.getexif()).get(ORIENTATION, 1)
        return value if isinstance(value, int) and 1 <= value <= 8 else 1
    except Exception:  # a damaged EXIF block does not make the pixels unreadable
        return 1


def _reduction(width: int, height: int, how: Preparation) -> float:
    """The factor (at most 1) by which an upright picture of this size may be reduced before it is prepared."""
    if not how.height:
        return min(1.0, how.max_side / max(width, height))
    return min(1.0, max(how.width / width, how.height / height))


def _centre_box(size: tuple[int, int], target: tuple[int, int]) -> tuple[float, float, float, float]:
    """The largest centred box of the target's proportions: left, upper, right, lower."""
    scale = min(size[0] / target[0], size[1] / target[1])
    width, height = target[0] * scale, target[1] * scale
    left, upper = (size[0] - width) / 2, (size[1] - height) / 2
    return (max(left, 0.0), max(upper, 0.0), min(left + width, size[0]), min(upper + height, size[1]))


def _unidentified(file: IO[bytes]) -> str:
    file.seek(0)
    beginning = file.read(16)
    for signature, kind in BEGINNINGS.items():
        if beginning.startswith(signature):
            return f"damaged, or of an unusual kind: it begins like {kind}, but its header makes no sense"
    return "not a picture: it does not begin like PNG, JPEG, WebP, BMP, TIFF, GIF or PNM"


def damage_of(error: Exception) -> str:
    """One line of Pillow's many ways to say that a file is damaged."""
    if isinstance(error, PermissionError):
        return "permission denied"
    text = " ".join(str(error).split())[:160] or type(error).__name__
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return f"truncated: {text}"
    if isinstance(error, OSError) and error.errno:
        return f"cannot be read: {os.strerror(error.errno)}"
    return f"damaged: {text}"


def main() -> None:
    """Answers each request on stdin with one reply on stdout, until stdin ends.

    A request is a line of JSON: the path of a picture file, or the number of bytes of one that follow.
    """
    options = json.loads(sys.argv[1])
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a C library that prints must not end up among the replies
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends this process
    _limit_memory(options["memory"])
    how = Preparation(**options["how"])
    replies.write(REPLY.pack(READY, 0, 0, 0, 0))
    replies.flush()
    requests = sys.stdin.buffer
    for line in iter(requests.readline, b""):
        body: bytes | memoryview = b""
        asked = json.loads(line)
        source = requests.read(asked) if isinstance(asked, int) else asked
        try:
            if options["look"]:
                header = (PIXELS, *look_at_picture(source, how))
            else:
                pixels = np.ascontiguousarray(read_picture(source, how))
                header, body = (PIXELS, *pixels.shape), pixels.data.cast("B")
        except UnreadableError as reason:
            header, body = (REFUSED, 0, 0, 0), str(reason).encode("utf-8", "replace")
        replies.write(REPLY.pack(*header, len(body)))
        replies.write(body)
        replies.flush()


def _limit_memory(limit: int) -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        pass  # Windows has no such limits and macOS refuses some: the time limit still holds


if __name__ == "__main__":
    main()
