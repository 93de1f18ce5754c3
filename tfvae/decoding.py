"""Decoding of picture files, by one table of rules for training, restoring, films and the clients of a bundle.

| in the file | what it means |
|---|---|
| EXIF orientation | applied |
| alpha, transparent palette entries, transparent values (tRNS) | composited on white |
| PhotometricInterpretation 0 | zero is white, at every depth |
| unsigned integers of n bits (the TIFF tag's, else the type's) | 0 is black, 2ⁿ − 1 white |
| signed integers of n bits | −2ⁿ⁻¹ is black, 2ⁿ⁻¹ − 1 white |
| floats | 0 is black, 1 white; what is up to 1 % outside is clipped, and anything further off refused |
| 32 bit integers of which none is above 1/256 of their range | refused: their white is not known |
| several pages or frames | the first |

`black` and `white` say otherwise for numbers of more than 8 bits and floats. A value never decides the scale
of its own file, so that all slices of a scan have one.

This file needs NumPy and Pillow only: the processes that read pictures carry no TensorFlow, and bundles hold a copy.
"""

import contextlib
import dataclasses
import io
import math
import os
import re
import sys
import warnings
import zlib
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import OPEN_INFO

# Only these decoders run: others (EPS, FLI, …) have a worse record and no place in an image folder.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM")
BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8": "JPEG", b"GIF8": "GIF", b"RIFF": "WebP", b"BM": "BMP",
    b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "TIFF", b"MM\0+": "TIFF",
}  # fmt: skip
# What people rename to .jpg: the place of a signature, the signature, the format.
NOT_READ = (
    *((4, b"ftyp" + brand, "HEIC") for brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")),
    (4, b"ftypavif", "AVIF"), (4, b"ftypavis", "AVIF"), (4, b"ftyp", "film"), (0, b"%PDF", "PDF"), (0, b"8BPS", "PSD"),
    (0, b"\xff\x0a", "JPEG XL"), (4, b"JXL \r\n", "JPEG XL"), (4, b"jP  \r\n", "JPEG 2000"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"), (0, b"#?RADIANCE", "Radiance HDR"), (128, b"DICM", "DICOM"),
)  # fmt: skip
READ = "PNG, JPEG, WebP, BMP, TIFF, GIF or PNM"
ORIENTATION, BITS, PHOTOMETRIC, EXTRA_SAMPLES, SAMPLE_FORMAT = 274, 258, 262, 338, 339  # EXIF's and TIFF's tags
OVERSHOOT = 0.01  # of white: what resampling leaves outside the range of floats
PLANES = {"L": "R", "a": "A", "RGBa": "RGBA"}  # as Pillow unpacks what lies one colour after the other, and no "a"
OTHER_ORDER = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}  # N: the machine's own

# Pillow lacks some kinds of grey TIFF: deep ones of which zero is white, unsigned 32 bit ones in big-endian order, and
# 16 bit ones with alpha, whose four bytes are read as one of four colours.
OPEN_INFO.setdefault((b"MM", 1, (1,), 1, (32,), ()), ("I", "I;32B"))
_KINDS = [(order, alpha) for order in (b"II", b"MM") for alpha in (1, 2)]
OPEN_INFO |= {(o, 1, (1,), 1, (16, 16), (a,)): ("RGBA", "LA;16L" if o == b"II" else "LA;16B") for o, a in _KINDS}
for (_order, _photometric, *_kind), _modes in list(OPEN_INFO.items()):
    if _photometric == 1 and (_modes[0][0] == "I" or _kind[0] == (2,)):
        OPEN_INFO.setdefault((_order, 0, *_kind), _modes)  # type: ignore[arg-type]


class UnreadableError(Exception):
    """A picture that is set aside; the message is the reason, for a person."""


@dataclasses.dataclass(frozen=True)
class Decoded:
    """A picture file's pixels at their full depth, upright.

    Attributes:
        pixels: uint8 or uint16, `(height, width, 1 or 3)`.
        alpha: Of the same type, `(height, width)`; None where nothing is transparent.
        scale: The numbers that were taken for black and white; None of 8 bit files, where nothing is to be chosen.
        reached: The least and the greatest number.
        several: Whether the file holds further pages or frames.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None
    scale: tuple[float, float] | None = None
    reached: tuple[float, float] = (0.0, 0.0)
    several: bool = False


def decoded(image: Image.Image, black: float = 0.0, white: float = 0.0) -> Decoded:
    """The pixels of a picture that `open_checked` has opened, by the rules of this file.

    Args:
        image: Not yet loaded.
        black: The number that is black, where `white` is given.
        white: The number that is white in files of more than 8 bits; 0: as the type says.
    """
    several = image.format != "MPO" and bool(getattr(image, "is_animated", False))  # MPO: a camera's own preview
    if image.format == "PNG":
        _check_sums(image.fp)  # type: ignore[attr-defined]
    raw = _raw_mode(image)
    if raw and image.tile[0][0] == "libtiff":  # type: ignore[attr-defined]  # it gives the machine's own byte order
        _read_as(image, lambda raw: re.sub(r"^([IF];(?:16|32|64))B?(?=[SF]?$)", r"\1N", raw))
    samples = _sixteen_bit_colour(image)
    grey_planes = samples is None and image.mode in ("LA", "La") and raw == "L"
    _read_as(image, lambda raw: raw if raw == "L" and not grey_planes else PLANES.get(raw, raw))
    image._mode = "RGBA" if grey_planes else image.mode
    image.load()
    turn = orientation_of(image)  # the TIFF decoder turns on its own and then removes the tag
    tags = image.tag_v2 if image.format == "TIFF" else {}  # type: ignore[attr-defined]
    key, alpha, scale, reached = image.info.get("transparency"), None, None, (0.0, 0.0)
    values, kind, bits = _numbers(image, tags) if samples is None else (samples, "u", 16)
    if kind:
        if values.ndim == 3 and values.shape[2] != 3:
            values, alpha = values[:, :, :-1], values[:, :, -1]
        elif isinstance(key, (int, tuple)):
            alpha = _opaque(values, key, np.uint16(65535))
        reached = float(values.min()), float(values.max())
        if not all(map(math.isfinite, reached)):
            raise UnreadableError("holds values that are no numbers (NaN or infinite)")
        # A PNM file says itself what is white, and Pillow has scaled it.
        own = not white or image.format == "PPM"
        scale = black_and_white(kind, bits, *reached) if own else (black, white)
        values = scaled(values, scale)
        if tags.get(PHOTOMETRIC) == 0:
            values = np.uint16(65535) - values
    else:
        plain = Image.merge("LA", image.split()[::3]) if grey_planes else _eight_bits(image)
        values = np.asarray(plain)
        if plain.mode in ("La", "LA", "RGBA"):
            values, alpha = values[:, :, :-1], values[:, :, -1]
        elif plain.mode in ("L", "RGB") and isinstance(key, (int, tuple)):
            # Keys are written as the file has its values, and Pillow spreads these.
            most = 2 ** {"1": 1, "L;2": 2, "L;4": 4}.get(raw, 8) - 1
            alpha = _opaque(values, (np.array(key) & most) * (255 // most), np.uint8(255))
    if alpha is not None and tags.get(EXTRA_SAMPLES, (0,))[0] == 1 and not raw.startswith("RGBaX"):
        values = _unassociated(values, alpha)
    values = values if values.ndim == 3 else values[:, :, None]
    return Decoded(turned(values, turn), None if alpha is None else turned(alpha, turn), scale, reached, several)


def black_and_white(kind: str, bits: int, low: float, high: float) -> tuple[float, float]:
    """The numbers that are black and white where only their type says so.

    Args:
        kind: `u` for unsigned integers, `i` for signed ones, `f` for floats.
        bits: Of an integer.
        low, high: The least and the greatest number, which only decide whether the type's range is believed.

    Raises:
        UnreadableError: Floats outside [0, 1], and long integers that use too little of their range.
    """
    if kind == "f":
        if low < -OVERSHOOT or high > 1 + OVERSHOOT:
            raise UnreadableError(f"floats from {low:g} to {high:g}, not within 0.0 and 1.0{_remedy(low, high)}")
        return 0.0, 1.0
    black, white = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if kind == "i" else (0.0, 2.0**bits - 1)
    if bits >= 32 and 0 < max(-low, high) < (white - black) / 256:
        reached = f"{bits} bit integers from {low:,.0f} to {high:,.0f}"
        raise UnreadableError(f"{reached}, a small part of their range{_remedy(low, high)}")
    return black, white


def _remedy(low: float, high: float) -> str:
    if low == high:
        return ""
    black = f"data.black={low:.10g} and " if low < 0 else ""
    return f"; {black}data.white={high:.10g} would make the greatest white"


def scaled(values: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """uint16 of numbers: the first of `scale` becomes 0, the second 65535, and what lies outside is clipped."""
    black, white = scale
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        if scale == (0, 65535):
            return values.astype(np.uint16)
        return scaled(np.arange(65536, dtype=np.float32), scale)[values]
    levels = values.astype(np.float32)
    levels -= black
    levels *= 65535 / (white - black)
    return np.rint(np.clip(levels, 0, 65535, out=levels), out=levels).astype(np.uint16)


def eight_bits(pixels: np.ndarray) -> np.ndarray:
    """uint8 or uint16 pixels as uint8: divided by 257 and rounded."""
    table = ((np.arange(65536, dtype=np.uint32) + 128) // 257).astype(np.uint8)
    return table[pixels] if pixels.dtype == np.uint16 else pixels


def on_white(pixels: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """uint8 of pixels `(..., channels)`, uint8 or uint16, on white, rounded once; `alpha` is `(...)` of their type."""
    if alpha is None:
        return eight_bits(pixels)
    most = int(np.iinfo(pixels.dtype).max)
    flat, cover = pixels.reshape(-1, pixels.shape[-1]), alpha.reshape(-1, 1)
    levels, unit = np.empty(flat.shape, np.uint8), most * most // 255
    for start in range(0, len(flat), 2**18):
        block = slice(start, start + 2**18)
        parts = cover[block].astype(np.uint64)
        levels[block] = (flat[block] * parts + most * (most - parts) + unit // 2) // unit
    return levels.reshape(pixels.shape)


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels `(height, width, …)` as their EXIF orientation (1 to 8) says they are to be seen."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


@contextlib.contextmanager
def open_checked(path: str | bytes, max_pixels: int) -> Iterator[Image.Image]:
    """A picture file, by its path or its content, whose header was checked for size before anything is decoded.

    Raises:
        UnreadableError: With the reason, also for what decoders raise within the block.
    """
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
            if image.format == "TIFF":
                _check_directory(file)
            if width * height > max_pixels:
                raise UnreadableError(f"larger than {max_pixels:,} pixels ({width} x {height} = {width * height:,})")
            if width < 1 or height < 1:
                raise UnreadableError(f"has no pixels ({width} x {height})")
            yield image
        except UnreadableError:
            raise
        except MemoryError:
            raise UnreadableError("takes too much memory to decode") from None
        except Image.UnidentifiedImageError:
            raise UnreadableError(_unidentified(file)) from None
        except Exception as error:  # decoders raise almost anything on damaged input
            raise UnreadableError(damage_of(error)) from None


def orientation_of(image: Image.Image, in_header: bool = False) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none.

    The picture is loaded, or a JPEG: of a PNG, Pillow decodes the pixels to find the block, and what is damaged in them
    would go unnoticed here. With `in_header` only what opening has read counts, and nothing is decoded.
    """
    try:
        value = (Image.Image.getexif(image) if in_header else image.getexif()).get(ORIENTATION, 1)
        return value if isinstance(value, int) and 1 <= value <= 8 else 1
    except Exception:  # a damaged EXIF block does not make the pixels unreadable
        return 1


def _eight_bits(image: Image.Image) -> Image.Image:
    """A picture of at most 8 bits in mode L, LA, La, RGB or RGBA."""
    if image.mode in ("L", "LA", "La", "RGB", "RGBA"):
        return image
    if image.mode == "1":
        return image.convert("L")
    profile, srgb = image.info.get("icc_profile"), ImageCms.createProfile("sRGB")
    if image.mode == "LAB":
        return _converted(image, ImageCms.createProfile("LAB"), srgb)
    if image.mode == "CMYK" and profile:
        with contextlib.suppress(ImageCms.PyCMSError, OSError):  # a damaged profile does not make it unreadable
            return _converted(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), srgb)
    return image.convert("RGBA" if image.mode in ("RGBa", "PA") or image.has_transparency_data else "RGB")


def _converted(image: Image.Image, source: Any, target: Any) -> Image.Image:
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    return ImageCms.profileToProfile(image, source, target, intent, "RGB")  # type: ignore[return-value]


def _numbers(image: Image.Image, tags: Any) -> tuple[np.ndarray, str, int]:
    """Grey numbers of a loaded picture, their kind as in `black_and_white` and their bits; kind "" of plain bytes."""
    values, signed = np.asarray(image), tags.get(SAMPLE_FORMAT, (1,))[0] == 2
    if image.mode == "F":
        return values, "f", 32
    if image.mode == "L" and signed:
        return values.view(np.int8), "i", 8
    if image.mode != "I" and not image.mode.startswith("I;"):
        return values, "", 8
    bits = tags.get(BITS, (16,))[0]
    if bits == 32 and not signed:
        values = values.view(np.uint32)
    return values, "i" if signed else "u", bits


def _sixteen_bit_colour(image: Image.Image) -> np.ndarray | None:
    """uint16 samples `(height, width, 2 to 4)` of 16 bit colour, the last of 2 or 4 alpha; None of other pictures.

    Pillow keeps the high byte of each sample; read in the other byte order, a file gives the low ones.
    """
    file: Any = getattr(image, "fp", None)
    raw = _raw_mode(image)
    if raw and image.tile[0][0] == "libtiff" and image.tag_v2.get(284) == 2:  # type: ignore[attr-defined]
        # Of one colour after the other it gives the high bytes alone, in the order red, green, blue, alpha.
        if raw.startswith(("LA", "La", "RGBa")):
            raise UnreadableError("of an unusual kind that is not read (compressed planes with alpha)")
        return np.asarray(image).astype(np.uint16) * 257 if ";16" in raw else None
    if raw[:-1] == "LA;16":
        _read_as(image, lambda raw: "RGBA")
        return np.array(image).view({"B": ">u2", "L": "<u2", "N": "=u2"}[raw[-1]]).astype(np.uint16)
    order = ""
    if image.format == "TIFF" and raw in ("R", "L") and image.tag_v2[BITS][0] == 16:  # type: ignore[attr-defined]
        order = ";16L" if image.tag_v2.prefix == b"II" else ";16B"  # type: ignore[attr-defined]
    elif raw[:-1] not in ("RGB;16", "RGBX;16", "RGBA;16", "RGBa;16"):
        return None
    _read_as(image, lambda raw: PLANES.get(raw, raw.upper()) + order)
    samples = np.asarray(image).astype(np.uint16)
    file.seek(0)
    other = Image.open(file, formats=FORMATS)
    _read_as(other, lambda raw: (PLANES.get(raw, raw.upper()) + order)[:-1] + OTHER_ORDER[(raw + order)[-1]])
    samples <<= 8
    samples |= np.asarray(other)
    return samples[:, :, ::3] if raw == "L" else samples


def _read_as(image: Image.Image, change: Any) -> None:
    """Has the decoder unpack its bytes as `change` of the raw mode says."""
    image.tile = [  # type: ignore[attr-defined]
        tile._replace(args=change(tile.args) if isinstance(tile.args, str) else (change(tile.args[0]), *tile.args[1:]))
        for tile in getattr(image, "tile", ())  # a picture that was made has none
    ]


def _raw_mode(image: Image.Image) -> str:
    """How Pillow's decoder unpacks the bytes of a picture that is not yet loaded."""
    arguments = tiles[0].args if (tiles := getattr(image, "tile", None)) else ""
    return arguments if isinstance(arguments, str) else str((arguments or ("",))[0])


def _opaque(values: np.ndarray, key: Any, most: Any) -> np.ndarray:
    """Alpha of a picture of which one value is transparent."""
    same = values == np.asarray(key)
    return np.where(same.all(axis=2) if values.ndim == 3 else same, most - most, most)


def _unassociated(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colour that was stored multiplied by its alpha ("associated"), divided by it again and rounded."""
    most, cover = int(np.iinfo(colour.dtype).max), alpha[:, :, None].astype(np.uint64)
    divided = (colour * np.uint64(most) + cover // 2) // np.maximum(cover, 1)
    return np.minimum(divided, most).astype(colour.dtype)


def _check_directory(file: IO[bytes]) -> None:
    """Refuses a TIFF whose first directory is cut short: Pillow guesses the tags that are missing."""
    size, _ = file.seek(0, os.SEEK_END), file.seek(0)
    head = file.read(8)
    order: Any = "little" if head.startswith(b"II") else "big"
    place = int.from_bytes(head[4:], order)
    file.seek(place)
    if 0x2B not in head[2:4] and place + 2 + 12 * int.from_bytes(file.read(2), order) > size:  # 0x2B: BigTIFF
        raise UnreadableError("truncated: the directory of its tags is cut short")


def _check_sums(file: IO[bytes]) -> None:
    """Refuses a PNG whose compressed pixels are not those that were written: Pillow skips their checksums."""
    place, size = file.tell(), file.seek(0, os.SEEK_END)
    file.seek(8)
    while (head := file.read(8))[4:] not in (b"", b"IEND") and file.tell() + int.from_bytes(head[:4]) < size:
        length = int.from_bytes(head[:4])
        if head[4:] != b"IDAT":
            file.seek(length + 4, os.SEEK_CUR)
        elif zlib.crc32(head[4:] + file.read(length)) != int.from_bytes(file.read(4)):
            raise UnreadableError("damaged: the checksum of its pixels is wrong")
    file.seek(place)


def _unidentified(file: IO[bytes]) -> str:
    file.seek(0)
    beginning = file.read(132)
    for signature, kind in BEGINNINGS.items():
        if beginning.startswith(signature):
            return f"damaged, or of an unusual kind: it begins like {kind}, but its header makes no sense"
    for place, signature, kind in NOT_READ:
        if beginning[place:].startswith(signature):
            return f"a {kind} file, whatever its name says: convert it to {READ}"
    return f"not a picture: it does not begin like {READ}"


def damage_of(error: Exception) -> str:
    """One line of Pillow's many ways to say that a file is damaged."""
    if isinstance(error, PermissionError):
        return "permission denied"
    text = " ".join(str(error).split())[:160] or type(error).__name__
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return f"truncated: {text}"
    if isinstance(error, OSError) and error.errno:
        return f"cannot be read: {os.strerror(error.errno)}"
    if text.startswith(("unknown raw mode", "unknown pixel mode", "unknown data organization")):
        return f"of an unusual kind that is not read ({text})"
    return f"damaged: {text}"
