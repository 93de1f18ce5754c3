"""A picture file that is changed keeps what is not pixels: transparency, EXIF, profile, resolution, bit depth."""

import struct

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps, PngImagePlugin
from PIL.JpegImagePlugin import get_sampling

from tfvae.decoding import UnreadableError
from tfvae.pictures.files import WRITTEN, open_mask, open_picture, save

COPYRIGHT, ORIENTATION = ExifTags.Base.Copyright, ExifTags.Base.Orientation
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><tiff:Orientation>6</tiff:Orientation><dc:title>Home</dc:title></x:xmpmeta>'


def levels(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def smooth(height, width, channels):
    """Pixels that a lossy format keeps to a level or two."""
    ramp = np.add.outer(np.arange(height), np.arange(width)) * 2 + 40
    return np.stack([ramp + 20 * channel for channel in range(channels)], axis=-1).astype(np.uint8)


def exif(orientation=1):
    block = Image.Exif()
    block[COPYRIGHT], block[ORIENTATION] = "A. Photographer", orientation
    block.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] = 400
    block.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return block


def written(tmp_path, image, suffix=".png", **options):
    path = tmp_path / f"in{suffix}"
    image.save(path, **options)
    return path


def back(path, out, change=0):
    """`(picture, what was lost, the file)` after adding `change` to every pixel."""
    picture = open_picture(path)
    lost = save(out, picture.pixels + np.asarray(change, picture.pixels.dtype), picture)
    return picture, lost, Image.open(out)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_exif_profile_xmp_and_resolution_are_kept_and_the_orientation_is_in_the_pixels(tmp_path, suffix, orientation):
    image = Image.fromarray(smooth(20, 32, 3))
    options = {"exif": exif(orientation), "icc_profile": PROFILE, "dpi": (300, 300), "quality": 95}
    path = tmp_path / f"in{suffix}"
    if suffix == ".png":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", XMP.decode())
        options["pnginfo"] = text
    elif suffix == ".tif":
        # From bytes, or Pillow leaves out the directories within.
        block = Image.Exif()
        block.load(options["exif"].tobytes())
        block[700] = XMP
        options["exif"] = block
    image.save(path, xmp=XMP, **options)
    picture, lost, file = back(path, tmp_path / f"out{suffix}", change=3)
    assert (picture.notes, lost) == ((), ())
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    np.testing.assert_array_equal(picture.pixels, upright)
    assert picture.pixels.shape == ((20, 32, 3) if orientation == 1 else (32, 20, 3))
    assert np.abs(np.asarray(file.convert("RGB")).astype(int) - upright - 3).mean() < 2
    tags = file.getexif()
    assert tags[COPYRIGHT] == "A. Photographer"
    assert tags.get(ORIENTATION, 1) == 1
    assert tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 400
    assert tags.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
    assert file.info["icc_profile"] == PROFILE
    assert b"<dc:title>Home" in file.info["xmp"] and b"Orientation" not in file.info["xmp"]
    if suffix != ".webp":  # which has no place for it
        assert np.abs(np.subtract(file.info["dpi"], 300)).max() < 0.02


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_transparency_is_untouched_down_to_the_colours_below_it(tmp_path, mode, suffix):
    image = Image.fromarray(levels(12, 19, 4)).convert(mode)
    path = written(tmp_path, image, suffix, lossless=True, exact=True)
    picture, lost, file = back(path, tmp_path / f"out{suffix}", change=1)
    assert lost == ()
    np.testing.assert_array_equal(picture.alpha, np.asarray(image)[:, :, -1])
    np.testing.assert_array_equal(np.asarray(file)[:, :, -1], picture.alpha)
    expected = np.asarray(image)[:, :, 0] + np.uint8(1)
    np.testing.assert_array_equal(np.asarray(file)[:, :, 0], expected)
    assert file.mode == (mode if suffix != ".webp" else "RGBA")


def test_a_transparent_palette_becomes_rgb_with_alpha_and_that_is_said(tmp_path):
    image = Image.fromarray(levels(9, 9) % 4, "P")
    image.putpalette([0, 0, 0, 250, 10, 20, 30, 240, 50, 70, 80, 230])
    path = written(tmp_path, image, transparency=2)
    picture, _, file = back(path, tmp_path / "out.png")
    assert picture.notes == ("the palette becomes RGB",)
    np.testing.assert_array_equal(picture.alpha == 0, np.asarray(image) == 2)
    np.testing.assert_array_equal(np.asarray(file), np.asarray(Image.open(path).convert("RGBA")))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("orientation", [1, 8])
def test_sixteen_bit_grey_stays_sixteen_bit_to_the_last_level(tmp_path, suffix, orientation):
    pixels = levels(11, 14, dtype=np.uint16)
    path = written(tmp_path, Image.fromarray(pixels), suffix, exif=exif(orientation))
    picture, lost, file = back(path, tmp_path / f"out{suffix}")
    assert picture.pixels.dtype == np.uint16 and not lost and not picture.notes
    upright = pixels if orientation == 1 else np.rot90(pixels)
    np.testing.assert_array_equal(picture.pixels[:, :, 0], upright)
    assert np.asarray(file).dtype == np.uint16
    np.testing.assert_array_equal(np.asarray(file), upright)


def test_sixteen_bit_grey_in_another_format_is_rounded_and_that_is_said(tmp_path):
    pixels = np.array([[0, 128, 129, 257, 65535]], np.uint16)
    _, lost, file = back(written(tmp_path, Image.fromarray(pixels)), tmp_path / "out.bmp")
    assert lost == ("BMP holds no 16 bit values: written with 8",)
    assert np.asarray(file).tolist() == [[0, 0, 1, 1, 255]]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_colour_is_read_as_eight_bit_and_that_is_said(tmp_path, suffix):
    cv2 = pytest.importorskip("cv2", reason="writes 16 bit colour, which Pillow does not")
    pixels = levels(6, 7, 3, dtype=np.uint16)
    (tmp_path / f"in{suffix}").write_bytes(cv2.imencode(suffix, pixels)[1].tobytes())
    picture = open_picture(tmp_path / f"in{suffix}")
    assert picture.notes == ("16 bit colour is read as 8 bit",)
    assert np.abs(picture.pixels[:, :, ::-1] - pixels / 257).max() <= 1


def tiff(path, width, height, bits, photometric, data):
    """An uncompressed grey TIFF; Pillow writes neither 12 bits nor a white of 0."""
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: height, 279: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    data += bytes(len(data) % 2)
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory)


def test_an_x_ray_whose_white_is_zero_is_read_as_it_is_seen(tmp_path):
    values = levels(6, 8, dtype=np.uint16)
    tiff(tmp_path / "x.tif", 8, 6, 16, 0, values.tobytes())
    picture, lost, file = back(tmp_path / "x.tif", tmp_path / "out.tif")
    np.testing.assert_array_equal(picture.pixels[:, :, 0], 65535 - values)
    np.testing.assert_array_equal(np.asarray(file), 65535 - values)
    assert file.tag_v2[262] == 1 and not lost


def test_twelve_bits_are_spread_over_sixteen_and_that_is_said(tmp_path):
    tiff(tmp_path / "x.tif", 2, 1, 12, 1, bytes([0xFF, 0xF0, 0x01]))  # 4095 and 1
    picture, _, file = back(tmp_path / "x.tif", tmp_path / "out.tif")
    assert picture.notes == ("numbers from 0 to 4,095 are written as 16 bit, 0 to 65,535",)
    assert np.asarray(file).tolist() == [[65535, 16]]


def test_grey_stays_grey(tmp_path):
    for suffix, mode in ((".jpg", "L"), (".png", "L"), (".tif", "L"), (".bmp", "L")):
        path = written(tmp_path, Image.fromarray(smooth(9, 9, 1)[:, :, 0]), suffix)
        picture, lost, file = back(path, tmp_path / f"out{suffix}")
        assert (picture.pixels.shape, file.mode, lost) == ((9, 9, 1), mode, ())


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_a_jpeg_keeps_its_chroma_subsampling(tmp_path, subsampling):
    image = Image.fromarray(smooth(32, 32, 3))
    path = written(tmp_path, image, ".jpg", subsampling=subsampling)
    assert get_sampling(back(path, tmp_path / "out.jpg")[2]) == subsampling


def test_a_webp_is_as_lossless_as_it_was(tmp_path):
    image = Image.fromarray(levels(16, 16, 3))
    for lossless in (True, False):
        path = written(tmp_path, image, ".webp", lossless=lossless)
        picture, _, _ = back(path, tmp_path / "out.webp")
        assert picture.lossless == open_picture(tmp_path / "out.webp").lossless == lossless
    _, _, file = back(written(tmp_path, image), tmp_path / "from_png.webp")
    np.testing.assert_array_equal(np.asarray(file), image)


def test_cmyk_goes_through_rgb_and_comes_back(tmp_path):
    image = Image.fromarray(smooth(16, 16, 3)).convert("CMYK")
    path = written(tmp_path, image, ".jpg", quality=98)
    picture, lost, file = back(path, tmp_path / "out.jpg")
    assert (picture.pixels.shape, file.mode, lost) == ((16, 16, 3), "CMYK", ())
    assert np.abs(np.asarray(file.convert("RGB")).astype(int) - picture.pixels).mean() < 2
    _, lost, file = back(path, tmp_path / "out.png")
    assert (file.mode, lost) == ("RGB", ("PNG holds no CMYK: written as RGB",))
    np.testing.assert_array_equal(np.asarray(file), picture.pixels)


def test_what_a_format_cannot_hold_is_said(tmp_path):
    image = Image.fromarray(np.array([[[10, 20, 30, 255], [10, 20, 30, 0]]], np.uint8))
    _, lost, file = back(written(tmp_path, image, exif=exif()), tmp_path / "out.bmp")
    assert lost == ("BMP holds no transparency: laid on white", "BMP holds no EXIF, XMP or colour profile")
    assert np.asarray(file).tolist() == [[[10, 20, 30], [255, 255, 255]]]
    long = exif()
    long[ExifTags.Base.ImageDescription] = "x" * 70_000
    _, lost, file = back(written(tmp_path, image.convert("RGB"), exif=long), tmp_path / "out.jpg")
    assert lost == ("EXIF is too long for JPEG and left out",)
    assert not file.getexif()


def test_the_first_of_several_pictures_is_used_and_that_is_said(tmp_path):
    pages = [Image.fromarray(levels(8, 8, seed=seed)) for seed in range(3)]
    for suffix in (".tif", ".gif"):
        path = written(tmp_path, pages[0], suffix, save_all=True, append_images=pages[1:])
        picture = open_picture(path)
        assert "holds 3 pictures: only the first is used" in picture.notes
        np.testing.assert_array_equal(picture.pixels[:, :, 0], np.asarray(pages[0]))


def test_a_preview_of_the_old_picture_is_left_out_of_exif(tmp_path):
    block = exif().tobytes()
    head, body = block[:6], block[6:]  # b"Exif\0\0", then a TIFF whose first directory ends with the place of the next
    order = "little" if body[:2] == b"II" else "big"
    first = int.from_bytes(body[4:8], order)
    end = first + 2 + 12 * int.from_bytes(body[first : first + 2], order)
    # A second directory with one tag, 259 (compression) = 6 (JPEG): how a preview begins.
    entry = b"".join(value.to_bytes(size, order) for value, size in ((1, 2), (259, 2), (3, 2), (1, 4), (6, 2), (0, 2)))
    body = body[:end] + len(body).to_bytes(4, order) + body[end + 4 :] + entry + bytes(4)
    path = written(tmp_path, Image.fromarray(smooth(32, 32, 3)), ".jpg", exif=head + body)
    assert Image.open(path).getexif().get_ifd(ExifTags.IFD.IFD1) == {259: 6}
    tags = back(path, tmp_path / "out.jpg")[2].getexif()
    assert tags.get_ifd(ExifTags.IFD.IFD1) == {} and tags[COPYRIGHT] == "A. Photographer"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"these are cats", "not a picture"),
        (b"\x89PNG\r\n\x1a\n then nothing", "damaged"),
    ],
)
def test_what_is_no_picture_is_refused_with_the_reason(tmp_path, content, reason):
    (tmp_path / "in.png").write_bytes(content)
    with pytest.raises(UnreadableError, match=reason):
        open_picture(tmp_path / "in.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_a_file_that_was_cut_short_is_refused(tmp_path, suffix):
    path = written(tmp_path, Image.fromarray(levels(64, 64, 3)), suffix)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(UnreadableError):
        open_picture(path)


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = written(tmp_path, Image.fromarray(levels(8, 8, 3)))
    picture = open_picture(path)

    def broken(self, file, **options):
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(Image.Image, "save", broken)
    before = path.read_bytes()
    with pytest.raises(OSError, match="no space"):
        save(path, picture.pixels, picture)
    assert [file.name for file in tmp_path.iterdir()] == ["in.png"]
    assert path.read_bytes() == before


def test_pixels_that_are_not_like_the_picture_are_refused(tmp_path):
    picture = open_picture(written(tmp_path, Image.fromarray(levels(8, 8, 3))))
    with pytest.raises(ValueError, match=r"`pixels` must be uint8.*uint16"):
        save(tmp_path / "out.png", picture.pixels.astype(np.uint16), picture)
    with pytest.raises(ValueError, match=r"`path` must end in one of .png.*out.gif"):
        save(tmp_path / "out.gif", picture.pixels, picture)
    assert set(WRITTEN) == {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"}


def test_a_mask_is_white_where_it_is_bright_and_opaque(tmp_path):
    grey = np.array([[0, 127, 128, 255]], np.uint8)
    assert open_mask(written(tmp_path, Image.fromarray(grey))).tolist() == [[False, False, True, True]]
    assert open_mask(written(tmp_path, Image.fromarray(grey > 0))).tolist() == [[False, True, True, True]]
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    assert open_mask(written(tmp_path, deep)).tolist() == [[False, False, True, True]]
    clear = Image.fromarray(np.stack([np.full((1, 4), 255, np.uint8), grey], axis=-1), "LA")
    assert open_mask(written(tmp_path, clear)).tolist() == [[False, False, True, True]]
