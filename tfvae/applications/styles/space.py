"""The style of a picture as a code: what the parts of one painting share and paintings differ by, with a prior."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from tfvae.applications.channels import floats
from tfvae.applications.styles.colours import oklab
from tfvae.applications.styles.paint import hung, without_margins
from tfvae.applications.styles.painting import blurred, structure_tensor

SIDE = 512  # pixels of a painting's longer side, where it has them: strokes are compared as they hang
SMALLEST = 64  # pixels of its shorter side as it hangs, for four levels of each quarter
LEVELS = 4  # octaves on which strokes are described
FLOOR = 0.1  # standard deviation of a flat level, in differences of lightness
SHRINKAGE = 0.1  # of the covariance within paintings towards a multiple of the identity
UNITS = 10  # of a code, where there are more paintings
SHARES = (0.25, 0.75)  # of the first of two paintings, least and most
NEAREST = 200  # paintings of which pairs are tried
TRIES = 200  # draws for each style that is wanted


class Mixture(NamedTuple):
    """A style by two paintings.

    Attributes:
        paintings: Their numbers.
        shares: Of each, of the sum 1.
        code: Of the mixture.
    """

    paintings: tuple[int, int]
    shares: tuple[float, float]
    code: np.ndarray


class StyleSpace:
    """Probabilistic linear discriminant analysis of style statistics: a linear VAE whose latent all parts share.

        x_ij = m + A (s_i + e_ij),    s_i ~ N(0, diag(spread**2)),    e_ij ~ N(0, I)

    x_ij are the statistics of part j of painting i, s_i its style. The optimum has a closed form, so nothing is
    trained. Codes are in standard deviations of what parts of a painting differ by.

    Args:
        paintings: Three or more, `(h, w, 1 or 3)`; uint8, uint16, or float in [0, 1].

    Attributes:
        codes: Of the paintings, float64 `(n, units)`; at most 10 units, fewer than paintings.
        spread: Standard deviation of each unit of the prior, descending.

    Raises:
        ValueError: When there are fewer than three, or one is too small.

    Reference:
        Ioffe (2006), Probabilistic linear discriminant analysis; Lucas et al. (2019), Don't blame the ELBO!,
        https://arxiv.org/abs/1911.02469, for its kind as linear VAEs; Huang and Belongie (2017),
        https://arxiv.org/abs/1703.06868: statistics of features are what a style is
    """

    def __init__(self, paintings: Sequence[np.ndarray]):
        self._fit([part_statistics(painting) for painting in paintings])

    @classmethod
    def of_statistics(cls, statistics: Sequence[np.ndarray]) -> "StyleSpace":
        """That of paintings whose `part_statistics` are known, each `(4, features)`."""
        space = cls.__new__(cls)
        space._fit(statistics)
        return space

    def _fit(self, given: Sequence[np.ndarray]) -> None:
        if len(given) < 3:
            raise ValueError(f"paintings must be 3 or more. Received: {len(given)}")
        statistics = np.stack(given)
        count, parts, features = statistics.shape
        self.scale = statistics.reshape(-1, features).std(axis=0) + 1e-6
        scaled = statistics / self.scale
        inside = (scaled - scaled.mean(axis=1, keepdims=True)).reshape(-1, features)
        covariance = inside.T @ inside / (count * (parts - 1))
        covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.trace(covariance) / features * np.eye(features)
        values, vectors = np.linalg.eigh(covariance)
        whitening = vectors / np.sqrt(np.maximum(values, 1e-9))
        means = scaled.mean(axis=1) @ whitening
        self.mean = means.mean(axis=0)
        _, singular, axes = np.linalg.svd(means - self.mean, full_matrices=False)
        units = min(UNITS, count - 1)
        self.axes, self.mean = whitening @ axes[:units].T, self.mean @ axes[:units].T
        self.codes = self.parts(statistics).mean(axis=1)
        # What the mean of the parts of a painting is uncertain by is no spread of styles.
        self.spread = np.sqrt(np.maximum(singular[:units] ** 2 / count - 1 / parts, 1e-6))

    def parts(self, statistics: np.ndarray) -> np.ndarray:
        """Codes of parts by their statistics, `(…, units)`."""
        return statistics / self.scale @ self.axes - self.mean

    def encode(self, image: np.ndarray) -> np.ndarray:
        """The posterior mean of the style of a picture without its shrinkage: the mean of its parts, `(units,)`."""
        return self.parts(part_statistics(image)).mean(axis=0)

    @property
    def apart(self) -> float:
        """The root mean squared distance of the codes of two parts of one painting."""
        return float(np.sqrt(2 * self.codes.shape[1]))

    def nearest(self, code: np.ndarray) -> tuple[int, float]:
        """The number of the painting with the nearest code, and how far it is."""
        distances = np.linalg.norm(self.codes - code, axis=1)
        return int(distances.argmin()), float(distances.min())

    def mixture(self, code: np.ndarray) -> Mixture:
        """The two paintings, and a quarter to three quarters of the first, whose mixed code is nearest to `code`."""
        kept = np.argsort(np.linalg.norm(self.codes - code, axis=1))[:NEAREST]
        codes = self.codes[kept]
        along = codes[:, None] - codes
        length = np.square(along).sum(axis=-1)
        shares = np.einsum("ijk,jk->ij", along, code - codes) / np.maximum(length, 1e-12)
        shares = np.clip(shares, *SHARES)
        away = np.square(codes + shares[..., None] * along - code).sum(axis=-1)
        away[length < 1e-12] = np.inf
        i, j = np.unravel_index(away.argmin(), away.shape)
        share = float(shares[i, j])
        return Mixture((int(kept[i]), int(kept[j])), (share, 1 - share), codes[j] + share * along[i, j])

    def draw(self, count: int, seed: int = 0, temperature: float = 1.0) -> list[Mixture]:
        """Styles of the prior that two paintings make and none has.

        Each is further than two parts of one painting are apart (`apart`) from all paintings and all that were drawn
        before it; fewer come back where so many are not found.

        Args:
            count: How many.
            seed: Of the draws.
            temperature: Factor of the prior's standard deviation.
        """
        rng = np.random.default_rng(seed)
        found: list[Mixture] = []
        for _ in range(TRIES * count):
            if len(found) == count:
                break
            mixture = self.mixture(temperature * self.spread * rng.standard_normal(len(self.spread)))
            taken = np.stack([*self.codes, *(other.code for other in found)])
            if np.linalg.norm(taken - mixture.code, axis=1).min() > self.apart:
                found.append(mixture)
        return found


def part_statistics(painting: np.ndarray) -> np.ndarray:
    """`style_statistics` of the four quarters of a painting as it hangs, without the margins of a scan, `(4, 26)`.

    Raises:
        ValueError: When it is smaller than 64 pixels each way, its longer side reduced to 512.
    """
    pixels = hung(floats(without_margins(np.asarray(painting))), (SIDE, SIDE))
    if min(pixels.shape[:2]) < SMALLEST:
        raise ValueError(f"a painting must be {SMALLEST}x{SMALLEST} pixels or more. Received: {painting.shape}")
    lab = oklab(pixels)
    return np.stack([style_statistics(quarter) for quarter in quarters(lab)])


def quarters(picture: np.ndarray) -> list[np.ndarray]:
    """The four parts of a picture `(h, w, c)`, in reading order."""
    return [quarter for half in np.array_split(picture, 2) for quarter in np.array_split(half, 2, axis=1)]


def style_statistics(lab: np.ndarray) -> np.ndarray:
    """What of a picture is tone and strokes, wherever they are: float64 `(26,)`.

    Mean and logarithm of the standard deviation of lightness and colours; and of each of four octaves the logarithms of
    their standard deviations and of the kurtosis of the lightness, and how much its directions agree with those near
    by.

    Args:
        lab: `(h, w, 3)`, of `colours.oklab`.
    """
    found = [lab.mean(axis=(0, 1)), np.log(lab.std(axis=(0, 1)) + 1)]
    for _ in range(LEVELS):
        coarse = ndimage.gaussian_filter(lab, (1, 1, 0), mode="nearest")
        fine = lab - coarse
        lightness = fine[..., 0] / (fine[..., 0].std() + FLOOR)
        tensor = blurred(structure_tensor(lab[..., 0], 0.7), 2.0)
        agreeing = np.hypot(tensor[..., 0], tensor[..., 1]).mean() / (tensor[..., 2].mean() + FLOOR**2)
        found += [np.log(fine.std(axis=(0, 1)) + FLOOR), [np.log((lightness**4).mean() + FLOOR), agreeing]]
        lab = coarse[::2, ::2]
    return np.concatenate(found).astype(np.float64)
