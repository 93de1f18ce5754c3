"""The lighting of a photograph of a texture, taken out: its windows can then lie anywhere."""

import numpy as np

FLOOR = 0.02  # of lightness, added before the logarithm: black has no exposure
MOST = 0.5  # of the logarithm of a lightness, by which a place is changed at most


def evenly_lit(lab: np.ndarray) -> np.ndarray:
    """A picture less the quadratic trend of its log lightness: vignetting, and light that falls from one side.

    Another exposure multiplies all three coordinates of Oklab by one number, so colours stay what they are. A
    polynomial of six terms follows the light and no form of the texture.

    Args:
        lab: `(height, width, 3)`, of `colours.oklab`.

    Returns:
        As many; the mean of the log lightness is that of `lab`.
    """
    height, width = lab.shape[:2]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)
    light = np.log(np.maximum(lab[..., 0], 0.0) + FLOOR).ravel()
    # By the normal equations: of a large photograph a solver of all rows would take ten times as long.
    weights = np.linalg.solve(terms.T @ terms, terms.T @ light)
    trend = (terms[:, 1:] @ weights[1:]).reshape(height, width)
    trend = np.clip(trend - trend.mean(), -MOST, MOST)
    return (lab * np.exp(-trend)[..., None]).astype(lab.dtype)
