"""Sums of codes: what two groups of images differ in, added to a third picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TAIL = 0.1  # share of the images at either end of a principal component


@dataclass(frozen=True)
class Contrast:
    """Two groups of images whose codes differ in something with a name.

    Attributes:
        name: What adding `mean(toward) - mean(away)` to a code of `away` does.
        toward, away: Indices of the images of each group.
        toward_name, away_name: What the groups are.
    """

    name: str
    toward: np.ndarray
    away: np.ndarray
    toward_name: str
    away_name: str


def pooled(code: np.ndarray) -> np.ndarray:
    """The mean of one code over its places, `(latent_dim,)`; a vector is its own."""
    return code.mean(axis=tuple(range(code.ndim - 1)))


def shifted(code: np.ndarray, step: np.ndarray) -> np.ndarray:
    """`code + step`; a step `(latent_dim,)` is taken at every place alike of a spatial code, whose forms stay.

    The label of a conditional model's `whole_codes` stays, too.
    """
    step = np.pad(step, [(0, 0)] * (step.ndim - 1) + [(0, code.shape[-1] - step.shape[-1])])
    return (code + step).astype(np.float32)


def contrasts(
    codes: np.ndarray, labels: np.ndarray | None = None, label_names: Sequence[str] = (), count: int = 4
) -> list[Contrast]:
    """At most `count` contrasts: of classes where there are two with images, else of principal components.

    Classes are paired by the distance of their mean codes, the nearest first and each once, because the less changes,
    the more of a picture stays; what is left of `count` are the same pairs turned round. The ends of a principal
    component are the tenth of the images furthest to either side.

    Args:
        codes: `(n, latent_dim)`.
        labels: Class of each image, -1 where there is none.
        label_names: The name of each class.
        count: Most of them.

    Raises:
        ValueError: When there are fewer than two codes.
    """
    if len(codes) < 2:
        raise ValueError(f"`codes` must hold at least two codes. Received: {len(codes)}")
    classes = [] if labels is None else [int(label) for label in np.unique(labels[labels >= 0])]
    if labels is None or len(classes) < 2:
        return _of_components(codes, count)
    members = {label: np.flatnonzero(labels == label) for label in classes}
    means = {label: codes[members[label]].mean(axis=0) for label in classes}
    pairs = [(a, b) for place, a in enumerate(classes) for b in classes[place + 1 :]]
    pairs.sort(key=lambda pair: float(np.linalg.norm(means[pair[0]] - means[pair[1]])))
    taken: set[int] = set()
    chosen = []
    for pair in pairs:
        if not taken.intersection(pair):
            taken.update(pair)
            chosen.append(pair)
    names = {label: label_names[label] if label < len(label_names) else str(label) for label in classes}
    turned = [(b, a) for a, b in chosen]
    return [
        Contrast(f"{names[b]} becomes {names[a]}", members[a], members[b], f"mean {names[a]}", f"mean {names[b]}")
        for a, b in (chosen + turned)[:count]
    ]


def _of_components(codes: np.ndarray, count: int) -> list[Contrast]:
    centred = codes - codes.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    shares = np.square(sizes) / max(np.square(sizes).sum(), np.finfo(float).tiny)
    tail = max(1, int(TAIL * len(codes)))
    found = []
    for place in range(min(count, int((shares > 1e-9).sum()))):
        # The sign of an axis is arbitrary: its largest entry is made positive, so that a page can be made again.
        axis = axes[place] * np.sign(axes[place][np.abs(axes[place]).argmax()])
        order = np.argsort(centred @ axis, kind="stable")
        name = f"component {place + 1} ({shares[place]:.0%} of variance)"
        found.append(Contrast(f"Along {name}", order[-tail:], order[:tail], "mean of one end", "mean of the other"))
    return found
