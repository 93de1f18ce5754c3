"""Windows of a painting, turned by eight angles, and the search for those that show what a picture shows."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.spatial import cKDTree
from sklearn.decomposition import PCA

ANGLES = 8  # by which windows are turned, evenly spaced
MOST = 60_000  # windows of one size among which is searched
COMPONENTS = 10  # of the windows' descriptions, by which neighbours are found
COLOURS = 0.8  # weight of a difference of colour, in differences of lightness
DIRECTIONS = 7.0  # weight of a direction that is wrong by a right angle, half of it, in differences of lightness
FLAT = 0.4  # change of lightness from pixel to pixel that shows no direction yet
# Where a picture shows no direction, strokes follow the nearest forms: how much further and less each smoothing counts.
FURTHER, LESS = 4, 0.05


class Places(NamedTuple):
    """Windows.

    Attributes:
        rows, columns: Of their midst, float32 `(n,)`.
        turns: Eighths of a turn by which they are rotated, int `(n,)`.
    """

    rows: np.ndarray
    columns: np.ndarray
    turns: np.ndarray

    def take(self, indices: np.ndarray | tuple[np.ndarray, ...]) -> "Places":
        """Some of them, in any shape."""
        return Places(self.rows[indices], self.columns[indices], self.turns[indices])

    def points(self, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns, `(…, *shape)`, of points at `offsets`, `(2, *shape)` rows and columns, turned with them."""
        down, right = np.stack([turned_by(turn, offsets) for turn in range(ANGLES)], axis=1).astype(np.float32)
        shape = (*self.rows.shape, *[1] * (offsets.ndim - 1))
        return self.rows.reshape(shape) + down[self.turns], self.columns.reshape(shape) + right[self.turns]


class Guide:
    """What a picture shows at the scale of a window: lightness, colours, and the direction of its forms.

    Args:
        lab: `(h, w, 3)`, of `colours.oklab`.
        side: Of the windows, in pixels.
        far: Whether directions are taken from further away where there are none: of the picture, not of the painting.

    Attributes:
        tone: Smoothed lightness and weighed colours, float32 `(h, w, 3)`.
        direction: `anisotropy * (cos 2t, sin 2t)` of the structure tensor with main direction t, weighed, `(h, w, 2)`.
    """

    def __init__(self, lab: np.ndarray, side: int, far: bool = False):
        self.side = side
        blur = max(side / 8, 0.5)
        self.tone = blurred(lab, blur)
        self.tone[..., 1:] *= COLOURS
        self.direction = DIRECTIONS * directions(lab[..., 0], side / 4, 3 if far else 1)

    def describe(self, places: Places) -> np.ndarray:
        """Lightness at 4×4 points of each window, colours and directions at 2×2, float32 `(n, 32)`.

        The mean of squared differences of the three is that of one point of each: `describe` divides by their number.
        """
        fine, coarse = (places.points(self.side * grid(count)) for count in (4, 2))
        lightness = self._at(self.tone[..., 0], fine).reshape(len(places.rows), -1) / 4
        colours = self._at(self.tone[..., 1:], coarse).reshape(len(places.rows), -1) / 2
        angle = 2 * np.pi * places.turns[:, None, None] / ANGLES
        cos, sin = np.cos(2 * angle), np.sin(2 * angle)
        seen = self._at(self.direction, coarse)
        x, y = seen[..., 0], seen[..., 1]  # turned back, as the window will be
        turned = np.stack([x * cos + y * sin, y * cos - x * sin], axis=-1).reshape(len(places.rows), -1) / 2
        return np.concatenate([lightness, colours, turned], axis=1).astype(np.float32)

    @staticmethod
    def _at(values: np.ndarray, points: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Values at the pixels nearest to points, those outside at the edge."""
        nearest = (
            np.clip(np.rint(each).astype(np.int32), 0, length - 1)
            for each, length in zip(points, values.shape[:2], strict=True)
        )
        return values[tuple(nearest)]


class Patches:
    """Windows of paintings, of one size, in all their places and eight orientations, or as many as are searched.

    All upright windows on a grid of a quarter of their side are among them; so a painting finds itself.

    Args:
        guide: Of the paintings on their wall.
        seed: Of the choice among more windows than are searched.
        boxes: Where each painting hangs, as of `Wall`; None: one painting, everywhere.
    """

    def __init__(
        self, guide: Guide, seed: int | np.random.SeedSequence, boxes: Sequence[tuple[slice, slice]] | None = None
    ):
        rng = np.random.default_rng(seed)
        height, width = guide.tone.shape[:2]
        boxes = [(slice(0, height), slice(0, width))] if boxes is None else boxes
        parts = []
        for turn, box in itertools.product(range(ANGLES), boxes):
            # A window that is turned by half a right angle reaches further.
            reach = np.abs(turned_by(turn, (guide.side - 1) * (np.indices((2, 2)) - 0.5))).max()
            axes = (
                np.arange(each.start + reach, each.stop - 1 - reach + 1e-3, max(1, guide.side // 4)) for each in box
            )
            rows, columns = (each.ravel() for each in np.meshgrid(*axes, indexing="ij"))
            room = (MOST // ANGLES if turn else MOST) // len(boxes)
            kept = rng.permutation(len(rows))[:room]
            parts.append((rows[kept], columns[kept], np.full(len(kept), turn)))
        rows, columns, turns = (np.concatenate(each) for each in zip(*parts, strict=True))
        self.places = Places(rows.astype(np.float32), columns.astype(np.float32), turns)
        self.described = guide.describe(self.places)
        self.pca = PCA(min(COMPONENTS, len(rows)), random_state=0).fit(self.described[:: max(1, len(rows) // 10_000)])
        self.tree = cKDTree(self.pca.transform(self.described))

    def nearest(self, described: np.ndarray, count: int, spread: float, rng: np.random.Generator) -> np.ndarray:
        """Numbers of the windows that are most like what is described, int `(n, count)`.

        Args:
            described: `(n, 32)`, of another guide of the same windows.
            count: How many, at most as many as there are.
            spread: Standard deviation of a disturbance of what is asked for, so that equals do not get equals.
            rng: Of the disturbance.
        """
        asked = self.pca.transform(described)
        asked = asked + spread * rng.standard_normal(asked.shape) / np.sqrt(asked.shape[1])
        count = min(count, len(self.places.rows))
        return self.tree.query(asked, count, eps=0.7)[1].reshape(len(described), count)


def grid(count: int) -> np.ndarray:
    """Midst of `count` × `count` equal parts of a window of side 1 around its own midst, `(2, count, count)`."""
    axis = (np.arange(count) + 0.5) / count - 0.5
    return np.stack(np.meshgrid(axis, axis, indexing="ij"))


def turned_by(turn: int, offsets: np.ndarray) -> np.ndarray:
    """Rows and columns `(2, …)` turned by so many eighths; quarters of a turn keep whole numbers whole."""
    angle = 2 * np.pi * turn / ANGLES
    cos, sin = np.round((np.cos(angle), np.sin(angle)), 12)
    rows, columns = offsets
    return np.stack([rows * cos + columns * sin, columns * cos - rows * sin])


def directions(lightness: np.ndarray, radius: float, scales: int) -> np.ndarray:
    """`(lambda1 - lambda2) / (lambda1 + lambda2) * (cos 2t, sin 2t)` of the smoothed structure tensor, `(h, w, 2)`.

    Args:
        lightness: `(h, w)`.
        radius: Standard deviation of the smoothing, in pixels.
        scales: Smoothings, each `FURTHER` times as wide, which count `LESS` and less: it goes on where it is flat.

    Reference:
        Kang, Lee and Chui (2007), Coherent line drawing, for directions that go on from strong edges
    """
    tensor = structure_tensor(lightness, 0.7)
    total = np.zeros_like(tensor)
    for scale in range(scales):
        total += LESS**scale * blurred(tensor, min(radius * FURTHER**scale, max(lightness.shape) / 2))
    return total[..., :2] / (total[..., 2:] + FLAT**2 * (LESS if scales > 1 else 1))


def structure_tensor(lightness: np.ndarray, radius: float) -> np.ndarray:
    """`(x**2 - y**2, 2 x y, x**2 + y**2)` of derivatives x to the right and y down, not smoothed yet, `(h, w, 3)`.

    Args:
        lightness: `(h, w)`.
        radius: Standard deviation of the Gaussian whose derivatives are taken, in pixels.
    """
    y, x = (ndimage.gaussian_filter(lightness, radius, order=order, mode="nearest") for order in ((1, 0), (0, 1)))
    return np.stack([x**2 - y**2, 2 * x * y, x**2 + y**2], axis=-1)


def blurred(values: np.ndarray, radius: float) -> np.ndarray:
    """`(h, w, c)` float32 smoothed by a Gaussian of this standard deviation; a wide one on a coarser grid."""
    coarser = int(radius / 4)
    if coarser < 2:
        return ndimage.gaussian_filter(values, (radius, radius, 0), mode="nearest", truncate=3)
    height, width = values.shape[:2]
    small = (max(1, width // coarser), max(1, height // coarser))
    planes = []
    for plane in np.moveaxis(values, -1, 0):
        reduced = np.asarray(Image.fromarray(plane).resize(small, Image.Resampling.BOX))
        smooth = ndimage.gaussian_filter(reduced, radius / coarser, mode="nearest", truncate=3)
        planes.append(np.asarray(Image.fromarray(smooth).resize((width, height), Image.Resampling.BICUBIC)))
    return np.stack(planes, axis=-1)
