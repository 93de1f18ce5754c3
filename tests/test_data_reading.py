"""What each kind of picture file becomes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from tfvae.data.reading import Preparation, look_at_picture, read_picture
from tfvae.decoding import ORIENTATION, UnreadableError

OWN = Preparation()
CORNERS = np.array([[10, 90, 170], [40, 120, 250]], np.uint8)  # every turn of it is different


def saved(path, image, **options):
    image.save(path, **options)
    return str(path)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "gif", "pgm"])
def test_grey_pixels_survive_every_lossless_format(tmp_path, suffix):
    path = saved(tmp_path / f"grey.{suffix}", Image.fromarray(CORNERS))
    np.testing.assert_array_equal(read_picture(path, OWN)[..., 0], CORNERS)


@pytest.mark.parametrize(("suffix", "options"), [("png", {}), ("ppm", {}), ("webp", {"lossless": True}), ("tiff", {})])
def test_colours_survive_every_lossless_format(tmp_path, suffix, options):
    colours = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    path = saved(tmp_path / f"colour.{suffix}", Image.fromarray(colours), **options)
    np.testing.assert_array_equal(read_picture(path, OWN), colours)


def test_jpeg_is_near_its_original(tmp_path):
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    path = saved(tmp_path / "ramp.jpg", Image.fromarray(ramp), quality=95)
    assert np.abs(read_picture(path, OWN)[..., 0].astype(int) - ramp).max() <= 4


def test_alpha_is_laid_on_white(tmp_path):
    red = np.array([[[200, 0, 0, alpha] for alpha in (0, 51, 255)]], np.uint8)
    path = saved(tmp_path / "alpha.png", Image.fromarray(red))
    expected = [[255 + (colour - 255) * alpha / 255 for colour in (200, 0, 0)] for alpha in (0, 51, 255)]
    np.testing.assert_allclose(read_picture(path, OWN)[0], expected, atol=1)


def test_grey_with_alpha_is_laid_on_white(tmp_path):
    path = saved(tmp_path / "la.png", Image.fromarray(np.array([[[0, 0], [0, 255], [100, 255]]], np.uint8), "LA"))
    np.testing.assert_array_equal(read_picture(path, OWN)[0, :, 0], [255, 0, 100])


def test_the_transparent_entry_of_a_palette_is_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    path = saved(tmp_path / "palette.png", image, transparency=0)
    np.testing.assert_array_equal(read_picture(path, OWN)[0], [[255, 255, 255], [0, 0, 255]])


def test_the_transparent_grey_of_a_png_is_white(tmp_path):
    path = saved(tmp_path / "key.png", Image.fromarray(CORNERS), transparency=90)
    np.testing.assert_array_equal(read_picture(path, OWN)[0, :, 0], [10, 255, 170])


def test_one_bit_is_black_and_white(tmp_path):
    path = saved(tmp_path / "bits.png", Image.fromarray(np.array([[True, False]])))
    np.testing.assert_array_equal(read_picture(path, OWN)[0, :, 0], [255, 0])


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_16_bits_are_divided_by_257_not_clipped(tmp_path, suffix):
    deep = np.array([[0, 257, 128 * 257, 40_000, 65_535]], np.uint16)
    path = saved(tmp_path / f"deep.{suffix}", Image.fromarray(deep))
    np.testing.assert_array_equal(read_picture(path, OWN)[0, :, 0], [0, 1, 128, 156, 255])


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_white_is_white_and_cyan_is_cyan(tmp_path, suffix):
    inks = {(0, 0, 0, 0): (255, 255, 255), (255, 0, 0, 0): (0, 255, 255), (0, 0, 0, 255): (0, 0, 0)}
    for ink, expected in inks.items():
        path = saved(tmp_path / f"ink.{suffix}", Image.new("CMYK", (8, 8), ink))
        how = Preparation(channels=3)
        np.testing.assert_allclose(read_picture(path, how)[4, 4], expected, atol=3)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_picture_upright(tmp_path, suffix, orientation):
    upright = np.kron(CORNERS, np.ones((8, 8), np.uint8))
    # What a camera that was held so has stored: the inverse of what a viewer must do.
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.T,
        6: np.rot90(upright, 1), 7: upright[::-1, ::-1].T, 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = saved(tmp_path / f"turned.{suffix}", Image.fromarray(np.ascontiguousarray(stored)), exif=exif, quality=95)
    pixels = read_picture(path, Preparation(channels=1))[..., 0]
    assert pixels.shape == upright.shape
    assert look_at_picture(path, OWN)[:2] == upright.shape
    np.testing.assert_allclose(pixels[4::8, 4::8], CORNERS, atol=6)


def test_an_animation_is_its_first_frame(tmp_path):
    frames = [Image.new("L", (4, 4), grey) for grey in (50, 200)]
    path = saved(tmp_path / "moving.gif", frames[0], save_all=True, append_images=frames[1:])
    assert (read_picture(path, OWN) == 50).all()


def test_equal_red_green_and_blue_are_grey(tmp_path):
    path = saved(tmp_path / "grey.png", Image.fromarray(CORNERS).convert("RGB"))
    assert read_picture(path, OWN).shape == (2, 3, 1)
    assert read_picture(path, Preparation(channels=3)).shape == (2, 3, 3)


def test_crop_keeps_proportions_and_resize_does_not(tmp_path):
    wide = np.zeros((20, 60), np.uint8)
    wide[:, 20:40] = 255
    path = saved(tmp_path / "wide.png", Image.fromarray(wide))
    assert (read_picture(path, Preparation(height=20, width=20)) == 255).all()
    stretched = read_picture(path, Preparation(height=20, width=20, fit="resize"))[10, :, 0]
    assert stretched[2] == 0 and stretched[10] == 255 and stretched[17] == 0


def test_own_size_is_reduced_to_the_longest_side(tmp_path):
    for name in ("big.jpg", "big.png"):
        path = saved(tmp_path / name, Image.new("L", (500, 201), 77))
        pixels = read_picture(path, Preparation(max_side=100))
        assert pixels.shape == (40, 100, 1)
        assert (np.abs(pixels.astype(int) - 77) <= 1).all()


def test_median_removes_single_pixels_and_contrast_fills_the_range(tmp_path):
    noisy = np.full((9, 9), 100, np.uint8)
    noisy[4, 4] = 255
    path = saved(tmp_path / "noisy.png", Image.fromarray(noisy))
    assert (read_picture(path, Preparation(denoise=3)) == 100).all()
    dull = np.linspace(100, 150, 100, dtype=np.uint8).reshape(10, 10)
    stretched = read_picture(saved(tmp_path / "dull.png", Image.fromarray(dull)), Preparation(contrast=1.0))
    assert stretched.min() == 0 and stretched.max() == 255


def refusal(path, how=OWN):
    with pytest.raises(UnreadableError) as caught:
        read_picture(str(path), how)
    return str(caught.value)


def test_a_bomb_is_refused_by_its_header(tmp_path):
    path = saved(tmp_path / "bomb.png", Image.new("1", (3000, 2000)))
    assert "larger than 5,000,000 pixels (3000 x 2000" in refusal(path, Preparation(max_pixels=5_000_000))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tif", "ppm"])
def test_a_truncated_file_is_refused(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = tmp_path / f"whole.{suffix}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert refusal(path).startswith(("truncated", "damaged"))


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "I;16"])
def test_a_png_whose_pixels_are_damaged_is_refused(tmp_path, mode):
    rng, refused = np.random.default_rng(0), 0
    rows, columns = np.mgrid[:120, :120]
    grey = Image.fromarray(((rows + 2 * columns + rng.integers(0, 8, (120, 120))) % 256).astype(np.uint8))
    path = Path(saved(tmp_path / "whole.png", grey.convert(mode)))
    whole = path.read_bytes()
    for at in rng.integers(150, len(whole) - 100, 12):
        path.write_bytes(whole[:at] + bytes(16) + whole[at + 16 :])
        try:
            Image.open(path).load()
        except Exception:
            refused += 1
            assert refusal(path).startswith(("truncated", "damaged"))
    assert refused


def test_the_size_of_a_png_is_looked_at_without_decoding_it(tmp_path, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.png"
    Image.new("RGB", (6, 4)).save(path, exif=exif)
    monkeypatch.setattr(PngImageFile, "load", lambda self: pytest.fail("decoded"))
    assert look_at_picture(str(path), Preparation()) == (6, 4, 3)


def test_text_named_png_is_not_a_picture(tmp_path):
    (tmp_path / "text.png").write_text("dear diary")
    assert refusal(tmp_path / "text.png").startswith("not a picture")
    (tmp_path / "nothing.png").write_bytes(b"")
    assert refusal(tmp_path / "nothing.png") == "empty file"
    (tmp_path / "head.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"?" * 40)
    assert "begins like PNG" in refusal(tmp_path / "head.png")


def test_postscript_is_never_run(tmp_path):
    path = saved(tmp_path / "picture.eps", Image.new("RGB", (8, 8)))
    assert refusal(path).startswith("not a picture")
