"""Films of high dynamic range and with transparency look on a screen as they are meant to."""

import numpy as np
import pytest

from tfvae.data import DataConfig, load_images
from tfvae.video import Film
from tfvae.video.colour import HLG, PQ, hlg_scene, pq_luminance, tone_mapped

av = pytest.importorskip("av")

GREYS = np.array([0.0, 0.02, 0.1, 0.25, 0.4])  # of the light of white, in a range that is not rolled off


def code_of(light, transfer):
    """uint16 signal of cd/m², by searching the transfer function; grey in HLG, whose OOTF depends on luminance."""
    codes = np.linspace(0, 1, 65536)
    table = pq_luminance(codes) if transfer == PQ else 1000 * hlg_scene(codes) ** 1.2
    return np.rint(65535 * np.interp(light, table, codes)).astype(np.uint16)


def film(path, codec, pixel_format, frames, format="rgba", trc=None):
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], pixel_format
        if trc:
            stream.codec_context.color_trc, stream.codec_context.color_primaries = trc, 9
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(pixels, format=format)
            if trc:
                frame.color_trc, frame.color_primaries = trc, 9
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def test_the_transfer_functions_are_those_of_the_standards():
    np.testing.assert_allclose(pq_luminance(np.array([0, 0.5081, 0.5806, 0.7518, 1])), [0, 100, 203, 1000, 10000], 2e-3)
    np.testing.assert_allclose(hlg_scene(np.array([0, 0.5, 0.75, 1])), [0, 1 / 12, 0.265, 1], atol=1e-3)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_what_a_screen_can_show_is_kept_and_what_it_cannot_is_rolled_off(transfer):
    greys = tone_mapped(code_of(203 * GREYS, transfer)[None, :, None].repeat(3, 2), transfer)[0]
    assert (greys == greys[:, :1]).all()
    np.testing.assert_allclose(greys[:, 0], 255 * GREYS ** (1 / 2.4), atol=2)
    lights = np.geomspace(50, 1000, 40)
    levels = tone_mapped(code_of(lights, transfer)[None, :, None].repeat(3, 2), transfer)[0, :, 0].astype(int)
    assert (np.diff(levels) >= 0).all() and levels[-1] == 255 and levels[lights < 203][-1] < 240
    assert len(np.unique(levels[lights > 203])) > 8  # clipped, these would all be 255


def test_colours_of_the_screens_gamut_keep_their_hue():
    """BT.709's primaries, written in BT.2020, come back as themselves."""
    to_bt2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    for colour in np.eye(3) * 0.3 + 0.02:
        signal = code_of(203 * to_bt2020 @ colour, PQ)[None, None]
        np.testing.assert_allclose(tone_mapped(signal, PQ)[0, 0], 255 * colour ** (1 / 2.4), atol=3)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_a_film_of_high_dynamic_range_is_not_washed_out(tmp_path, transfer):
    signal = np.repeat(code_of(203 * GREYS, transfer), 16)[None, :, None].repeat(32, 0).repeat(3, 2)
    path = film(tmp_path / "hdr.mkv", "ffv1", "gbrp10le", [signal] * 3, "rgb48le", transfer)
    frames = list(Film(path).frames())
    assert len(frames) == 3 and frames[0].shape == (32, 80, 3)
    expected = 255 * GREYS ** (1 / 2.4)
    np.testing.assert_allclose(frames[0][16, 8::16, 1], expected, atol=5)
    learnt = load_images(path, DataConfig("x", channels=1))[0].array
    np.testing.assert_allclose(learnt[2, 16, 8::16, 0], expected, atol=5)
    # An SDR film of the same numbers is left as it is.
    plain = film(tmp_path / "sdr.mkv", "ffv1", "gbrp10le", [signal] * 3, "rgb48le")
    np.testing.assert_allclose(next(Film(plain).frames())[16, 8::16, 1], signal[0, 8::16, 0] / 257, atol=2)


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.webm", "libvpx-vp9", "yuva420p"), ("a.mov", "qtrle", "argb"), ("b.mov", "prores_ks", "yuva444p10le"),
        ("c.mov", "png", "rgba"), ("a.mkv", "ffv1", "yuva420p"),
    ],
)  # fmt: skip
def test_what_is_transparent_in_a_film_is_white(tmp_path, name, codec, pixel_format):
    rgba = np.zeros((32, 64, 4), np.uint8)
    rgba[..., 0] = 200
    rgba[:, 32:, 3] = 255
    frames = list(Film(film(tmp_path / name, codec, pixel_format, [rgba] * 3)).frames())
    assert len(frames) == 3
    for pixels in frames:
        np.testing.assert_allclose(pixels[16, 8], [255, 255, 255], atol=4)
        np.testing.assert_allclose(pixels[16, 56], [200, 0, 0], atol=8)


@pytest.mark.parametrize("limited", [False, True])
def test_luma_and_chroma_of_bt2020_become_the_signal_they_were_made_of(tmp_path, limited):
    signal = np.array([0.55, 0.3, 0.4])  # PQ codes of red, green and blue
    luma = signal @ [0.2627, 0.6780, 0.0593]
    chroma = (signal[[2, 0]] - luma) / [1.8814, 1.4746]
    low, span, wide = (16 / 256, 219 / 256, 224 / 256) if limited else (0, 1, 1)
    planes = 1023 * np.array([low + span * luma, *(0.5 + wide * chroma)]) * (256 / 255.75 if limited else 1)
    pixels = np.rint(planes).astype(np.uint16)[:, None, None].repeat(32, 1).repeat(48, 2)
    path = tmp_path / "hdr.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv444p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = PQ, 9, 9
        context.color_range = 1 if limited else 2
        frame = av.VideoFrame(48, 32, "yuv444p10le")
        for plane, values in zip(frame.planes, pixels, strict=True):
            rows = np.zeros((32, plane.line_size // 2), np.uint16)
            rows[:, :48] = values
            plane.update(rows.tobytes())
        frame.color_trc, frame.colorspace, frame.color_range = PQ, 9, context.color_range
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    expected = tone_mapped(np.rint(65535 * signal).astype(np.uint16)[None, None], PQ)[0, 0].astype(int)
    np.testing.assert_allclose(next(Film(path).frames())[16, 24], expected, atol=4)
