"""Films without flicker: what a function makes of each frame, held together along the motion of the film."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tfvae.errors import UserError
from tfvae.pixels import pixels

FORWARD_BACKWARD = (0.01, 0.5)  # Ruder et al.: flows may differ by this share of their squares, and pixels squared
COLOUR = 0.03  # by which a pixel may differ from where it came from, of white = 1: an eye that opens differs by more
SIGMA = 1.0  # pixels; noise is not to be taken for a change of the scene
CUT = 0.4  # share of explained pixels below which a frame belongs to another scene
STRENGTH = 0.85  # weight of what was shown before


def steady(
    frames: Iterable[np.ndarray],
    function: Callable[[np.ndarray], np.ndarray],
    strength: float = STRENGTH,
) -> Iterator[np.ndarray]:
    """`function` of each frame, blended with the output before it where the motion of the film explains the frame.

    With `w` the warp along the optical flow from frame `x[t]` to `x[t-1]` and `m` in {0, 1} where that flow holds:
    `out[t] = f(x[t]) + strength * m * (w(out[t-1]) - f(x[t]))`. Where nothing moves, independent errors of `f` keep
    `(1 - strength) / (1 + strength)` of their variance, and their flicker, the mean square of `out[t] - out[t-1]`,
    `(1 - strength)**2 / (1 + strength)` of what it was. What is new, uncovered or behind a cut is `f(x[t])` alone.
    Two frames are held, whatever the length of the film.

    Args:
        frames: Of one size, `(height, width, 3)`; uint8, or float in [0, 1].
        function: From a frame to a picture of its size; uint8, or float in [0, 1]. Any: it is called once a frame.
        strength: In [0, 1): 0 gives `function` frame by frame.

    Yields:
        float32 in [0, 1], shape of a frame.

    Raises:
        UserError: When OpenCV, which finds the flow, is not installed.
        ValueError: When `strength` is not in [0, 1).

    Reference:
        Ruder, Dosovitskiy and Brox (2016), Artistic style transfer for videos, https://arxiv.org/abs/1604.08610;
        Lai et al. (2018), Learning blind video temporal consistency, https://arxiv.org/abs/1808.00449
    """
    if not 0.0 <= strength < 1.0:
        raise ValueError(f"`strength` must be at least 0 and below 1. Received: strength={strength}")
    motion, before = Motion(), None
    for frame in frames:
        shown, found = pixels(function(frame)), motion.to(frame) if strength else None
        if before is not None and found is not None:
            flow, explained = found
            weight = strength * _softened(explained)[:, :, None]
            shown = np.clip(shown + weight * (warp(before, flow, cubic=True) - shown), 0.0, 1.0)
        before = shown
        yield shown


def flicker_error(frames_in: Iterable[np.ndarray], frames_out: Iterable[np.ndarray]) -> float:
    """Warping error of a film made from another: how much of it changes though the film it was made from does not.

    With flow and non-occluded pixels `m` of the *input*, and the warp `w` of the output before:
    `mean over t of sum(m * |out[t] - w(out[t-1])|**2) / sum(m)`, squares averaged over the colours. Pairs of frames
    across a cut, where the flow explains too little, are left out.

    Args:
        frames_in: The film that the flow is found in; uint8, or float in [0, 1].
        frames_out: What was made of it, as many frames of the same size.

    Returns:
        Mean squared error, of white = 1; 0 when no pixel of any frame is explained.

    Raises:
        UserError: When OpenCV is not installed.
        ValueError: When there are not as many frames of both.

    Reference:
        Lai et al. (2018), Learning blind video temporal consistency, eq. 1 and 2, https://arxiv.org/abs/1808.00449
    """
    motion, before, errors = Motion(), None, []
    for frame, picture in zip(frames_in, frames_out, strict=True):
        shown, found = pixels(picture), motion.to(frame)
        if before is not None and found is not None:
            flow, explained = found
            squares = np.square(shown - warp(before, flow)).mean(axis=2)
            errors.append(float(squares[explained].mean()))
        before = shown
    return float(np.mean(errors)) if errors else 0.0


class Motion:
    """Optical flow from each frame back to the one before it, and where it holds.

    Raises:
        UserError: When OpenCV is not installed.
    """

    def __init__(self) -> None:
        self.cv = opencv()
        self.search = self.cv.DISOpticalFlow_create(self.cv.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self.before: tuple[np.ndarray, np.ndarray] | None = None  # grey levels and smoothed colours

    def to(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """From the frame before to this one; None for the first, and for one that the flow does not explain: a cut.

        Returns:
            Flow `(height, width, 2)`, float32, in pixels: `x[t]` at `(column, row)` was `x[t-1]` at
            `(column, row) + flow`; and bool `(height, width)`: true where it holds. It holds where the flow there
            and back returns, where it does not point out of the frame, and where the colour stays, too.
        """
        colours = pixels(frame)
        grey = np.round(255 * colours.mean(axis=2)).astype(np.uint8)
        smooth = self.cv.GaussianBlur(colours, (0, 0), SIGMA).reshape(colours.shape)
        last, self.before = self.before, (grey, smooth)
        if last is None:
            return None
        back = self.search.calc(grey, last[0], None)
        forth = self.search.calc(last[0], grey, None)
        share, least = FORWARD_BACKWARD
        returned = warp(forth, back)
        apart = np.square(back + returned).sum(axis=2)
        length = np.square(back).sum(axis=2) + np.square(returned).sum(axis=2)
        height, width = grey.shape
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        x, y = columns + back[:, :, 0], rows + back[:, :, 1]
        inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        alike = np.abs(smooth - warp(last[1], back)).max(axis=2) <= COLOUR
        explained = inside & alike & (apart <= share * length + least)
        return (back, explained) if explained.mean() >= CUT else None


def warp(picture: np.ndarray, flow: np.ndarray, cubic: bool = False) -> np.ndarray:
    """`picture` at `(column, row) + flow`, float32; the border's own value beyond the border.

    Bilinear, or `cubic`: sharper, so that what is warped again and again does not blur, but it may leave [0, 1].
    """
    cv = opencv()
    rows, columns = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    places = columns + flow[:, :, 0], rows + flow[:, :, 1]
    how = cv.INTER_CUBIC if cubic else cv.INTER_LINEAR
    warped = cv.remap(np.asarray(picture, np.float32), *places, how, borderMode=cv.BORDER_REPLICATE)
    return warped.reshape(*flow.shape[:2], *np.shape(picture)[2:])


def opencv() -> Any:
    """The module `cv2`. Raises `UserError` where it is not installed."""
    try:
        import cv2
    except ImportError as error:
        raise UserError("a steady film needs OpenCV for its optical flow: pip install 'tfvae[video]'.") from error
    return cv2


def _softened(explained: np.ndarray) -> np.ndarray:
    """Weights in [0, 1] that fall to 0 within the explained part: no seam, and nothing old beyond it."""
    cv = opencv()
    inner = cv.erode(explained.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1)
    return np.minimum(cv.GaussianBlur(inner.astype(np.float32), (0, 0), SIGMA), explained)
