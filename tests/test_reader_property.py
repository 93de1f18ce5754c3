"""Training, `restore` and a bundle's clients read 2,000 generated pictures as one reference in NumPy says."""

import importlib
import io
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from picture_writer import on_white, png, tiff, upright
from PIL import Image

from export.kits.serving import kit
from tfvae import decoding
from tfvae.data.reading import Preparation, read_picture
from tfvae.decoding import UnreadableError
from tfvae.pictures.files import open_picture

HALF = 0.5 + 0.005  # of a level, and what 16 bits leave of a float
# A deadline would measure the machine; the same examples every time, so that a failure is one for everybody.
GENERATED = settings(
    max_examples=2000, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
DAMAGED = settings(GENERATED, max_examples=500)
GREY = ("u1", "u2", "i1", "i2", "u4", "i4", "f4")
SIZES = some.tuples(some.integers(1, 40), some.integers(1, 40))
TURNS = some.integers(1, 8)


@some.composite
def seeded(draw):
    return np.random.default_rng(draw(some.integers(0, 2**32 - 1)))


def samples(rng, size, channels, bits):
    """Samples that are often 0, often the largest and often equal, as those of pictures are."""
    most = 2**bits - 1
    shape = (*size, channels) if channels > 1 else size
    values = rng.integers(0, most, shape, np.int64, endpoint=True)
    few = rng.integers(0, most, 3, np.int64, endpoint=True)
    return np.where(rng.random(shape) < 0.3, rng.choice([0, most, *few], shape), values)


@some.composite
def png_files(draw):
    """A PNG and the colour and alpha, both in [0, 1], that it means."""
    rng, size, turn = draw(seeded()), draw(SIZES), draw(TURNS)
    kind = draw(some.sampled_from(["grey", "rgb", "palette", "grey alpha", "rgba"]))
    depths = {"grey": [1, 2, 4, 8, 16], "palette": [1, 2, 4, 8]}.get(kind, [8, 16])
    bits, transparent = draw(some.sampled_from(depths)), draw(some.booleans())
    values = samples(rng, size, {"rgb": 3, "grey alpha": 2, "rgba": 4}.get(kind, 1), bits)
    most, options = 2**bits - 1, {"orientation": turn}
    alpha = np.ones(size)
    if kind == "palette":
        palette = rng.integers(0, 256, (most + 1, 3))
        cover = rng.choice([0, 255, 100], most + 1)
        options["palette"] = palette.astype(np.uint8).tobytes()
        if transparent:
            options["transparency"] = cover.astype(np.uint8).tobytes()
            alpha = cover[values] / 255
        colour = palette[values] / 255
    elif kind in ("grey alpha", "rgba"):
        colour, alpha = values[:, :, :-1] / most, values[:, :, -1] / most
    else:
        colour = values.reshape(*size, -1) / most
        if transparent:
            key = values[rng.integers(size[0]), rng.integers(size[1])].reshape(-1)
            options["transparency"] = key.astype(">u2").tobytes()
            alpha = 1.0 - (values.reshape(*size, -1) == key).all(axis=2)
    return png(values, kind, bits, **options), upright(colour, turn), upright(alpha, turn)


@some.composite
def tiff_files(draw):
    rng, size, turn, zero_is_white = draw(seeded()), draw(SIZES), draw(TURNS), draw(some.booleans())
    kind = draw(
        some.sampled_from(["u1", "u2", "i1", "i2", "u4", "i4", "f4", "rgb8", "rgb16", "rgba8", "rgba16", "la8", "la16"])
    )
    order = draw(some.sampled_from("<>"))
    alpha, extra, planar, deflated = np.ones(size), None, False, draw(some.booleans())
    if kind in GREY:
        photometric = 0 if zero_is_white else 1
        if kind == "f4":
            values = np.clip(rng.normal(0.5, 0.4, size), -0.01, 1.01).astype("f4")
            colour = np.clip(values.astype("f8"), 0, 1)
        else:
            bits, signed = 8 * int(kind[1]), kind[0] == "i"
            unsigned = samples(rng, size, 1, bits)
            unsigned[0, 0], unsigned[-1, -1] = 0, 2**bits - 1
            colour = unsigned / (2**bits - 1)
            values = (unsigned - (2 ** (bits - 1) if signed else 0)).astype(kind)
        colour = (1 - colour if zero_is_white else colour)[:, :, None]
    else:
        channels, bits = {"rgb": 3, "rgba": 4, "la": 2}[kind.rstrip("0123456789")], 16 if kind.endswith("16") else 8
        values = samples(rng, size, channels, bits).astype(f"u{bits // 8}")
        photometric, colour = (1 if channels == 2 else 2), values / (2**bits - 1)
        planar = not deflated and draw(some.booleans())
        if channels != 3:
            colour, alpha, extra = colour[:, :, :-1], colour[:, :, -1], 2
    content = tiff(values, photometric, order=order, extra=extra, orientation=turn, planar=planar, deflated=deflated)
    return content, upright(colour, turn), upright(alpha, turn)


@some.composite
def other_files(draw):
    """WebP, BMP, GIF and PNM as Pillow writes them, and CMYK."""
    rng, size = draw(seeded()), draw(SIZES)
    format, mode = draw(
        some.sampled_from(
            [
                ("WEBP", "RGB"), ("WEBP", "RGBA"), ("BMP", "L"), ("BMP", "RGB"), ("BMP", "1"), ("GIF", "L"),
                ("PPM", "1"), ("PPM", "L"), ("PPM", "RGB"), ("TIFF", "CMYK"), ("TIFF", "1"),
            ]
        )
    )  # fmt: skip
    if mode == "1":
        pixels = rng.random(size) < 0.5
        colour = pixels[:, :, None].astype(float)
    else:
        channels = {"L": 1, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
        pixels = samples(rng, size, channels, 8).astype(np.uint8)
        colour = pixels.reshape(*size, -1) / 255
    alpha = np.ones(size)
    if mode == "RGBA":
        colour, alpha = colour[:, :, :3], colour[:, :, 3]
    elif mode == "CMYK":
        colour = (1 - colour[:, :, :3]) * (1 - colour[:, :, 3:])
    file = io.BytesIO()
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    Image.fromarray(pixels, mode if mode == "CMYK" else None).save(file, format, **options)
    return file.getvalue(), colour, alpha


FILES = some.one_of(png_files(), tiff_files(), other_files())


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Serving's Python client, as it lies in a bundle."""
    folder = tmp_path_factory.mktemp("serving")
    for file in (kit.FILES / "client.py", Path(decoding.__file__)):
        shutil.copy(file, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("client")


@GENERATED
@given(FILES)
def test_every_reader_agrees_with_the_reference_to_half_a_level(client, picture):
    content, colour, alpha = picture
    expected = on_white(colour, alpha)
    assert np.abs(read_picture(content, Preparation()) - expected).max() <= HALF
    asked = client.read_picture(content, (None, None, expected.shape[2]))
    assert np.abs(255 * asked[0].astype(float) - expected).max() <= HALF
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        file.write(content)
        file.flush()
        editable = open_picture(file.name)
    unit = 257 if editable.pixels.dtype == np.uint16 else 1
    assert np.abs(editable.pixels / unit - 255 * colour).max() <= HALF
    cover = 255 if editable.alpha is None else editable.alpha
    assert np.abs(cover - 255 * alpha).max() <= HALF


@DAMAGED
@given(FILES, some.floats(0, 1, exclude_max=True), some.integers(1, 255))
def test_a_damaged_file_is_refused_or_right(picture, place, change):
    """Cut short; and, where the format has a checksum, with another byte somewhere."""
    content, colour, alpha = picture
    at = int(place * len(content))
    variants = [content[:at]]
    if content.startswith(b"\x89PNG"):
        variants.append(content[:at] + bytes([content[at] ^ change]) + content[at + 1 :])
    for variant in variants:
        try:
            pixels = read_picture(variant, Preparation())
        except UnreadableError as reason:
            assert "\n" not in str(reason)
            continue
        assert pixels.shape[:2] == alpha.shape
        assert np.abs(pixels - on_white(colour, alpha)).max() <= HALF
