"""A picture painted with the paint of a painting or of several, in their colours or its own; nothing is learnt."""

import copy
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from tfvae.applications.channels import as_known, floats, typed
from tfvae.applications.styles.canvas import Canvas
from tfvae.applications.styles.colours import barycentre, oklab, recoloured, srgb, transfer, transferred

COLOURS = ("painting", "photo")  # whose are taken
SMALLEST = 16  # pixels of a painting's shorter side
# A scan's black margin: of its rim nine tenths are black, of each line of it a quarter; it ends where the paper begins.
BLACK, RIM, LINE, PAPER, WIDEST = 0.13, 0.9, 0.25, 0.3, 0.15


def paint(
    image: np.ndarray,
    painting: np.ndarray | Sequence[np.ndarray],
    colour: str = "painting",
    stroke: float | None = None,
    strength: float = 1.0,
    kept: np.ndarray | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    shares: Sequence[float] | None = None,
) -> np.ndarray:
    """Texture transfer: windows of the painting, turned along the picture's forms and joined along least-error cuts.

    With the colours of the painting every pixel is a pixel of it, up to the interpolation of windows that were turned
    by an odd number of eighths. With those of the picture, the painting is brought to its colours first, and what is
    left of the difference is taken out where it is wider than strokes. Of several paintings each gives its share of
    the windows, and all are brought to colours between theirs first: a mixture of styles.

    Args:
        image: `(height, width, 1 or 3)`; uint8, uint16, or float in [0, 1].
        painting: `(h, w, 1 or 3)`, of 16 pixels or more each way; types as above; or several of them. Black margins of
            a scan are cut off.
        colour: One of `COLOURS`.
        stroke: Size of the strokes; at 1 the painting is as large as the picture. None: 1, or less for a painting of
            fewer pixels, for paint is not enlarged.
        strength: 0 is the picture, 1 the paint alone, between them a mixture; beyond 1 what is painted follows the
            picture less.
        kept: Where the picture stays as it is, bool or numbers (above 0.5), `(height, width)`; None: nowhere.
        seed: Of all choices.
        progress: Called with the parts done and all parts.
        shares: How much each of several paintings counts, 0 or more, any sum; None: all the same.

    Returns:
        Size and type of `image`; with the colours of a painting that has some, always 3 channels.

    Raises:
        ValueError: When a shape or a value is none that is accepted.

    Reference:
        Efros and Freeman (2001), Image quilting for texture synthesis and transfer; Hertzmann (1998), Painterly
        rendering with curved brush strokes of multiple sizes, for coarse strokes first, and finer ones where they miss
        what there is; Hertzmann et al. (2001), Image analogies
    """
    image, paintings = np.asarray(image), [painting] if isinstance(painting, np.ndarray) else list(painting)
    known = as_known(kept, image)
    paintings, parts = weighed([without_margins(np.asarray(each)) for each in paintings], shares)
    check("image", image)
    check_paints(paintings, colour, strength)
    own = floats(image)
    grey = all(each.shape[2] == 1 for each in paintings)
    channels = 1 if image.shape[2] == 1 and (colour == "photo" or grey) else 3
    original = np.broadcast_to(own, (*own.shape[:2], channels))
    pixels = image if image.shape[2] == channels else np.repeat(image, channels, axis=2)
    if strength == 0:
        return pixels.copy()
    lab = oklab(own)
    paints = Paints([hung(floats(each), image.shape[:2], stroke) for each in paintings], parts, lab, colour)
    canvas = Canvas(paints.toned(lab), paints.palettes, parts, max(1.0, strength), seed)
    canvas.fill(progress)
    painted = paints.shown(canvas)
    painted = painted[..., :1] if channels < painted.shape[2] else np.broadcast_to(painted, original.shape)
    if strength < 1:
        painted = original + strength * (painted - original)
    painted = typed(painted, image.dtype)
    return painted if known is None else np.where(known, pixels, painted)


class Paints:
    """Paintings in the colours in which a picture, or the frames of a film, are painted with them.

    Args:
        rgbs: The paintings as they hang, float in [0, 1], `(h, w, 1 or 3)`.
        shares: Of each, of the sum 1.
        lab: The picture, or the first frame, `(h, w, 3)`, of `oklab`.
        colour: As of `paint`.

    Attributes:
        palettes: The paintings, of `oklab`.
        toned: Brings pictures as `lab` to the colours of the paintings.
    """

    def __init__(self, rgbs: Sequence[np.ndarray], shares: Sequence[float], lab: np.ndarray, colour: str):
        self.rgbs, self.palettes = rgbs, [oklab(rgb) for rgb in rgbs]
        self.own = colour == "photo"
        if self.own:
            self.palettes = [transferred(palette, lab) for palette in self.palettes]
        elif len(rgbs) > 1:
            self.palettes = barycentre(self.palettes, shares)
        if self.own or len(rgbs) > 1:
            self.rgbs = [srgb(palette) for palette in self.palettes]
        together = np.concatenate([palette.reshape(-1, 1, 3) for palette in self.palettes])
        self.toned = np.asarray if self.own else transfer(lab, together)

    def towards(self, other: "Paints", share: float) -> "Paints":
        """The same paintings in colours between these and those of another: optimal transport, part of the way."""
        if self.own or share == 0:
            return self
        between = copy.copy(self)
        pairs = zip(self.palettes, other.palettes, strict=True)
        between.palettes = [one + np.float32(share) * (two - one) for one, two in pairs]
        between.rgbs = [srgb(palette) for palette in between.palettes]
        between.toned = lambda lab: self.toned(lab) + np.float32(share) * (other.toned(lab) - self.toned(lab))
        return between

    def shown(self, canvas: Canvas) -> np.ndarray:
        """What lies on a canvas, in the colours that were asked for, `(h, w, 1 or 3)` in [0, 1]."""
        painted = canvas.picture(self.rgbs)
        height, width = canvas.shape
        lab = canvas.lab[:height, :width]
        return srgb(recoloured(oklab(painted), lab, canvas.sides[0] / 4)) if self.own else painted


def hung(painting: np.ndarray, shape: tuple[int, int], stroke: float | None = None) -> np.ndarray:
    """A painting as it hangs beside a picture: its longer side is `stroke` times as long as the picture's.

    Args:
        painting: Float in [0, 1], `(h, w, channels)`.
        shape: Height and width of the picture.
        stroke: As of `paint`.

    Returns:
        float32 in [0, 1], 16 pixels or more each way.

    Raises:
        ValueError: When it has too few pixels for `stroke`.
    """
    most = largest_stroke(painting.shape, shape)
    if stroke is not None and not 0 < stroke <= most:
        raise ValueError(f"`stroke` must be above 0 and at most {most:.3g} for these pictures. Received: {stroke:g}")
    scale = (min(1.0, most) if stroke is None else stroke) * max(shape) / max(painting.shape[:2])
    scale = max(scale, SMALLEST / min(painting.shape[:2]))
    width, height = (max(1, round(side * scale)) for side in painting.shape[1::-1])
    planes = np.moveaxis(painting, -1, 0)
    small = [Image.fromarray(plane).resize((width, height), Image.Resampling.LANCZOS) for plane in planes]
    return np.clip(np.stack([np.asarray(plane) for plane in small], axis=-1), 0, 1)


def without_margins(painting: np.ndarray) -> np.ndarray:
    """A painting without the black margins of its scan: lines along each side, at most 15 % of the length.

    A dark painting stays whole: a margin is black along all of the rim, and ends at something bright.

    Args:
        painting: `(h, w, channels)`; uint8, uint16, or float in [0, 1].
    """
    if painting.ndim != 3 or min(painting.shape[:2]) < 2 * SMALLEST:
        return painting
    grey = floats(painting).mean(axis=-1)
    top, bottom, left, right = (_margin(lines) for lines in (grey, grey[::-1], grey.T, grey.T[::-1]))
    return painting[top : len(painting) - bottom, left : painting.shape[1] - right]


def _margin(lines: np.ndarray) -> int:
    """How many of the first lines are a margin."""
    most = int(WIDEST * len(lines))
    dark = (lines[: most + 1] < BLACK).mean(axis=1)
    ends = np.flatnonzero(dark < LINE)
    if dark[0] < RIM or not len(ends):
        return 0
    inside = ends[0] + 1  # the line between is a mixture of both
    return inside if lines[inside].mean() > PAPER else 0


def largest_stroke(painting: tuple[int, ...], shape: tuple[int, ...]) -> float:
    """The largest `stroke` for which a painting of this shape has the pixels."""
    return max(painting[:2]) / max(shape[:2])


def weighed(paintings: list[np.ndarray], shares: Sequence[float] | None) -> tuple[list[np.ndarray], list[float]]:
    """Paintings that have a share, and their shares of the sum 1."""
    given = [1.0] * len(paintings) if shares is None else [float(share) for share in shares]
    if len(given) != len(paintings) or not all(0 <= share < float("inf") for share in given) or not sum(given):
        raise ValueError(
            f"`shares` must be a number of 0 or more for each of the {len(paintings)} paintings, one of them above 0. "
            f"Received: {shares}"
        )
    kept = [(painting, share / sum(given)) for painting, share in zip(paintings, given, strict=True) if share]
    return [painting for painting, _ in kept], [share for _, share in kept]


def check(name: str, picture: np.ndarray) -> None:
    """`ValueError` where that is no picture of one or three channels."""
    as_known(None, picture)
    if picture.shape[2] not in (1, 3) or not picture.size:
        raise ValueError(f"`{name}` must be (height, width, 1 or 3). Received: {picture.shape}")


def check_paints(paintings: Sequence[np.ndarray], colour: str, strength: float) -> None:
    """`ValueError` where `paint` and `film_painter` cannot paint with these."""
    for each in paintings:
        check("painting", each)
        if min(each.shape[:2]) < SMALLEST:
            raise ValueError(f"`painting` must be {SMALLEST}x{SMALLEST} pixels or more. Received: {each.shape}")
    if colour not in COLOURS:
        raise ValueError(f"`colour` must be one of {', '.join(COLOURS)}. Received: {colour}")
    if not 0 <= strength < float("inf"):
        raise ValueError(f"`strength` must be 0 or more. Received: strength={strength}")
