"""Learning curves, maps of the latent space and plots of a search, drawn without a display."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tfvae.pictures.fonts import make_legible

# Metrics in the order a reader asks for them; the rest of a table follows in its own order.
FIRST = ("elbo", "loss", "distortion", "rate", "psnr", "ssim")
# Columns of a metrics table that say when or how fast, not how good.
NO_METRICS = ("epoch", "step", "steps", "time", "seconds", "images", "images_per_second")
UNITS = {"elbo": "nats", "loss": "nats", "distortion": "nats", "rate": "nats", "psnr": "dB"}
TRAINING, VALIDATION = "#4c78a8", "#e4572e"


def latent_map(
    codes: np.ndarray,
    labels: np.ndarray | None = None,
    label_names: Sequence[str] = (),
    title: str = "",
    images: Sequence[np.ndarray] | np.ndarray | None = None,
) -> np.ndarray:
    """Every code as a point in the plane: the two numbers themselves, or the two main directions of a PCA.

    Args:
        codes: Codes, shape `(n, d)`.
        labels: Class of each code, integers of shape `(n,)`, -1 for none; colours the points.
        label_names: Name of each class, for the legend (at most 20 classes are named).
        title: Heading of the picture.
        images: The image of each code; as many as fit without overlap are drawn at their places.

    Returns:
        uint8 RGB picture `(height, width, 3)`.

    Raises:
        ValueError: When there are no codes.
    """
    if len(codes) == 0:
        raise ValueError("`codes` must hold at least one code. Received: 0 codes.")
    points, axis_names = plane(np.asarray(codes, np.float64))
    figure = _figure(8.0, 7.0)
    axes = figure.add_subplot()
    axes.set_xlabel(axis_names[0])
    axes.set_ylabel(axis_names[1])
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    if images is not None:
        axes.scatter(*points.T, s=0)  # sets the limits that the thumbnails are placed in
        _draw_thumbnails(figure, axes, points, images)
    elif labels is None:
        axes.scatter(*points.T, s=_point_size(len(points)), color=TRAINING, alpha=0.7, linewidths=0)
    else:
        _draw_classes(axes, points, np.asarray(labels), label_names)
    return _pixels(figure)


def learning_curves(
    rows: Iterable[Mapping[str, Any]] | Mapping[str, Sequence[Any]], title: str = "", names: Sequence[str] = ()
) -> np.ndarray:
    """One panel for each metric of a table, training and validation (`val_` columns) together.

    Args:
        rows: Rows of `metrics.csv` in order: metric name to number (or its text); empty cells are left out. Or the
            columns of such a table, as in the `history` that `fit` returns. The horizontal axis is the column `epoch`,
            or the row number from 1.
        title: Heading of the picture.
        names: Metrics to show, in order; by default all.

    Returns:
        uint8 RGB picture `(height, width, 3)`.

    Raises:
        ValueError: When no row holds a metric, or not one of `names`.
    """
    from matplotlib.lines import Line2D

    if isinstance(rows, Mapping):
        rows = [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]
    table = [{key: number for key, value in row.items() if (number := _number(value)) is not None} for row in rows]
    held = list(dict.fromkeys(key.removeprefix("val_") for row in table for key in row))
    if unknown := [name for name in names if name not in held]:
        raise ValueError(
            f"`names` must be metrics of `rows`. Received: {', '.join(unknown)}; there: {', '.join(held)}."
        )
    # A column of zeros, such as the skipped steps of a sound run, is no curve.
    held = [name for name in held if any(row.get(key) for row in table for key in (name, f"val_{name}"))]
    held = [name for name in FIRST if name in held] + [name for name in held if name not in (*FIRST, *NO_METRICS)]
    names = names or held
    if not names:
        raise ValueError("`rows` must hold at least one metric. Received: none.")
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure = _figure(4.4 * columns, 3.1 * lines + (0.4 if title else 0.0))
    for index, name in enumerate(names):
        axes = figure.add_subplot(lines, columns, index + 1)
        for key, colour in ((name, TRAINING), (f"val_{name}", VALIDATION)):
            curve = [(row.get("epoch", place), row[key]) for place, row in enumerate(table, 1) if key in row]
            if curve:
                marker = "o" if len(curve) <= 20 else ""
                axes.plot(*zip(*curve, strict=True), color=colour, marker=marker, markersize=3)
        axes.set_title(f"{name} ({UNITS[name]})" if name in UNITS else name, fontsize=10)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    if title:
        figure.suptitle(title)
    if any(key.startswith("val_") for row in table for key in row):
        handles = [Line2D([], [], color=TRAINING), Line2D([], [], color=VALIDATION)]
        figure.legend(handles, ["training", "validation"], loc="outside lower center", ncols=2, frameon=False)
    return _pixels(figure)


def search_panels(
    points: Sequence[Mapping[str, Any]], score: str, best: int, logarithmic: Collection[str] = (), title: str = ""
) -> np.ndarray:
    """One panel for each searched setting: the score of every trial against the trial's value of it.

    Args:
        points: Trials: setting name to value (a number, or a text where the setting is a choice), and `"score"`.
        score: What the score is, with its unit.
        best: Index of the best trial, drawn as a star.
        logarithmic: Settings whose axis is logarithmic.
        title: Heading of the picture.

    Returns:
        uint8 RGB picture `(height, width, 3)`.

    Raises:
        ValueError: When there are no points.
    """
    if not points:
        raise ValueError("`points` must hold at least one trial. Received: none.")
    names = [name for name in points[0] if name != "score"]
    scores = [point["score"] for point in points]
    columns = min(2 if len(names) == 4 else 3, len(names))
    lines = -(-len(names) // columns)
    figure = _figure(4.4 * columns, 3.3 * lines + (0.4 if title else 0.0))
    first = None
    for index, name in enumerate(names):
        axes = figure.add_subplot(lines, columns, index + 1, sharey=first)
        first = first or axes
        values = [point[name] for point in points]
        if name not in logarithmic:
            # A few values, far apart or no numbers at all: each has its place, in the order of their sizes.
            numbers = all(isinstance(value, (int, float)) for value in values)
            kinds = sorted(set(values)) if numbers else sorted(set(map(str, values)))
            values = [kinds.index(value if numbers else str(value)) for value in values]
            axes.set_xticks(range(len(kinds)), [str(kind) for kind in kinds])
            axes.set_xlim(-0.5, len(kinds) - 0.5)
        else:
            axes.set_xscale("log")
            _plain_ticks(axes, values)
        axes.scatter(values, scores, s=30, color=TRAINING, alpha=0.8, linewidths=0)
        axes.scatter(values[best], scores[best], s=160, marker="*", color=VALIDATION, zorder=3, label="best")
        axes.set_xlabel(name)
        if index % columns == 0:
            axes.set_ylabel(score)
        else:
            axes.tick_params(labelleft=False)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", frameon=False)
    if title:
        figure.suptitle(title)
    return _pixels(figure)


def validation_curve(points: Sequence[Mapping[str, Any]], setting: str, score: str, title: str = "") -> np.ndarray:
    """What a setting does to the score of images that were learnt from, and of others.

    Args:
        points: One a value: `"value"`, `"training"`, `"validation"`, and `"errors"`, the standard errors of validation
            and training, or None.
        setting: Its name.
        score: What the score is, with its unit.
        title: Heading of the picture.

    Returns:
        uint8 RGB picture `(height, width, 3)`. Each value has its place, in the order given; the best is a star.

    Raises:
        ValueError: When there are no points.
    """
    if not points:
        raise ValueError("`points` must hold at least one value. Received: none.")
    figure = _figure(6.4, 4.4)
    axes = figure.add_subplot()
    for place, (name, colour) in enumerate((("validation", VALIDATION), ("training", TRAINING))):
        errors = [point["errors"][place] for point in points] if points[0]["errors"] else None
        scores = [point[name] for point in points]
        axes.errorbar(range(len(points)), scores, errors, color=colour, marker="o", ms=4, capsize=3, label=name)
    best = max(range(len(points)), key=lambda place: points[place]["validation"])
    axes.scatter(best, points[best]["validation"], s=180, marker="*", color=VALIDATION, zorder=3)
    axes.set_xticks(range(len(points)), [str(point["value"]) for point in points])
    axes.set_xlabel(setting)
    axes.set_ylabel(score)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return _pixels(figure)


def calibration_chart(
    predicted: Sequence[float], measured: Sequence[float], held: float, title: str = ""
) -> np.ndarray:
    """Predicted standard deviations beside their errors, with the diagonal on which both are equal.

    Args:
        predicted: Root mean squares of the predicted standard deviations of each bin, white is 1.
        measured: Root mean squares of its errors.
        held: Share of all errors within two standard deviations.
        title: Heading of the picture.

    Returns:
        uint8 RGB picture `(height, width, 3)`.
    """
    figure = _figure(5.0, 4.6)
    axes = figure.add_subplot()
    grey = 255.0  # levels, which a person knows from an editor
    ends = [grey * bound for bound in (min(*predicted, *measured), max(*predicted, *measured))]
    axes.plot(ends, ends, color="#999999", linewidth=1)
    axes.plot(grey * np.asarray(predicted), grey * np.asarray(measured), color=VALIDATION, marker="o", markersize=3)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("{x:g}")
        axis.set_tick_params(which="minor", labelsize=7)
    axes.set_xlabel("predicted standard deviation (of 255)")
    axes.set_ylabel("root mean squared error (of 255)")
    axes.set_title(title or f"{held:.1%} of errors within two of them (normal: 95.4 %)", fontsize=10)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return _pixels(figure)


def _plain_ticks(axes: Any, values: Sequence[float]) -> None:
    """Four ticks from the least to the greatest value, in plain numbers, on a logarithmic axis."""
    from matplotlib.ticker import NullLocator

    ticks = np.geomspace(min(values), max(values), 4) if min(values) < max(values) else np.array(values[:1])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks, [f"{tick:.2g}" if tick < 100 else f"{tick:.0f}" for tick in ticks])


def plane(codes: np.ndarray) -> tuple[np.ndarray, tuple[str, str]]:
    """Codes `(n, d)` in two dimensions, `(n, 2)`, and the names of the two axes: a PCA where d is more than 2."""
    if codes.shape[1] == 1:
        return np.pad(codes, ((0, 0), (0, 1))), ("latent 1", "")
    if codes.shape[1] == 2:
        return codes, ("latent 1", "latent 2")
    centred = codes - codes.mean(axis=0)
    # The eigenvectors of the d×d scatter matrix: exact, and cheap for any number of codes.
    values, vectors = np.linalg.eigh(centred.T @ centred)
    main = vectors[:, ::-1][:, :2]
    # The sign of an eigenvector is arbitrary: the largest entry is made positive so that a map can be drawn again.
    main = main * np.sign(main[np.abs(main).argmax(axis=0), [0, 1]])
    shares = values[::-1][:2] / max(values.sum(), np.finfo(float).tiny)
    names = [f"principal component {place} ({share:.0%} of variance)" for place, share in enumerate(shares, 1)]
    return centred @ main, (names[0], names[1])


def _draw_classes(axes: Any, points: np.ndarray, labels: np.ndarray, label_names: Sequence[str]) -> None:
    from matplotlib import colormaps

    unknown = labels < 0
    if unknown.any():
        size = _point_size(len(points))
        axes.scatter(*points[unknown].T, s=size, color="#c8c8c8", linewidths=0, label="no label")
        points, labels = points[~unknown], labels[~unknown]
    classes = np.unique(labels)
    if len(classes) == 0:
        return
    palette = colormaps["tab10" if len(classes) <= 10 else "tab20"]
    if len(classes) > 20:
        # More classes than colours an eye can tell apart: a continuous scale, no legend.
        axes.scatter(*points.T, c=labels, cmap="viridis", s=_point_size(len(points)), alpha=0.75, linewidths=0)
        return
    # All points in one call and in their own order, so that no class is painted over by the next.
    colours = palette(np.searchsorted(classes, labels))
    axes.scatter(*points.T, c=colours, s=_point_size(len(points)), alpha=0.75, linewidths=0)
    for place, label in enumerate(classes):
        name = label_names[int(label)] if int(label) < len(label_names) else str(label)
        axes.scatter([], [], color=palette(place), s=40, label=name)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def _draw_thumbnails(figure: Any, axes: Any, points: np.ndarray, images: Sequence[np.ndarray] | np.ndarray) -> None:
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    make_legible(figure)
    figure.canvas.draw()  # the layout must be known before points have places in pixels
    places = axes.transData.transform(points)
    side = 64.0 if len(points) <= 100 else 40.0  # pixels of a thumbnail at the figure's own resolution
    taken = np.empty((0, 2))
    for place, point, image in zip(places, points, images, strict=True):
        if np.any(np.max(np.abs(taken - place), axis=1) < side + 2):
            continue
        taken = np.vstack([taken, place])
        pixels = np.asarray(image)
        grey = pixels.shape[2] == 1
        top = 255 if pixels.dtype == np.uint8 else 1.0
        zoom = side / max(pixels.shape[:2]) * 72 / figure.dpi
        pixels = pixels[:, :, 0] if grey else pixels
        thumbnail = OffsetImage(pixels, zoom=zoom, cmap="gray" if grey else None)
        if grey:
            thumbnail.image.set_clim(0, top)
        axes.add_artist(AnnotationBbox(thumbnail, point, frameon=False, pad=0))


def _point_size(count: int) -> float:
    """Area of a point: fewer points are drawn larger."""
    return float(np.clip(24_000 / count, 5, 40))


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _figure(width: float, height: float) -> Any:
    """A figure of its own (inches), outside pyplot's global state: a library must not change a notebook's backend."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _pixels(figure: Any) -> np.ndarray:
    make_legible(figure)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[:, :, :3].copy()
