"""Pictures in a notebook."""

import io

import numpy as np
from PIL import Image

from tfvae.pixels import to_uint8

QUALITY = 90  # of the JPEG file: letters and lines of charts stay clean


class Shown:
    """A picture that a notebook displays when a cell ends with it.

    As JPEG, because a notebook keeps its pictures inside its file. Jupyter and Colab call `_repr_jpeg_`; nothing of
    theirs is needed here.

    Args:
        picture: `(height, width, 1 or 3)`, uint8 or float in [0, 1].
    """

    def __init__(self, picture: np.ndarray):
        self.picture = to_uint8(picture)

    def __repr__(self) -> str:
        height, width = self.picture.shape[:2]
        return f"<picture of {height}×{width} pixels>"

    def _repr_jpeg_(self) -> bytes:
        file = io.BytesIO()
        image = self.picture[..., 0] if self.picture.shape[-1] == 1 else self.picture
        Image.fromarray(image).save(file, "JPEG", quality=QUALITY, subsampling=0)
        return file.getvalue()


def show(picture: np.ndarray) -> Shown:
    """`picture`, such as `grid` or `learning_curves` return, for the last line of a notebook's cell."""
    return Shown(picture)
