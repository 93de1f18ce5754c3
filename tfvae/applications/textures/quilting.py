"""Image quilting of a map of any size from windows of small ones, band by band: only one band is kept."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import fft

NOWHERE = -1  # a place that nothing was put into yet
TOLERANCE = 0.1  # windows that fit as well as the best one up to so much are as good
NEAR = 1  # places around a window within which another counts as the same
RECENT = 4  # windows to the left, and in the band above to each side, that are not to be repeated
GUIDANCE = 0.1  # weight of a place of the guide, in places of the overlap
REACH = 2  # windows on each side within which the same is seen to come again
EVENLY = 0.5  # share by which a window costs more that shows what the quilt has shown as often as all on average


class Library:
    """Every place of some maps, and the search for the windows that fit.

    Args:
        maps: Features, each `(h, w, d)`, in units in which a difference of one is as bad in every feature.
        patch: Side of the windows, in places, or their height and width.

    Attributes:
        patch: Height and width of the windows.
        steps: How much further the place below each place is, `(n,)`.
        places: Features of all places of all maps, `(n, d)`, float32, centred; a window is a square of row numbers.

    Raises:
        ValueError: If a map is smaller than a window.
    """

    def __init__(self, maps: Sequence[np.ndarray], patch: int | tuple[int, int]):
        self.patch = high, wide = (patch, patch) if isinstance(patch, int) else patch
        if any(each.shape[0] < high or each.shape[1] < wide for each in maps):
            shapes = ", ".join(f"{each.shape[0]}x{each.shape[1]}" for each in maps)
            raise ValueError(f"`maps` must hold a window of {high}x{wide} places. Received: {shapes}")
        self.places = np.concatenate([each.reshape(-1, each.shape[-1]) for each in maps]).astype(np.float32)
        # Centred: sums of squares lose fewer digits, and two textures are compared by their structure.
        self.places -= self.places.mean(axis=0)
        self.sides, self.sizes, self.spectra, self.energies = [], [], [], []
        corners, strides, first = [], [], 0
        for each in maps:
            height, width = each.shape[:2]
            own = self.places[first : first + height * width].reshape(height, width, -1).transpose(2, 0, 1)
            size = tuple(fft.next_fast_len(side, real=True) for side in (height, width))
            self.sides.append((height - high + 1, width - wide + 1))
            self.sizes.append(size)
            self.spectra.append(fft.rfft2(own, size))
            self.energies.append(fft.rfft2(np.square(own).sum(axis=0), size))
            rows, columns = np.indices(self.sides[-1]).reshape(2, -1)
            corners.append(first + rows * width + columns)
            strides.append(np.full(rows.size, width))
            first += height * width
        self.corners, self.strides = np.concatenate(corners), np.concatenate(strides)
        self.steps = np.concatenate([np.full(each.shape[0] * each.shape[1], each.shape[1]) for each in maps])
        self.firsts = np.cumsum([0, *map(len, corners)])  # number of the first window of each map
        self.numbers = np.full(first, NOWHERE)  # of the window whose corner a place is
        self.numbers[self.corners] = np.arange(len(self.corners))

    def window(self, number: int) -> np.ndarray:
        """Places of a window, int64 `patch`."""
        high, wide = (np.arange(side) for side in self.patch)
        return self.corners[number] + high[:, None] * self.strides[number] + wide

    def errors(self, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """`sum(weight * sum((window - target)**2, -1))` of every window, `(windows,)`; up to a constant.

        By the convolution theorem, all windows at once: `sum(weight * window**2) - 2 sum(weight * target * window)`.

        Args:
            target: `(*patch, d)`.
            weight: `patch`.
        """
        weighed = (weight[:, :, None] * target).transpose(2, 0, 1)
        constant = float((weighed * target.transpose(2, 0, 1)).sum())
        found = []
        for size, sides, spectra, energy in zip(self.sizes, self.sides, self.spectra, self.energies, strict=True):
            product = energy * np.conj(fft.rfft2(weight, size))
            product -= 2 * np.einsum("dyx,dyx->yx", spectra, np.conj(fft.rfft2(weighed, size)))
            found.append(fft.irfft2(product, size)[: sides[0], : sides[1]].ravel() + constant)
        return np.concatenate(found)

    def means(self, values: np.ndarray) -> np.ndarray:
        """The mean over every window, `(windows,)`, of a value of each place, `(n,)`."""
        (high, wide), found, first = self.patch, [], 0
        for rows, columns in self.sides:
            height, width = rows + high - 1, columns + wide - 1
            own = values[first : first + height * width].reshape(height, width)
            sums = np.pad(own.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
            sums = sums[high:] - sums[:-high]
            found.append((sums[:, wide:] - sums[:, :-wide]).ravel() / (high * wide))
            first += height * width
        return np.concatenate(found)

    def likeness(self, numbers: Sequence[int]) -> np.ndarray:
        """How often every window, `(windows,)`, shows what some show: 1 for the same window, 0 for half a side away."""
        found = np.zeros(len(self.corners), np.float32)
        for number in numbers:
            which = int(np.searchsorted(self.firsts, number, side="right")) - 1
            view = found[self.firsts[which] : self.firsts[which + 1]].reshape(self.sides[which])
            midst = divmod(number - int(self.firsts[which]), self.sides[which][1])
            spans, tents = [], []
            for at, side, length in zip(midst, self.patch, self.sides[which], strict=True):
                span = np.arange(max(at - side // 2, 0), min(at + side // 2 + 1, length))
                spans.append(slice(span[0], span[-1] + 1))
                tents.append(np.maximum(1 - 2 * np.abs(span - at) / side, 0).astype(np.float32))
            view[tuple(spans)] += np.outer(*tents)
        return found

    def continuations(self, number: int, down: int, right: int) -> np.ndarray:
        """Numbers of the windows about so many places below and right of a window in its own map; at 0, 0 of itself."""
        near = np.arange(-NEAR, NEAR + 1)
        step = (down + near[:, None]) * self.strides[number] + right + near
        places = (self.corners[number] + step).ravel()
        numbers = self.numbers[places[(places >= 0) & (places < len(self.numbers))]]
        return numbers[numbers != NOWHERE]


class Quilt:
    """A map of places of a `Library`, quilted: overlapping windows, cut where they differ least.

    Row by row, each window is one of those whose squared difference from what lies in its overlap is at most
    `1 + TOLERANCE` times the least. The least is taken over the windows that do not simply go on where a neighbour was
    taken from, or the quilt would be the exemplar; and a window that was taken close by is not taken again, or one that
    fits itself would be repeated for ever. The overlap is cut along the path of least difference.

    With `evenly`, the difference of a window counts `1 + evenly * use` times, with `use` how often the quilt has shown
    what is in it already, on average 1: what few windows of the exemplar show is not lost, and what fits everywhere
    does not take over.

    On a torus (`wrap`) the windows are spread evenly, and the last ones of a row and of a column overlap the first.

    Args:
        library: Where windows come from.
        height: Of the map, in places.
        width: Of the map, in places.
        wrap: Whether the map is periodic in both directions.
        seed: Of the choice among windows that fit.
        guide: A quilt of the same size and windows, whose structure is followed where there is a choice: its band must
            be made first.
        evenly: Weight of the use that was made of a window; 0 for the rule of Efros and Freeman.
        mixed: How likely a window about each place is one of a second texture, `(height, width)`, and the number of the
            library's first map of that.
        apart: Share by which a window costs more for each within `REACH` that shows the same.

    Raises:
        ValueError: If a side is not positive, or with `wrap` smaller than one and a half windows.

    Reference:
        Efros and Freeman (2001), Image quilting for texture synthesis and transfer; Jamriška et al. (2015), LazyFluids,
        https://doi.org/10.1145/2766983, section 3, for textures that use all of their exemplar
    """

    def __init__(
        self,
        library: Library,
        height: int,
        width: int,
        wrap: bool = False,
        seed: int | np.random.SeedSequence = 0,
        guide: "Quilt | None" = None,
        evenly: float = 0.0,
        apart: float = 0.0,
        mixed: tuple[np.ndarray, int] | None = None,
    ):
        high, wide = (2 * (side - overlap_of(side)) if wrap else 1 for side in library.patch)
        if height < high or width < wide:
            least = f"{high}" if high == wide else f"{high} and {wide}"
            raise ValueError(f"`height` and `width` must be {least} or more. Received: {height} and {width}")
        self.library, self.height, self.width, self.wrap, self.guide = library, height, width, wrap, guide
        self.rows, self.columns = map(self._starts, (height, width), library.patch)
        self.rng = np.random.default_rng(seed)
        self.evenly, self.shown = evenly, np.zeros(len(library.places))  # how often each place was
        self.apart = apart
        self.second: np.ndarray | None = None  # whether the windows of each band and column are of the second texture
        if mixed:
            rows, columns = (
                (starts + side // 2) % length
                for starts, side, length in zip((self.rows, self.columns), library.patch, (height, width), strict=True)
            )
            self.second = self.rng.random((len(rows), len(columns))) < mixed[0][np.ix_(rows, columns)]
            self.between = int(library.firsts[mixed[1]])  # number of the first window of the second texture
        self.band = np.full((library.patch[0], width if wrap else self.columns[-1] + library.patch[1]), NOWHERE)
        self.laid: list[list[int]] = []  # numbers of the windows of each band

    def _starts(self, side: int, patch: int) -> np.ndarray:
        """Where windows begin."""
        step = patch - overlap_of(patch)
        if not self.wrap:
            return np.arange(0, max(side - patch, 0) + step, step)
        count = -(-side // step)
        return np.arange(count) * side // count

    @property
    def lead(self) -> int:
        """Rows of a torus above the first that is yielded."""
        return self.library.patch[0] - (self.height - int(self.rows[-1])) if self.wrap else 0

    @property
    def midst(self) -> tuple[int, int]:
        """Rows and columns from the first place of a torus to the midst of what one window alone shows."""
        (high, wide), (row, column) = self.library.patch, (int(starts[1]) for starts in (self.rows, self.columns))
        shared = high - (self.height - int(self.rows[-1])), wide - (self.width - int(self.columns[-1]))
        return (row - shared[0]) // 2, (column + shared[1]) // 2  # the rows begin below what is shared

    def __iter__(self) -> Iterator[np.ndarray]:
        """Finished rows from the top, int64 `(rows, width)` each, `height` in all.

        Of a torus they begin below what the last band will change: it has no first row.
        """
        patch, first = self.library.patch[0], np.empty(0)
        # Rows in which a window meets the next one below; with `wrap`, the last meets the first.
        ends = [*self.rows[1:], self.height if self.wrap else self.rows[-1] + patch]
        bottom = patch - (ends[-1] - self.rows[-1])
        for index, (start, end) in enumerate(zip(self.rows, ends, strict=True)):
            step = end - start
            last = index == len(self.rows) - 1
            if self.wrap and last:
                self.band[step:] = first
            self._fill(down=int(start - self.rows[index - 1]) if index else 0, bottom=bottom if last else 0)
            held = bottom if self.wrap and index == 0 else 0
            if held:
                first = self.band[:held].copy()
            kept = min(step, self.height - start)
            yield self.band[held:kept, : self.width].copy()
            if self.wrap and last:
                yield self.band[step:].copy()
            self.band[: patch - step] = self.band[step:].copy()
            self.band[patch - step :] = NOWHERE

    def _fill(self, down: int, bottom: int) -> None:
        """Puts a window at every column of the band, whose upper places (and with `wrap` lowest) are those of others.

        Args:
            down: Rows since the band above; 0 for the first band.
            bottom: Rows at the lower end that a torus's first band has filled.
        """
        library, (high, wide) = self.library, self.library.patch
        top = high - down if down else 0
        above = self.laid[-1] if down else []
        chosen: list[int] = []
        self.laid.append(chosen)
        for place, column in enumerate(self.columns):
            right = int(column - self.columns[place - 1]) if place else 0
            columns = (column + np.arange(wide)) % self.band.shape[1]
            old = self.band[:, columns]
            filled = old != NOWHERE
            target = np.where(filled[:, :, None], library.places[old], 0)
            going_on = [library.continuations(above[place], down, 0)] if down else []
            going_on += [library.continuations(chosen[-1], 0, right)] if place else []
            recent = [*chosen[-RECENT:], *above[max(place - RECENT, 0) : place + RECENT + 1]]
            repeated = [library.continuations(number, 0, 0) for number in recent]
            if self.second is not None:
                other = slice(self.between) if self.second[len(self.laid) - 1, place] else slice(self.between, None)
                repeated.append(np.arange(len(library.corners))[other])
            number = self._choose(
                target, filled, columns, going_on, repeated, self._around(place) if self.apart else []
            )
            new = library.window(number)
            cost = np.where(filled, np.square(library.places[new] - target).sum(axis=-1), 0)
            far = wide - (self.width - int(column)) if self.wrap and place == len(self.columns) - 1 else 0
            taken = cut(cost, top, bottom, wide - right if place else 0, far)
            self.band[:, columns] = np.where(taken | ~filled, new, old)
            self.shown[new[~filled]] += 1
            chosen.append(number)

    def _around(self, place: int) -> list[int]:
        """Numbers of the windows within `REACH` of the one at `place` of the last band, on a torus across its edge."""
        band, bands, count = len(self.laid) - 1, len(self.rows), len(self.columns)
        near = np.arange(-REACH, REACH + 1)
        down = {(band + step) % bands if self.wrap else band + step for step in near}
        right = {(place + step) % count if self.wrap else place + step for step in near}
        return [laid[at] for row, laid in enumerate(self.laid) if row in down for at in right if 0 <= at < len(laid)]

    def _choose(
        self,
        target: np.ndarray,
        filled: np.ndarray,
        columns: np.ndarray,
        going_on: Sequence[np.ndarray],
        repeated: Sequence[np.ndarray],
        around: Sequence[int],
    ) -> int:
        weight = filled.astype(np.float32)
        if self.guide is not None:
            model = self.guide.library.places[self.guide.band[:, columns]]
            target = (target * weight[:, :, None] + GUIDANCE * model) / (weight + GUIDANCE)[:, :, None]
            weight = weight + np.float32(GUIDANCE)
        if not weight.any():
            free = np.flatnonzero(np.isfinite(_without(np.zeros(len(self.library.corners)), repeated)))
            return int(free[self.rng.integers(len(free))])
        errors = self.library.errors(target.astype(np.float32), weight)
        if self.evenly:
            use = self.library.means(self.shown) / max(self.shown.mean(), 1e-9)
            errors = np.maximum(errors, 0) * (1 + self.evenly * use)  # rounding leaves some a little below zero
        if around:
            errors = np.maximum(errors, 0) * (1 + self.apart * self.library.likeness(around))
        fresh = _without(errors, repeated)
        # Rounding leaves some errors a little below zero.
        limit = (1 + TOLERANCE) * max(float(_without(fresh, going_on).min()), 0.0)
        return int(self.rng.choice(np.flatnonzero(fresh <= max(limit, fresh.min()))))


def _without(errors: np.ndarray, numbers: Sequence[np.ndarray]) -> np.ndarray:
    """The errors with those of some windows infinite, unless no window would be left."""
    rest = errors.copy()
    for each in numbers:
        rest[each] = np.inf
    return rest if np.isfinite(rest).any() else errors


def well_fitting(errors: np.ndarray, rng: np.random.Generator) -> int:
    """Number of one of the windows whose non-negative errors are at most `1 + TOLERANCE` times the least."""
    return int(rng.choice(np.flatnonzero(errors <= (1 + TOLERANCE) * errors.min())))


def overlap_of(patch: int) -> int:
    """Places that neighbouring windows share: a quarter, so that on a torus opposite overlaps never meet."""
    return max(1, patch // 4)


def cut(cost: np.ndarray, top: int, bottom: int, left: int, right: int) -> np.ndarray:
    """Where a new window replaces what was there, bool: beyond the cheapest path through each overlap.

    Args:
        cost: Squared difference of new and old, `(h, w)`.
        top, bottom, left, right: Rows and columns of the overlap on each side; 0 for none.
    """
    taken = np.ones(cost.shape, bool)
    for view, share, width in (
        (cost, taken, left),
        (cost[:, ::-1], taken[:, ::-1], right),
        (cost.T, taken.T, top),
        (cost[::-1].T, taken[::-1].T, bottom),
    ):
        if width:
            share[:, :width] &= np.arange(width) >= cheapest_path(view[:, :width])[:, None]
    return taken


def cheapest_path(cost: np.ndarray) -> np.ndarray:
    """The column of each row, int64 `(…, h)`, of the path from top to bottom of least sum, one column aside at most.

    Args:
        cost: `(…, h, w)`, of one overlap or of several at once.
    """
    rows = np.moveaxis(cost, -2, 0)
    total = np.full((*rows.shape[:-1], rows.shape[-1] + 2), np.inf)  # with a column that costs too much on either side
    total[..., 1:-1] = rows
    for row in range(1, len(total)):
        above = total[row - 1]
        total[row, ..., 1:-1] += np.minimum(np.minimum(above[..., :-2], above[..., 2:]), above[..., 1:-1])
    path = np.empty(total.shape[:-1], np.int64)
    path[-1] = total[-1, ..., 1:-1].argmin(axis=-1)
    for row in range(len(total) - 2, -1, -1):
        near = np.take_along_axis(total[row], path[row + 1][..., None] + np.arange(3), axis=-1)
        path[row] = path[row + 1] - 1 + near.argmin(axis=-1)
    return np.moveaxis(path, 0, -1)
