"""Seams of a quilt that are seen, covered with other windows where these join better."""

import numpy as np
from scipy import ndimage

from tfvae.applications.textures.quilting import Library, cut, well_fitting

ROUNDS = 3  # in each of which a window is tried over the worst place of every part as large as a window
RIM = 0.4  # of half a side from the midst of a window, beyond which it has to fit
CUTS = 3 / 8  # of a side on each edge of a window, in which it may be cut


def seams(quilt: np.ndarray, library: Library, wrap: bool = False) -> np.ndarray:
    """How much each place shows of a cut, float32 `(h, w)`: 0 where the quilt goes on as its maps do.

    For two neighbours that are none in a map, the squared difference of each from what goes on there from the other;
    half of it for each of both.

    Args:
        quilt: Places of `library`, `(h, w)`.
        library: Of the maps.
        wrap: Whether the last rows and columns meet the first.

    Reference:
        Kwatra et al. (2003), Graphcut textures: image and video synthesis using graph cuts, equation 1
    """
    x, steps, last = library.places, library.steps, len(library.places) - 1
    total = np.zeros(quilt.shape, np.float32)
    for axis in (0, 1):
        step = steps[quilt] if axis == 0 else 1
        after = np.roll(quilt, -1, axis=axis)
        broken = after != quilt + step
        if not wrap:
            broken[(slice(None),) * axis + (-1,)] = False
        at = np.nonzero(broken)
        mine, theirs = quilt[at], after[at]
        onwards = np.minimum(mine + (steps[mine] if axis == 0 else 1), last)
        back = np.maximum(theirs - (steps[theirs] if axis == 0 else 1), 0)
        cost = np.square(x[onwards] - x[theirs]).sum(axis=1) + np.square(x[back] - x[mine]).sum(axis=1)
        share = np.zeros_like(total)
        share[at] = cost / 4
        total += share + np.roll(share, 1, axis=axis)
    return total


def mend(
    quilt: np.ndarray,
    library: Library,
    rng: np.random.Generator,
    wrap: bool = False,
    evenly: float = 0.0,
    textures: np.ndarray | None = None,
) -> int:
    """Lays windows over the worst seams, each one that fits around, and leaves those with which less is seen of seams.

    Args:
        quilt: Places of `library`, `(h, w)`: changed in place.
        library: Of the maps.
        rng: Of the choice among windows that fit.
        wrap: Whether the quilt is a torus.
        evenly: As of `Quilt`.
        textures: Which texture each place of the library is of, `(n,)`: a window is of that in its midst. None: one.

    Returns:
        How many windows were laid.
    """
    patch, shape = library.patch, quilt.shape
    if any(length < side for length, side in zip(shape, patch, strict=True)):
        return 0
    y, x = (np.abs(np.linspace(-1, 1, side)) for side in patch)
    rim = (np.maximum(y[:, None], x) > RIM).astype(np.float32)
    bands = [int(CUTS * side) for side in patch]
    cost, laid = seams(quilt, library, wrap), 0
    for _ in range(ROUNDS):
        use = np.bincount(quilt.ravel(), minlength=len(library.places)) * (len(library.places) / quilt.size)
        dearer = 1 + evenly * library.means(use)
        usual = max(float(cost.mean()), 1e-9)
        for midst in _worst(cost, patch, wrap):
            corner = [at - side // 2 for at, side in zip(midst, patch, strict=True)]
            if not wrap:
                corner = [min(max(at, 0), length - side) for at, side, length in zip(corner, patch, shape, strict=True)]
            window = _reach(corner, patch, shape, 0, wrap)
            old = quilt[window]
            target = library.places[old]
            # What is spoilt already need not be met.
            weight = (rim / (1 + cost[window] / usual)).astype(np.float32)
            errors = np.maximum(library.errors(target, weight), 0) * dearer
            if textures is not None:
                errors[textures[library.corners] != textures[old[patch[0] // 2, patch[1] // 2]]] = np.inf
            new = library.window(well_fitting(errors, rng))
            apart = np.square(library.places[new] - target).sum(axis=-1)
            around = _reach(corner, patch, shape, 2, wrap)
            before = seams(quilt[around], library).sum()
            quilt[window] = np.where(cut(apart, bands[0], bands[0], bands[1], bands[1]), new, old)
            after = seams(quilt[around], library)
            if after.sum() < before:
                laid += 1
                # Not all neighbours of the outermost places are seen.
                cost[around[0][1:-1], around[1][1:-1]] = after[1:-1, 1:-1]
            else:
                quilt[window] = old
    return laid


def _worst(cost: np.ndarray, patch: tuple[int, int], wrap: bool) -> list[tuple[int, int]]:
    """The place about which most is seen of seams in every part as large as a window, the worst of all first."""
    mode = "wrap" if wrap else "constant"
    about = ndimage.uniform_filter(cost, [max(1, side // 3) for side in patch], mode=mode)
    found = []
    for row in range(0, cost.shape[0], patch[0]):
        for column in range(0, cost.shape[1], patch[1]):
            part = about[row : row + patch[0], column : column + patch[1]]
            down, right = np.unravel_index(int(part.argmax()), part.shape)
            if part[down, right] > about.mean():
                found.append((float(part[down, right]), row + int(down), column + int(right)))
    return [(row, column) for _, row, column in sorted(found, reverse=True)]


def _reach(
    corner: list[int], patch: tuple[int, int], shape: tuple[int, ...], margin: int, wrap: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Rows `(n, 1)` and columns `(m,)` of a window and a margin, on a torus across its edge."""
    spans = []
    for at, side, length in zip(corner, patch, shape, strict=True):
        span = np.arange(at - margin, at + side + margin)
        spans.append(span % length if wrap else span[(span >= 0) & (span < length)])
    return spans[0][:, None], spans[1]
