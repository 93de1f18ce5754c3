"""Whether a classifier takes a rendering for the painting whose paint it is.

Every painting is a class. The classifier learns from crops of one half of each, as it hangs beside the photographs,
every second crop in grey; its accuracy is that on crops of the other halves. It never sees a rendering, and renderings
have the paint of those other halves alone, so no brush stroke that it learnt from is in them. A picture is judged by
the mean log-probabilities of crops on a grid over it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.measuring import OURS, header, line, progress
from benchmarks.painting import PHOTOGRAPH, REINHARD, halved
from tfvae.errors import UserError

CROP = 64  # pixels a side
CROPS = 1_500  # of each half
STEPS = 1_000  # of the classifier's training

Named = Sequence[tuple[str, np.ndarray]]


def asked(photos: Named, paintings: Named, side: int, seed: int) -> dict[str, Any]:
    """What the classifier says of photographs, of Reinhard's transfers and of paintings of them.

    Args:
        photos, paintings: Names and uint8 pixels `(height, width, 3)`.
        side: Longer side of the photographs, in pixels.
        seed: Of the crops, the classifier and the renderings.

    Returns:
        `accuracy` on crops of halves that were held out, in colour and grey together; `rows` of all renderings: the
        painting asked for and the one that it is taken for, of each side, in `colour` and in `grey`.

    Raises:
        UserError: When there are fewer than two paintings, or one has too few pixels.
    """
    from benchmarks.painting.rivals import reinhard
    from benchmarks.styles import in_grey, probabilities
    from tfvae.applications.styles.paint import hung, paint
    from tfvae.evaluation.classifier import train_classifier
    from tfvae.pixels import pixels, to_uint8

    if len(paintings) < 2:
        raise UserError("--painters: a classifier takes two paintings or more. Received: one")
    halves = [halved(painting) for _, painting in paintings]
    canvases = [[to_uint8(hung(pixels(half), (side, side))) for half in pair] for pair in halves]
    for (name, _), pair in zip(paintings, canvases, strict=True):
        if min(min(half.shape[:2]) for half in pair) < CROP:
            raise UserError(f"--painters: {name} has too few pixels: each half needs {CROP} a side as it hangs.")
    crops = [np.concatenate([_crops(pair[k], seed + k) for pair in canvases]) for k in range(2)]
    labels = np.repeat(np.arange(len(paintings)), CROPS)
    classifier = train_classifier(
        crops[1], labels, seed, lambda done, of: progress(f"classifier {done}/{of}"), steps=STEPS
    )

    def taken(image: np.ndarray) -> dict[str, str]:
        image = to_uint8(image)
        looked = {"colour": image, "grey": in_grey(image)}
        return {
            key: paintings[int(np.argmax(probabilities(classifier, each, CROP)))][0] for key, each in looked.items()
        }

    rows = []
    for photo_name, photo in photos:
        plain = taken(photo)
        for (name, _), (half, _), (canvas, _) in zip(paintings, halves, canvases, strict=True):
            progress(f"{photo_name} with half of {name}")
            made = {REINHARD: reinhard(photo, pixels(canvas)), OURS: paint(photo, half, seed=seed)}
            found = {PHOTOGRAPH: plain, **{maker: taken(each) for maker, each in made.items()}}
            rows.append({"photo": photo_name, "painting": name, "taken": found})
    return {"accuracy": classifier.accuracy(crops[0], labels), "rows": rows}


def shares(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Of each side, the share of its pictures that are taken for the painting asked, in colour and in grey."""
    return {
        side: {
            key: float(np.mean([row["taken"][side][key] == row["painting"] for row in rows]))
            for key in ("colour", "grey")
        }
        for side in rows[0]["taken"]
    }


def table(facts: dict[str, Any]) -> list[str]:
    """The facts as Markdown."""
    rows = facts["rows"]
    found = shares(rows)
    classes = list(dict.fromkeys(row["painting"] for row in rows))
    lines = [
        f"A classifier of {len(classes)} paintings, right on {facts['accuracy']:.1%} of crops of their other halves "
        f"(by chance {1 / len(classes):.1%}), takes for the painting asked, in colour (in grey):",
        "",
        *header(["painting", *found], 1),
    ]
    for name in (*classes, "all"):
        own = shares([row for row in rows if name in ("all", row["painting"])])
        lines.append(line([name, *(f"{each['colour']:.0%} ({each['grey']:.0%})" for each in own.values())]))
    return lines


def _crops(image: np.ndarray, seed: int) -> np.ndarray:
    """uint8 `(CROPS, CROP, CROP, 3)` at random, mirrored at random, every second one in grey."""
    from benchmarks.styles import in_grey

    rng = np.random.default_rng(seed)
    tops, lefts = (rng.integers(0, side - CROP + 1, CROPS) for side in image.shape[:2])
    found = np.stack([image[y : y + CROP, x : x + CROP] for y, x in zip(tops, lefts, strict=True)])
    mirrored = rng.random(CROPS) < 0.5
    found[mirrored] = found[mirrored, :, ::-1]
    found[::2] = in_grey(found[::2])
    return found
