"""Many uint8 images of equal or unequal sizes in one flat buffer, in RAM or in a memory-mapped file."""

import contextlib
import hashlib
import os
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from tfvae.data.reading import is_grey
from tfvae.decoding import on_white

RAM_LIMIT = 256 * 2**20  # bytes of pixels kept in RAM; beyond it they move to a file
UNLABELLED = -1


@dataclass(frozen=True)
class Refusal:
    """A file that was set aside, and why."""

    name: str
    reason: str


class Images:
    """uint8 pixels of many images; `images[i]` has shape `(height, width, channels)`.

    Args:
        pixels: Flat uint8 buffer of all images.
        offsets: Where each image begins in `pixels`, shape `(n,)`.
        shapes: `(height, width, channels)` of each image, shape `(n, 3)`; channels are the same for all.
        names: One name an image: the file within its folder, or the source and a number.
        labels: Class of each image, int64 of shape `(n,)`, -1 where there is none; or None.
        label_names: The name of each class.
        channels: Needed only when there is no image.
        factors: Value number of each generative factor of each image, int64 `(n, factors)`, where they are known.
        factor_names: The name of each factor.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        offsets: np.ndarray,
        shapes: np.ndarray,
        names: Sequence[str],
        labels: np.ndarray | None = None,
        label_names: Sequence[str] = (),
        channels: int = 1,
        factors: np.ndarray | None = None,
        factor_names: Sequence[str] = (),
    ):
        self.pixels = pixels
        self.offsets = np.asarray(offsets, np.int64)
        self.shapes = np.asarray(shapes, np.int64).reshape(-1, 3)
        self.names = list(names)
        self.labels = None if labels is None else np.asarray(labels, np.int64)
        self.label_names = list(label_names)
        self.factors = None if factors is None else np.asarray(factors, np.int64)
        self.factor_names = list(factor_names)
        self.channels = int(self.shapes[0, 2]) if len(self.shapes) else channels
        self._tensors: dict[str, tf.Tensor] = {}  # shared with every subset

    @classmethod
    def from_array(cls, array: np.ndarray, names: Sequence[str] | None = None, **labels) -> "Images":
        """Images of one size from uint8 `(n, height, width, channels)`."""
        array = np.ascontiguousarray(array)
        if array.dtype != np.uint8 or array.ndim != 4:
            raise ValueError(f"`array` must be uint8 (n, h, w, c). Received: {array.dtype} {array.shape}")
        count, size = len(array), int(np.prod(array.shape[1:]))
        names = [f"{index:06d}" for index in range(count)] if names is None else names
        shapes = np.tile(np.array(array.shape[1:]), (count, 1))
        return cls(array.reshape(-1), np.arange(count) * size, shapes, names, channels=array.shape[3], **labels)

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, index: int) -> np.ndarray:
        if not -len(self) <= index < len(self):
            raise IndexError(f"`index` must be below {len(self)}. Received: {index}")
        height, width, channels = self.shapes[index]
        start = self.offsets[index]
        return self.pixels[start : start + height * width * channels].reshape(height, width, channels)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))

    @property
    def mapped(self) -> bool:
        """Whether the pixels lie in a file instead of RAM."""
        return isinstance(self.pixels, np.memmap)

    @property
    def uniform(self) -> bool:
        """Whether all images have one shape; true of none and of one."""
        return bool((self.shapes == self.shapes[:1]).all())

    @property
    def common_size(self) -> tuple[int, int] | None:
        """Height and width when all images share them, else None."""
        return (int(self.shapes[0, 0]), int(self.shapes[0, 1])) if len(self) and self.uniform else None

    @property
    def array(self) -> np.ndarray:
        """All images of one shape, uint8 `(n, height, width, channels)`; a view where they lie side by side in order.

        A subset is copied once and kept, except from a mapped file, where each call copies into RAM.
        """
        if not self.uniform:
            raise ValueError("`array` needs images of one shape; these differ")
        if not len(self):
            return np.zeros((0, 0, 0, self.channels), np.uint8)
        shape = (len(self), *map(int, self.shapes[0]))
        size = int(np.prod(shape[1:]))
        start = int(self.offsets[0])
        if (np.diff(self.offsets) == size).all():
            return self.pixels[start : start + size * len(self)].reshape(shape)
        together = np.stack([self[index] for index in range(len(self))])
        if not self.mapped:
            self.pixels, self.offsets, self._tensors = together.reshape(-1), np.arange(len(self)) * size, {}
        return together

    def tensor(self) -> tf.Tensor:
        """The flat buffer `pixels` as a uint8 tensor on the CPU; a mapped file is mapped, not read."""
        if "pixels" not in self._tensors:
            with tf.device("CPU:0"):
                self._tensors["pixels"] = tf.constant(self.pixels)
        return self._tensors["pixels"]

    def digest(self) -> str:
        """SHA-256 of shapes and pixels in order, as 64 hexadecimal digits: the same images, the same digest."""
        digest = hashlib.sha256(np.ascontiguousarray(self.shapes).data)
        for image in self:
            digest.update(np.ascontiguousarray(image).data)
        return digest.hexdigest()

    def joined(self, others: "Images") -> "Images":
        """These images and then `others`; nothing is copied where both are subsets of the same pixels."""
        shared = self.pixels is others.pixels
        pixels = self.pixels if shared else np.concatenate([self.pixels, others.pixels])

        def both(mine, more):
            return None if mine is None or more is None else np.concatenate([mine, more])

        joined = Images(
            pixels,
            np.concatenate([self.offsets, others.offsets + (0 if shared else len(self.pixels))]),
            np.concatenate([self.shapes, others.shapes]),
            [*self.names, *others.names],
            both(self.labels, others.labels),
            self.label_names,
            self.channels,
            both(self.factors, others.factors),
            self.factor_names,
        )
        joined._tensors = self._tensors if shared else {}
        return joined

    def repeated(self, times: int) -> "Images":
        """Every image `times` times, over the same pixels: an epoch of so many random crops of each."""
        return self if times == 1 else self.take(np.tile(np.arange(len(self)), times))

    def balanced(self) -> "Images":
        """As many images of each label, over the same pixels: those of smaller classes repeated in turn."""
        if self.labels is None or not len(self):
            return self
        classes = [np.flatnonzero(self.labels == label) for label in np.unique(self.labels)]
        most = max(map(len, classes))
        return self.take(np.concatenate([np.resize(members, most) for members in classes]))

    def take(self, indices) -> "Images":
        """The images at `indices`, in that order, over the same pixels."""
        indices = np.asarray(indices, np.int64).reshape(-1)
        labels = None if self.labels is None else self.labels[indices]
        names = [self.names[index] for index in indices]
        offsets, shapes = self.offsets[indices], self.shapes[indices]
        factors = None if self.factors is None else self.factors[indices]
        subset = Images(
            self.pixels, offsets, shapes, names, labels, self.label_names, self.channels, factors, self.factor_names
        )
        subset._tensors = self._tensors
        return subset


class ImagesWriter:
    """Collects images one by one or in blocks, in RAM while they are few, then in a file.

    Args:
        folder: Where the file is made; None is the system's temporary folder.
        ram_limit: Bytes of pixels from which on the file is used.
    """

    def __init__(self, folder: Path | None = None, ram_limit: int = RAM_LIMIT):
        self.folder = folder
        self.ram_limit = ram_limit
        self.memory = bytearray()
        self.file: Any = None
        self.size = 0
        self.shapes: list[tuple[int, int, int]] = []
        self.names: list[str] = []
        self.labels: list[int] = []

    def __len__(self) -> int:
        return len(self.shapes)

    def add(self, pixels: np.ndarray, name: str, label: int = UNLABELLED) -> None:
        """One uint8 image `(height, width, 1 or 3)`."""
        self.add_block(pixels[None], [name], [label])

    def add_block(
        self, pixels: np.ndarray, names: Sequence[str], labels: Sequence[int] | np.ndarray | None = None
    ) -> None:
        """uint8 images of one shape, `(n, height, width, 1 or 3)`."""
        block = np.ascontiguousarray(pixels, np.uint8).reshape(-1)
        if self.file is None and self.size + block.nbytes > self.ram_limit:
            self.file = self._new_file()
            self.file.write(self.memory)
            self.memory = bytearray()
        if self.file is None:
            self.memory += block.data
        else:
            self.file.write(block.data)
        self.size += block.nbytes
        self.shapes += [pixels.shape[1:]] * len(pixels)
        self.names += names
        self.labels += [UNLABELLED] * len(pixels) if labels is None else list(map(int, labels))

    def finish(self, channels: int = 0, label_names: Sequence[str] = ()) -> Images:
        """The images, all with `channels` channels; 0 means 3 when any has 3, else 1."""
        shapes = np.array(self.shapes, np.int64).reshape(-1, 3)
        channels = channels or (3 if (shapes[:, 2] == 3).any() else 1)
        labels = np.array(self.labels, np.int64)
        sizes = shapes.prod(axis=1)
        offsets = np.cumsum(sizes) - sizes
        known = labels if label_names or (labels != UNLABELLED).any() else None
        images = Images(np.frombuffer(self.memory, np.uint8), offsets, shapes, self.names, known, label_names, channels)
        if self.file is not None:
            self._map(images)
        if (shapes[:, 2] == channels).all():
            return images
        again = ImagesWriter(self.folder, self.ram_limit)
        for index in range(len(images)):
            again.add(with_channels(images[index], channels), self.names[index], self.labels[index])
        return again.finish(channels, label_names)

    def close(self) -> None:
        """Forgets what was collected; for work that is given up."""
        if self.file is not None:
            self.file.close()
            _remove(self.file.name)
        self.memory = bytearray()

    def _new_file(self):
        if self.folder is not None:
            Path(self.folder).mkdir(parents=True, exist_ok=True)
        return tempfile.NamedTemporaryFile(prefix="tfvae-", suffix=".pixels", dir=self.folder, delete=False)

    def _map(self, images: Images) -> None:
        """Puts the file in place of the buffer, for NumPy and for TensorFlow."""
        self.file.close()
        path = self.file.name
        images.pixels = np.memmap(path, np.uint8, mode="r")
        with tf.device("CPU:0"):
            # The op's "memory region" is a file that it maps. So pipelines stay free of Python, whose lock would
            # make them slow, and would hang a program that ends while they still read ahead.
            images._tensors["pixels"] = tf.raw_ops.ImmutableConst(
                dtype=tf.uint8, shape=[self.size], memory_region_name=path
            )
        _remove(path)
        # Where a mapped file cannot be removed (Windows), it goes with the maps.
        weakref.finalize(images.pixels, _remove, path)


def _remove(path: str) -> None:
    # Once unlinked, the space is free again as soon as the program ends, however it ends.
    with contextlib.suppress(OSError):
        os.unlink(path)


def with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """uint8 `(..., 1, 3 or 4)` as `(..., channels)`; alpha is laid on white, colour becomes luminance (ITU-R 601)."""
    if pixels.shape[-1] == 4:
        pixels = on_white(pixels[..., :3], pixels[..., 3])
    if pixels.shape[-1] == channels or channels == 0:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=-1)
    flat = np.ascontiguousarray(pixels).reshape(-1, pixels.shape[-2], 3)
    return np.asarray(Image.fromarray(flat).convert("L")).reshape(*pixels.shape[:-1], 1)


def without_false_colour(pixels: np.ndarray) -> np.ndarray:
    """uint8 `(..., 3)` whose channels all agree as `(..., 1)`; anything else as it is."""
    return pixels[..., :1] if pixels.shape[-1] == 3 and is_grey(pixels) else pixels
