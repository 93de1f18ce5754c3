"""The mathematics of `overlay.py`: steps between neighbouring pixels, over pictures that may share an overlay.

Stacks are uint8 `(pictures, height, width, channels)`, on disk or in memory: they are worked on in blocks.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.linalg import splu

CHANCES = 8  # random signs that the evidence is compared with
BEGUN, FOLLOWED = 0.995, 0.9  # quantiles of the evidence under random signs
QUANTILE_OF = 1 << 21  # values, about, that they are taken of
SMOOTH = 0.7  # pixels, standard deviation
CERTAIN = (2.0, 8.0)  # how many times the highest and the heaviest edge under random signs
BLOCK = 1 << 19  # values of all pictures that are worked on at once: 2 MiB as float32, which caches hold
EIGHT = np.ones((3, 3), bool)  # neighbours, diagonal ones too
SHADING = 2 / 255  # a step that smooth shading makes, which a few pictures may share over a large area
STEP_FLOOR = 0.5 / 255  # rounding error of a step between two pixels of 8 bits


def random_signs(pictures: int, seed: int) -> np.ndarray:
    """Signs of the pictures' steps, float32 `(1 + CHANCES, pictures)`: row 0 all up, the others random."""
    rng = np.random.default_rng(seed)
    # As many up as down: were they nearly all the same, they would show the overlay.
    even = np.where(np.arange(pictures) % 2, 1.0, -1.0)
    return np.stack([np.ones(pictures), *(rng.permutation(even) for _ in range(CHANCES))]).astype(np.float32)


def evidence_of(stack: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """How much better lines than nothing explain the steps around each pixel, float32 `(len(signs), height, width)`.

    `log(1 + F)` of a regression of the steps on the means, averaged over the four steps that begin or end at a pixel,
    and a little smoothed: contours are longer than wide.
    """
    _, height, width, _ = stack.shape
    level = np.zeros((len(signs), height, width), np.float32)
    rows = max(1, BLOCK // stack[:, 0].size)
    for top in range(0, height, rows):
        # One row more, for the steps that go down from the last row of the block.
        pixels = stack[:, top : top + rows + 1].astype(np.float32) / 255
        for axis in (1, 2):
            count = min(rows, pixels.shape[1] - (axis == 1))
            before, after = (pixels[:, :-1], pixels[:, 1:]) if axis == 1 else (pixels[:, :, :-1], pixels[:, :, 1:])
            ratio = np.log1p(_f_ratio((after - before)[:, :count], (after + before)[:, :count] / 2, signs)) / 4
            for shift in (0, 1):  # to both of the pixels that a step lies between
                down, right = (shift, 0) if axis == 1 else (0, shift)
                level[:, top + down : top + down + count, right : right + ratio.shape[2]] += ratio
    for index, one in enumerate(level):
        level[index] = ndimage.gaussian_filter(one, SMOOTH)
    return level


def certain_edges(found: np.ndarray, chance: np.ndarray) -> tuple[np.ndarray, float]:
    """Which edges are more than chance, bool `(height, width)`, and by what factor the most certain one is.

    An edge counts when its height, or its mass (all of it that exceeds the threshold, summed), is well above the
    highest, or the heaviest, of all that chance has drawn; it is then followed to where chance comes now and then.
    """
    some = chance.ravel()[:: chance.size // QUANTILE_OF + 1]
    threshold, lower = np.quantile(some, (BEGUN, FOLLOWED))

    def clusters(level):
        labels, number = ndimage.label(level > threshold, EIGHT)
        index = np.arange(1, number + 1)
        peaks, masses = ndimage.maximum(level - threshold, labels, index), ndimage.sum(level - threshold, labels, index)
        return labels, np.array([peaks, masses]).reshape(2, number)

    drawn = np.concatenate([clusters(level)[1] for level in chance], axis=1).max(axis=1, initial=1e-6)
    labels, strength = clusters(found)
    factor = (strength / (np.array(CERTAIN) * drawn)[:, None]).max(axis=0, initial=0.0)
    certain = np.concatenate([[False], factor > 1])[labels]
    return ndimage.binary_propagation(certain, EIGHT, mask=found > lower), float(factor.max(initial=0.0))


def _f_ratio(steps: np.ndarray, means: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """F of `steps = a + s * means` against `steps = 0`, both `(pictures, h, w, channels)`; one `s` for all channels."""
    pictures = len(steps)
    # A contour of one picture is no overlay, however strong it is.
    bound = 3 * np.abs(steps).mean(axis=(0, 3), keepdims=True) + STEP_FLOOR
    steps = np.clip(steps, -bound, bound)

    def average(values):
        return np.tensordot(signs / pictures, values, axes=1)

    centred = means - means.mean(axis=0)
    spread = np.square(centred).mean(axis=0).sum(axis=-1)
    common = np.square(average(steps)).sum(axis=-1)
    tilted = np.square(average(steps * centred).sum(axis=-1)) / (spread + STEP_FLOOR**2)
    whole = np.square(steps).mean(axis=0).sum(axis=-1)
    left = np.maximum(whole - common - tilted, 0.0) + SHADING**2
    return (common + tilted) / left * ((pictures - 2) / 2)


def lines(stack: np.ndarray, edges: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Robust lines through the steps from each edge pixel to the next one down (axis 0) or right (1); 0 elsewhere.

    Returns:
        Steps of `log(1 - alpha)`, `(height, width)`, and the lines' values at 0, `(height, width, channels)`.
    """
    slopes, offsets = np.zeros(edges.shape, np.float32), np.zeros((*edges.shape, stack.shape[-1]), np.float32)
    inner = edges[:-1] if axis == 0 else edges[:, :-1]
    places = np.argwhere(inner)
    for part in np.array_split(places, len(places) * len(stack) * stack.shape[-1] // BLOCK + 1):
        rows, columns = part.T
        before = stack[:, rows, columns].astype(np.float32) / 255
        after = stack[:, rows + (axis == 0), columns + (axis == 1)].astype(np.float32) / 255
        slope, offsets[rows, columns] = _robust_line(after - before, (after + before) / 2)
        # With gains g and h of the two pixels s = 2 (h - g) / (h + g), which is 2 tanh(log(h / g) / 2).
        slopes[rows, columns] = 2 * np.arctanh(np.clip(slope / 2, -0.95, 0.95))
    return slopes, offsets


def _robust_line(steps: np.ndarray, means: np.ndarray, rounds: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Huber's `s`, `(n,)`, and `a`, `(n, channels)`, of `steps = a + s * means`, both `(pictures, n, channels)`."""
    weights = np.ones_like(steps)
    for _ in range(rounds):
        total = weights.sum(axis=0)
        step, mean = (weights * steps).sum(axis=0) / total, (weights * means).sum(axis=0) / total
        spread = (weights * np.square(means - mean)).sum(axis=(0, 2))
        tilt = (weights * (means - mean) * (steps - step)).sum(axis=(0, 2))
        slope = tilt / (spread + len(steps) * STEP_FLOOR**2)
        offset = step - slope[:, None] * mean
        error = np.abs(steps - offset - slope[:, None] * means)
        scale = 1.4826 * np.median(error, axis=(0, 2))[:, None] + STEP_FLOOR
        weights = np.minimum(1.0, 1.345 * scale / np.maximum(error, 1e-9))
    return slope, offset


def shifts(gain: np.ndarray, offsets: Sequence[np.ndarray], channel: int) -> list[np.ndarray]:
    """Steps of `alpha * W / (1 - alpha)` of a channel: `a (1 / g + 1 / h) / 2` for neighbours of gains g and h."""
    inverse = 1.0 / gain
    return [offset[..., channel] * (inverse + np.roll(inverse, -1, axis)) / 2 for axis, offset in enumerate(offsets)]


def poisson(region: np.ndarray) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    """`solve(steps)`: the field whose steps down and right are nearest to those given, 0 outside the region."""
    number = np.full(region.shape, -1)
    number[region] = np.arange(region.sum())
    pairs = [
        (first.ravel()[keep], second.ravel()[keep], np.flatnonzero(keep))
        for first, second in ((number[:-1], number[1:]), (number[:, :-1], number[:, 1:]))
        for keep in [(np.maximum(first, second) >= 0).ravel()]
    ]
    parts = []
    for first, second, _ in pairs:
        row = np.arange(len(first))
        entries = [(row[ends >= 0], ends[ends >= 0], sign) for ends, sign in ((first, -1.0), (second, 1.0))]
        rows, columns = (np.concatenate([entry[index] for entry in entries]) for index in (0, 1))
        values = np.concatenate([np.full(len(entry[0]), entry[2]) for entry in entries])
        parts.append(sparse.csr_matrix((values, (rows, columns)), shape=(len(first), int(region.sum()))))
    difference = sparse.vstack(parts).tocsc()
    factors = splu((difference.T @ difference).tocsc())

    def solve(steps: Sequence[np.ndarray]) -> np.ndarray:
        given = [(steps[0][:-1], pairs[0][2]), (steps[1][:, :-1], pairs[1][2])]
        target = np.concatenate([step.ravel()[keep] for step, keep in given])
        field = np.zeros(region.shape)
        field[region] = factors.solve(difference.T @ target.astype(np.float64))
        return field

    return solve
