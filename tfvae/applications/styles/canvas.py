"""A canvas: where each pixel of a picture is taken from a painting, or several, laid window by window, coarse first."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy import ndimage

from tfvae.applications.styles.painting import COLOURS, Guide, Patches, Places, grid
from tfvae.applications.styles.wall import Wall
from tfvae.applications.textures.quilting import TOLERANCE, cheapest_path

LONGEST = 96  # quarters of the largest window that the longer side of the painting has
LAYERS = (1.0, 0.62, 0.38, 0.25)  # windows of each layer, in those of the first
SMALLEST = 2  # pixels of a quarter of a window
BATCH = 256  # windows that are chosen at once
FEW = 32  # windows of the painting that are compared for each place by what they show
FEWER = 8  # of them, by how they join what lies there
SPREAD = 3.0  # standard deviation of a disturbance of what is asked for, in differences of lightness
# Errors are squared differences of lightness (white is 100) and weighed colours, means over a window.
JOINING = 0.5  # weight of what lies there, in the weight of what is to be shown
SEAM = 0.5  # weight of a pixel of a seam, in the weight of a pixel
EVENLY = 2.5  # by which a window costs more for each time that its place was shown, when all are shown once
FAIRLY = 150.0  # by which it costs more where its painting had all of its share, when others had nothing of theirs
AGAIN = 40.0  # by which it costs more where a neighbour shows the same
ENOUGH = 10.0  # error within which a place is not painted over
DETAIL = 6.0  # variance of the picture, finer than the first windows show, within which it is not either
ROUND = 200.0  # by which a pixel costs more at half a side from the midst of a window, so that none looks square
BLOBS = 16  # such shapes
OTHER = 0.1  # of a window, from which on it is painted over with another painting
WHOLE = 0.95  # of the picture, which is as good as all of it
PASSES = 3  # over the picture, in which a painting gets its share

Window = tuple[np.ndarray, np.ndarray]  # rows `(n, side, 1)` and columns `(n, 1, side)` of pixels


class Canvas:
    """Rows and columns on a wall of paintings for every pixel of a picture.

    The picture is covered with windows twice, the second time with round ones over the seams of the first; then with
    smaller and smaller ones, where they come nearer to what is to be shown and where there is something to show.

    Args:
        lab: What is to be shown, `(h, w, 3)`, of `colours.oklab`, in the colours of the paintings.
        palettes: The paintings, likewise.
        shares: How much of the picture each is to have, positive, of the sum 1; None: all the same.
        strength: By how many standard deviations more a place may be wrong; 1 or more.
        seed: Of all choices.
        before: Another canvas of the same paintings and size; what can be, is taken over from it.

    Attributes:
        wall: Where the paintings hang.
        sides: Of the windows of each layer, in pixels.
        rows, columns: Places on the wall, float32 `(h, w)` and more; negative where nothing lies.
        only: Number of the painting whose windows are laid from now on; None: of all.
    """

    def __init__(
        self,
        lab: np.ndarray,
        palettes: Sequence[np.ndarray],
        shares: Sequence[float] | None = None,
        strength: float = 1.0,
        seed: int = 0,
        before: "Canvas | None" = None,
    ):
        shapes = [palette.shape[:2] for palette in palettes]
        longest, shortest = max(map(max, shapes)), min(map(min, shapes))
        first = max(SMALLEST, min(round(longest / LONGEST), shortest // 8))
        self.sides = sorted({4 * max(SMALLEST, round(first * share)) for share in LAYERS}, reverse=True)
        self.wall = Wall(shapes, self.sides[0])
        self.shares = [1 / len(shapes)] * len(shapes) if shares is None else shares
        self.shape, self.palette = lab.shape[:2], self.wall.hung(palettes)
        # The last windows reach beyond the picture.
        self.lab = np.pad(lab, ((0, self.sides[0]), (0, self.sides[0]), (0, 0)), mode="symmetric")
        self.weighed = self.palette * np.array([1, COLOURS, COLOURS], np.float32)
        self.guides: dict[int, Guide] = {}
        self.coarse = self.guide(self.sides[0]).tone
        self.rows, self.columns = np.full((2, *self.lab.shape[:2]), -1, np.float32)
        self.enough, self.detail = ENOUGH * strength**2, DETAIL * strength**2
        self.rng = np.random.default_rng(seed)
        self.only: int | None = None
        # Windows of the paintings, by their side and the painting.
        self.stock: dict[tuple[int, int | None], tuple[Guide, Patches]] = {} if before is None else before.stock

    def guide(self, side: int) -> Guide:
        """What windows of a side are to show, made once."""
        if side not in self.guides:
            self.guides[side] = Guide(self.lab, side, far=True)
        return self.guides[side]

    def carry(self, rows: np.ndarray, columns: np.ndarray, progress: Callable[[int, int], None] | None = None) -> None:
        """Lays only what is missing or wrong, instead of `fill`.

        Args:
            rows, columns: What lies there already, `(h, w)`; negative where nothing does.
            progress: As of `fill`.
        """
        height, width = self.shape
        self.rows[:height, :width], self.columns[:height, :width] = rows, columns
        self._lay_all(False, progress)

    def fill(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Lays all layers."""
        self._lay_all(True, progress)

    def _lay_all(self, everywhere: bool, progress: Callable[[int, int], None] | None) -> None:
        for number, side in enumerate(self.sides):
            layer = Layer(self, side)
            if number == 0:
                layer.cover(-np.inf if everywhere else self.enough * side)
            layer.refine(everywhere and number == 0)
            if progress:
                progress(number + 1, len(self.sides))

    def paint_over(self, share: float) -> None:
        """Lays windows of the `only` painting, wherever, until it has that share of the picture, or as good as."""
        layer = Layer(self, self.sides[0])
        for _ in range(PASSES):
            for window in layer.spread():
                missing = min(share, WHOLE) - self.share
                if missing <= 0:
                    return
                # Of a window about half is taken.
                layer.lay_over(window, max(1, round(2 * missing * self.shape[0] * self.shape[1] / layer.side**2)))

    @property
    def share(self) -> float:
        """Of the picture, what shows the `only` painting."""
        height, width = self.shape
        return float(np.mean(self.wall.number(self.columns[:height, :width]) == self.only))

    def picture(self, paintings: Sequence[np.ndarray]) -> np.ndarray:
        """What lies there of paintings `(h, w, c)`, in [0, 1]."""
        at = tuple(axis[: self.shape[0], : self.shape[1]] for axis in (self.rows, self.columns))
        channels = np.moveaxis(self.wall.hung(paintings), -1, 0)
        planes = [ndimage.map_coordinates(plane, at, order=3, mode="nearest") for plane in channels]
        return np.clip(np.stack(planes, axis=-1), 0, 1)

    def places(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """The pixels of the painting that are nearest to what lies in windows; any where nothing does."""
        return nearest(self.rows[window], self.columns[window])

    def seams(self, window: Window) -> np.ndarray:
        """Whether windows hold pixels side by side that are not so in the painting, bool `(n,)`."""
        rows, columns = self.rows[window], self.columns[window]
        steps = (np.hypot(np.diff(rows, axis=axis), np.diff(columns, axis=axis)) for axis in (1, 2))
        return np.logical_or(*((np.abs(step - 1) > 1e-2).any(axis=(1, 2)) for step in steps))


class Layer:
    """Windows of one size, and what they are chosen by.

    Args:
        canvas: Which is laid upon.
        side: Of the windows, in pixels: four times a whole number.
    """

    def __init__(self, canvas: Canvas, side: int):
        self.canvas, self.side, self.rng = canvas, side, canvas.rng
        self.guide = canvas.guide(side)
        if (side, canvas.only) not in canvas.stock:
            shown = Guide(canvas.palette, side)
            boxes = canvas.wall.boxes if canvas.only is None else [canvas.wall.boxes[canvas.only]]
            canvas.stock[side, canvas.only] = shown, Patches(shown, int(self.rng.integers(2**32)), boxes)
        self.shown, self.patches = canvas.stock[side, canvas.only]
        self.offsets = side * grid(side)
        self.blobs = rounded(side, self.rng)
        step = side - side // 4
        self.starts = [np.arange(-(-max(length - side, 0) // step) + 1) * step for length in canvas.shape]
        # How often each place was shown, in cells of half a window, in times that it is to be shown: once in the end.
        self.used, self.once = np.zeros((2, *(length // (side // 2) + 1 for length in canvas.palette.shape[:2])))
        windows = len(self.starts[0]) * len(self.starts[1])
        for share, box in zip(canvas.shares, canvas.wall.boxes, strict=True):
            cells = tuple(slice(each.start // (side // 2), each.stop // (side // 2) + 1) for each in box)
            self.once[cells] = self.once[cells].size / (share * windows)
        # Likewise each painting.
        self.had, self.part = np.zeros(len(canvas.shares)), 1 / (windows * np.array(canvas.shares))

    def cover(self, least: float) -> None:
        """Lays windows wherever nothing lies, on a grid, each overlapping the next by a quarter.

        Args:
            least: What a window must gain to replace what lies there as well.
        """
        for rows, columns in self._groups(jitter=0):
            bare = (self.canvas.rows[rows, columns] < 0).any(axis=(1, 2))
            window = rows[bare], columns[bare]
            if bare.any():
                self._lay(window, self._error(window), np.zeros((1, self.side, self.side), np.float32), least)

    def refine(self, everywhere: bool = False) -> None:
        """Lays round windows about the grid where what lies there is wrong and the picture shows something finer.

        Args:
            everywhere: Over all seams, even where what lies there is a little better.
        """
        canvas, side = self.canvas, self.side
        least = canvas.enough * (side - side**2 / 2 if everywhere else side)
        for window in self.spread():
            error = self._error(window)
            if everywhere:
                needed = canvas.seams(window)
            else:
                target = self.guide.tone[window]
                wrong = (self.shown.tone[canvas.places(window)] - target).mean(axis=(1, 2))
                finer = np.square(target - canvas.coarse[window]).sum(axis=-1).mean(axis=(1, 2))
                needed = (finer > canvas.detail) | (np.square(wrong).sum(axis=-1) > canvas.enough)
                needed &= error.mean(axis=(1, 2)) > canvas.enough
            window, error = (window[0][needed], window[1][needed]), error[needed]
            if len(error):
                self._lay(window, error, self.blobs[self.rng.integers(BLOBS, size=len(error))], least)

    def lay_over(self, window: Window, most: int) -> None:
        """Lays so many of round windows at most, at random, of those of which a tenth shows another painting."""
        canvas = self.canvas
        other = (canvas.wall.number(canvas.columns[window]) != canvas.only).mean(axis=(1, 2))
        chosen = self.rng.permutation(np.flatnonzero(other > OTHER))[:most]
        if len(chosen):
            window = window[0][chosen], window[1][chosen]
            self._lay(window, self._error(window), self.blobs[self.rng.integers(BLOBS, size=len(chosen))], -np.inf)

    def spread(self) -> Iterator[Window]:
        """Windows about the grid; see `_groups`."""
        return self._groups(jitter=self.side // 4)

    def _groups(self, jitter: int) -> Iterator[Window]:
        """Windows at random, of which no two of a group meet, moved by at most `jitter`, a quarter of their side."""
        most = [starts[-1] for starts in self.starts]
        pixels = np.arange(self.side)
        for down, right in ((0, 0), (1, 1), (0, 1), (1, 0)):
            corners = np.stack(np.meshgrid(self.starts[0][down::2], self.starts[1][right::2], indexing="ij"), axis=-1)
            corners = self.rng.permutation(corners.reshape(-1, 2))
            corners = np.clip(corners + self.rng.integers(-jitter, jitter + 1, corners.shape), 0, most)
            for first in range(0, len(corners), BATCH):
                rows, columns = corners[first : first + BATCH].T[:, :, None, None]
                yield rows + pixels[:, None], columns + pixels

    def _error(self, window: Window) -> np.ndarray:
        """Squared error of what lies there, `(n, side, side)`."""
        return np.square(self.shown.tone[self.canvas.places(window)] - self.guide.tone[window]).sum(axis=-1)

    def _lay(self, window: Window, error: np.ndarray, blobs: np.ndarray, least: float) -> None:
        """Lays the best windows, cut along least-error paths, those that gain at least so much or lie on nothing."""
        canvas = self.canvas
        filled = canvas.rows[window] >= 0
        chosen = self._choose(window, filled)
        rows, columns = chosen.points(self.offsets)
        new = nearest(rows, columns)
        gain = error - np.square(self.shown.tone[new] - self.guide.tone[window]).sum(axis=-1)
        apart = np.square(canvas.weighed[new] - canvas.weighed[canvas.places(window)]).sum(axis=-1)
        gain[~filled], apart[~filled] = 0, 0
        taken = trimmed(SEAM * apart, gain - ROUND * blobs) | ~filled
        rim = taken & ~ndimage.minimum_filter(taken, (1, 3, 3), mode="constant")
        gained = (gain * taken).sum(axis=(1, 2)) - SEAM * (apart * rim).sum(axis=(1, 2))
        better = gained > least
        laid = better | ~filled.all(axis=(1, 2))
        taken = np.where(better[:, None, None], taken, ~filled)
        for mine, theirs in ((canvas.rows, rows), (canvas.columns, columns)):
            mine[window] = np.where(taken, theirs, mine[window])
        cells, paintings = self._cells(chosen.take(laid)), canvas.wall.number(chosen.columns[laid])
        np.add.at(self.used, cells, self.once[cells])
        np.add.at(self.had, paintings, self.part[paintings])

    def _choose(self, window: Window, filled: np.ndarray) -> Places:
        """For each window one of the painting's: one of those that are about as good as the best."""
        canvas, side = self.canvas, self.side
        rows, columns = (axis.reshape(len(filled), -1)[:, 0] + (side - 1) / 2 for axis in window)
        asked = self.guide.describe(Places(rows, columns, np.zeros(len(rows), int)))
        found = self.patches.nearest(asked, FEW, SPREAD, self.rng)
        places = self.patches.places.take(found)
        cost = np.square(self.patches.described[found] - asked[:, None]).sum(axis=-1)
        cost += EVENLY * self.used[self._cells(places)] + AGAIN * self._repeated(places, rows, columns)
        cost += FAIRLY * (self.had - self.had.min())[canvas.wall.number(places.columns)]
        best = np.argpartition(cost, min(FEWER, cost.shape[1]) - 1, axis=1)[:, :FEWER]
        cost = np.take_along_axis(cost, best, axis=1)
        places = self.patches.places.take(np.take_along_axis(found, best, axis=1))
        # What lies in the outer half of the window, at every second pixel.
        ring = (np.abs(self.offsets).max(axis=0) > side / 4) & (np.indices((side, side)) % 2 == 0).all(axis=0)
        known = filled[:, None, ring]
        lying = canvas.weighed[canvas.places(window)][:, None, ring]
        apart = np.square(canvas.weighed[nearest(*places.points(self.offsets[:, ring]))] - lying).sum(axis=-1)
        cost += JOINING * (apart * known).sum(axis=-1) / np.maximum(known.sum(axis=-1), 1)
        good = cost <= (1 + TOLERANCE) * cost.min(axis=1, keepdims=True)
        return places.take((np.arange(len(good)), (self.rng.random(good.shape) * good).argmax(axis=1)))

    def _repeated(self, places: Places, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Whether the midst of one of the eight windows around shows about the same, bool `(n, candidates)`."""
        canvas, again = self.canvas, np.zeros(places.rows.shape, bool)
        for down, right in (np.indices((3, 3)) - 1).reshape(2, -1).T * (3 * self.side // 4):
            if down or right:
                row = np.clip(rows + down, 0, canvas.rows.shape[0] - 1).astype(int)
                column = np.clip(columns + right, 0, canvas.rows.shape[1] - 1).astype(int)
                y, x = canvas.rows[row, column][:, None], canvas.columns[row, column][:, None]
                again |= (np.hypot(places.rows - y, places.columns - x) < 0.6 * self.side) & (y >= 0)
        return again

    def _cells(self, places: Places) -> tuple[np.ndarray, np.ndarray]:
        rows, columns = ((axis / (self.side // 2)).astype(int) for axis in (places.rows, places.columns))
        return rows, columns


def nearest(rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole rows and columns."""
    return np.rint(rows).astype(np.int32), np.rint(columns).astype(np.int32)


def trimmed(seam: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Which part of windows replaces what was there, bool `(n, side, side)`.

    Inside of four paths, one along each side and within three eighths of it, each of the least sum of `seam` on it and
    of the gain that is lost outside of it.

    Args:
        seam: Cost of a seam at each pixel, `(n, side, side)`.
        gain: What is gained by each pixel that is replaced.

    Reference:
        Kwatra et al. (2003), Graphcut textures, for seams that look at what they join; Agarwala et al. (2004),
        Interactive digital photomontage, for seams that look at what they show
    """
    taken = np.ones(seam.shape, bool)
    band = 3 * seam.shape[1] // 8
    for turn in range(4):
        cost, gained, share = (np.rot90(each, turn, axes=(1, 2))[..., :band] for each in (seam, gain, taken))
        path = cheapest_path(cost + np.cumsum(gained, axis=-1) - gained)
        share &= np.arange(band) >= path[..., None]
    return taken


def rounded(side: int, rng: np.random.Generator) -> np.ndarray:
    """How far pixels are outside of round, uneven shapes, in half sides, float32 `(BLOBS, side, side)`."""
    noise = ndimage.gaussian_filter(rng.standard_normal((BLOBS, side, side)), (0, side / 8, side / 8))
    return np.maximum(2 * np.hypot(*grid(side)) - 0.8 + 0.15 * noise / noise.std(), 0).astype(np.float32)
