"""The health of a training as a picture."""

from collections.abc import Sequence

import numpy as np

from tfvae.pictures.charts import TRAINING, VALIDATION, _figure, _pixels

EMPTY = "#c8c8c8"


def health_picture(
    kl_per_unit: Sequence[float], active: Sequence[bool], points: Sequence[tuple[float, float]], title: str = ""
) -> np.ndarray:
    """Bars of the KL of each latent unit, largest first, next to the path of the training through rate and distortion.

    Args:
        kl_per_unit: Nats per example of each unit.
        active: Whether each is active; the others are grey.
        points: Rate and distortion, nats per example, of each epoch in order; what is not finite is left out.
        title: Heading of the picture.

    Returns:
        uint8 RGB picture `(height, width, 3)`.

    Raises:
        ValueError: When there is no unit, or not as many of `active`.
    """
    if not len(kl_per_unit) or len(kl_per_unit) != len(active):
        raise ValueError(
            "`kl_per_unit` and `active` must hold one value for each of one or more units. "
            f"Received: {len(kl_per_unit)} and {len(active)}."
        )
    kl = np.nan_to_num(np.asarray(kl_per_unit, np.float64), posinf=0.0)
    order = np.argsort(-kl, kind="stable")
    figure = _figure(10.0, 4.0)
    bars, plane = figure.subplots(1, 2)
    colours = [TRAINING if active[unit] else EMPTY for unit in order]
    bars.bar(np.arange(1, len(kl) + 1), kl[order], color=colours)
    bars.set_title(f"KL of each latent unit: {sum(map(bool, active))} of {len(kl)} are active", fontsize=10)
    bars.set_xlabel("place of the unit, largest KL first")
    bars.set_ylabel("nats per image")
    bars.set_xlim(0.4, max(len(kl), 4) + 0.6)
    bars.xaxis.get_major_locator().set_params(integer=True)
    way = np.asarray(points, np.float64).reshape(-1, 2)
    kept = np.isfinite(way).all(axis=1)
    epochs, way = np.flatnonzero(kept) + 1, way[kept]
    if len(way):
        plane.plot(*way.T, color=TRAINING, marker="o" if len(way) <= 20 else "", markersize=3, linewidth=1)
        for place in sorted({0, len(way) - 1}):
            plane.plot(*way[place], color=VALIDATION, marker="o", markersize=5)
            right = way[place, 0] > way[:, 0].mean()  # so that the words stay inside
            plane.annotate(
                f"epoch {epochs[place]}",
                way[place],
                xytext=(-6 if right else 6, 6),
                ha="right" if right else "left",
                textcoords="offset points",
                fontsize=8,
            )
    plane.set_title("rate and distortion, epoch by epoch", fontsize=10)
    plane.set_xlabel("rate, nats per image")
    plane.set_ylabel("distortion, nats per image")
    plane.margins(0.12)
    for axes in (bars, plane):
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    if title:
        figure.suptitle(title)
    return _pixels(figure)
