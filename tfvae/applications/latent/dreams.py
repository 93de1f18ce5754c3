"""What a model dreams of, in rows of pictures: draws, neighbours, arithmetic, walks, maps and units."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from tfvae.applications.latent.animate import animate_draws
from tfvae.applications.latent.arithmetic import contrasts, pooled, shifted
from tfvae.applications.latent.embed import embed
from tfvae.applications.latent.generate import blotches_note, draws_texture, generate, texture_note
from tfvae.applications.latent.interpolate import interpolate
from tfvae.applications.latent.whole_codes import decoded, whole_codes
from tfvae.data.array_batches import largest_batch
from tfvae.metrics.active_units import ACTIVE, unit_variances
from tfvae.pictures import latent_map
from tfvae.pixels import fitted, pixels

SIDE = 320  # pixels: of larger pictures the centre is used, at the scale the model knows
MOST, MOST_PIXELS = 3000, 2**26  # images that are looked at, and their pixels in all
TEMPERATURES = (0.5, 0.75, 1.0)
ROWS = 4  # of neighbours, sums and walks
NEAREST = 6
MOST_OF_A_GROUP = 64  # whose whole codes are averaged
STEPS = 9  # of a walk
WALKED = 0.8  # temperature of the draws that a walk goes through
UNITS, STANDS = 6, 7  # rows of the traversals, and pictures in each
REACH = 2.5  # standard deviations of a unit's codes, to either side


@dataclass(frozen=True)
class Cell:
    """A picture of a row.

    Attributes:
        image: `(height, width, 1 or 3)`; uint8, or float in [0, 1].
        alt: What it is, for those who do not see it.
        caption: What stands below it; may be empty.
        before: The sign between it and the picture on its left: `+`, `−`, `=`, or none.
    """

    image: np.ndarray
    alt: str
    caption: str = ""
    before: str = ""


@dataclass(frozen=True)
class Row:
    """Pictures side by side, under a title; `kind` is how: `sheet`, `strip`, `sum`, `near` or `map`."""

    title: str
    cells: Sequence[Cell]
    kind: str = "strip"


@dataclass(frozen=True)
class Section:
    """Rows that show one thing; `text` says what, `missing` why there are none."""

    name: str
    title: str
    text: str = ""
    rows: Sequence[Row] = ()
    missing: str = ""


class MeaninglessError(ValueError):
    """A section that shows nothing for this model or these images; the message says why."""


@dataclass
class Dreamer:
    """A model, the images it is asked about, and the seed of all that is drawn.

    Attributes:
        model: Any latent model of this library.
        images: Held-out images first; uint8, at most `SIDE` pixels a side.
        held_out: How many of `images` the model was not trained on.
        names: One name an image.
        labels: Class of each image, -1 where there is none; or None.
        label_names: The name of each class.
        seed: Of the draws.
        count: Draws at each temperature.
        sums: Triples `(A, B, C)` of images with their names, for `A − B + C`; without any they are chosen.
        drawn: Figures of the model's draws, of its run's report (`blotches_note`).
    """

    model: Any
    images: Sequence[np.ndarray]
    held_out: int
    names: Sequence[str]
    labels: np.ndarray | None = None
    label_names: Sequence[str] = ()
    seed: int = 0
    count: int = 24
    sums: Sequence[Sequence[tuple[str, np.ndarray]]] = ()
    drawn: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def codes(self) -> np.ndarray:
        """`embed` of `images`: `(n, latent_dim)`."""
        return embed(self.model, self.images)

    def asked(self, count: int, salt: int) -> list[int]:
        """Held-out images to show something with, drawn without order; all images where too few are held out."""
        among = self.held_out if self.held_out >= count else len(self.images)
        rng = np.random.default_rng((self.seed, salt))
        return [int(index) for index in rng.permutation(among)[:count]]

    def called(self, index: int) -> str:
        """What an image is: its class, or its name."""
        label = -1 if self.labels is None else int(self.labels[index])
        return self.names[index] if label < 0 else self.class_name(label)

    def class_name(self, label: int) -> str:
        return self.label_names[label] if label < len(self.label_names) else str(label)

    def code(self, image: np.ndarray) -> np.ndarray:
        """The whole code of one image, not averaged over places."""
        return whole_codes(self.model, pixels(image)[None])[0]

    def mean_code(self, members: np.ndarray) -> np.ndarray:
        """The mean code of some images: of a spatial latent at each place, where all images have one size.

        Over places, where they have not: `(latent_dim,)`.
        """
        alike = len({image.shape for image in self.images}) == 1
        if len(self.model.latent_shape) == 1 or not alike:
            return self.codes[members].mean(axis=0)
        images = np.stack([pixels(self.images[index]) for index in members[:MOST_OF_A_GROUP]])
        return whole_codes(self.model, images).mean(axis=0)[..., : self.codes.shape[1]]

    def decoded(self, codes: Sequence[np.ndarray], like: np.ndarray) -> list[np.ndarray]:
        """The pictures of codes of one shape, at the size of `like`."""
        height, width = like.shape[:2]
        size = largest_batch(64, height, width)
        parts = [np.stack(codes[start : start + size]) for start in range(0, len(codes), size)]
        images = [decoded(self.model, part) for part in parts]
        return list(np.concatenate(images)[:, :height, :width])


def dream(dreamer: Dreamer, progress: Callable[[str, int, int], None] = lambda *_: None) -> list[Section]:
    """Every section, in order; one that shows nothing for this model or these images says why in `missing`.

    Args:
        dreamer: What is asked.
        progress: Called with (what, done, in all).

    Raises:
        MeaninglessError: When nothing can be shown: codes of this model mean nothing alone and it draws nothing.
    """
    if not hasattr(dreamer.model, "decode") and not hasattr(dreamer.model, "generate"):
        raise MeaninglessError(f"codes of this {type(dreamer.model).__name__} say nothing without a degraded picture")
    sections = []
    for done, (name, (title, make)) in enumerate(SECTIONS.items()):
        progress("dreams", done, len(SECTIONS))
        try:
            text, rows = make(dreamer)
            sections.append(Section(name, title, text, rows))
        except MeaninglessError as reason:
            sections.append(Section(name, title, missing=str(reason)))
    progress("dreams", len(SECTIONS), len(SECTIONS))
    return sections


def viewed(image: np.ndarray) -> np.ndarray:
    """The centre of an image, at most `SIDE` pixels a side."""
    top, left = (max(0, side - SIDE) // 2 for side in image.shape[:2])
    return image[top : top + SIDE, left : left + SIDE]


def nearest(point: np.ndarray, points: np.ndarray, count: int, without: int) -> list[tuple[int, float]]:
    """The `count` rows of `points` nearest to `point`, and their Euclidean distances; row `without` does not count."""
    distances = np.linalg.norm(points - point, axis=1)
    distances[without] = np.inf
    order = np.argsort(distances, kind="stable")[: min(count, len(points) - 1)]
    return [(int(index), float(distances[index])) for index in order]


def pixel_distances(image: np.ndarray, images: Sequence[np.ndarray]) -> np.ndarray:
    """Root mean square difference of `image` from each of `images` (white is 1), which are made to fit its size."""
    target = image.astype(np.float32)
    apart = [np.mean(np.square(fitted(other, image.shape).astype(np.float32) - target)) for other in images]
    return np.sqrt(np.array(apart)) / 255.0


def _samples(dreamer: Dreamer) -> tuple[str, list[Row]]:
    if not hasattr(dreamer.model, "generate"):
        raise MeaninglessError(f"this {type(dreamer.model).__name__} has no prior to draw from")
    rows = []
    for temperature in TEMPERATURES:
        images = generate(dreamer.model, dreamer.count, dreamer.seed, temperature)
        cells = [Cell(image, f"draw {place} at temperature {temperature:g}") for place, image in enumerate(images, 1)]
        rows.append(Row(f"Temperature {temperature:g}", cells, "sheet"))
    if note := texture_note(dreamer.model) or blotches_note(dreamer.drawn):
        return note[0].upper() + note[1:], rows
    return (
        "New pictures: the same draws of the prior each time, from near the typical picture to all the "
        "variety the model has learnt.",
        rows,
    )


def _neighbours(dreamer: Dreamer) -> tuple[str, list[Row]]:
    _need(dreamer, 3)
    rows = []
    for query in dreamer.asked(ROWS, 1):
        image, name = dreamer.images[query], dreamer.called(query)
        asked = Cell(image, f"the picture asked about: {name}", "asked")
        apart = pixel_distances(image, dreamer.images)[:, None]
        in_codes = nearest(dreamer.codes[query], dreamer.codes, NEAREST, query)
        in_pixels = nearest(np.zeros(1), apart, NEAREST, query)
        for where, found in (("latent space", in_codes), ("pixels", in_pixels)):
            cells = [
                Cell(dreamer.images[index], f"neighbour: {dreamer.called(index)}", _near(dreamer, index, distance))
                for index, distance in found
            ]
            rows.append(Row(f"Nearest to {name} in {where}", [asked, *cells], "near"))
    training = len(dreamer.images) - dreamer.held_out
    return (
        f"What the model takes to be alike, and what is alike pixel by pixel, among {training:,} training and "
        f"{dreamer.held_out:,} held-out pictures. Numbers are distances: of codes, and of pixels as a root mean square "
        "where white is 1. A dot marks what was held out.",
        rows,
    )


def _near(dreamer: Dreamer, index: int, distance: float) -> str:
    """Caption of a neighbour: its class where it has one, its distance, and whether it was held out."""
    labelled = dreamer.labels is not None and dreamer.labels[index] >= 0
    name = f"{dreamer.called(index)}: " if labelled else ""
    return f"{name}{distance:.2f}{' •' if index < dreamer.held_out else ''}"


def _arithmetic(dreamer: Dreamer) -> tuple[str, list[Row]]:
    _decodes(dreamer)
    if dreamer.sums:
        return "The code of the first picture minus that of the second plus that of the third, decoded.", [
            _named_sum(dreamer, triple) for triple in dreamer.sums
        ]
    _need(dreamer, 4)
    rows = []
    for place, contrast in enumerate(contrasts(dreamer.codes, dreamer.labels, dreamer.label_names, ROWS)):
        a, b = (dreamer.mean_code(members) for members in (contrast.toward, contrast.away))
        image = dreamer.images[np.random.default_rng((dreamer.seed, 2, place)).choice(contrast.away)]
        code = dreamer.code(image)
        flat = np.zeros_like(code)  # a mean over places is shown as a plain surface
        pictures = dreamer.decoded([shifted(flat, a), shifted(flat, b), code, shifted(code, a - b)], image)
        rows.append(_sum(contrast.name, pictures, (contrast.toward_name, contrast.away_name, "a picture, rebuilt")))
    if not rows:
        raise MeaninglessError("all pictures have the same code")
    return (
        "A direction with a meaning: the mean code of one group of pictures minus that of another, added to a picture "
        "of the other.",
        rows,
    )


def _named_sum(dreamer: Dreamer, triple: Sequence[tuple[str, np.ndarray]]) -> Row:
    """`A − B + C` of three pictures; of spatial codes A and B count by their means over places."""
    names = [name for name, _ in triple]
    a, b, c = (image for _, image in triple)
    third = dreamer.code(c)
    step = pooled(dreamer.code(a)) - pooled(dreamer.code(b))
    return _sum(
        " ".join((names[0], "−", names[1], "+", names[2])),
        [a, b, c, *dreamer.decoded([shifted(third, step)], c)],
        names,
    )


def _sum(title: str, pictures: Sequence[np.ndarray], names: Sequence[str]) -> Row:
    """Four pictures: the first minus the second plus the third makes the last."""
    signs = ("", "−", "+", "=")
    cells = zip(pictures, (*names, "result"), signs, strict=True)
    return Row(title, [Cell(image, name, name, sign) for image, name, sign in cells], "sum")


def _walks(dreamer: Dreamer) -> tuple[str, list[Row]]:
    model, said, rows = dreamer.model, [], []
    if hasattr(model, "generate") and not draws_texture(model):
        said.append("From draw to draw through the noise of the prior: every picture on the way is one of the model's.")
        rows = _walks_of_draws(dreamer)
    if not rows or (hasattr(model, "decode") and len(dreamer.images) > 1):
        way, more = _walks_of_pictures(dreamer)
        said, rows = [*said, way], [*rows, *more]
    return " ".join(said), rows


def _walks_of_draws(dreamer: Dreamer) -> list[Row]:
    """Each begins where the one before it ends."""
    images = list(animate_draws(dreamer.model, ROWS + 1, dreamer.seed, STEPS - 1, temperature=WALKED))
    return [
        Row(
            f"Draw {row + 1} to draw {row + 2}",
            [
                Cell(image, f"step {step} of {STEPS}")
                for step, image in enumerate(images[row * (STEPS - 1) :][:STEPS], 1)
            ],
        )
        for row in range(ROWS)
    ]


def _walks_of_pictures(dreamer: Dreamer) -> tuple[str, list[Row]]:
    _decodes(dreamer)
    _need(dreamer, 2)
    asked = dreamer.asked(2 * min(ROWS, len(dreamer.images) // 2), 3)
    method = "slerp" if dreamer.model.prior is not None else "linear"
    rows = []
    for start, end in zip(asked[::2], asked[1::2], strict=True):
        a, b = dreamer.images[start], dreamer.images[end]
        images = interpolate(dreamer.model, a, fitted(b, a.shape), STEPS, method)
        title = f"{dreamer.called(start)} to {dreamer.called(end)}"
        cells = [Cell(image, f"step {place} of {STEPS}") for place, image in enumerate(images, 1)]
        rows.append(Row(title, cells))
    way = "along the sphere" if method == "slerp" else "in a straight line"
    return f"From the reconstruction of one picture to that of another, {way} through latent space.", rows


def _map(dreamer: Dreamer) -> tuple[str, list[Row]]:
    _need(dreamer, 3)
    rows = []
    labels = dreamer.labels
    if labels is not None and len(np.unique(labels[labels >= 0])) > 1:
        picture = latent_map(dreamer.codes, labels, dreamer.label_names)
        rows.append(Row("By class", [Cell(picture, "map of all codes, a colour for each class")], "map"))
    picture = latent_map(dreamer.codes, images=dreamer.images)
    rows.append(Row("By picture", [Cell(picture, "map of all codes, with pictures at the places of theirs")], "map"))
    return (
        f"The codes of {len(dreamer.images):,} pictures, seen from the side where they differ most: what lies together "
        "is alike to the model.",
        rows,
    )


def _traversals(dreamer: Dreamer) -> tuple[str, list[Row]]:
    _decodes(dreamer)
    _need(dreamer, 2)
    variances = unit_variances(dreamer.codes)
    units = [int(unit) for unit in np.argsort(-variances, kind="stable")[:UNITS] if variances[unit] > 0]
    if not units:
        raise MeaninglessError("no unit's code moves with the picture")
    start = dreamer.images[dreamer.asked(1, 4)[0]]
    code = dreamer.code(start)
    rows = []
    for unit in units:
        stands = dreamer.codes[:, unit].mean() + np.linspace(-REACH, REACH, STANDS) * variances[unit] ** 0.5
        steps = np.zeros((STANDS, len(variances)), np.float32)
        steps[:, unit] = stands - pooled(code)[unit]
        images = dreamer.decoded([shifted(code, step) for step in steps], start)
        cells = [Cell(image, f"unit {unit} at {z:.2f}") for image, z in zip(images, stands, strict=True)]
        rows.append(Row(f"Unit {unit}: variance {variances[unit]:.3g}", cells))
    active = int((variances > ACTIVE).sum())
    return (
        f"One number of the code of a picture turned from {REACH:g} standard deviations below its mean to as far "
        f"above, all others held: the {len(units)} units that differ most between pictures. {active} of "
        f"{len(variances)} vary by more than {ACTIVE:g}.",
        rows,
    )


def _need(dreamer: Dreamer, count: int) -> None:
    if len(dreamer.images) < count:
        raise MeaninglessError(f"needs {count} pictures, and the run has {len(dreamer.images)}")


def _decodes(dreamer: Dreamer) -> None:
    if not hasattr(dreamer.model, "decode"):
        raise MeaninglessError(f"codes of this {type(dreamer.model).__name__} cannot be decoded alone")


SECTIONS: dict[str, tuple[str, Callable[[Dreamer], tuple[str, list[Row]]]]] = {
    "samples": ("Dreams", _samples),
    "neighbours": ("Neighbours", _neighbours),
    "arithmetic": ("Arithmetic", _arithmetic),
    "walks": ("Walks", _walks),
    "map": ("Map", _map),
    "units": ("Units", _traversals),
}
