"""Styles by name and by number: weights that a person asked for, and groups of pictures without names."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

from tfvae.data.array_batches import batches
from tfvae.errors import did_you_mean

PART = re.compile(r"(?P<name>.+?)(?::(?P<weight>[^:]*))?")


def parse_style(text: str, names: Sequence[str], extrapolate: bool = False, word: str = "style") -> np.ndarray:
    """Weights of each style from `monet:0.6,hokusai:0.4` or `monet`; a name without a number has the weight 1.

    Args:
        text: Names and numbers.
        names: The styles that there are.
        word: What the names are called in a message: "style" or "label".
        extrapolate: Take the numbers as they are, negative ones, too. Otherwise they are shares: scaled to the sum 1.

    Returns:
        float32 `(len(names),)`.

    Raises:
        ValueError: For a name that is not there or comes twice, what is no number, a negative share, or only zeros.
    """
    weights: dict[str, float] = {}
    for part in (part.strip() for part in text.split(",")):
        match = PART.fullmatch(part)
        name, number = (match["name"].strip(), match["weight"]) if match else ("", None)
        if name not in names:
            raise ValueError(
                f"no {word} '{name}'.{did_you_mean(name, names)} {word.capitalize()}s of this run: {', '.join(names)}."
            )
        if name in weights:
            raise ValueError(f"{word} '{name}' is named twice. Received: {text!r}.")
        try:
            weights[name] = 1.0 if number is None else float(number)
        except ValueError:
            raise ValueError(f"the weight of '{name}' must be a number. Received: {number!r}.") from None
    values = np.array([weights.get(name, 0.0) for name in names])
    if not np.isfinite(values).all():
        raise ValueError(f"weights must be finite. Received: {text!r}.")
    if extrapolate:
        return values.astype(np.float32)
    if (values < 0).any() or not values.any():
        raise ValueError(
            f"shares must be 0 or more, and one above 0. Received: {text!r}. Other weights: with --extrapolate."
        )
    return (values / values.sum()).astype(np.float32)


def latent_statistics(model: Any, images: Any, batch_size: int = 16) -> np.ndarray:
    """Mean and standard deviation of each channel of the codes of each image: what of them is not where.

    Args:
        model: Any latent model; of a vector latent the code itself is taken.
        images: As `batches` takes them.
        batch_size: Most images in a step.

    Returns:
        float32 `(n, 2 * channels)`, or `(n, units)`.

    Reference:
        Huang and Belongie (2017), https://arxiv.org/abs/1703.06868: such statistics are what a style is
    """
    rows = []
    for x in batches(images, batch_size):
        codes = np.asarray(model.codes(x))
        rows.append(codes if codes.ndim == 2 else np.concatenate([codes.mean((1, 2)), codes.std((1, 2))], axis=1))
    return np.concatenate(rows).astype(np.float32)


def cluster_styles(statistics: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Labels of `count` groups of pictures with like statistics (k-means, each column scaled to unit variance).

    Args:
        statistics: `(n, features)`, as of `latent_statistics`.
        count: How many groups, from 2 to n.
        seed: Of the starting points.

    Returns:
        int64 `(n,)`; 0 is the largest group.

    Raises:
        ValueError: When `count` is not from 2 to n.
    """
    if not 2 <= count <= len(statistics):
        raise ValueError(f"`count` must be from 2 to the {len(statistics)} pictures. Received: count={count}")
    found = KMeans(count, n_init=10, random_state=seed).fit_predict(StandardScaler().fit_transform(statistics))
    order = np.argsort(-np.bincount(found, minlength=count), kind="stable")
    return np.argsort(order)[found].astype(np.int64)
