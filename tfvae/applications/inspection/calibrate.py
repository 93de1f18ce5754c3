"""Calibration of an inspector: which windows see defects, what is usual for good pieces, and where the threshold is."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.applications.channels import floats
from tfvae.applications.inspection.inspect import inspect, peaks
from tfvae.applications.tiles import traced
from tfvae.metrics.anomaly import auroc
from tfvae.metrics.conformal import threshold

COPIES = 3  # damaged ones of each good piece
LARGEST = 512  # pixels a side of what is damaged, the middle of a larger piece
LEAST_SPREAD = {"damage": 0.1, "tone": 1 / 255}  # where good pieces are all alike: a tenth of a nat, a grey level


def calibrate(
    model: Any,
    normal: Sequence[np.ndarray],
    held_out: Sequence[np.ndarray],
    alpha: float | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Calibrates `model`, and returns its `calibration`: JSON-ready.

    1. Of `normal` pieces the largest evidence of each kind: its median is the centre, 1.4826 times the median distance
       from it the spread (a standard deviation, were it normal).
    2. Copies of them get the model's own synthetic defects. Of all pairs of a window of damage and one of tone that is
       kept whose score tells the damaged from the good with the largest AUROC.
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
        `damage` and `tone`, each `[window, centre, spread]`; `alpha`, `threshold`, the sorted `scores` of the held-out
        pieces, and `chosen_auroc`, what the windows were chosen by.

    Raises:
        ValueError: When there are no `normal` pieces, or too few `held_out` ones for `alpha`.
    """
    if not len(normal):
        raise ValueError("`normal` must hold good pieces. Received: none")
    alpha = model.alpha if alpha is None else alpha
    threshold(np.zeros(len(held_out)), alpha)  # too few of them is better said before the work
    total, done = len(normal) + len(held_out), 0
    good: list[np.ndarray] = []
    damaged: list[np.ndarray] = []
    for index, piece in enumerate(normal):
        good.append(peaks(model, piece))
        damaged += [peaks(model, copy) for copy in _damaged(model, floats(np.asarray(piece)), seed, index)]
        done = index + 1
        if progress:
            progress(done, total)
    chosen = _chosen(model.windows, np.array(good), np.array(damaged).reshape(-1, len(good[0])))
    model.use({**chosen, "alpha": alpha, "threshold": 1.0, "scores": []})
    traced.cache_clear()  # graphs hold the calibration before
    scores = []
    for index, piece in enumerate(held_out):
        scores.append(inspect(model, piece).score)
        if progress:
            progress(done + index + 1, total)
    found = {**chosen, "alpha": alpha, "threshold": threshold(np.array(scores), alpha), "scores": sorted(scores)}
    model.use(found)
    return found


def _damaged(model: Any, piece: np.ndarray, seed: int, index: int) -> list[np.ndarray]:
    """Copies of a piece with the model's synthetic defects; those that got none are left out."""
    top, left = (max(0, (side - LARGEST) // 2) for side in piece.shape[:2])
    part = tf.convert_to_tensor(piece[None, top : top + LARGEST, left : left + LARGEST])
    found = []
    for copy in range(COPIES):
        draw = tf.random.split(tf.constant([seed, index * COPIES + copy]), 1)[0]
        image, damage = model.corrupt(part, draw)
        if tf.reduce_any(damage > 0):
            found.append(np.clip(image.numpy()[0], 0.0, 1.0))
    return found


def _chosen(windows: dict[str, tuple[int, ...]], good: np.ndarray, damaged: np.ndarray) -> dict[str, Any]:
    """The pair of windows, with centre and spread of each, and the AUROC that it was chosen by."""
    columns = [(source, window) for source, sides in windows.items() for window in sides]
    centre = np.median(good, axis=0)
    least = np.array([LEAST_SPREAD[source] for source, _ in columns])
    spread = np.maximum(1.4826 * np.median(np.abs(good - centre), axis=0), least)
    wrong = np.repeat([False, True], [len(good), len(damaged)])
    deviations = (np.concatenate([good, damaged]) - centre) / spread
    best: tuple[float, tuple[int, ...]] = (-1.0, ())
    places = [[index for index, column in enumerate(columns) if column[0] == source] for source in windows]
    for pair in product(*places):
        value = auroc(wrong, deviations[:, pair].max(axis=1)) if len(damaged) else 0.5
        best = max(best, (value, pair), key=lambda each: each[0])
    table = {columns[k][0]: [columns[k][1], float(centre[k]), float(spread[k])] for k in best[1]}
    return {**table, "chosen_auroc": best[0]}
