"""Where the transforms of a codec start: at cosines, as JPEG has them, and what is known of natural pictures.

| symbol | meaning | name in the code |
| --- | --- | --- |
| a | opponent colours: grey, red less blue, green less both | `COLOURS` |
| u, v | frequency down and across, 0 … side - 1 | — |
| s_c | usual standard deviation of the coefficient c = (a, u, v), white is 1 | `usual` |
"""

import numpy as np

COLOURS = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]]) / np.sqrt([[3.0], [2.0], [6.0]])
# s = size * (u**2 + v**2 + floor)**-power in blocks of 16×16: fitted to the training photographs of BSDS500.
SPECTRA = ((1.2, 0.04, 0.5), (0.3, 0.035, 0.6), (0.14, 0.035, 0.6))
FITTED_SIDE = 16


def cosines(channels: int, side: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` coefficients of a block's discrete cosine transform that are usually the largest.

    Args:
        channels: 1 or 3, of the picture.
        side: Of a block, pixels.
        count: How many; where a block has fewer, the rest are zero.

    Returns:
        Orthonormal functions, float32 `(side, side, channels, count)`, and their usual standard deviations, float32
        `(count,)`; 1 of a zero.
    """
    place = np.arange(side)
    waves = np.cos(np.pi / side * (place[None] + 0.5) * place[:, None]) * np.sqrt(2 / side)
    waves[0] *= np.sqrt(0.5)
    colours = COLOURS if channels == 3 else np.ones((1, 1))
    # A frequency is counted in half waves a block: of a smaller block it is a higher one, and has less of its pixels.
    squares = (np.square(place[:, None]) + np.square(place)) * (FITTED_SIDE / side) ** 2
    usual = np.stack([size * (squares + floor) ** -power for size, floor, power in SPECTRA[: len(colours)]])
    usual *= side / FITTED_SIDE
    chosen = np.argsort(-usual.ravel(), kind="stable")[:count]
    colour, down, across = np.unravel_index(chosen, usual.shape)
    functions = np.einsum("ki,kj,kc->ijck", waves[down], waves[across], colours[colour])
    missing = count - len(chosen)
    functions = np.pad(functions, [(0, 0)] * 3 + [(0, missing)])
    return functions.astype(np.float32), np.pad(usual.ravel()[chosen], (0, missing), constant_values=1).astype(
        np.float32
    )
