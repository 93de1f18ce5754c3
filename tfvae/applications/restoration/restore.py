"""Restore or enhance one picture of any size with a restoration model, in tiles, in the picture's own bit depth."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import ndimage

from tfvae.applications.channels import as_known, floats, in_channels, joined, typed, views
from tfvae.applications.tiles import SIDE, Tile, assemble, smallest_side, tiles, traced

DAMAGED = 0.5  # probability from which a pixel is replaced
HALO = 2  # pixels around found damage over which the restoration fades into the picture


@dataclass(frozen=True)
class Restored:
    """One picture, restored.

    Attributes:
        image: Shape and type of the picture that was given.
        std: Standard deviation of the original given the picture, white is 1: float16, shape of `image`; 0 where a
            pixel was kept. None unless asked for.
        damage: Probability that a pixel is damaged, float16, `(height, width, 1)`; None where the model finds none.
        samples: Plausible originals, each like `image`.
    """

    image: np.ndarray
    std: np.ndarray | None = None
    damage: np.ndarray | None = None
    samples: list[np.ndarray] = field(default_factory=list)


def restore(
    model: Any,
    image: np.ndarray,
    known: np.ndarray | None = None,
    samples: int = 0,
    seed: int = 0,
    uncertainty: bool = True,
    strength: float = 1.0,
    tile: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    ensemble: bool = False,
    like: np.ndarray | None = None,
) -> Restored:
    """`image + weight * (model.restore(image) - image)`, clipped; pixels of weight 0 are returned bit for bit.

    The weight is `strength`, times 0 where `known`; where there is no `known` and the model finds damage, times 1 on
    pixels that are damaged with a probability of 0.5 or more, fading to 0 over the two pixels around them.

    The picture stays as it is in memory: one tile at a time becomes float32, and results are written into arrays of
    the picture's type. The tile's size changes nothing, up to rounding.

    A model of grey pictures restores colour channel by channel, with one noise for all. A model of colour restores
    grey repeated three times, and the three results are averaged.

    What of the damage was not taken out is in `std` and in the samples as far as the model was calibrated to say so
    (`tfvae.applications.calibrate_uncertainty`; the end of a training does that).

    Args:
        model: A model of restoration (`tfvae.models.restoration_model`).
        image: `(height, width, channels)`; uint8, uint16, or float in [0, 1].
        known: `(height, width)` or `(height, width, 1)`, bool or 0 and 1: 1 where a pixel is to be trusted. A model
            that takes no mask restores the whole, and what is known is put back.
        samples: How many plausible originals to draw.
        seed: Of the samples. A sample does not depend on how many are drawn, nor on the tile.
        uncertainty: Whether to keep the map of standard deviations.
        strength: From 0, the picture itself, over 1, the restoration, to 2, as far again beyond it.
        tile: Side in pixels; 1024 by default, more where the model's receptive field asks for it.
        progress: Called with the tiles done and all tiles.
        ensemble: Average the estimates of the picture's eight orientations (self-ensemble), in eight times the time;
            `std` and `damage` stay those of the one.
        like: A picture `(h, w, 1 or 3)` of any size whose light and colours it is to have, for a model that looks at
            the whole picture: the curve is that of the posterior's mean, as if this were the original. Neither
            `samples` nor `uncertainty` are about that.

    Raises:
        ValueError: When a shape, `samples`, `strength` or `tile` is none that is accepted; for samples of an ensemble,
            and for an ensemble of a model that looks at the whole picture, or for `like` of another.

    Reference:
        Timofte, Rothe and Van Gool (2016), Seven ways to improve example-based single image super resolution
    """
    image = np.asarray(image)
    known = as_known(known, image)
    if ensemble and (samples or hasattr(model, "context")):
        raise ValueError(
            "`ensemble` must be False for samples, which are about one estimate, and for a model that looks at the "
            f"whole picture. Received: samples={samples}, a model of class {type(model).__name__}"
        )
    if like is not None and (samples or uncertainty or not hasattr(model, "context")):
        raise ValueError(
            "`like` must be None for samples and uncertainty, and for a model that does not look at the whole picture. "
            f"Received: samples={samples}, uncertainty={uncertainty}, a model of class {type(model).__name__}"
        )
    if like is not None and (like.ndim != 3 or like.shape[2] not in (1, 3)):
        raise ValueError(f"`like` must be (h, w, 1 or 3). Received: {like.shape}")
    if samples < 0:
        raise ValueError(f"`samples` must not be negative. Received: samples={samples}")
    if not 0 <= strength <= 2:
        raise ValueError(f"`strength` must be within [0, 2]. Received: strength={strength}")
    fades = known is None and model.finds_damage
    height, width, _ = image.shape
    plan = tiles(height, width, tile or default_tile(model), tile_margin(model), model.factor)
    noises = [NoiseMap(model, height, width, (seed, index)) for index in range(samples)]
    channels = model.image_shape[-1]
    others = itertools.repeat(None) if like is None else views(in_channels(like, image.shape[2]), channels)
    contexts = [_context(model, *pair) for pair in zip(views(image, channels), others, strict=False)]

    drawn = [np.empty_like(image) for _ in noises]
    into = {"image": np.empty_like(image), **{str(index): sample for index, sample in enumerate(drawn)}}
    if uncertainty:
        into["std"] = np.empty(image.shape, np.float16)
    if model.finds_damage:
        into["damage"] = np.empty((height, width, 1), np.float16)

    def compute(place: Tile) -> dict[str, np.ndarray]:
        source = image[place.window]
        pixels = floats(source)
        inputs = {}
        if known is not None and model.takes_mask:
            inputs["known"] = known[place.window].astype(np.float32)
        maps = _applied(model, "restore", pixels, contexts, inputs)
        if ensemble:
            maps["image"] = _self_ensemble(model, maps["image"], pixels, contexts, inputs)
        weight = np.full((1, 1, 1), strength, np.float32)
        if known is not None:
            weight = weight * ~known[place.window]
        elif fades:
            weight = weight * _fade(maps["damage"])

        def blend(restored: np.ndarray) -> np.ndarray:
            # A pixel of weight 0 is copied, not computed: no rounding, whatever its type.
            return np.where(weight == 0, source, typed(pixels + weight * (restored - pixels), source.dtype))

        plausible = [
            _applied(model, "sample", pixels, contexts, {**inputs, "noise": noise[place]})["image"] for noise in noises
        ]
        found = {"image": blend(maps["image"]), **{str(index): blend(drawn) for index, drawn in enumerate(plausible)}}
        return maps | found | {"std": weight * maps["std"]}

    assemble(compute, plan, into, progress)
    return Restored(into["image"], into.get("std"), into.get("damage"), drawn)


def noise_level(image: np.ndarray, restored: Restored) -> float:
    """Standard deviation of a picture's noise, white is 1: `sqrt(mean((y - E[x|y])**2) + mean(var[x|y]))`.

    By Tweedie's formula exact in expectation for normal noise, a posterior mean and its own variance; so it is as good
    as the model and its calibration. What was cut off at black and white is missing.

    Args:
        image: The noisy picture y, as `restore` got it.
        restored: What it made of all of it, at strength 1, with `std`.

    Raises:
        ValueError: When there is no `std`.

    Reference:
        Efron (2011), Tweedie's formula and selection bias, Journal of the American Statistical Association 106
    """
    if restored.std is None:
        raise ValueError("`restored` must hold standard deviations: restore with `uncertainty=True`.")
    total = 0.0
    for top in range(0, len(image), SIDE):  # a large picture is not in memory as floats
        strip = slice(top, top + SIDE)
        removed = floats(image[strip]) - floats(restored.image[strip])
        std = restored.std[strip].astype(np.float32)
        total += float(np.sum(np.square(removed), dtype=np.float64) + np.sum(np.square(std), dtype=np.float64))
    return float(np.sqrt(total / image.size))


def enhance(
    model: Any,
    image: np.ndarray,
    strength: float = 1.0,
    tile: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    like: np.ndarray | None = None,
) -> np.ndarray:
    """`image + strength * (restored - image)`, clipped: `restore` of the picture alone.

    Args:
        model: A model of restoration.
        image: `(height, width, channels)`; uint8, uint16, or float in [0, 1].
        strength: From 0, the picture itself, over 1, the restoration, to 2, as far again beyond it.
        tile: As in `restore`.
        progress: As in `restore`.
        like: A picture whose light and colours it is to have, as in `restore`.

    Returns:
        Shape and type of `image`.

    Raises:
        ValueError: As `restore`.
    """
    found = restore(model, image, uncertainty=False, strength=strength, tile=tile, progress=progress, like=like)
    return found.image


def tile_margin(model: Any) -> int:
    """Pixels from a cut within which `restore` is not what it is for the whole picture."""
    return model.margin + (HALO if model.finds_damage else 0)


def default_tile(model: Any) -> int:
    """Side of a tile in pixels: at least half of it is right along each axis, whatever the receptive field."""
    return max(SIDE, 2 * smallest_side(tile_margin(model), model.factor))


class NoiseMap:
    """Standard normal noise for the samples of a whole picture, drawn row by row where it is looked at.

    A row depends on the seed and its number alone, so that tiles agree where they overlap, and the noise of a large
    picture is never in memory as a whole. A model with a vector latent has one noise for all tiles.
    """

    def __init__(self, model: Any, height: int, width: int, seed: tuple[int, int]):
        self.depth = model.noise_units
        self.spatial = len(model.latent_shape) == 3
        self.factor = model.factor if self.spatial else 1
        self.columns = -(-width // self.factor)
        self.seed = seed
        self.rows = range(0)
        self.band = np.empty(0, np.float32)

    def __getitem__(self, place: Tile) -> np.ndarray:
        """The noise of a tile, `(h, w, depth)`, or `(depth,)` for a vector latent."""
        if not self.spatial:
            return np.random.default_rng(self.seed).standard_normal(self.depth, np.float32)
        rows, columns = (range(span.start // self.factor, -(-span.stop // self.factor)) for span in place.window)
        if rows != self.rows:  # tiles come in reading order: a band is drawn once for all of its tiles
            shape = (self.columns, self.depth)
            generators = [np.random.default_rng((*self.seed, row)) for row in rows]
            self.band = np.stack([rng.standard_normal(shape, np.float32) for rng in generators])
            self.rows = rows
        return self.band[:, columns.start : columns.stop]


def _applied(
    model: Any, method: str, pixels: np.ndarray, contexts: list[Any], inputs: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Maps `(h, w, …)` by name: the method's, of each view of the picture, put together again."""
    # One after the other: three channels at once would need three times the memory and gain nothing.
    maps = []
    for view, context in zip(views(pixels, model.image_shape[-1]), contexts, strict=True):
        batch = {name: tf.convert_to_tensor(value[None]) for name, value in {"degraded": view, **inputs}.items()}
        if context is not None:
            batch["context"] = context
        shapes = tuple((name, value.shape.rank, value.shape[-1]) for name, value in sorted(batch.items()))
        maps.append({name: value.numpy()[0] for name, value in traced(model, method, shapes)(batch).items()})
    damage = [part.pop("damage") for part in maps if "damage" in part]
    found = {"damage": np.max(damage, axis=0)} if damage else {}
    return {name: joined([part[name] for part in maps], pixels.shape[-1]) for name in maps[0]} | found


def _self_ensemble(
    model: Any, image: np.ndarray, pixels: np.ndarray, contexts: list[Any], inputs: dict[str, np.ndarray]
) -> np.ndarray:
    """The mean of a restored `image` and of those of the seven other orientations, turned back."""
    height, width = pixels.shape[:2]
    # Whole cells: turned about, a tile is divided where the picture is.
    edges = [(0, -side % model.factor) for side in (height, width)] + [(0, 0)]
    whole = {name: np.pad(value, edges, mode="symmetric") for name, value in {"pixels": pixels, **inputs}.items()}
    total = image.astype(np.float32)
    for mirrored, turns in list(itertools.product((False, True), range(4)))[1:]:
        turned = {name: np.rot90(value[:, ::-1] if mirrored else value, turns) for name, value in whole.items()}
        back = np.rot90(_applied(model, "restore", turned.pop("pixels"), contexts, turned)["image"], -turns)
        total += (back[:, ::-1] if mirrored else back)[:height, :width]
    return total / 8


def _context(model: Any, view: np.ndarray, like: np.ndarray | None) -> Any:
    if not hasattr(model, "context"):
        return None  # a whole picture in float32 is a gigabyte that a model of small parts must not cost
    return model.context(*(tf.convert_to_tensor(floats(each)[None]) for each in (view, like) if each is not None))


def _fade(damage: np.ndarray) -> np.ndarray:
    """Weights `(h, w, 1)`: 1 on damaged pixels, in equal steps to 0 beyond `HALO` pixels around them."""
    damaged = (damage[:, :, 0] >= DAMAGED).astype(np.float32)
    rings = [ndimage.maximum_filter(damaged, 2 * radius + 1) for radius in range(HALO + 1)]
    return np.asarray(np.mean(rings, axis=0, dtype=np.float32))[:, :, None]
