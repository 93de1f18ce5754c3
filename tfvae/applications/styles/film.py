"""A film painted with the paint of paintings: strokes move with what they show, and are laid anew where it is new."""

from collections.abc import Callable, Sequence

import numpy as np

from tfvae.applications.channels import floats, typed
from tfvae.applications.styles.canvas import Canvas
from tfvae.applications.styles.colours import oklab
from tfvae.applications.styles.paint import Paints, check, check_paints, hung, weighed, without_margins
from tfvae.applications.video.steady import Motion, warp

RENEWED = 5  # frames after which windows whose colours move are described anew
APART = 0.75  # pixels of the painting by which places between two may differ from the nearest: else a seam is between


def film_painter(
    paintings: Sequence[np.ndarray],
    shares: Sequence[float] | None = None,
    colour: str = "painting",
    stroke: float | None = None,
    strength: float = 1.0,
    seed: int = 0,
    moving: int | None = None,
) -> Callable[[np.ndarray], np.ndarray]:
    """A function from the frames of a film, one after the other, to frames that are painted.

    The first frame of a scene is painted as `tfvae.applications.styles.paint.paint` does. In the next ones what lies
    on the canvas moves along the optical flow, and windows are laid where nothing was before, or where others show what
    there is better. Colours are brought to those of the paintings as in the first frame of the scene.

    A style that moves goes from the first painting to the next, and so on to the last: stroke after stroke is painted
    over, and the colours go along.

    Args:
        paintings, shares, colour, stroke, strength, seed: As of `paint`.
        moving: Frames from each painting to the next, instead of `shares`; None: the style stays.

    Returns:
        A function of frames `(height, width, 3)`, uint8, all of one size.

    Raises:
        ValueError: As `paint`; when a style moves that has shares or one painting only, or in no frames; the function,
            where a frame is none.
        UserError: When OpenCV, which finds the flow, is not installed.

    Reference:
        Litwinowicz (1997), Processing images and video for an impressionist effect, for strokes that move along the
        optical flow; Hertzmann and Perlin (2000), Painterly rendering for video and interaction, for painting over
    """
    if moving is not None and (moving < 1 or shares is not None or len(paintings) < 2):
        raise ValueError(f"`moving` must be 1 or more, of two paintings without shares. Received: moving={moving}")
    paintings, parts = weighed([without_margins(np.asarray(each)) for each in paintings], shares)
    check_paints(paintings, colour, strength)
    motion, canvas, number = Motion(), None, -1
    stops: list[Paints] = []

    def painted(frame: np.ndarray) -> np.ndarray:
        nonlocal canvas, number
        check("frame", frame)
        own = floats(frame)
        lab, found = oklab(own), motion.to(frame)
        number += 1
        if not stops or found is None:  # a scene begins
            hanging = [hung(floats(each), frame.shape[:2], stroke) for each in paintings]
            ends = [parts] if moving is None else np.eye(len(paintings)).tolist()
            stops[:] = [Paints(hanging, end, lab, colour) for end in ends]
            canvas = None if stops[0].own else canvas  # whose windows are in the colours of the scene before
        paints, painting, way = style_at(number, stops, moving)
        # What is known of the windows holds while their colours do, about.
        last, known = canvas, canvas if moving is None or number % RENEWED else None
        own_seed = seed if moving is None else seed + number
        canvas = Canvas(paints.toned(lab), paints.palettes, parts, max(1.0, strength), own_seed, known)
        canvas.only = painting
        carried = None if last is None or found is None else moved(last, *found)
        if carried is None:
            canvas.fill()
        if painting is not None and way:
            canvas.only = painting + 1
        if carried is not None:
            canvas.carry(*carried)
        if way:
            canvas.paint_over(way)
        shown = paints.shown(canvas)
        return typed(own + min(strength, 1.0) * (shown - own), frame.dtype)

    return painted


def style_at(number: int, stops: Sequence[Paints], moving: int | None) -> tuple[Paints, int | None, float]:
    """Colours of a frame; of a style that moves also the painting that it comes from, and the way to the next, 0 to 1.

    Args:
        number: Of the frame.
        stops: Colours at each painting, or of a style that stays.
        moving: Frames from each to the next, or None.
    """
    if moving is None:
        return stops[0], None, 0.0
    first, way = way_at(number, len(stops), moving)
    return stops[first].towards(stops[first + 1], way), first, way


def way_at(number: int, count: int, moving: int) -> tuple[int, float]:
    """Of a style that moves over `count` paintings: which one a frame comes from, and the way to the next, 0 to 1."""
    first = min(number // moving, count - 2)
    return first, min(number / moving - first, 1.0)


def moved(canvas: Canvas, flow: np.ndarray, explained: np.ndarray) -> np.ndarray:
    """Rows and columns of a canvas along the flow, `(2, h, w)`; -1 where it does not hold.

    Between pixels where these are of one window; from the nearest where a seam is between them, so that none blurs.
    """
    height, width = canvas.shape
    places = np.stack([axis[:height, :width] for axis in (canvas.rows, canvas.columns)], axis=-1)
    between, nearest = warp(places, flow), warp(places, np.rint(flow))
    whole = np.linalg.norm(between - nearest, axis=-1, keepdims=True) <= APART
    return np.moveaxis(np.where(explained[..., None], np.where(whole, between, nearest), -1), -1, 0)
