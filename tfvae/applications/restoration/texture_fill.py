"""Texture for wide holes: windows of the same picture, laid where a model has estimated structure only."""

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import linalg

from tfvae.applications.channels import as_known, floats, typed
from tfvae.applications.restoration.observation import fill
from tfvae.applications.styles.colours import oklab
from tfvae.applications.styles.painting import COLOURS, blurred
from tfvae.applications.textures.mending import CUTS, seams
from tfvae.applications.textures.mending import RIM as OUTER
from tfvae.applications.textures.quilting import Library, cut, well_fitting

WIDE = 20  # pixels across from which a hole is more than a scratch
PIECE = 128  # pixels of the side of the parts in which a larger hole is filled, one after the other
REACH = 2.0, 48, 256  # how far from a part windows are looked for: in its longer sides, in pixels at least, and at most
LARGEST, SMALLEST = 96, 12  # pixels of the sides of the first windows at most, and of the last at least
FINER = 5 / 8  # of a side, that of the next windows
RIM = 6  # known pixels around a hole that the first windows have to fit
ROUNDS = 2  # in each of which windows of one size are tried all over a hole
TONE = 1 / 4  # of the radius of a hole, the standard deviation beyond which the estimate is believed
BELIEF = 0.15  # weight of the tone of a place in a hole, in that of the colours of a place that is known
DETAIL = 0.7  # weight of how strong fine detail is: where nothing fits, a smooth window is the least wrong
STIFFNESS = 0.02  # of colours against gradients: within `1 / sqrt` of it, in pixels, a difference at the edge is spread

Window = tuple[slice, slice]  # rows and columns


def texture_fill(image: np.ndarray, known: np.ndarray, estimate: np.ndarray, seed: int = 0) -> np.ndarray:
    """Exemplar-based inpainting of wide holes, guided by an estimate.

    Windows of the picture, each known as a whole, are laid into a hole: first one as large as that, where there is
    room, then smaller and smaller ones. A window is chosen that least differs from what it has to go on from (known
    pixels, and what was laid), and whose tone is that of the estimate. It is cut along paths of least difference, and
    kept if less is seen of seams and less is wrong in tone than before. In the end differences at the edge of the hole
    are spread over the pixels near it: `min ∫ |∇f − v|² + λ |f − w|²`, with f given around the hole, w the windows, v
    their gradients, and λ `STIFFNESS`.

    Nothing is known of what was in the hole: what is laid there is invented, and has no calibrated uncertainty.

    Args:
        image: `(height, width, 1 or 3)`; uint8, uint16, or float in [0, 1].
        known: `(height, width)` or `(height, width, 1)`, bool or 0 and 1: 1 where a pixel is to be trusted.
        estimate: The restored picture, shape and type of `image`.
        seed: Of the choice among windows that fit.

    Returns:
        Shape and type of `image`: known pixels bit for bit, the bits of `estimate` in what `wide` says is narrow and
        where the picture has no window that is known as a whole.

    Raises:
        ValueError: When a shape or a type is none that is accepted.

    Reference:
        Criminisi et al. (2004), Region filling and object removal by exemplar-based image inpainting; Efros and Freeman
        (2001), Image quilting, for the cuts; Pérez et al. (2003), Poisson image editing, for the gradients
    """
    image, estimate = np.asarray(image), np.asarray(estimate)
    trusted = as_known(known, image)
    if image.shape[2] not in (1, 3):
        raise ValueError(f"`image` must have 1 or 3 channels. Received: {image.shape}")
    if trusted is None or (estimate.shape, estimate.dtype) != (image.shape, image.dtype):
        raise ValueError(
            f"`known` and an `estimate` like `image`, {image.dtype} of shape {image.shape}, must be given. "
            f"Received: {type(known).__name__}, {estimate.dtype} of shape {estimate.shape}"
        )
    result, whole = np.where(trusted, image, estimate), trusted[:, :, 0]
    labels, _ = ndimage.label(wide(whole), np.ones((3, 3)))
    laid = whole.copy()
    for number, span in enumerate(ndimage.find_objects(labels), start=1):
        for part in _parts(span):
            around = _around(part, whole.shape)
            missing = np.zeros(whole.shape, bool)
            missing[part] = labels[part] == number
            if not missing[part].any():
                continue
            rng = np.random.default_rng((seed, number, part[0].start, part[1].start))
            hole = Hole(floats(result[around]), whole[around], laid[around], missing[around], rng)
            if hole.fill():
                result[around] = np.where(hole.missing[:, :, None], typed(hole.drawn(), image.dtype), result[around])
                laid |= missing
    return result


def wide(known: np.ndarray) -> np.ndarray:
    """What is lost and wider than a scratch, bool `(h, w)`: the opening of that by a disk `WIDE` pixels across."""
    lost = np.pad(~known, 1)
    core = ndimage.distance_transform_edt(lost) >= WIDE / 2
    if not core.any():
        return np.zeros(known.shape, bool)
    return (lost & (ndimage.distance_transform_edt(~core) <= WIDE / 2))[1:-1, 1:-1]


class Hole:
    """A hole of a picture, and which pixels of the picture are laid there.

    Args:
        picture: With an estimate where it is not known, `(h, w, 1 or 3)`, float in [0, 1].
        known: Whether a pixel is to be trusted, and windows may show it, bool `(h, w)`.
        laid: Whether windows have to go on from a pixel: what is known, and what was laid before.
        missing: What is to be filled.
        rng: Of the choice among windows that fit.

    Attributes:
        own: Numbers of the pixels, int64 `(h, w)`.
        places: Number of the pixel that is shown at each; outside of the hole its own.
        colours: Of each pixel, in differences that are just seen, float32 `(h, w, 3)`.
        tone: Colours without what is fine, and how strong that is, `(h, w, 4)`; in what is lost as strong as around.
        span: Rows and columns of the hole.
    """

    def __init__(
        self, picture: np.ndarray, known: np.ndarray, laid: np.ndarray, missing: np.ndarray, rng: np.random.Generator
    ):
        self.picture, self.known, self.laid, self.missing, self.rng = picture, known, laid.copy(), missing, rng
        self.own: np.ndarray = np.arange(missing.size).reshape(missing.shape)
        self.places = self.own.copy()
        self.colours = oklab(picture) * np.array([1, COLOURS, COLOURS], np.float32)
        radius = float(ndimage.distance_transform_edt(np.pad(missing, 1)).max())
        smoothing = max(1.5, TONE * radius)
        tone = blurred(self.colours, smoothing)
        detail = np.square(self.colours - tone).sum(axis=-1, keepdims=True)
        detail = np.sqrt(blurred(fill(detail, known[:, :, None]), smoothing))
        self.tone = np.concatenate([tone, np.sqrt(DETAIL / BELIEF) * detail], axis=-1)
        self.span = _span(missing)

    def fill(self) -> bool:
        """Lays windows of all sizes; False where the picture has none that is known as a whole."""
        longer = max(axis.stop - axis.start for axis in self.span)
        side = min(longer + 2 * RIM, LARGEST, *(length // 2 for length in self.missing.shape))
        while side >= SMALLEST:
            layer = Layer(self, side)
            if layer.usable.any():
                layer.cover()
                layer.refine()
            side = int(FINER * side)
        return bool(self.laid[self.missing].all())

    def drawn(self) -> np.ndarray:
        """The picture with the gradients of what was laid in the hole, `(h, w, channels)`.

        Where two windows meet, the mean of how the one and how the other goes on; at the edge of the hole, as the
        window does.
        """
        flat = self.picture.reshape(self.own.size, -1)
        last, width = len(flat) - 1, self.own.shape[1]
        numbers = np.where(self.missing, np.cumsum(self.missing).reshape(self.missing.shape) - 1, -1)
        count = int(self.missing.sum())
        right = STIFFNESS * flat[self.places[self.missing]].astype(np.float64)
        entries: list[tuple[np.ndarray, np.ndarray]] = []
        neighbours = np.zeros(count)
        for down, step in ((1, width), (0, 1)):
            height, length = self.own.shape[0] - down, width - 1 + down
            before: Window = slice(height), slice(length)
            after: Window = slice(down, None), slice(1 - down, None)
            mine, theirs = self.places[before], self.places[after]
            onwards = flat[np.minimum(mine + step, last)] - flat[mine]
            back = flat[theirs] - flat[np.maximum(theirs - step, 0)]
            share = np.where(self.missing[after] == self.missing[before], 0.5, self.missing[before])[:, :, None]
            gradient = share * onwards + (1 - share) * back
            for here, there, sign in ((before, after, -1), (after, before, 1)):
                inside = self.missing[here]
                rows, columns = numbers[here][inside], numbers[there][inside]
                neighbours[rows] += 1
                outside = columns < 0
                right[rows] += sign * gradient[inside]
                right[rows[outside]] += flat[self.own[there][inside][outside]]
                entries.append((rows[~outside], columns[~outside]))
        rows, columns = (np.concatenate(each) for each in zip(*entries, strict=True))
        links = sparse.coo_matrix((np.ones(len(rows)), (rows, columns)), (count, count))
        matrix = sparse.diags(neighbours + STIFFNESS) - links
        drawn = self.picture.copy()
        drawn[self.missing] = linalg.splu(matrix.tocsc()).solve(right)
        return drawn


class Layer:
    """Windows of one size, laid into a hole.

    Args:
        hole: Which is changed.
        side: Of the windows, in pixels.

    Attributes:
        usable: Whether a window is known as a whole, `(windows,)`.
    """

    def __init__(self, hole: Hole, side: int):
        self.hole, self.side = hole, side
        self.colours, self.tone = Library([hole.colours], side), Library([hole.tone], side)
        self.usable = self.colours.means((~hole.known).ravel().astype(np.float32)) < 0.5 / side**2
        midst = np.abs(np.linspace(-1, 1, side))
        self.rim = np.maximum(midst[:, None], midst) > OUTER

    def cover(self) -> None:
        """Lays windows on all of the hole that nothing was laid on, each where most around is laid already."""
        hole = self.hole
        while (bare := hole.missing & ~hole.laid).any():
            rows, columns = _span(bare)
            midst = (rows.start + rows.stop) // 2, (columns.start + columns.stop) // 2
            if max(rows.stop - rows.start, columns.stop - columns.start) > self.side - 2 * RIM:
                around = ndimage.uniform_filter(hole.laid.astype(np.float32), self.side, mode="nearest")
                row, column = np.unravel_index(int((around * bare).argmax()), bare.shape)
                midst = int(row), int(column)
            window = self._about(*midst)
            self._lay(window, hole.laid[window].astype(np.float32))
            hole.laid[window] |= hole.missing[window]

    def refine(self) -> None:
        """Lays windows all over the hole where that leaves less to be seen."""
        hole, half = self.hole, self.side // 2
        for _ in range(ROUNDS):
            axes = (np.arange(axis.start, axis.stop + half, half) for axis in hole.span)
            midsts = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
            midsts += hole.rng.integers(-(half // 2), half // 2 + 1, midsts.shape)
            usual = max(float(self._cost(hole.span).mean()), 1e-9)
            for midst in hole.rng.permutation(midsts):
                window = self._about(*midst)
                inside = hole.missing[window]
                if not inside.any():
                    continue
                around = _grown(window)
                before, old = self._cost(around).sum(), hole.places[window].copy()
                # What is spoilt already need not be met.
                met = np.where(inside, self.rim / (1 + self._cost(window) / usual), 1) * hole.laid[window]
                self._lay(window, met.astype(np.float32))
                if self._cost(around).sum() >= before:
                    hole.places[window] = old

    def _lay(self, window: Window, met: np.ndarray) -> None:
        """Lays one of the windows that fit best; `met` is how much each place has to be met."""
        hole, places = self.hole, self.colours.places
        old, inside = hole.places[window], hole.missing[window]
        errors = self.colours.errors(places[old], met)
        errors += self.tone.errors(self.tone.places[hole.own[window]], (BELIEF * inside).astype(np.float32))
        errors = np.where(self.usable, np.maximum(errors, 0), np.inf)  # rounding leaves some a little below zero
        new = self.colours.window(well_fitting(errors, hole.rng))
        lying = inside & hole.laid[window]
        apart = np.where(lying, np.square(places[new] - places[old]).sum(axis=-1), 0)
        taken = cut(apart, *[int(CUTS * self.side)] * 4) | ~lying
        hole.places[window] = np.where(taken & inside, new, old)

    def _cost(self, window: Window) -> np.ndarray:
        """What is seen of seams, and what is wrong in tone, of each place."""
        hole, tone = self.hole, self.tone.places
        wrong = np.square(tone[hole.places[window]] - tone[hole.own[window]]).sum(axis=-1) * hole.missing[window]
        return seams(hole.places[window], self.colours) + BELIEF * wrong

    def _about(self, row: int, column: int) -> Window:
        """The window nearest to a place that lies within the picture."""
        first, second = (
            int(np.clip(at - self.side // 2, 0, length - self.side))
            for at, length in zip((row, column), self.hole.missing.shape, strict=True)
        )
        return slice(first, first + self.side), slice(second, second + self.side)


def _grown(window: Window) -> Window:
    """A window with two pixels more on each side."""
    rows, columns = (slice(max(axis.start - 2, 0), axis.stop + 2) for axis in window)
    return rows, columns


def _span(mask: np.ndarray) -> Window:
    """Rows and columns within which all of a mask lies."""
    return ndimage.find_objects(mask.astype(np.uint8))[0]


def _parts(span: Window) -> list[Window]:
    """Squares of `PIECE` pixels and less that cover a window."""
    rows, columns = (
        [slice(at, min(at + PIECE, axis.stop)) for at in range(axis.start, axis.stop, PIECE)] for axis in span
    )
    return [(row, column) for row in rows for column in columns]


def _around(part: Window, shape: tuple[int, ...]) -> Window:
    """Where windows for a part are looked for."""
    times, least, most = REACH
    reach = int(np.clip(times * max(axis.stop - axis.start for axis in part), least, most))
    rows, columns = (
        slice(max(axis.start - reach, 0), min(axis.stop + reach, length))
        for axis, length in zip(part, shape, strict=True)
    )
    return rows, columns
