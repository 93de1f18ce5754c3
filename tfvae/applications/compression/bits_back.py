"""Bits-back coding: a group of pictures onto a stack of bits, and back, by a model with a discrete likelihood.

To send a picture by way of its code costs `-log p(x|z) - log p(z)` bits, more than the model says that it should. But
which code is sent is free: it is drawn from q(z|x) by *decoding* bits that lie on the stack, and whoever decodes the
picture gets these back. What is left is `log q(z|x) - log p(x|z) - log p(z)`, on average the negative ELBO.

| symbol | meaning | name in the code |
| --- | --- | --- |
| z = k * 2**-j | code, of whole numbers k on a grid for each latent unit | `Grid`, exponents j |
| q(z\\|x), p(z) = N(0, I) | each with its mass cut at the middles between the points | `Grid.family` |
| p(x\\|z) | mass of each level of a pixel, by halves: in the upper half? In which quarter? … | `_halve` |

A grid's steps are a fraction of the posterior's standard deviation, so that codes on it are as good as any; what finer
ones would cost is given back. Units whose posterior is the prior carry nothing and stay at 0.

The stack is that of asymmetric numeral systems: last in, first out. All probabilities must be computed alike, to the
last bit, when coding and when decoding, so networks see the same batches of the same shape both times.

Reference:
    Townsend, Bird and Barber (2019), https://arxiv.org/abs/1901.04866; Townsend et al. (2020), HiLLoC,
    https://arxiv.org/abs/1912.09953, for hierarchical models; Duda (2009), https://arxiv.org/abs/0902.0271
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

FINER = 2.0  # steps of the grid in a standard deviation of the posterior, at least
FINEST = 10  # largest exponent of a step
REACH = 8  # the grid ends at ±8, or farther where its steps are larger
SILENT = 0.005  # nats: a unit whose KL divergence is below carries nothing that is worth its bits
UNUSED = -1  # exponent of a unit that stays at 0
MOST_LOG_VAR = 20.0  # a posterior is taken to be no sharper or wider: far beyond the grid, and no overflow


def stream() -> Any:
    """`constriction.stream`. Raises `ValueError`, which says how to get it, where it is missing."""
    try:
        import constriction
    except ImportError as error:
        raise ValueError("lossless coding needs constriction: pip install 'tfvae[codec]'.") from error
    return constriction.stream


@dataclass(frozen=True)
class Grid:
    """The points that codes lie on: of each latent unit the multiples of a power of two.

    Attributes:
        exponents: int8 `(units,)`: steps are `2.0**-exponent`; `UNUSED` where a unit stays at 0.
    """

    exponents: np.ndarray

    @classmethod
    def of(cls, log_var: np.ndarray, divergence: np.ndarray) -> "Grid":
        """That of some posteriors.

        Args:
            log_var: Of the posteriors of some pictures, `(n, units)`.
            divergence: KL divergence of each unit from the prior, nats, `(n, units)`.
        """
        std = np.exp(0.5 * log_var.mean(axis=0))
        exponents = np.clip(np.ceil(np.log2(FINER / std)), 0, FINEST)
        return cls(np.where(divergence.mean(axis=0) < SILENT, UNUSED, exponents).astype(np.int8))

    @property
    def used(self) -> np.ndarray:
        """Places of the units that carry something, `(used,)`."""
        return np.flatnonzero(self.exponents != UNUSED)

    @property
    def scale(self) -> np.ndarray:
        """Points of each used unit between 0 and 1, float64 `(used,)`."""
        return np.exp2(self.exponents[self.used].astype(np.float64))

    @property
    def family(self) -> Any:
        """Gaussians on whole numbers, by mean and deviation in steps."""
        most = REACH * int(self.scale.max(initial=1.0))
        return stream().model.QuantizedGaussian(-most, most)

    def bits(self, log_var: np.ndarray) -> float:
        """What drawing a code takes from the stack, about: the entropy of q on the grid, of the mean picture.

        Args:
            log_var: Of some posteriors, `(n, units)`.
        """
        steps = np.exp(0.5 * log_var[:, self.used].astype(np.float64)) * self.scale
        return float(np.log2(np.maximum(steps * np.sqrt(2 * np.pi * np.e), 1.0)).sum(axis=1).mean())


class Coder:
    """Puts groups of pictures onto a stack and takes them off, the last group first.

    Args:
        model: With a method `chosen_code`, a discrete likelihood and a standard normal prior.
        grid: Of its codes.
        stack: A `constriction.stream.stack.AnsCoder` that holds some bits: codes are drawn by them. With too few of
            them codes are untypical and cost more, but nothing is lost.
        batch_size: Rows that networks are given, whatever the group: the same shape, the same numbers.
    """

    def __init__(self, model: Any, grid: Grid, stack: Any, batch_size: int):
        self.model, self.grid, self.stack, self.batch_size = model, grid, stack, batch_size
        self.levels = 2 if model.likelihood.binary else 256
        self.taken = 0.0  # bits that the last draw of codes took, for each picture

    def push(self, values: np.ndarray) -> None:
        """Codes a group of pictures.

        Args:
            values: Level of each pixel, integers `(n, height, width, channels)`, n at most the batch size.
        """
        before = self.stack.num_valid_bits()
        steps = np.zeros((len(values), len(self.grid.used)), np.int32)

        def draw(columns, mean, deviation):
            drawn = self.stack.decode(self.grid.family, mean.ravel(), deviation.ravel())
            steps[:, columns] = drawn.reshape(mean.shape)
            return steps[:, columns]

        self._walk(values, draw)
        self.taken = (before - self.stack.num_valid_bits()) / len(values)
        halvings = []

        def known(half, chance):
            upper = (values // half % 2).astype(np.int32)
            halvings.append((upper.ravel(), chance.ravel()))
            return upper

        _halve(self._cumulative(steps, values.shape), self.levels, values.shape, known)
        for upper, chance in halvings[::-1]:
            self.stack.encode_reverse(upper, stream().model.Bernoulli(perfect=False), chance)
        mean, deviation = self._prior(len(values))
        self.stack.encode_reverse(steps.ravel(), self.grid.family, mean, deviation)

    def pop(self, shape: tuple[int, int, int, int]) -> np.ndarray:
        """Takes the last group off, integers of `shape`, and puts the bits back that its codes were drawn by."""
        mean, deviation = self._prior(shape[0])
        steps = self.stack.decode(self.grid.family, mean, deviation).reshape(shape[0], -1)

        def read(half, chance):
            return self.stack.decode(stream().model.Bernoulli(perfect=False), chance.ravel()).reshape(shape)

        values = _halve(self._cumulative(steps, shape), self.levels, shape, read)
        drawn = []

        def known(columns, mean, deviation):
            own = np.ascontiguousarray(steps[:, columns])
            drawn.append((own.ravel(), mean.ravel(), deviation.ravel()))
            return own

        self._walk(values, known)
        for own, mean, deviation in drawn[::-1]:
            self.stack.encode_reverse(own, self.grid.family, mean, deviation)
        return values

    def _walk(self, values: np.ndarray, choose: Callable[[slice, np.ndarray, np.ndarray], np.ndarray]) -> None:
        """Through the groups of latents: `choose(columns, mean, deviation)`, in steps, gives their whole numbers.

        `columns` are those of the used units.
        """
        count, seen = len(values), 0
        used, scale = self.grid.used, self.grid.scale

        def chosen(mean, log_var):
            nonlocal seen
            shape = tuple(mean.shape)
            mean, log_var = (_flat(value)[:count].astype(np.float64) for value in (mean, log_var))
            units = mean.shape[1]
            first, last = np.searchsorted(used, (seen, seen + units))
            own = used[first:last] - seen
            if not (np.isfinite(mean).all() and np.isfinite(log_var).all()):
                raise ValueError("`images` must have finite posteriors. Received: NaN or infinity from the encoder")
            log_var, step = np.clip(log_var, -MOST_LOG_VAR, MOST_LOG_VAR), scale[first:last]
            whole = choose(slice(first, last), mean[:, own] * step, np.exp(0.5 * log_var[:, own]) * step)
            code = np.zeros((shape[0], units), np.float32)
            code[:count, own] = whole / step
            seen += units
            return keras.ops.convert_to_tensor(code.reshape(shape))

        self.model.chosen_code(padded(values / np.float32(self.levels - 1), self.batch_size), chosen)

    def _cumulative(self, steps: np.ndarray, shape: tuple[int, ...]) -> Callable[[np.ndarray], np.ndarray]:
        """`F(k) = P(level < k)` of the pixels, given the whole numbers of their codes."""
        code = np.zeros((self.batch_size, len(self.grid.exponents)), np.float32)
        code[: len(steps), self.grid.used] = steps / self.grid.scale
        code = code.reshape(self.batch_size, *self.model.code_shape(*shape[1:3]))
        images = np.zeros((self.batch_size, *shape[1:]), np.float32)  # for its size
        parameters = keras.ops.convert_to_numpy(self.model.parameters_of(code, images))[: len(steps)]
        return self.model.likelihood.cumulative(parameters)

    def _prior(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation, in steps, of the units of `count` codes."""
        return np.zeros(count * len(self.grid.used)), np.tile(self.grid.scale, count)


def posteriors(model: Any, images: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and log-variance of each unit of the codes of pictures, each group given the means of those above it.

    Args:
        model: As of `Coder`.
        images: float32 in [0, 1], `(n, height, width, channels)`.
        batch_size: Rows that networks are given.

    Returns:
        Two arrays `(n, units)`.
    """
    means: list[np.ndarray] = []
    log_vars: list[np.ndarray] = []
    for first in range(0, len(images), batch_size):
        some = images[first : first + batch_size]
        found: list[tuple[np.ndarray, np.ndarray]] = []

        def chosen(mean, log_var, found=found):
            found.append((_flat(mean), _flat(log_var)))
            return mean

        model.chosen_code(padded(some, batch_size), chosen)
        for values, place in ((means, 0), (log_vars, 1)):
            values.append(np.concatenate([pair[place] for pair in found], axis=1)[: len(some)])
    return np.concatenate(means), np.clip(np.concatenate(log_vars), -MOST_LOG_VAR, MOST_LOG_VAR)


def padded(images: np.ndarray, rows: int) -> np.ndarray:
    """`images`, float32, with black ones behind them, so that there are `rows`."""
    blank = np.zeros((rows - len(images), *images.shape[1:]), np.float32)
    return np.concatenate([images.astype(np.float32), blank])


def _halve(
    cumulative: Callable[[np.ndarray], np.ndarray],
    levels: int,
    shape: tuple[int, ...],
    decide: Callable[[int, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Levels, found by halves: is a value in the upper half of all levels, in the upper half of these, and so on.

    Args:
        cumulative: `F(k) = P(level < k)`, of integers of `shape`.
        levels: A power of two.
        shape: Of the values.
        decide: Of the number of levels in a half and the chance of the upper one, float64 of `shape`: 1 where the value
            lies in it, else 0.

    Returns:
        Integers of `shape`.
    """
    first, below, above = np.zeros(shape, np.int64), np.zeros(shape), np.ones(shape)
    half = levels // 2
    while half:
        middle = cumulative(first + half)
        mass = above - below
        # Where rounding has left no mass at all, either half will do: constriction gives some to each.
        chance = np.divide(above - middle, mass, out=np.full(shape, 0.5), where=mass > 0)
        upper = decide(half, np.clip(chance, 0.0, 1.0))
        first += half * upper
        below, above = np.where(upper, middle, below), np.where(upper, above, middle)
        half //= 2
    return first


def _flat(tensor: Any) -> np.ndarray:
    values = keras.ops.convert_to_numpy(tensor)
    return values.reshape(len(values), -1)
