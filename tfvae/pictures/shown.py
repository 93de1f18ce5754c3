"""Pictures in a notebook."""

import io

import numpy as np
from PIL import Image

from tfvae.pixels import to_uint8

QUALITY = 85  # of a JPEG file
CHART = 0.5  # share of white pixels from which on a picture is a chart, which is sharp in 256 colours


class Shown:
    """A picture that a notebook displays when a cell ends with it.

    As PNG, a chart in 256 colours, or as JPEG, whichever is smaller, because a notebook keeps its pictures inside its
    file. Jupyter and Colab ask for both, and nothing of theirs is needed here.

    Args:
        picture: `(height, width, 1 or 3)`, uint8 or float in [0, 1].
    """

    def __init__(self, picture: np.ndarray):
        picture = to_uint8(picture)
        grey = picture.shape[-1] == 1 or bool((picture == picture[..., :1]).all())
        self.image = Image.fromarray(picture[..., 0] if grey else picture)
        self.is_chart = not grey and bool((picture == 255).all(axis=-1).mean() > CHART)

    def __repr__(self) -> str:
        return f"<picture of {self.image.height}×{self.image.width} pixels>"

    def _repr_png_(self) -> bytes | None:
        png, jpeg = self._files()
        return png if len(png) <= len(jpeg) else None

    def _repr_jpeg_(self) -> bytes | None:
        png, jpeg = self._files()
        return jpeg if len(jpeg) < len(png) else None

    def _files(self) -> tuple[bytes, bytes]:
        png, jpeg = io.BytesIO(), io.BytesIO()
        image = self.image
        if self.is_chart:
            image = image.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
        image.save(png, "PNG", optimize=True)
        self.image.save(jpeg, "JPEG", quality=QUALITY, subsampling=0)
        return png.getvalue(), jpeg.getvalue()


def show(picture: np.ndarray) -> Shown:
    """`picture`, such as `grid` or `learning_curves` return, for the last line of a notebook's cell."""
    return Shown(picture)
