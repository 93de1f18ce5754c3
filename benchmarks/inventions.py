"""`python -m benchmarks inventions`: whether the style of a picture is a code, and whether drawn styles are new.

**Codes.** Of paintings that the style space was not fitted on (twenty divisions into halves), each quarter looks for
the nearest one among the diagonally opposite quarters of all. How often that is its own painting's, by the code, by the
same statistics without the analysis, by means and covariance of the colours, and by chance.

**Styles.** A photograph is painted with every painting, with both halves of every painting, in styles that are drawn
from the prior, and with as many pairs of paintings at random, half and half. Sliced Wasserstein distances of the
neighbourhoods of a Laplacian pyramid between what was painted: of each new style from the nearest painting and from the
nearest other new one, beside those of a painting's halves from each other.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.measuring import machine, progress, publish
from benchmarks.painting import ANY_SIZE, read
from tfvae.errors import UserError

DIVISIONS = 20
PATCHES = 2048  # neighbourhoods of a picture and level that are compared: there are many pairs
OPPOSITE = ((0, 3), (1, 2))  # quarters
DRAWN, PAIRS = "drawn from the prior", "two paintings at random"


def main(options: argparse.Namespace) -> None:
    """Measures, prints the table, and writes `-o` and the sheet beside it."""
    facts, sheet = run(options)
    publish(facts, table(facts), options.words, options.out, sheet)


def run(options: argparse.Namespace) -> tuple[dict[str, Any], np.ndarray]:
    """The facts, and the photograph in the new styles, drawn ones first."""
    from tfvae.applications.styles.paint import hung, paint
    from tfvae.applications.styles.space import SIDE, Mixture, StyleSpace, part_statistics
    from tfvae.pictures import grid
    from tfvae.pixels import pixels

    (_, photo), *_ = read(options.data, options.side)
    found = read(options.paintings, ANY_SIZE)
    paintings = [hung(pixels(painting), (SIDE, SIDE)) for _, painting in found]
    if len(paintings) < 6:
        raise UserError(f"inventions: 6 paintings or more are needed. Received: {len(paintings)}")
    statistics = np.stack([part_statistics(painting) for painting in paintings])
    space = StyleSpace.of_statistics(list(statistics))
    rng = np.random.default_rng(options.seed)
    pairs = [rng.choice(len(paintings), 2, replace=False) for _ in range(options.count)]
    new = {
        DRAWN: space.draw(options.count, options.seed),
        PAIRS: [Mixture((i, j), (0.5, 0.5), (space.codes[i] + space.codes[j]) / 2) for i, j in pairs],
    }

    def painted(models: Sequence[np.ndarray], shares: Sequence[float] | None = None) -> np.ndarray:
        progress(f"{len(models)} painting(s)")
        return paint(photo, models, seed=options.seed, shares=shares)

    known = [painted([painting]) for painting in paintings]
    inside = [apart(*(painted([half]) for half in halves(painting))) for painting in paintings]
    sheet, rows = [], {}
    for kind, mixtures in new.items():
        made = [painted([paintings[one] for one in mixture.paintings], mixture.shares) for mixture in mixtures]
        rows[kind] = [
            {
                "paintings": [found[one][0] for one in mixture.paintings],
                "shares": list(mixture.shares),
                "known": min(apart(picture, other) for other in known),
                "new": min(apart(picture, other) for other in made if other is not picture),
            }
            for mixture, picture in zip(mixtures, made, strict=True)
        ]
        sheet += made
    progress("")
    facts = {
        **machine(("numpy", "scipy")),
        "settings": {"paintings": len(paintings), "side": options.side, "seed": options.seed},
        "retrieval": retrieval(statistics, [colours(painting) for painting in paintings], options.seed),
        "halves": inside,
        "styles": rows,
    }
    return facts, grid(sheet, columns=options.count)


def apart(picture: np.ndarray, other: np.ndarray) -> float:
    """The mean of the distances both ways, of all levels."""
    from tfvae.metrics.sliced_wasserstein import pyramid_distance
    from tfvae.pixels import pixels

    both = [pixels(picture)], [pixels(other)]
    return float(np.mean([pyramid_distance(*pair, patches=PATCHES)["mean"] for pair in (both, both[::-1])]))


def halves(painting: np.ndarray) -> list[np.ndarray]:
    """The halves of a painting's longer side."""
    return np.array_split(painting, 2, axis=int(painting.shape[1] > painting.shape[0]))


def colours(painting: np.ndarray) -> np.ndarray:
    """Means and covariance of the colours of four quarters, `(4, 9)`: the control."""
    from tfvae.applications.styles.colours import oklab
    from tfvae.applications.styles.space import quarters

    flat = [quarter.reshape(-1, 3) for quarter in quarters(oklab(painting))]
    return np.stack([np.concatenate([each.mean(axis=0), np.cov(each.T)[np.triu_indices(3)]]) for each in flat])


def retrieval(statistics: np.ndarray, tones: Sequence[np.ndarray], seed: int) -> dict[str, float]:
    """How often the nearest opposite quarter is of the same painting, of paintings that nothing was fitted on."""
    from tfvae.applications.styles.space import StyleSpace

    rng = np.random.default_rng(seed)
    right: dict[str, list[float]] = {"code": [], "statistics": [], "colours": [], "chance": []}
    plain = {"statistics": statistics, "colours": np.stack(tones)}
    for _ in range(DIVISIONS):
        order = rng.permutation(len(statistics))
        fitted, held = np.array_split(order, 2)
        space = StyleSpace.of_statistics(list(statistics[fitted]))
        views = {"code": np.stack([space.parts(each) for each in statistics[held]])}
        for name, values in plain.items():
            views[name] = values[held] / values[fitted].std(axis=(0, 1))
        for name, view in views.items():
            for one, other in OPPOSITE:
                distances = np.linalg.norm(view[:, None, one] - view[:, other], axis=-1)
                right[name].append(float((distances.argmin(axis=1) == np.arange(len(held))).mean()))
        right["chance"].append(1 / len(held))
    return {name: float(np.mean(shares)) for name, shares in right.items()}


def table(facts: dict[str, Any]) -> list[str]:
    """The facts as Markdown."""
    from benchmarks.measuring import header, line

    found = facts["retrieval"]
    settings, inside = facts["settings"], np.array(facts["halves"])
    lines = [
        f"inventions: {settings['paintings']} paintings, a photograph of {settings['side']} pixels, "
        f"seed {settings['seed']}; {facts['cpu']}.",
        "",
        *header([f"opposite quarters of one painting found, {DIVISIONS} divisions", *found], 1),
        line(["", *(f"{100 * share:.0f} %" for share in found.values())]),
        "",
        f"halves of a painting: median {np.median(inside):.0f}, nine tenths below {np.quantile(inside, 0.9):.0f}",
        "",
        *header(
            ["styles", "from the nearest painting", "from the nearest other", "both beyond the median of halves"], 1
        ),
    ]
    for kind, rows in facts["styles"].items():
        known, new = (np.array([row[key] for row in rows]) for key in ("known", "new"))
        beyond = np.mean(np.minimum(known, new) > np.median(inside))
        lines.append(
            line([f"{len(rows)} {kind}", f"{np.median(known):.0f}", f"{np.median(new):.0f}", f"{100 * beyond:.0f} %"])
        )
    return lines
