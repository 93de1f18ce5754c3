"""What every source fills: prepared images, the official split they belong to, and what was refused."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfvae.data.images import Images, ImagesWriter, Refusal, with_channels, without_false_colour
from tfvae.data.reading import Preparation, prepare
from tfvae.data_config import DataConfig

Progress = Callable[[int, int], None]
PARTS = ("train", "validation", "test")


class Gathering:
    """Receives images from a source, prepares those that are not yet, and hands them over as `Images`.

    Args:
        config: Sizes, channels and filters.
        cache_dir: Folder of the pixels when they are too many for RAM.
        progress: Called with (done, total) as images arrive; total is 0 while unknown.
    """

    def __init__(self, config: DataConfig, cache_dir: Path | None = None, progress: Progress | None = None):
        self.config = config
        self.how = preparation(config)
        self.writer = ImagesWriter(cache_dir)
        self.progress = progress or (lambda done, total: None)
        self.parts: list[int] = []  # index into PARTS, one an image
        self.refused: list[Refusal] = []
        self.noted: list[dict[str, Any]] = []  # what `reading.read_picture` notes, for `remarks`
        self.label_names: list[str] = []
        self.factors: list[np.ndarray] = []  # blocks (n, factors) from sources that know them
        self.factor_names: list[str] = []
        self.description = ""
        self.in_order = False  # neighbours resemble each other, as in a film

    def add_prepared(self, pixels: np.ndarray, name: str, label: int = -1, part: str = "train") -> None:
        """One image that went through `reading.prepare`."""
        self.writer.add(pixels, name, label)
        self.parts.append(PARTS.index(part))

    def add_block(
        self,
        pixels: np.ndarray,
        names: Sequence[str],
        labels: Sequence[int] | np.ndarray | None = None,
        part: str = "train",
        factors: np.ndarray | None = None,
    ) -> None:
        """uint8 images of one size, `(n, height, width, 1, 3 or 4)`, not yet prepared; with factors for all or none."""
        pixels = with_channels(pixels, self.how.channels)
        if self._is_ready(pixels.shape[1], pixels.shape[2]):
            self.writer.add_block(without_false_colour(pixels), names, labels)
        else:
            for index, image in enumerate(pixels):
                plain = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
                self.writer.add(prepare(plain, self.how), names[index], -1 if labels is None else labels[index])
        self.parts += [PARTS.index(part)] * len(pixels)
        if factors is not None:
            self.factors.append(factors)

    def refuse(self, name: str, reason: str) -> None:
        self.refused.append(Refusal(name, reason))

    def label_by_folder(self, names: Sequence[str]) -> None:
        """First-level folders of the names of all images become their labels, when there are two or more."""
        tops = [name.split("/")[0] if "/" in name else "" for name in names]
        folders = sorted(set(tops) - {""})
        self.label_names = folders if len(folders) > 1 else []  # one says where pictures lie, not what they are
        if self.label_names:
            self.writer.labels = [self.label_names.index(top) if top else -1 for top in tops]

    def finish(self) -> Images:
        images = self.writer.finish(self.config.channels, self.label_names)
        if self.factors:
            images.factors, images.factor_names = np.concatenate(self.factors), self.factor_names
        return images

    def _is_ready(self, height: int, width: int) -> bool:
        if self.how.denoise or self.how.contrast:
            return False
        if self.how.height:
            return (height, width) == (self.how.height, self.how.width)
        return max(height, width) <= self.how.max_side


def preparation(config: DataConfig) -> Preparation:
    """The part of the configuration that a reading process needs."""
    return Preparation(
        height=config.height,
        width=config.width,
        channels=config.channels,
        fit=config.fit,
        max_side=config.max_side,
        max_pixels=config.max_pixels,
        black=config.black,
        white=config.white,
        denoise=config.denoise,
        contrast=config.contrast,
    )


def chosen(count: int, limit: int, seed: int) -> np.ndarray:
    """Which of `count` things to keep when at most `limit` are wanted: a random subset, in order."""
    if not limit or count <= limit:
        return np.arange(count)
    return np.sort(np.random.default_rng((seed, 7)).choice(count, limit, replace=False))
