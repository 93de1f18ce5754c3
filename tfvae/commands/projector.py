"""Files for TensorBoard's projector: vectors, names and labels beside them, thumbnails, and what belongs together.

Format: https://github.com/tensorflow/tensorboard/blob/master/docs/tensorboard_projector_plugin.ipynb and
`projector_config.proto`; a sprite is a picture of square thumbnails in reading order, as many in a row as in a column,
of at most 8192 pixels a side.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tfvae.commands.code_tables import label_texts
from tfvae.data import Images
from tfvae.pictures import save_png
from tfvae.whole_files import whole_file, write_whole

MOST_SIDE, THUMBNAIL, LEAST = 8192, 64, 4  # pixels: of the sprite, of a thumbnail at most and at least
FILES = ("tensors.tsv", "metadata.tsv", "sprite.png", "projector_config.pbtxt")

CONFIG = """embeddings {{
  tensor_name: "codes"
  tensor_path: "tensors.tsv"
  metadata_path: "metadata.tsv"{sprite}
}}
"""
SPRITE = """
  sprite {{
    image_path: "sprite.png"
    single_image_dim: {side}
    single_image_dim: {side}
  }}"""


class Projector:
    """The files, row by row.

    Attributes:
        side: Pixels of a thumbnail; 0 where there are too many pictures for a sprite.
    """

    def __init__(self, folder: Path, tensors, metadata, images: Images):
        self.folder, self.tensors, self.metadata, self.images, self.done = folder, tensors, metadata, images, 0
        self.across = math.isqrt(len(images) - 1) + 1
        side = min(THUMBNAIL, MOST_SIDE // self.across, max(LEAST, int(images.shapes[:, :2].max())))
        self.side = side if side >= LEAST else 0
        self.sprite = np.full((self.across * self.side, self.across * self.side, 3), 255, np.uint8)
        if images.labels is not None:
            metadata.write("name\tlabel\n")  # of a single column TensorBoard wants no heading

    def add(self, codes: np.ndarray) -> None:
        """The codes of the next images, `(b, d)`."""
        first, self.done = self.done, self.done + len(codes)
        labels = label_texts(self.images, first, len(codes))
        names = self.images.names[first : self.done]
        for code in codes:
            self.tensors.write("\t".join(f"{value:.8g}" for value in code) + "\n")
        for row in zip(names, *([labels] if labels is not None else []), strict=True):
            self.metadata.write("\t".join(map(_one_line, row)) + "\n")
        for index in range(first, self.done) if self.side else ():
            top, left = (self.side * place for place in divmod(index, self.across))
            self.sprite[top : top + self.side, left : left + self.side] = thumbnail(self.images[index], self.side)

    def finish(self) -> None:
        """The sprite and the configuration."""
        if self.side:
            save_png(self.folder / "sprite.png", self.sprite)
        sprite = SPRITE.format(side=self.side) if self.side else ""
        write_whole(self.folder / "projector_config.pbtxt", CONFIG.format(sprite=sprite))


@contextlib.contextmanager
def projector(folder: Path, images: Images) -> Iterator[Projector]:
    """A `Projector` whose text files are whole or not there."""
    options = {"newline": "\n", "encoding": "utf-8"}
    with (
        whole_file(folder / "tensors.tsv", "w", **options) as tensors,
        whole_file(folder / "metadata.tsv", "w", **options) as metadata,
    ):
        files = Projector(folder, tensors, metadata, images)
        yield files
    files.finish()


def thumbnail(image: np.ndarray, side: int) -> np.ndarray:
    """uint8 RGB `(side, side, 3)`: the whole picture, centred on white; small ones are enlarged as squares."""
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).convert("RGB")
    resample = Image.Resampling.NEAREST if max(picture.size) <= side else Image.Resampling.BOX
    return np.asarray(ImageOps.pad(picture, (side, side), resample, color="white"))


def _one_line(text: Sequence[str]) -> str:
    return " ".join(str(text).replace("\t", " ").splitlines()) or "-"
