"""What is known of each picture before it is restored: a mask that was drawn, or an overlay that a folder shares."""

import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfvae.commands.jobs import Job, Plan
from tfvae.data.folder import SUFFIXES
from tfvae.data.reading import Preparation, look_at_picture
from tfvae.decoding import UnreadableError, eight_bits
from tfvae.errors import UserError
from tfvae.pictures.files import MAX_PIXELS, open_mask, open_picture

ENOUGH = 5  # pictures of one size in which an overlay can be distinguished from what they show
MOST = 50  # of them that are looked at


@dataclass(frozen=True)
class Given:
    """A picture to restore.

    Attributes:
        pixels: `(height, width, channels)`; a translucent overlay that was found is taken out already.
        known: Where they are to be trusted, bool `(height, width)`; None where nothing is known of that.
    """

    pixels: np.ndarray
    known: np.ndarray | None = None


class DrawnMasks:
    """A mask file for all pictures, or a folder of masks with the pictures' names; white is damaged.

    Args:
        mask: The file or the folder.
        folder: Where the pictures were found, when not one was named but a folder.
        white: What is white in a mask, for a person.

    Raises:
        UserError: When there is no mask, or the only one cannot be used.
    """

    def __init__(self, mask: Path, folder: Path | None, white: str = "damaged"):
        if not mask.exists():
            raise UserError(f"--mask {mask}: there is no such file or folder.")
        self.mask, self.white = mask, white
        self.single = None
        if not mask.is_dir():
            try:
                self.single = _marked(mask, white)
            except UnreadableError as reason:
                raise UserError(f"--mask {mask}: {reason}.") from None
        self.folder = folder

    def __call__(self, job: Job, pixels: np.ndarray) -> Given:
        path = self.mask if self.single is not None else self._named(job)
        damaged = self.single if self.single is not None else _marked(path, self.white)
        if damaged.shape != pixels.shape[:2]:
            sizes = (f"{width}x{height}" for height, width in (damaged.shape, pixels.shape[:2]))
            raise UnreadableError("the mask {} has {} pixels, the picture {}".format(path, *sizes))
        return Given(pixels, ~damaged)

    def _named(self, job: Job) -> Path:
        """The picture's own name, or one that differs in the suffix only."""
        own = self.mask / (job.source.relative_to(self.folder) if self.folder else job.source.name)
        for path in (own, *(own.with_suffix(suffix) for suffix in SUFFIXES)):
            if path.is_file():
                return path
        raise UnreadableError(f"has no mask: none is called {own.stem} in {own.parent}")


class SharedOverlays:
    """Overlays of pictures of one size; where there is none, the damage that the model finds by itself.

    Raises:
        UserError: When there is no overlay and the model finds no damage.
    """

    def __init__(self, plan: Plan, model: Any, scale: tuple[float, float]):
        self.finds_damage = getattr(model, "finds_damage", False)
        groups: dict[tuple[int, int, int], list[Path]] = defaultdict(list)
        for job in plan.jobs:
            try:
                groups[look_at_picture(str(job.source), Preparation(max_pixels=MAX_PIXELS))].append(job.source)
            except UnreadableError:  # said when its turn comes
                continue
        self.overlays = {shape: _overlay(paths, scale) for shape, paths in groups.items() if len(paths) >= ENOUGH}
        if not self.finds_damage and not any(self.overlays.values()):
            raise UserError(
                f"restore: --auto: no overlay in common to {ENOUGH} or more pictures of one size, and this run's model "
                "finds no damage by itself. Draw a mask (white is filled) and give --mask M."
            )

    def __call__(self, job: Job, pixels: np.ndarray) -> Given:
        overlay = self.overlays.get(pixels.shape)
        if overlay is None:
            if self.finds_damage:
                return Given(pixels)
            raise UnreadableError(f"shares no overlay with {ENOUGH} or more pictures of its size")
        if pixels.dtype != np.uint8:
            return Given(pixels, ~overlay.mask)
        from tfvae.applications.restoration.overlay import remove_overlay

        # What shines through an overlay is worth more than what a model paints: only opaque parts are lost.
        return Given(remove_overlay(pixels, overlay), ~overlay.opaque)


class _Pictures(Sequence):
    """Pictures as uint8, read when they are asked for."""

    def __init__(self, paths: list[Path], scale: tuple[float, float]):
        self.paths, self.scale = paths, scale

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index):
        return eight_bits(open_picture(self.paths[index], *self.scale).pixels)


def _overlay(paths: list[Path], scale: tuple[float, float]) -> Any:
    """The overlay that pictures share, or None, which is said."""
    from tfvae.applications.restoration.overlay import find_overlay

    readable = []
    for index in np.unique(np.linspace(0, len(paths) - 1, min(len(paths), MOST)).round().astype(int)):
        try:
            open_picture(paths[index], *scale)
            readable.append(paths[index])
        except UnreadableError:  # said when its turn comes
            continue
    if len(readable) < ENOUGH:
        return None
    try:
        overlay = find_overlay(_Pictures(readable, scale))
    except ValueError:  # they share none, which is an answer
        print(f"tfvae: no overlay in common to {len(readable)} pictures like {paths[0].name}", file=sys.stderr)
        return None
    part = overlay.mask.mean()
    print(f"tfvae: an overlay covers {part:.1%} of {len(paths)} pictures like {paths[0].name}", file=sys.stderr)
    return overlay


def _marked(path: Path, white: str) -> np.ndarray:
    """A mask that marks something and leaves something."""
    damaged = open_mask(path)
    if not damaged.any():
        raise UnreadableError(f"the mask {path.name} marks nothing: white is what is {white}")
    if damaged.all():
        raise UnreadableError(f"the mask {path.name} marks everything: black is what is kept")
    return damaged
