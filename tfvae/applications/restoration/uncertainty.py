"""Calibration of a model of restoration: standard deviations and samples as far from the truth as the estimate is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import optimize
from sklearn.isotonic import IsotonicRegression

from tfvae.layers.starlet import RADIUS, frequency_responses
from tfvae.layers.variance_function import terms
from tfvae.metrics import calibration_curve, coverage, expected_calibration_error

DRAWS = 4  # times that each picture is degraded anew
SIDE = 128  # pixels of the part of a picture that is looked at
BINS = 24  # of predicted standard deviations
MOST = 2**13  # errors kept of a picture
ROUNDS = 50  # of moment matching
REACH = RADIUS  # pixels: of the lags at which errors are compared
LEAST_STD = 1e-4  # of white: a fortieth of a grey level


@dataclass(frozen=True)
class Residual:
    """What a restoration left open of one picture.

    Attributes:
        error: Original minus estimate, `(h, w, c)`; 0 where nothing was restored.
        counts: Where pixels were restored, bool, `(h, w, 1)`.
        std: Standard deviation of the estimate, as `error`.
        extra: What that is told from, `(h, w, c, k)`; or original minus a sample, where one was drawn, as `error`.
    """

    error: np.ndarray
    counts: np.ndarray
    std: np.ndarray
    extra: np.ndarray


def calibrate_uncertainty(model: Any, images: Sequence[np.ndarray], seed: int = 0) -> dict[str, Any]:
    """Fits standard deviations and the spectrum of errors to pictures that training has not seen.

    Each picture is degraded anew several times, and restored. The logarithm of the standard deviation is at first a
    quadratic function of the model's `predictors`, that of the highest normal likelihood; then it becomes the monotone
    function of this that fits the squared errors best (isotonic regression, of bins of equal counts). The errors,
    divided by it, get their amplitude in each octave, a matrix over the channels.

    Args:
        model: A model of restoration; it is changed: `model.uncertainty` holds what is returned.
        images: Pictures `(h, w, c)` in [0, 1], of any sizes.
        seed: Of the damage.

    Returns:
        JSON-ready: the table of `tfvae.layers.variance_function.standard_deviation`; `amplitudes`, per octave.

    Raises:
        ValueError: When there is no picture, or no pixel of any was restored.

    Reference:
        Aitkin (1987), Modelling variance heterogeneity in normal regression using GLIM; Kuleshov, Fenner and Ermon
        (2018), Accurate uncertainties for deep learning using calibrated regression, https://arxiv.org/abs/1807.00263
    """
    model.use_uncertainty(None)
    found = list(residuals(model, images, seed))
    error, predictors = pooled(found, "extra", seed)
    function, index = _log_quadratic(error, predictors)
    predicted, measured, count = calibration_curve(error, np.exp(index), BINS)
    rising = IsotonicRegression().fit_transform(predicted, np.square(measured), sample_weight=count)
    table: dict[str, Any] = {
        **function,
        "knots": np.log(predicted).tolist(),
        "log_error": (0.5 * np.log(np.maximum(rising, LEAST_STD**2))).tolist(),
        "amplitudes": None,
    }
    model.use_uncertainty(table)
    if model.correlates:
        scales = [np.asarray(model.calibrated(each.extra)) for each in found]
        standard = [each.error / scale for each, scale in zip(found, scales, strict=True)]
        table["amplitudes"] = amplitudes(standard, [each.counts for each in found]).tolist()
        model.use_uncertainty(table)
    return table


def measure_uncertainty(model: Any, images: Sequence[np.ndarray], seed: int = 0) -> dict[str, Any]:
    """How well standard deviations and samples meet the errors, on pictures that neither training nor fit has seen.

    Returns:
        JSON-ready: `coverage` of two standard deviations, `calibration_error`, `rmse` and `std` (root mean squares),
        `curve` (predicted, measured, count), and of the mean over pictures in decibels `estimate_psnr` and
        `sample_psnr`.
    """
    found = list(residuals(model, images, seed, draw=True))
    error, std = pooled(found, "std", seed)
    squares = np.array([[np.mean(np.square(each)) for each in (one.error, one.extra)] for one in found])
    estimate_psnr, sample_psnr = np.mean(-10 * np.log10(np.maximum(squares, 1e-10)), axis=0)
    return {
        "pictures": len(images),
        "coverage": coverage(error, std),
        "calibration_error": expected_calibration_error(error, std),
        "rmse": float(np.sqrt(np.mean(np.square(error)))),
        "std": float(np.sqrt(np.mean(np.square(std)))),
        "curve": [values.tolist() for values in calibration_curve(error, std)],
        "estimate_psnr": float(estimate_psnr),
        "sample_psnr": float(sample_psnr),
    }


def residuals(model: Any, images: Sequence[np.ndarray], seed: int, draw: bool = False) -> Iterator[Residual]:
    """Of the middle of each picture, degraded anew `DRAWS` times: with predictors, or with `draw` with a sample."""
    for index, image in enumerate(images):
        top, left = (max(0, length - SIDE) // 2 for length in image.shape[:2])
        x = np.repeat(np.asarray(image, np.float32)[None, top : top + SIDE, left : left + SIDE], DRAWS, axis=0)
        degraded, damage = model.corrupt(tf.convert_to_tensor(x), (seed, index))
        known = 1.0 - damage if model.takes_mask else tf.ones_like(damage)
        maps = {name: np.asarray(value) for name, value in model.restore(degraded, known).items()}
        counts = np.asarray(known) == 0 if model.takes_mask else maps.get("damage", np.ones_like(known)) >= 0.5
        if draw:
            shape = (DRAWS, *model.code_shape(*x.shape[1:3])[:-1], model.noise_units)
            noise = np.random.default_rng((seed, index)).standard_normal(shape, np.float32)
            extra = counts * (x - np.asarray(model.sample(degraded, noise, known)["image"]))
        else:
            extra = np.asarray(model.predictors(degraded, known))
        for place in range(DRAWS):
            error = counts[place] * (x[place] - maps["image"][place])
            yield Residual(error, counts[place], maps["std"][place], extra[place])


def pooled(found: Sequence[Residual], name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Errors `(n,)`, and their `name`, `(n,)` or `(n, k)`: of at most `MOST` restored values a picture."""
    rng = np.random.default_rng(seed)
    errors, others = [], []
    for each in found:
        where = np.flatnonzero(np.broadcast_to(each.counts, each.error.shape))
        where = where if len(where) <= MOST else rng.choice(where, MOST, replace=False)
        values = getattr(each, name)
        errors.append(each.error.ravel()[where])
        others.append(values.reshape(each.error.size, *values.shape[3:])[where])
    if not sum(map(len, errors)):
        raise ValueError(f"`images` must hold pictures of which something is restored. Received: {len(found)}")
    return np.concatenate(errors).astype(np.float64), np.concatenate(others).astype(np.float64)


def _log_quadratic(error: np.ndarray, predictors: np.ndarray) -> tuple[dict[str, Any], np.ndarray]:
    """The part of the table by which the index is told from predictors, of highest likelihood; and the index."""
    centre, spread = predictors.mean(axis=0), predictors.std(axis=0)
    scale = np.where(spread > 1e-6, spread, np.inf)  # what does not vary tells nothing
    design = terms((predictors - centre) / scale)
    squares = np.square(error) + LEAST_STD**2

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        eta = np.clip(weights[0] + design @ weights[1:], -12.0, 3.0)
        ratio = 1 - squares * np.exp(-2 * eta)
        return float(np.mean(eta - 0.5 * ratio)), np.concatenate([[ratio.mean()], ratio @ design / len(error)])

    start = np.zeros(1 + design.shape[1])
    start[0] = 0.5 * np.log(squares.mean())
    weights = optimize.minimize(loss, start, jac=True, method="L-BFGS-B").x[1:]
    count = len(centre)
    products = np.zeros((count, count))
    products[np.triu_indices(count)] = weights[count:]
    function = {"centre": centre, "scale": np.where(spread > 1e-6, spread, 1.0)}
    function |= {"weights": weights[:count], "products": products}
    return {name: values.tolist() for name, values in function.items()}, design @ weights


def amplitudes(standard: Sequence[np.ndarray], counts: Sequence[np.ndarray]) -> np.ndarray:
    """Matrices by which `tfvae.layers.starlet.shaped` makes noise like given errors: `(octaves, c, c)`.

    Moment matching: the covariance of the channels in each octave of such noise, which overlaps its neighbours, is made
    that of the errors, and the variance, too.

    Args:
        standard: Errors by their standard deviation, `(h, w, c)`.
        counts: Where they count, `(h, w, 1)`, bool.
    """
    side = 2 ** int(np.ceil(np.log2(2 * REACH + max(max(each.shape[:2]) for each in standard))))
    spectrum = _spectrum(standard, counts, side)
    responses = frequency_responses(side)
    target = np.einsum("bij,ijcd->bcd", np.square(responses), spectrum) / side**2
    overlap = np.einsum("bij,eij,fij->bef", np.square(responses), responses, responses, optimize=True) / side**2
    found = np.tile(np.eye(standard[0].shape[-1]), (len(target), 1, 1))
    for _ in range(ROUNDS):
        reached = np.einsum("bef,ecd,fgd->bcg", overlap, found, found)
        # T^(1/2) P^(-1/2) takes the covariance P to T.
        found = np.stack([_power(t, 0.5) @ _power(p, -0.5) @ m for t, p, m in zip(target, reached, found, strict=True)])
    drawn = np.einsum("eij,fij,ecd,fcd->", responses, responses, found, found, optimize=True)
    return found * np.sqrt(np.einsum("ijcc->", spectrum) / drawn)


def _spectrum(standard: Sequence[np.ndarray], counts: Sequence[np.ndarray], side: int) -> np.ndarray:
    """Power spectrum of errors of which some count: that of their covariances at lags up to `REACH`, of the pairs."""
    cross: Any = 0.0
    pairs: Any = 0.0
    for error, where in zip(standard, counts, strict=True):
        parts = np.fft.fft2(np.where(where, error, 0.0), (side, side), axes=(0, 1))
        cross = cross + parts[..., :, None] * parts[..., None, :].conj()
        pairs = pairs + np.square(np.abs(np.fft.fft2(where[..., 0], (side, side))))
    near = np.abs(np.fft.fftfreq(side, 1 / side)) <= REACH
    taken = np.outer(near, near)[..., None, None] / np.maximum(np.fft.ifft2(pairs).real, 1.0)[..., None, None]
    return np.fft.fft2(np.fft.ifft2(cross, axes=(0, 1)).real * taken, axes=(0, 1)).real


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """Of a covariance; an eigenvalue below a millionth of the largest, of rounding or of chance, is taken as that."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 1e-6 * max(values[-1], 1e-12)) ** exponent) @ vectors.T
