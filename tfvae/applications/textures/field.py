"""Where in a mixture of two textures which one is shown."""

import numpy as np

WAVES = 3  # periods across the picture of the finest wave
EDGE = 1.0  # standard deviations over which one texture becomes the other


class Field:
    """The weight of a second texture, from 0 to 1, over the places of a picture: smooth, random, periodic.

    `clip((g - quantile) / EDGE + 0.5, 0, 1)`, smoothed, with `g` a sum of waves of random phase, near to a normal
    field of unit variance: in `share` of the area the second texture has the larger part.

    Args:
        share: Between 0 and 1.
        size: The period: rows and columns.
        seed: Of the waves.
    """

    def __init__(self, share: float, size: tuple[int, int], seed: int):
        rng = np.random.default_rng((seed, 71))
        side = np.arange(-WAVES, WAVES + 1)
        waves = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
        waves = waves[len(waves) // 2 + 1 :]  # a wave and its opposite are one
        amplitude = np.exp(-np.square(waves).sum(axis=1) / WAVES) * rng.rayleigh(size=len(waves))
        self.amplitude = amplitude / np.sqrt(np.square(amplitude).sum() / 2)
        self.phase = rng.uniform(0, 2 * np.pi, len(waves))
        self.waves, self.size = waves, size
        grid = np.arange(128) / 128
        self.level = np.quantile(self._waves(grid, grid), 1 - share)

    def _waves(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The sum of the waves at rows `y` and columns `x`, in periods."""
        down = np.exp(2j * np.pi * np.outer(y, self.waves[:, 0]) + 1j * self.phase) * self.amplitude
        return np.real(down @ np.exp(2j * np.pi * np.outer(self.waves[:, 1], x)))

    def __call__(self, first: int, shape: tuple[int, int], margin: int) -> np.ndarray:
        """Weights `shape`, float32, from row `first` and `margin` columns left of the picture."""
        rows, columns = np.arange(shape[0]) + first, np.arange(shape[1]) - margin
        value = self._waves(rows / self.size[0], columns / self.size[1])
        ramp = np.clip((value - self.level) / EDGE + 0.5, 0, 1)
        return (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)
