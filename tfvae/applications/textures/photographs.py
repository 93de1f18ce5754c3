"""A picture of any size with the texture of photographs, quilted from windows of their pixels; nothing is learnt."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import ndimage
from sklearn.decomposition import PCA

from tfvae.applications.channels import floats
from tfvae.applications.styles.colours import oklab, srgb, transferred
from tfvae.applications.styles.painting import COLOURS, blurred, structure_tensor
from tfvae.applications.textures.field import Field
from tfvae.applications.textures.lighting import evenly_lit
from tfvae.applications.textures.mending import mend
from tfvae.applications.textures.quilting import EVENLY, Library, Quilt, overlap_of
from tfvae.pixels import to_uint8

PATCH = 96  # pixels; the default side of a window, more where a photograph is large
SHARE = 0.3  # of a photograph's shorter side
SMALLEST = 8  # pixels of the side of a window
APART = 0.5  # share by which a window costs more for each near it that shows the same
LONGEST = 2.0  # times as long as wide are windows at most, along the grain
TONE = 1 / 8  # of a window's side, the standard deviation beyond which brightness has no edges
EDGES = 1.0, 2.0  # standard deviations in pixels of the derivative, and of the smoothing of the structure tensor
MOST_PIXELS = 100_000_000  # of the result, all of which is in memory
KEPT = 0.98  # of the variance of features, by which windows are compared


def quilted(
    pictures: Sequence[np.ndarray],
    size: tuple[int, int],
    *,
    seamless: bool = False,
    mixed: tuple[Sequence[np.ndarray], float] | None = None,
    seed: int = 0,
    patch: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Image quilting in a space of features: overlapping windows of the photographs, cut where they differ least.

    The photographs are evenly lit first (`lighting`). Windows are compared by colours, by tone (colours smoothed over
    `TONE`) and by the structure tensor, so that forms go on where colours alone would end them. They are longer along
    the grain, all parts of the photographs are shown about as often, and the same is not shown twice within
    `quilting.REACH` where something else fits. The worst seams are mended. What is left of jumps in tone is smoothed:
    `x[q] - tone[q] + smoothed(tone[q])`, with `q` the quilt.

    A mixture is one quilt of two textures that are compared in the colours of the first. A smooth, periodic, random
    field says how likely a window is one of the second, and how far all colours are those of the second.

    Args:
        pictures: `(height, width, 1 or 3)` each, all alike; uint8, uint16, or float in [0, 1].
        size: Height and width in pixels.
        seamless: Whether the picture is to be periodic in both directions.
        mixed: Pictures of a second texture, and its share of the area, between 0 and 1.
        seed: Of everything random.
        patch: Side of a window in pixels, less where a picture is small. None: `PATCH`, or more for large photographs.
        progress: Called with the rows done and all rows.

    Returns:
        uint8 `(height, width, channels)`.

    Raises:
        ValueError: When a picture or a number is none that is accepted.

    Reference:
        Efros and Freeman (2001), Image quilting for texture synthesis and transfer; Jamriška et al. (2015), LazyFluids,
        for even use; Wei et al. (2009), State of the art in example-based texture synthesis, for features
    """
    textures = [list(pictures), *([list(mixed[0])] if mixed else [])]
    every = [picture for texture in textures for picture in texture]
    _check(every, size, seamless, mixed, patch)
    labs = [evenly_lit(oklab(floats(picture))) for picture in every]
    own = len(textures[0])
    coloured = [labs]  # all in their own colours; with a mixture, all in those of the first, and of the second
    if mixed:
        first, second = (
            np.concatenate([lab.reshape(-1, 3) for lab in part])[None] for part in (labs[:own], labs[own:])
        )
        coloured = [
            [*labs[:own], *(transferred(lab, first) for lab in labs[own:])],
            [*(transferred(lab, second) for lab in labs[:own]), *labs[own:]],
        ]
    side = max(PATCH, int(SHARE * min(min(lab.shape[:2]) for lab in labs))) if patch is None else patch
    shape = _shape(side, coloured[0], size if seamless else None)
    library = Library(features(coloured[0], TONE * side), shape)
    share = Field(mixed[1], size, seed)(0, size, 0) if mixed else None
    parts = (share, own) if share is not None else None
    quilt = Quilt(library, *size, wrap=seamless, seed=seed, evenly=EVENLY, apart=APART, mixed=parts)
    rows: list[np.ndarray] = []
    done = 0
    for band in quilt:
        rows.append(band)
        done += len(band)
        if progress:
            progress(2 * done // 3, size[0])
    # A torus begins below its first overlap.
    places = np.roll(np.concatenate(rows), quilt.lead, axis=0)
    of_second = np.repeat([number >= own for number in range(len(labs))], [lab[..., 0].size for lab in labs])
    mend(places, library, np.random.default_rng((seed, 1)), seamless, EVENLY, of_second if mixed else None)
    if progress:
        progress(size[0], size[0])
    grey = every[0].shape[2] == 1
    drawn = [
        _drawn([srgb(lab)[..., : 1 if grey else 3] for lab in part], places, TONE * side, seamless) for part in coloured
    ]
    if share is not None:
        drawn = [drawn[0] + share[..., None] * (drawn[1] - drawn[0])]
    return to_uint8(drawn[0])


def features(labs: Sequence[np.ndarray], radius: float) -> list[np.ndarray]:
    """Colours, tone and structure of each place, float32 `(h, w, d)`, as few as keep `KEPT` of the variance.

    Args:
        labs: `(h, w, 3)` each, of `colours.oklab`.
        radius: Standard deviation that tone is smoothed with, in pixels.
    """
    found = []
    for lab in labs:
        lab = lab * np.array([1, COLOURS, COLOURS], np.float32)
        derivative, smoothing = EDGES
        tensor = blurred(structure_tensor(lab[..., 0], derivative), smoothing)
        strength = np.sqrt(np.maximum(tensor[..., 2:], 1e-6))
        structure = np.concatenate([tensor[..., :2] / strength, strength], axis=-1)
        found.append(np.concatenate([lab, blurred(lab, radius), structure], axis=-1))
    flat = np.concatenate([each.reshape(-1, each.shape[-1]) for each in found])
    # Structure counts as much as colours do.
    flat[:, 6:] *= np.sqrt(flat[:, :3].var(axis=0).sum() / max(flat[:, 6:].var(axis=0).sum(), 1e-6))
    sample = flat[:: max(1, len(flat) // 20_000)]
    flat = PCA(KEPT, svd_solver="full").fit(sample).transform(flat) if sample.var() > 1e-6 else flat[:, :1]
    parts = np.split(flat.astype(np.float32), np.cumsum([each[..., 0].size for each in found])[:-1])
    return [part.reshape(*each.shape[:2], -1) for part, each in zip(parts, found, strict=True)]


def grain(labs: Sequence[np.ndarray]) -> float:
    """How much more a texture changes from row to row than along them, from -1 (columns) to 1 (rows); 0 for neither."""
    squares = np.zeros(2)
    for lab in labs:
        squares += [
            np.square(ndimage.gaussian_filter(lab[..., 0], EDGES[0], order=order)).sum() for order in ((1, 0), (0, 1))
        ]
    return float((squares[0] - squares[1]) / max(squares.sum(), 1e-6))


def _shape(side: int, labs: Sequence[np.ndarray], torus: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width of windows, multiples of 4, in which a torus and half of each photograph have room."""
    longer = LONGEST ** (grain(labs) / 2)
    shape = []
    for axis, asked in enumerate((side / longer, side * longer)):
        most = min(lab.shape[axis] for lab in labs) // 2
        length = max(SMALLEST, int(min(asked, most)) // 4 * 4)
        while torus and length > SMALLEST and torus[axis] < 2 * (length - overlap_of(length)):
            length -= 4
        shape.append(length)
    return shape[0], shape[1]


def _drawn(pictures: Sequence[np.ndarray], places: np.ndarray, radius: float, seamless: bool) -> np.ndarray:
    """Pixels at places, their tone smoothed over the cuts, float32 `(h, w, channels)`."""
    channels = pictures[0].shape[-1]
    flat, tone = (
        np.concatenate([each.reshape(-1, channels) for each in maps])
        for maps in (pictures, [blurred(each, radius) for each in pictures])
    )
    shown = tone[places]
    mode = "wrap" if seamless else "nearest"
    return flat[places] - shown + ndimage.gaussian_filter(shown, (radius, radius, 0), mode=mode, truncate=3)


def _check(
    pictures: Sequence[np.ndarray],
    size: tuple[int, int],
    seamless: bool,
    mixed: tuple[Sequence[np.ndarray], float] | None,
    patch: int | None,
) -> None:
    for name, value in (("height", size[0]), ("width", size[1]), ("patch", 1 if patch is None else patch)):
        if value < 1:
            raise ValueError(f"`{name}` must be positive. Received: {name}={value}")
    if size[0] * size[1] > MOST_PIXELS:
        raise ValueError(
            f"`size` must be of {MOST_PIXELS:,} pixels or fewer, all of which are in memory. "
            f"Received: {size[0]}x{size[1]}"
        )
    least = 2 * (SMALLEST - overlap_of(SMALLEST))
    if seamless and min(size) < least:
        raise ValueError(
            f"`size` must be {least}x{least} or more for a seamless picture. Received: {size[0]}x{size[1]}"
        )
    if mixed and not 0 < mixed[1] < 1:
        raise ValueError(f"`mixed` must have a share between 0 and 1. Received: {mixed[1]}")
    if not pictures or (mixed and not mixed[0]):
        raise ValueError("`pictures` must be one or more. Received: none")
    for picture in pictures:
        if picture.ndim != 3 or picture.shape[2] not in (1, 3) or min(picture.shape[:2]) < 2 * SMALLEST:
            raise ValueError(
                f"`pictures` must be (height, width, 1 or 3) of {2 * SMALLEST}x{2 * SMALLEST} pixels or more. "
                f"Received: {picture.shape}"
            )
        if picture.shape[2] != pictures[0].shape[2]:
            raise ValueError(f"`pictures` must have as many channels. Received: {pictures[0].shape}, {picture.shape}")
