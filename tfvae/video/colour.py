"""RGB of a film's frames: transparency on white, and high dynamic range tone-mapped to that of a screen."""

from typing import Any

import numpy as np

from tfvae.decoding import on_white

PQ, HLG = 16, 18  # transfer functions, as H.273 numbers them
PEAK, WHITE = 1000.0, 203.0  # cd/m²: of the films, and the white of a page in them (ITU-R BT.2408)
# Linear BT.2020 to BT.709 (ITU-R BT.2087).
TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32).T
LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)  # of BT.2020


def rgb_of(frame: Any, width: int, height: int, interpolation: int) -> np.ndarray:
    """A frame that PyAV decoded as uint8 `(height, width, 3)`."""
    options = {"width": width, "height": height, "interpolation": interpolation}
    if frame.color_trc in (PQ, HLG):
        return tone_mapped(frame.to_ndarray(format="rgb48le", **options), frame.color_trc)
    if any(component.is_alpha for component in frame.format.components):
        pixels = frame.to_ndarray(format="rgba", **options)
        return on_white(pixels[:, :, :3], pixels[:, :, 3])
    return frame.to_ndarray(format="rgb24", **options)


def tone_mapped(signal: np.ndarray, transfer: int) -> np.ndarray:
    """uint8 for a screen (BT.709, gamma 2.4) of a uint16 signal in BT.2020 with the transfer function PQ or HLG.

    Luminances up to about 100 cd/m² are kept, and those above rolled off, so that `PEAK` becomes the screen's white:
    the electro-electrical transfer function of ITU-R BT.2390, on the largest of the three colours, which keeps hues.

    Args:
        signal: `(height, width, 3)`, full range.
        transfer: `PQ` or `HLG`.
    """
    codes = np.linspace(0, 1, 65536)
    if transfer == PQ:
        light = pq_luminance(codes).astype(np.float32)[signal]
    else:
        scene = hlg_scene(codes).astype(np.float32)[signal]
        light = PEAK * scene * np.maximum(scene @ LUMINANCE, 1e-6)[:, :, None] ** 0.2
    grid = codes[1::16]
    gain = (pq_luminance(_rolled_off(grid)) / pq_luminance(grid)).astype(np.float32)
    light *= np.interp(light.max(axis=2), pq_luminance(grid), gain).astype(np.float32)[:, :, None] / WHITE
    return np.rint(255 * np.clip(light @ TO_BT709, 0, 1) ** (1 / 2.4)).astype(np.uint8)


def pq_luminance(code: np.ndarray) -> np.ndarray:
    """cd/m² of signals in [0, 1] by the perceptual quantiser (SMPTE ST 2084)."""
    power = code ** (32 / 2523)
    return 10000 * (np.maximum(power - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * power)) ** (16384 / 2610)


def hlg_scene(code: np.ndarray) -> np.ndarray:
    """Light of the scene in [0, 1] of signals in [0, 1] by hybrid log-gamma (ITU-R BT.2100)."""
    bright = (np.exp((np.maximum(code, 0.5) - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return np.where(code <= 0.5, code**2 / 3, bright)


def _rolled_off(code: np.ndarray) -> np.ndarray:
    """PQ codes up to that of `WHITE`, of PQ codes up to that of `PEAK` (ITU-R BT.2390, section 5.4.1)."""
    grid = np.linspace(0, 1, 65536)
    peak, white = np.interp([PEAK, WHITE], pq_luminance(grid), grid)
    most = white / peak
    knee = 1.5 * most - 0.5
    share = np.minimum(code / peak, 1)
    t = (share - knee) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * most
    return peak * np.where(share < knee, share, spline)
