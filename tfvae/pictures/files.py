"""One picture file read to be changed, and written back with everything around its pixels kept."""

import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin
from PIL.JpegImagePlugin import get_sampling

from tfvae.decoding import ORIENTATION, Decoded, decoded, eight_bits, on_white, open_checked
from tfvae.whole_files import whole_file

WRITTEN = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP",
}  # fmt: skip
# Four times the limit for training pictures: a sheet of paper at 1200 dots an inch has 139 million pixels.
MAX_PIXELS = 256_000_000
JPEG_QUALITY = 95
LONGEST_BLOCK = 65_000  # bytes that one marker of a JPEG file holds, with its heading
XMP = 700  # TIFF tag
# TIFF tags that say how its pixels lie in the file: of the old file, and not to be written into the new one.
LAYOUT = (
    254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 277, 278, 279, 280, 281, 284, 290, 291, 292, 293, 297, 301, 317,
    320, 321, 322, 323, 324, 325, 330, 332, 333, 334, 338, 339, 340, 341, 347, 512, 513, 514, 519, 520, 521, 529, 530,
    531, 532, XMP, 34675,
)  # fmt: skip
MODE_NOTES = {
    "1": ["black and white becomes grey"],
    "P": ["the palette becomes RGB"],
    "PA": ["the palette becomes RGB"],
    "LAB": ["LAB becomes RGB"],
}
LOSSLESS_TIFF = ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate")


@dataclass(frozen=True)
class EditablePicture:
    """A picture with what is not pixels.

    Attributes:
        pixels: uint8 or uint16, `(height, width, 1 or 3)`, upright.
        alpha: uint8, `(height, width)`, upright; None where the file has no transparency.
        format: Of the file, as Pillow names it.
        mode: Of the file, as Pillow names it.
        exif: EXIF block without orientation and preview (both are the old picture's); empty where there is none.
        icc: Colour profile; of a CMYK file the profile of its CMYK.
        xmp: XMP block without orientation; empty where there is none.
        dpi: Dots an inch, across and down.
        encoding: Options of the writer of the same format: chroma subsampling, compression.
        lossless: Whether the file holds its pixels exactly.
        notes: What could not be kept while reading, for a person.
        scale, reached: As of `tfvae.decoding.Decoded`.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None
    format: str
    mode: str
    exif: bytes
    icc: bytes | None
    xmp: bytes
    dpi: tuple[float, float] | None
    encoding: dict[str, Any]
    lossless: bool
    notes: tuple[str, ...]
    scale: tuple[float, float] | None = None
    reached: tuple[float, float] = (0.0, 0.0)


def open_picture(path: str | Path, black: float = 0.0, white: float = 0.0) -> EditablePicture:
    """The first picture of a file, for `save`, by the rules of `tfvae.decoding`.

    Grey of more than 8 bits becomes 16 bit grey. Nothing here writes 16 bit *colour*, nor 16 bit grey with
    transparency: they are read as 8 bit, and `notes` say so. Palettes become RGB. CMYK becomes RGB, by its own profile
    where it has one.

    Args:
        path: Of the file.
        black: The number that is black, where `white` is given.
        white: The number that is white in files of more than 8 bits; 0: as the type says.

    Raises:
        tfvae.decoding.UnreadableError: With the reason.
    """
    with open_checked(os.fspath(path), MAX_PIXELS) as image:
        frames = getattr(image, "n_frames", 1)
        notes = [f"holds {frames} pictures: only the first is used"] if frames > 1 else []
        encoding, lossless = _encoding(image, path)
        found = decoded(image, black, white)
        exif, damaged = _exif(image)
        pixels, alpha, reduced = _writable(found)
        notes += damaged + reduced + MODE_NOTES.get(image.mode, [])
        return EditablePicture(
            pixels=pixels,
            alpha=alpha,
            format="JPEG" if image.format == "MPO" else str(image.format),
            mode=image.mode,
            exif=exif,
            icc=image.info.get("icc_profile") if image.mode != "LAB" else None,
            xmp=_xmp(image),
            dpi=_dpi(image),
            encoding=encoding,
            lossless=lossless,
            notes=tuple(notes),
            scale=found.scale,
            reached=found.reached,
        )


def save(path: str | Path, pixels: np.ndarray, like: EditablePicture) -> tuple[str, ...]:
    """Writes `pixels` in the format of the path's suffix, with alpha, EXIF, profile, XMP and resolution of `like`.

    The file appears whole or not at all; the folder is made. JPEG is written at quality 95 with the chroma
    subsampling of a JPEG source; WebP is lossless unless the source was lossy.

    Args:
        path: Ends in one of `WRITTEN`.
        pixels: Of the size, channels and type of `like.pixels`.
        like: What `open_picture` returned.

    Returns:
        What the format cannot hold, for a person; empty where all is kept.

    Raises:
        ValueError: When the suffix is not one of `WRITTEN`, or the pixels are not like those of `like`.
        OSError: When the file cannot be written.
    """
    path = Path(path)
    format = WRITTEN.get(path.suffix.lower())
    if format is None:
        raise ValueError(f"`path` must end in one of {', '.join(WRITTEN)}. Received: {path}")
    if pixels.shape != like.pixels.shape or pixels.dtype != like.pixels.dtype:
        raise ValueError(
            f"`pixels` must be {like.pixels.dtype} of shape {like.pixels.shape}. "
            f"Received: {pixels.dtype} of shape {pixels.shape}"
        )
    image, icc, lost = _image(pixels, like, format)
    options, more = _options(like, format, icc)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path, "w+b") as file:
        image.save(file, format=format, **options)
    return (*lost, *more)


def open_mask(path: str | Path) -> np.ndarray:
    """Bool `(height, width)`, upright: True where the picture is white (128 of 255 or more).

    Transparent places count as black. Raises `UnreadableError` with the reason.
    """
    picture = open_picture(path)
    white = eight_bits(picture.pixels).mean(axis=2, dtype=np.float32) >= 128.0
    return white if picture.alpha is None else white & (picture.alpha >= 128)


def _writable(found: Decoded) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """Pixels and alpha in a depth that is written, and what that changes."""
    pixels, alpha = found.pixels, found.alpha
    if pixels.dtype == np.uint8:
        return pixels, alpha, []
    notes = []
    if found.scale != (0, 65535):
        black, white = found.scale or (0, 0)
        notes.append(f"numbers from {black:,.10g} to {white:,.10g} are written as 16 bit, 0 to 65,535")
    if alpha is None and pixels.shape[2] == 1:
        return pixels, None, notes
    what = "16 bit colour" if pixels.shape[2] == 3 else "16 bit grey with transparency"
    return eight_bits(pixels), alpha if alpha is None else eight_bits(alpha), [*notes, f"{what} is read as 8 bit"]


def _encoding(image: Image.Image, path: str | Path) -> tuple[dict[str, Any], bool]:
    """Settings for the writer of this file's own format, and whether the file holds its pixels exactly."""
    if image.format in ("JPEG", "MPO"):
        sampling = get_sampling(image)
        return ({"subsampling": sampling} if sampling >= 0 else {}), False
    if image.format == "TIFF":
        compression = image.info.get("compression", "raw")
        return ({"compression": compression} if compression in LOSSLESS_TIFF else {}), compression != "jpeg"
    if image.format == "WEBP":
        with open(path, "rb") as file:
            return {}, b"VP8L" in _chunks(file.read())
    return {}, True


def _chunks(content: bytes) -> Iterator[bytes]:
    """Names of the chunks of a RIFF file."""
    place = 12
    while place + 8 <= len(content):
        yield content[place : place + 4]
        size = int.from_bytes(content[place + 4 : place + 8], "little")
        place += 8 + size + size % 2


def _exif(image: Image.Image) -> tuple[bytes, list[str]]:
    """The EXIF block as Pillow writes it again, which leaves out the preview, without orientation and layout."""
    try:
        exif = image.getexif()
        for tag in (ORIENTATION, *LAYOUT):
            exif.pop(tag, None)
        return (exif.tobytes() if len(exif) else b""), []
    except Exception:  # a damaged block does not make the pixels unreadable
        return b"", ["EXIF is damaged and left out"]


def _xmp(image: Image.Image) -> bytes:
    xmp = image.info.get("xmp", b"")
    xmp = xmp.encode() if isinstance(xmp, str) else bytes(xmp)
    return re.sub(rb'\s*tiff:Orientation="[0-9]"|<tiff:Orientation>[0-9]</tiff:Orientation>', b"", xmp)


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    across, down = (float(value) for value in image.info.get("dpi", (0, 0)))
    return (across, down) if across > 0 and down > 0 else None


def _image(pixels: np.ndarray, like: EditablePicture, format: str) -> tuple[Image.Image, bytes | None, list[str]]:
    """What Pillow writes, the colour profile that fits it, and what the format cannot hold."""
    lost = []
    if pixels.dtype == np.uint16 and format not in ("PNG", "TIFF"):
        pixels = eight_bits(pixels)
        lost.append(f"{format} holds no 16 bit values: written with 8")
    if like.alpha is not None:
        if format in ("PNG", "WEBP", "TIFF"):
            pixels = np.concatenate([pixels, like.alpha[:, :, None]], axis=2)
            return Image.fromarray(pixels, {2: "LA", 4: "RGBA"}[pixels.shape[2]]), like.icc, lost
        pixels = on_white(pixels, like.alpha)
        lost.append(f"{format} holds no transparency: laid on white")
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))
    if like.mode != "CMYK":
        return image, like.icc, lost
    if format not in ("JPEG", "TIFF"):
        return image, None, [*lost, f"{format} holds no CMYK: written as RGB"]
    return (_in_inks(image, like.icc) if like.icc else image.convert("CMYK")), like.icc, lost


def _options(like: EditablePicture, format: str, icc: bytes | None) -> tuple[dict[str, Any], list[str]]:
    """Arguments of Pillow's writer, and what they leave out."""
    lost = []
    exif, xmp = like.exif, like.xmp
    if format == "JPEG" and len(exif) > LONGEST_BLOCK:
        exif = b""
        lost.append("EXIF is too long for JPEG and left out")
    if format == "JPEG" and len(xmp) > LONGEST_BLOCK:
        xmp = b""
        lost.append("XMP is too long for JPEG and left out")
    if format == "BMP" and (exif or xmp or icc):
        lost.append("BMP holds no EXIF, XMP or colour profile")
    quality = 80 if like.lossless else JPEG_QUALITY  # of a lossless WebP: effort
    own: dict[str, dict[str, Any]] = {
        # Without the source's subsampling none: colours are kept as they were found.
        "JPEG": {"quality": JPEG_QUALITY, "subsampling": 0, "xmp": xmp},
        # `exact` keeps the colours under transparent pixels.
        "WEBP": {"lossless": like.lossless, "quality": quality, "exact": True, "xmp": xmp},
        "TIFF": {"compression": "tiff_adobe_deflate"},
        "PNG": {},
        "BMP": {},
    }
    options = own[format] | (like.encoding if format == like.format else {})
    options |= {"icc_profile": icc} if icc else {}
    options |= {"dpi": like.dpi} if like.dpi else {}
    if format == "TIFF":
        tags = Image.Exif()
        tags.load(exif)
        if xmp:
            tags[XMP] = xmp
        options["exif"] = tags
    elif exif:
        options["exif"] = exif
    if format == "PNG" and xmp:
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
        options["pnginfo"] = text
    return options, lost


def _in_inks(image: Image.Image, icc: bytes) -> Image.Image:
    """An sRGB picture in the CMYK of a profile."""
    profile, intent = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.Intent.RELATIVE_COLORIMETRIC
    changed = ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), profile, intent, "CMYK")
    assert changed is not None  # None is for changes in place
    return changed
