"""What the explorer's page knows about a model: its units, a map of its latent space, and pictures to start from."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.artefacts import Export
from export.formats.tflite import draws_by_decoding_noise
from export.samples import fitted, spread
from tfvae.metrics.active_units import ACTIVE, unit_variances

SHEET = "pictures.png"
# As many pictures as a map can show, and fewer where they are large: the sheet is held by the browser as a whole.
MOST_PICTURES = 400
SHEET_PIXELS = 1_500_000
FEWEST_PICTURES = 12
DRAWS = 48  # from a learnt prior
RADIUS = 3.0  # of a slider, in standard deviations: all but 0.3 % of a normal distribution


@dataclass(frozen=True)
class Pictures:
    """Held-out images as the page shows and encodes them.

    Attributes:
        pixels: uint8 `(n, height, width, channels)`; grey values, not binarised.
        codes: Keras's codes of them, float32 `(n, *latent shape)`.
        labels: Class of each, or None where no picture has one.
        names: As the source calls them.
        label_names: The name of each class.
        split: Where they come from.
    """

    pixels: np.ndarray
    codes: np.ndarray
    labels: list[int] | None
    names: list[str]
    label_names: list[str]
    split: str


def choose(work: Export) -> Pictures:
    """Pictures evenly spaced through the held-out images, at the size that the `.tflite` files take."""
    split, held_out = work.splits.measured
    most = max(FEWEST_PICTURES, SHEET_PIXELS // math.prod(work.size))
    chosen = held_out.take(spread(len(held_out), min(MOST_PICTURES, most)))
    pixels = np.stack([fitted(image, work.size) for image in chosen])
    images = pixels.astype(np.float32) / np.float32(255.0)
    codes = work.reference.examples(images)["z"][0]
    labelled = chosen.labels is not None and bool((chosen.labels >= 0).any())
    labels = chosen.labels.tolist() if labelled else None
    return Pictures(pixels, codes, labels, chosen.names, chosen.label_names if labelled else [], split)


def describe(work: Export, pictures: Pictures) -> dict[str, Any]:
    """The contents of `data.json`.

    `units` are in order of activity: the variance of their codes over the pictures, for spatial latents over pictures
    and places. `map` is the plane of the two main directions of the codes (for spatial latents: of their means over
    places): `code = mean + x * axes[0] + y * axes[1]`, and `points` are the pictures' places in it.
    """
    model, config = work.model, work.run.data_config
    latent = list(pictures.codes.shape[1:])
    plane = principal_plane(pooled(pictures.codes))
    return {
        "name": work.run.path.resolve().name,
        "kind": "variational autoencoder" if model.prior is not None else "autoencoder",
        "weights": work.weights,
        "prior": draws_by_decoding_noise(model),
        "draws": draws(work),
        "image": dict(zip(("height", "width", "channels"), pictures.pixels.shape[1:], strict=True)),
        # Of a spatial latent the decoder returns whole cells, which the page crops as `reconstruct` does.
        "decoded_width": int(work.reference.answers["decode"][0]["image"].shape[2]),
        "latent": latent,
        "labels": list(model.label_names) if model.conditional else [],
        "code_output": "mean" if "mean" in work.reference.answers["encode"][0] else "code",
        "fit": config.fit if len(latent) == 1 else "crop",
        "not_applied": [name for name in ("denoise", "contrast") if getattr(config, name)],
        "units": units(pictures.codes, draws_by_decoding_noise(model)),
        "map": {name: _numbers(value) for name, value in plane.items()},
        "pictures": {
            "file": SHEET,
            "columns": columns(len(pictures.pixels)),
            "count": len(pictures.pixels),
            "split": pictures.split,
            "names": pictures.names,
            "labels": pictures.labels,
            "label_names": pictures.label_names,
        },
    }


def draws(work: Export) -> list[Any]:
    """Codes drawn from a prior other than N(0, I), which the page cannot draw from by itself."""
    model = work.model
    if model.prior is None or draws_by_decoding_noise(model):
        return []
    noise = np.random.default_rng(work.run.seed).standard_normal((DRAWS, *model.code_shape(*work.size)))
    return _numbers(np.asarray(model.prior.sample(noise.astype(np.float32))).reshape(DRAWS, -1))


def units(codes: np.ndarray, prior: bool) -> list[dict[str, Any]]:
    """Each unit (of a spatial latent: channel) with the range of its slider, the most active first.

    With a prior the slider spans the prior, `-3 … 3`, and what codes go beyond it; without one, three standard
    deviations of the codes around their mean. Of a spatial latent it is a shift that is added at all places.
    """
    rows = codes.reshape(-1, codes.shape[-1]).astype(np.float64)
    means, deviations = rows.mean(axis=0), np.sqrt(unit_variances(codes))
    # Codes without a prior have no scale of their own: there, active is what is not a hundred times less than the most.
    threshold = ACTIVE if prior else ACTIVE * float(np.square(deviations).max())
    spatial, table = codes.ndim > 2, []
    for unit in np.argsort(-deviations, kind="stable"):
        mean, deviation = float(means[unit]), float(deviations[unit])
        centre = 0.0 if spatial or prior else mean
        radius = max(RADIUS * deviation, 1e-3)  # a slider of a constant unit still has two ends
        if prior and not spatial:
            radius = max(RADIUS, math.ceil(2 * float(np.abs(rows[:, unit]).max())) / 2)
        entry = {"mean": mean, "deviation": deviation}
        entry |= {"centre": centre, "low": centre - radius, "high": centre + radius}
        table.append({"unit": int(unit), "active": deviation**2 > threshold, **_numbers(entry)})
    return table


def pooled(codes: np.ndarray) -> np.ndarray:
    """One row for each picture: the code, or the mean over places of a spatial one; `(n, units)`, float64."""
    return codes.reshape(len(codes), -1, codes.shape[-1]).astype(np.float64).mean(axis=1)


def principal_plane(rows: np.ndarray) -> dict[str, np.ndarray]:
    """The plane of the two main directions of `rows` `(n, d)`.

    Returns:
        `mean` `(d,)`; `axes` `(2, d)`, orthonormal, or zero where there is no second direction; `points` `(n, 2)`, the
        rows in that plane; `shares` `(2,)` of the variance.
    """
    mean = rows.mean(axis=0)
    _, singular, directions = np.linalg.svd(rows - mean, full_matrices=False)
    axes, shares = np.zeros((2, rows.shape[1])), np.zeros(2)
    count = min(2, len(directions))
    axes[:count] = directions[:count]
    # The sign of a direction is arbitrary: the largest entry is made positive so that a map can be drawn again.
    largest = np.abs(axes).argmax(axis=1)
    axes *= np.where(axes[[0, 1], largest] < 0, -1.0, 1.0)[:, None]
    shares[:count] = np.square(singular[:count]) / max(np.square(singular).sum(), np.finfo(float).tiny)
    return {"mean": mean, "axes": axes, "points": (rows - mean) @ axes.T, "shares": shares}


def sheet(pixels: np.ndarray) -> np.ndarray:
    """All pictures in one, in reading order, without separators: the page cuts them out of it again."""
    count, height, width, channels = pixels.shape
    wide = columns(count)
    high = -(-count // wide)
    cells = np.zeros((high * wide, height, width, channels), np.uint8)
    cells[:count] = pixels
    rows = cells.reshape(high, wide, height, width, channels).swapaxes(1, 2)
    return rows.reshape(high * height, wide * width, channels)


def columns(count: int) -> int:
    """Pictures in a row of the sheet."""
    return math.ceil(math.sqrt(count))


def _numbers(value: Any) -> Any:
    """JSON's numbers with the digits of float32."""
    if isinstance(value, dict):
        return {key: _numbers(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return [_numbers(entry) for entry in value.tolist()]
    if isinstance(value, list):
        return [_numbers(entry) for entry in value]
    return float(f"{value:.7g}")
