"""What is the same in every picture of a folder — a watermark, dust on a scanner — found, and taken out.

A picture under an overlay is `y = (1 - alpha) * x + alpha * W` with the same `alpha` and `W` in all of them. Between
two neighbouring pixels the unknown `x` hardly changes, so that over the pictures the step `d` between them is a line
in their mean `m`: `d = a + s * m`, where `s` and `a` depend on the overlay alone. Where there is no overlay both are 0.
The potentials whose steps these are, `log(1 - alpha)` and `alpha * W / (1 - alpha)`, then follow from Poisson's
equation. A median of gradients, as in the paper, is the case `s = 0`; the line also finds an overlay that is as bright
as the pictures are on average, and gives `alpha` without a first guess of `W`. The mathematics: `overlay_steps.py`.

Reference:
    Dekel, Rubinstein, Liu and Freeman (2017), "On the effectiveness of visible watermarks", CVPR,
    https://doi.org/10.1109/CVPR.2017.726
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from tfvae.applications.restoration.overlay_gradients import (
    EIGHT,
    certain_edges,
    evidence_of,
    lines,
    poisson,
    random_signs,
    shifts,
)

MIN_PICTURES = 5  # below, a line through the steps of neighbouring pixels proves nothing
MAX_PICTURES = 50  # of a larger folder, as many spread evenly over it are looked at
OPAQUE = 0.85  # above, what is left of a picture below the overlay is less than its rounding and JPEG errors
BLURRED_EDGE = 4  # pixels: as far as the fringe of what is opaque is blurred by JPEG and by our own estimate
FAINT = 0.02  # alpha, and alpha * W, below which an overlay cannot be distinguished from rounding: 5 of 255 levels
FRINGE = 0.15  # of the strength of an overlay: what is weaker is the noise around it
LEAST_GAIN = 0.02  # below, 1 / (1 - alpha) would make noise of rounding


@dataclass(frozen=True)
class Overlay:
    """What all pictures of a folder have in common.

    Attributes:
        mask: Where it lies, bool `(height, width)`.
        alpha: Its opacity in [0, 1], float32 `(height, width)`, 0 outside the mask.
        ink: `alpha * W`, what it adds, in [0, 1], float32 `(height, width, channels)`.
        evidence: How many times its clearest edge exceeds what would just have been accepted.
        pictures: How many were looked at.
    """

    mask: np.ndarray
    alpha: np.ndarray
    ink: np.ndarray
    evidence: float
    pictures: int

    @property
    def colour(self) -> np.ndarray:
        """`W` in [0, 1], `(height, width, channels)`, 0 where there is no overlay."""
        return np.clip(self.ink / np.maximum(self.alpha, FAINT)[..., None], 0.0, 1.0) * self.mask[..., None]

    @property
    def opaque(self) -> np.ndarray:
        """Where the picture below is lost and has to be painted anew, bool `(height, width)`."""
        # Next to what is opaque, what shines through is too little to be trusted.
        return self.mask & ndimage.binary_dilation(self.alpha > OPAQUE, EIGHT, BLURRED_EDGE)


def find_overlay(images: Sequence[np.ndarray], seed: int = 0) -> Overlay:
    """The overlay that is repeated, at the same place, over pictures of one size.

    Chance is measured on the same pictures: a step between neighbours is as often up as down, so that giving each
    picture's steps a random sign leaves everything but the overlay as it was.

    Args:
        images: At least 5 pictures, uint8 `(height, width, channels)`; a sequence that reads its items when they are
            asked for will do, each is asked for once.
        seed: Of those signs.

    Returns:
        The overlay.

    Raises:
        ValueError: When there are too few pictures, when they are not of one size, or when they share no overlay.
    """
    if len(images) < MIN_PICTURES:
        raise ValueError(f"`images` must hold at least {MIN_PICTURES} pictures. Received: {len(images)}.")
    with tempfile.TemporaryFile() as file:
        stack = _gathered(images, file)
        level = evidence_of(stack, random_signs(len(stack), seed))
        seen, evidence = certain_edges(level[0], level[1:])
        if not seen.any():
            raise ValueError(f"`images` must share an overlay. Received: {len(stack)} pictures without a common one.")
        # What chance has broken is joined, or the inside of a stroke would be taken for the outside.
        edges = ndimage.binary_closing(np.pad(ndimage.binary_dilation(seen, EIGHT), 4), EIGHT, 3)[4:-4, 4:-4]
        slopes, offsets = zip(*(lines(stack, edges, axis) for axis in (0, 1)), strict=True)
    region = _region(edges)
    solve = poisson(region)
    gain = np.exp(np.clip(solve(slopes), np.log(LEAST_GAIN), 0.0))
    ink = np.stack([gain * solve(shifts(gain, offsets, channel)) for channel in range(stack.shape[-1])], axis=-1)
    ink = np.clip(ink, 0.0, 1.0)
    strength = np.maximum(1.0 - gain, ink.max(axis=-1))
    pieces, number = ndimage.label(region, EIGHT)
    peaks = ndimage.maximum(strength, pieces, np.arange(number + 1))
    mask = region & (strength > np.maximum(FAINT, FRINGE * peaks)[pieces])
    # What is left over of an edge that chance and JPEG blocks have drawn out is no part of the overlay.
    parts, _ = ndimage.label(mask, EIGHT)
    mask = np.isin(parts, np.setdiff1d(parts[seen], 0))
    alpha, ink = np.where(mask, 1.0 - gain, 0.0), np.where(mask[..., None], ink, 0.0)
    return Overlay(mask, alpha.astype(np.float32), ink.astype(np.float32), evidence, len(stack))


def remove_overlay(image: np.ndarray, overlay: Overlay) -> np.ndarray:
    """The picture below the overlay, `x = (y - alpha * W) / (1 - alpha)`; where it is opaque, `image` as it was.

    Args:
        image: uint8 `(height, width, channels)`, of the size of the overlay.
        overlay: What `find_overlay` found.

    Returns:
        uint8 picture of the same shape. What is `overlay.opaque` is left to a model that paints holes.

    Raises:
        ValueError: When the picture is not of the overlay's shape.
    """
    if image.shape != overlay.ink.shape:
        raise ValueError(f"`image` must have the overlay's shape {overlay.ink.shape}. Received: {image.shape}.")
    clear = overlay.mask & ~overlay.opaque
    below = (image[clear] / 255.0 - overlay.ink[clear]) / (1.0 - overlay.alpha[clear])[:, None]
    result = image.copy()
    result[clear] = np.rint(np.clip(below, 0.0, 1.0) * 255.0).astype(np.uint8)
    return result


def _gathered(images: Sequence[np.ndarray], file) -> np.ndarray:
    """At most `MAX_PICTURES` of them, uint8 `(pictures, height, width, channels)`, on disk and not in memory."""
    chosen = np.unique(np.linspace(0, len(images) - 1, min(len(images), MAX_PICTURES)).round().astype(int))
    stack = None
    for place, index in enumerate(chosen):
        image = np.asarray(images[index])
        if image.dtype != np.uint8 or image.ndim != 3:
            raise ValueError(
                "`images` must be uint8 of shape (height, width, channels). "
                f"Received: {image.dtype} of shape {image.shape}, picture {index}."
            )
        if stack is None:
            stack = np.memmap(file, np.uint8, "w+", shape=(len(chosen), *image.shape))
        elif image.shape != stack.shape[1:]:
            raise ValueError(
                f"`images` must be of one size, {stack.shape[1:]} as picture 0 is. "
                f"Received: {image.shape}, picture {index}."
            )
        stack[place] = image
    assert stack is not None
    return stack


def _region(edges: np.ndarray) -> np.ndarray:
    """Where the overlay may lie: everything but the largest piece that its edges leave of the picture."""
    pieces, number = ndimage.label(~edges)
    if not number:
        raise ValueError("`images` must have a part without overlay. Received: pictures that it covers all over.")
    return pieces != 1 + np.argmax(np.bincount(pieces.ravel(), minlength=number + 1)[1:])
