"""The images of a run: read once, split once, the same for the same seed."""

import hashlib
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tfvae.data import sources
from tfvae.data.clips import clips_of
from tfvae.data.gathering import PARTS, Gathering, Progress, preparation
from tfvae.data.images import Images, Refusal
from tfvae.data.labels import label_by_table
from tfvae.data.remarks import remarks
from tfvae.data_config import DataConfig
from tfvae.errors import UserError, did_you_mean

SAMPLE = 64  # images that `look` reads where there are no headers to look at


@dataclass(frozen=True)
class Splits:
    """What a run learns from and is measured on, and what could not be read."""

    train: Images
    validation: Images
    test: Images
    refused: list[Refusal]
    description: str  # one line for a person

    @property
    def measured(self) -> tuple[str, Images]:
        """What figures are taken of: the test images; without any, those of validation; else the training images."""
        parts = {"test": self.test, "validation": self.validation, "train": self.train}
        return next((name, images) for name, images in parts.items() if len(images))


@dataclass(frozen=True)
class Survey:
    """What a quick look shows, before anything is decoded: enough to choose a size."""

    count: int  # images looked at: all of a folder or a zip file, else at most SAMPLE
    shapes: np.ndarray  # height, width, channels of each, int64 (count, 3); channels as promised by the header

    @property
    def common_size(self) -> tuple[int, int] | None:
        """Height and width when all agree, else None."""
        sizes = self.shapes[:, :2]
        return (int(sizes[0, 0]), int(sizes[0, 1])) if len(sizes) and (sizes == sizes[0]).all() else None

    @property
    def median_size(self) -> tuple[int, int]:
        """Median height and median width in pixels."""
        height, width = np.median(self.shapes[:, :2], axis=0)
        return int(height), int(width)


def load(config: DataConfig, seed: int = 0, cache_dir: Path | None = None, progress: Progress | None = None) -> Splits:
    """Reads a source and splits it: deterministic in (source, config, seed).

    Official validation and test splits are kept. Otherwise images are drawn, where a source may grow by a hash of their
    names, except from a film, whose last frames are held out: a random frame would have nearly the same frame next to
    it in the training set.

    Args:
        config: Source, sizes, filters and shares.
        seed: Of the split and of the subset when `config.limit` is set.
        cache_dir: Folder for the pixels when they are too many for RAM; None is the system's temporary folder.
        progress: Called with (images done, images in all; 0 while unknown).

    Raises:
        UserError: no such source, nothing in it that can be read, or shares that leave nothing to train on.
    """
    gathering = _gather(config, config.limit, seed, cache_dir, progress)
    images = gathering.finish()
    said = remarks(gathering.noted)
    if config.labels:
        images, unmatched = label_by_table(images, config.labels)
        said += unmatched
    official = np.array(gathering.parts)
    if config.only:
        kept = of_label(images, config)
        images, official = images.take(kept), official[kept]
        said.append(f"only '{config.only}'")
    # What has a name of its own never grows, and is split into parts of exactly the sizes that are asked for.
    by_name = config.split == "name" and not sources.is_word(config.source)
    names = names_within(images, config.source) if by_name else None
    parts = split(official, config, seed, gathering.in_order, names)
    train, validation, test = (_examples(images.take(part), config) for part in parts)
    if config.frames and not len(train):
        raise UserError(f"data.frames: no film has {config.frames} consecutive frames to train on. Accepted: fewer.")
    sizes = f"{len(train):,} to train, {len(validation):,} to validate, {len(test):,} to test"
    said = ([f"refused: {len(gathering.refused):,}"] if gathering.refused else []) + said
    return Splits(train, validation, test, gathering.refused, "; ".join([f"{gathering.description}: {sizes}", *said]))


def of_label(images: Images, config: DataConfig) -> np.ndarray:
    """Places of the images that `config.only` asks for: of that label, or in no sub-folder where there are no labels.

    Raises:
        UserError: When there is none.
    """
    if images.label_names:
        own = images.label_names.index(config.only) if config.only in images.label_names else None
        found = np.flatnonzero(images.labels == own) if own is not None else np.array([], np.int64)
        present = images.label_names
    else:  # A single sub-folder is no label, and may hold what is not asked for.
        names = names_within(images, config.source)
        tops = [name.split("/")[0] if "/" in name else config.only for name in names]
        found = np.flatnonzero(np.array(tops, object) == config.only)
        present = sorted(set(tops))
    if not len(found):
        raise UserError(
            f"data.only: '{config.source}' has no pictures labelled '{config.only}'."
            f"{did_you_mean(config.only, present)} Its labels: {', '.join(present)}. "
            "Accepted: one of them, or '' for all."
        )
    return found


def load_images(
    source: str | Path,
    like: DataConfig | None = None,
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    say: Callable[[str], object] | None = None,
) -> tuple[Images, list[Refusal]]:
    """Every image of a source, in order and unsplit, prepared as `like` says (`like.limit` is left aside).

    `say` is given a phrase for whatever was read in another way than one might expect, as in `Splits.description`.
    """
    config = replace(like, source=str(source)) if like is not None else DataConfig(source=str(source))
    gathering = _gather(config, 0, 0, cache_dir, progress)
    if say is not None:
        for phrase in remarks(gathering.noted):
            say(phrase)
    return _examples(gathering.finish(), config), gathering.refused


def _examples(images: Images, config: DataConfig) -> Images:
    """The images, or the clips of them: after the split, so that no clip has frames of two parts."""
    return clips_of(images, config.frames) if config.frames else images


def look(config: DataConfig, seed: int = 0) -> Survey:
    """Sizes of the images in a source at little cost: headers of files in a folder or a zip file, else a few images."""
    shapes = sources.look_at_headers(config, preparation(config), seed)
    if shapes is not None and not len(shapes):
        _gather(config, SAMPLE, seed, None, None)  # explains why nothing is readable
        raise UserError(f"data.source: no picture could be read in '{config.source}'.")
    if shapes is not None:
        return Survey(len(shapes), shapes)
    own_size = replace(config, height=0, width=0, crop=0, denoise=0, contrast=0.0, max_side=2**30)
    images = _gather(own_size, SAMPLE, seed, None, None).finish()
    return Survey(len(images), images.shapes)


def split(
    parts: np.ndarray, config: DataConfig, seed: int, in_order: bool = False, names: Sequence[str] | None = None
) -> list[np.ndarray]:
    """Indices of the training, validation and test images, each in ascending order.

    Args:
        parts: Official part of each image, as an index into ("train", "validation", "test").
        config: Shares to hold out where no official part does.
        seed: Of the draw.
        in_order: Hold out the last images instead of drawing.
        names: Draw by a hash of these: a fraction is met on average, and no image that is added makes one that was
            trained on a held-out one.
    """
    train, validation, test = (np.flatnonzero(parts == index) for index in range(len(PARTS)))
    if not len(train):
        train, validation, test = np.arange(len(parts)), train[:0], test[:0]
    total = len(train)
    if total < 3 and not len(test) and not len(validation):
        return [train, train, train]  # too few to hold any out
    shares = (0 if len(test) else config.test, 0 if len(validation) else config.validation)
    held_test, held_validation = (_count(share, total) for share in shares)
    if held_test + held_validation >= total:
        raise UserError(
            f"data: {total:,} images leave none to train on with test={config.test:g} and "
            f"validation={config.validation:g}. Accepted: smaller fractions or counts, "
            "as --set data.test=0.1 --set data.validation=0.1."
        )
    if names is None or in_order:
        order = train if in_order else np.random.default_rng((seed, 3)).permutation(train)
        left = total - held_test
        drawn = [order[: left - held_validation], order[left - held_validation : left], order[left:]]
    else:
        drawn = [train[places] for places in _drawn_by_name(np.array(names, object)[train], shares, seed)]
    trained, validated, tested = map(np.sort, drawn)
    return [trained, validation if len(validation) else validated, test if len(test) else tested]


def _drawn_by_name(names: np.ndarray, shares: tuple[float, float], seed: int) -> list[np.ndarray]:
    """Indices to train on, to validate on and to test on, where `shares` are those to test and to validate on."""
    rest, held = np.arange(len(names)), []
    fraction = 1.0  # of all images, that is in `rest` on average
    for index, (share, what) in enumerate(zip(shares, ("test", "validation"), strict=True)):
        numbers = np.array([_number(names[place], what, seed) for place in rest])
        count = _count(share, len(names))
        if 0 < share < 1:
            most = len(rest) - 1 - (_count(shares[1], len(names)) if index == 0 else 0)
            count = min(max(1, int((numbers < share / fraction).sum())), most)
            fraction -= share
        order = np.argsort(numbers, kind="stable")
        held.append(rest[order[:count]])
        rest = rest[np.sort(order[count:])]
    return [rest, held[1], held[0]]


def _number(name: str, what: str, seed: int) -> float:
    """A number in [0, 1) that is a function of its arguments, the same for a name however its accents are encoded."""
    words = f"{seed} {what} {unicodedata.normalize('NFC', name)}"
    return int.from_bytes(hashlib.sha256(words.encode("utf-8", "surrogateescape")).digest()[:6]) / 2**48


def names_within(images: Images, source: str) -> list[str]:
    """The names of images, without that of the array file they are in, which may be moved."""
    stem = Path(source).stem
    own = Path(source).suffix.lower() in (".npy", ".npz")
    return [name.removeprefix(f"{stem}/") for name in images.names] if own else images.names


def _count(share: float, total: int) -> int:
    """How many images a share means: at least one unless it is zero."""
    if share == 0:
        return 0
    return int(share) if share >= 1 else max(1, round(share * total))


def _gather(config: DataConfig, limit: int, seed: int, cache_dir: Path | None, progress: Progress | None) -> Gathering:
    gathering = Gathering(config, cache_dir, progress)
    try:
        sources.gather(
            config.source, gathering, limit=limit, seed=seed, manual_dir=config.manual_dir, key_file=config.key_file
        )
    except BaseException:
        gathering.writer.close()
        raise
    return gathering
