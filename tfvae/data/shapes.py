"""A generated set with known factors: one shape, its scale, orientation and place, every combination drawn once.

Like dSprites (Matthey et al. 2017, https://github.com/google-deepmind/dsprites-dataset), on a coarser grid and with
antialiased edges. `shapes` is grey, white on black; `shapes:colour` has a hue as a sixth factor and fewer places. A
quarter turn is all the orientation there is: beyond it a square would repeat itself, and two factor tuples with one
image could not be distinguished.
"""

import colorsys

import numpy as np

from tfvae.data.gathering import Gathering, chosen

SHAPES = ("square", "ellipse", "heart")
GREY = {"shape": 3, "scale": 4, "orientation": 8, "position_x": 10, "position_y": 10}  # values of each factor
COLOUR = {"shape": 3, "scale": 3, "orientation": 4, "position_x": 7, "position_y": 7, "hue": 6}
WORDS = {"shapes": GREY, "shapes:colour": COLOUR}
SIDE = 32  # pixels, where the configuration does not say
SUBPIXELS = 4  # samples along each side of a pixel
SMALLEST, LARGEST = 0.11, 0.21  # radius of the circle around a shape, in sides of the picture
BLOCK = 256  # images drawn at once


def all_factors(grid: dict[str, int]) -> np.ndarray:
    """Every combination of factor values, int64 `(product of the counts, factors)`, the last factor running fastest."""
    return np.indices(tuple(grid.values())).reshape(len(grid), -1).T.astype(np.int64)


def draw(factors: np.ndarray, grid: dict[str, int], side: int = SIDE) -> np.ndarray:
    """The images of factor tuples: each a pure function of its own row.

    Args:
        factors: Value number of each factor, int `(n, len(grid))`, in the order of `grid`.
        grid: How many values each factor has; `GREY` or `COLOUR`, or another count of the same factors.
        side: Height and width in pixels.

    Returns:
        uint8 `(n, side, side, 1)`, or `(n, side, side, 3)` where `grid` has a hue.

    Raises:
        ValueError: When a value lies outside its factor's range.
    """
    factors, counts = np.asarray(factors, np.int64), np.array(list(grid.values()))
    if factors.ndim != 2 or factors.shape[1] != len(grid) or (factors < 0).any() or (factors >= counts).any():
        raise ValueError(f"`factors` must be (n, {len(grid)}), each below {counts.tolist()}. Received: {factors.shape}")
    images = np.empty((len(factors), side, side, 3 if "hue" in grid else 1), np.uint8)
    for start in range(0, len(factors), BLOCK):
        rows = factors[start : start + BLOCK]
        values = {name: rows[:, place] for place, name in enumerate(grid)}
        share = {name: value / max(1, grid[name] - 1) for name, value in values.items()}  # 0 … 1
        radius = SMALLEST + (LARGEST - SMALLEST) * share["scale"]
        angle = values["orientation"] * (np.pi / 2 / grid["orientation"])
        x, y = (LARGEST + (1 - 2 * LARGEST) * share[name] for name in ("position_x", "position_y"))
        cover = _cover(values["shape"], radius, angle, x, y, side)[..., None]
        if "hue" in grid:
            cover = (
                cover * np.array([colorsys.hsv_to_rgb(hue / grid["hue"], 1, 1) for hue in values["hue"]])[:, None, None]
            )
        images[start : start + BLOCK] = np.rint(255 * cover)
    return images


def gather_shapes(word: str, into: Gathering, limit: int, seed: int) -> None:
    """`shapes` (9,600 pictures) or `shapes:colour` (10,584), drawn at the size asked for; the shape is the label."""
    grid = WORDS[word]
    factors = all_factors(grid)
    # In an order without pattern, always the same: the first few images of a split are what its pictures show.
    keep = np.random.default_rng(0).permutation(chosen(len(factors), limit, seed))
    how = into.how
    # A square is drawn at its size; anything else is cut or stretched from the drawing like any picture.
    side = how.height if how.height == how.width and how.height else SIDE
    into.label_names, into.factor_names = list(SHAPES), list(grid)
    for start in range(0, len(keep), BLOCK):
        rows = keep[start : start + BLOCK]
        names = [f"{word.replace(':', '_')}/" + "_".join(map(str, row)) for row in factors[rows]]
        into.add_block(draw(factors[rows], grid, side), names, factors[rows, 0], factors=factors[rows])
        into.progress(start + len(rows), len(keep))
    into.description = f"{len(keep):,} generated shapes with {len(grid)} known factors"


def _cover(shape, radius, angle, x, y, side: int) -> np.ndarray:
    """The share of each pixel that lies inside the shape, float `(n, side, side)` in [0, 1]."""
    fine = ((np.arange(side * SUBPIXELS) + 0.5) / (side * SUBPIXELS)).astype(np.float32)
    right = ((fine[None, None, :] - x[:, None, None]) / radius[:, None, None]).astype(np.float32)
    down = ((fine[None, :, None] - y[:, None, None]) / radius[:, None, None]).astype(np.float32)
    cos, sin = (turn(angle).astype(np.float32)[:, None, None] for turn in (np.cos, np.sin))
    u, v = cos * right + sin * down, cos * down - sin * right  # the shape's own axes, in radii
    inside = np.empty(u.shape, bool)
    for kind, rule in enumerate((_square, _ellipse, _heart)):
        of_kind = shape == kind
        inside[of_kind] = rule(u[of_kind], v[of_kind])
    cells = inside.reshape(len(u), side, SUBPIXELS, side, SUBPIXELS)
    return cells.mean(axis=(2, 4), dtype=np.float32)


def _square(u, v):
    return np.maximum(np.abs(u), np.abs(v)) <= np.float32(np.sqrt(0.5))  # its corners on the unit circle


def _ellipse(u, v):
    return np.square(u) + np.square(2 * v) <= 1


def _heart(u, v):
    """(x² + y² − 1)³ ≤ x² y³, upright with its tip down, shrunk and moved into the unit circle."""
    a, b = np.square(1.2 * u), np.float32(0.1) - np.float32(1.2) * v
    body = a + np.square(b) - 1
    return body * body * body <= a * b * b * b
