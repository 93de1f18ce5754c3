"""Several paintings side by side in one picture, so that windows of all of them are searched at once."""

from collections.abc import Sequence

import numpy as np


class Wall:
    """Where paintings hang in one picture: in a row, apart by their own edges, continued.

    Args:
        shapes: Height and width of each.
        gap: Pixels of continued edge on each side of a painting; what is smoothed less far knows no neighbour. One
            painting alone has none.

    Attributes:
        shape: Height and width of the picture.
        boxes: Rows and columns of each painting in it, a pair of slices.
    """

    def __init__(self, shapes: Sequence[tuple[int, int]], gap: int):
        self.gap = gap if len(shapes) > 1 else 0
        self.boxes: list[tuple[slice, slice]] = []
        column, height = 0, 0
        for rows, columns in shapes:
            self.boxes.append((slice(self.gap, self.gap + rows), slice(column + self.gap, column + self.gap + columns)))
            column += columns + 2 * self.gap
            height = max(height, rows + 2 * self.gap)
        self.shape = (height, column)

    def number(self, columns: np.ndarray) -> np.ndarray:
        """Which painting places at these columns are of, int."""
        ends = [box[1].stop + self.gap for box in self.boxes[:-1]]
        return np.searchsorted(ends, columns, side="right")

    def hung(self, paintings: Sequence[np.ndarray]) -> np.ndarray:
        """The picture of paintings `(h, w, c)` of these shapes."""
        parts = []
        for painting in paintings:
            below = self.shape[0] - self.gap - len(painting)
            parts.append(np.pad(painting, ((self.gap, below), (self.gap, self.gap), (0, 0)), mode="edge"))
        return np.concatenate(parts, axis=1)
