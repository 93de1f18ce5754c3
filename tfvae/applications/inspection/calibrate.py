"""Calibration of an inspector: Gaussians of good pieces, what is usual for them, and where the threshold is."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from scipy.special import logsumexp

from tfvae.applications.channels import floats
from tfvae.applications.inspection.inspect import inspect, peaks
from tfvae.applications.tiles import traced
from tfvae.metrics.anomaly import auroc
from tfvae.metrics.conformal import threshold

COPIES = 3  # damaged ones of each good piece
LARGEST = 512  # pixels a side of what is damaged, the middle of a larger piece
LEAST_SPREAD = 0.05  # nats, where good pieces are all alike
MOST = 4096  # pieces that the Gaussians are fitted to, evenly spaced


def fit_whole(model: Any, pieces: Any) -> None:
    """Fits the model's Gaussians of whole pieces to good ones, those that it was trained on.

    Args:
        model: An `Inspector`. A calibration that it had is void afterwards.
        pieces: A sequence of `(height, width, channels)`, two or more; of more than 4,096 so many, evenly spaced.

    Raises:
        ValueError: When there are fewer than two.
    """
    spaced = np.linspace(0, len(pieces) - 1, min(len(pieces), MOST)).astype(int)
    thumbnails = [
        model.whole_piece.thumbnail(tf.convert_to_tensor(floats(np.asarray(pieces[k]))[None])) for k in spaced
    ]
    model.whole_piece.fit(np.concatenate(thumbnails) if thumbnails else np.zeros((0, 1, 1, 1)))
    model.use(None)


def calibrate(
    model: Any,
    normal: Sequence[np.ndarray],
    held_out: Sequence[np.ndarray],
    alpha: float | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Calibrates `model`, and returns its `calibration`: JSON-ready.

    1. Of `normal` pieces the largest evidence of each source: its median is the centre, 1.4826 times the median
       distance from it the spread (a standard deviation, were it normal).
    2. Copies of them get the model's own synthetic defects: how well the score tells these from the good is said, and
       nothing is chosen by it.
    3. The scores of the `held_out` pieces, which nothing has seen before, give the threshold at `alpha`
       (`tfvae.metrics.conformal`).

    Args:
        model: An `Inspector`, trained.
        normal: Good pieces, `(height, width, channels)` each.
        held_out: Others, neither trained on nor among `normal`.
        alpha: The false-alarm rate that is admitted; None: the model's.
        seed: Of the synthetic defects.
        progress: Called with the pieces done and all pieces.

    Returns:
        `sources`, `{name: [centre, spread]}`; `synthetic_auroc`, on synthetic defects, None where no copy got one;
        `alpha`, `threshold`, and the sorted `scores` of the held-out pieces; `pixels`, of the largest of them.

    Raises:
        ValueError: When there are no `normal` pieces, or too few `held_out` ones for `alpha`.
    """
    if not len(normal):
        raise ValueError("`normal` must hold good pieces. Received: none")
    alpha = model.alpha if alpha is None else alpha
    threshold(np.zeros(len(held_out)), alpha)  # too few of them is better said before the work
    corrupt = _corruption(model)
    total, done = len(normal) + len(held_out), 0
    good: list[np.ndarray] = []
    damaged: list[np.ndarray] = []
    for index, piece in enumerate(normal):
        good.append(peaks(model, piece))
        damaged += [peaks(model, copy) for copy in _damaged(corrupt, floats(np.asarray(piece)), seed, index)]
        done = index + 1
        if progress:
            progress(done, total)
    usual = _usual(model, np.array(good), np.array(damaged).reshape(-1, len(good[0])))
    model.use({**usual, "alpha": alpha, "threshold": 1.0, "scores": []})
    traced.cache_clear()  # graphs hold the calibration before
    scores, pixels = [], 0
    for index, piece in enumerate(held_out):
        inspected = inspect(model, piece)
        scores.append(inspected.score)
        pixels = max(pixels, inspected.map.size)
        if progress:
            progress(done + index + 1, total)
    limit = threshold(np.array(scores), alpha)
    found = {**usual, "alpha": alpha, "threshold": limit, "scores": sorted(scores), "pixels": pixels}
    model.use(found)
    return found


def _corruption(model: Any) -> Any:
    """The model's synthetic defects for copies of a piece of any size and a seed, as one graph."""
    copies = tf.TensorSpec((COPIES, None, None, model.image_shape[-1]), tf.float32)
    return tf.function(model.corrupt, input_signature=[copies, tf.TensorSpec((2,), tf.int32)])


def _damaged(corrupt: Any, piece: np.ndarray, seed: int, index: int) -> list[np.ndarray]:
    """Copies of a piece with the model's synthetic defects; those that got none are left out."""
    top, left = (max(0, (side - LARGEST) // 2) for side in piece.shape[:2])
    part = piece[top : top + LARGEST, left : left + LARGEST]
    images, damage = corrupt(tf.convert_to_tensor(np.stack([part] * COPIES)), tf.constant([seed, index]))
    hit = np.any(damage.numpy() > 0, axis=(1, 2, 3))
    return list(np.clip(images.numpy()[hit], 0.0, 1.0))


def _usual(model: Any, good: np.ndarray, damaged: np.ndarray) -> dict[str, Any]:
    """Centre and spread of each source in good pieces, and the AUROC of damaged ones among them."""
    places = [model.evidence_sources.index(name) for name in model.sources]
    good, damaged = good[:, places], damaged[:, places]
    centre = np.median(good, axis=0)
    spread = np.maximum(1.4826 * np.median(np.abs(good - centre), axis=0), LEAST_SPREAD)
    scores = logsumexp((np.concatenate([good, damaged]) - centre) / spread, axis=1)
    wrong = np.repeat([False, True], [len(good), len(damaged)])
    usual = {name: [float(a), float(b)] for name, a, b in zip(model.sources, centre, spread, strict=True)}
    return {"sources": usual, "synthetic_auroc": auroc(wrong, scores) if len(damaged) else None}
