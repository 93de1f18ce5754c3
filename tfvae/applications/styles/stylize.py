"""Render a picture of any size in a style that a model learnt, in tiles, in the picture's own bit depth."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.applications.channels import as_known, floats, joined, typed, views
from tfvae.applications.tiles import SIDE, Tile, assemble, smallest_side, tiles, traced
from tfvae.metrics.image_quality import luminance, ssim

LOOK = 512  # pixels of the middle of a picture, in each direction, from which its own style is predicted


def stylize(
    model: Any,
    image: np.ndarray,
    weights: np.ndarray,
    strength: float = 1.0,
    own: np.ndarray | None = None,
    tile: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """`render(x, strength * weights + (1 - strength) * own) + rest * (x - render(x, own))`, clipped.

    `rest = max(0, 1 - strength)`: at strength 0 the picture itself comes back, at 1 all of it is painted anew, and
    between them what the code does not say of a picture fades with its style. Beyond 1 the style is exaggerated.
    The tile's size changes nothing, up to rounding.

    Args:
        model: A `StyleVAE`.
        image: `(height, width, channels)`; uint8, uint16, or float in [0, 1].
        weights: Of each style, `(styles,)`, as of `parse_style`; any numbers.
        strength: 0 or more.
        own: The picture's own style, `(styles,)`; by default what `predicted_style` says.
        tile: Side in pixels; 1024 by default, more where the model's receptive field asks for it.
        progress: Called with the tiles done and all tiles.

    Returns:
        Shape and type of `image`.

    Raises:
        ValueError: When a shape, `strength` or `tile` is none that is accepted.
    """
    image = np.asarray(image)
    as_known(None, image)  # says what a picture is
    weights = np.asarray(weights, np.float32)
    if weights.shape != (model.styles,) or not np.isfinite(weights).all():
        raise ValueError(f"`weights` must be {model.styles} finite numbers. Received: {weights}")
    if not 0 <= strength < float("inf"):
        raise ValueError(f"`strength` must be 0 or more. Received: strength={strength}")
    if strength == 0:
        return image.copy()
    rest = max(0.0, 1.0 - strength)
    if own is None:
        own = predicted_style(model, image) if strength != 1 else weights
    mixed = strength * weights + (1 - strength) * own
    height, width, _ = image.shape
    plan = tiles(height, width, tile or default_tile(model), model.margin, model.factor)
    into = {"image": np.empty_like(image)}

    def compute(place: Tile) -> dict[str, np.ndarray]:
        pixels = floats(image[place.window])
        rendered = _rendered(model, pixels, mixed)
        if rest:
            rendered = rendered + rest * (pixels - _rendered(model, pixels, own))
        return {"image": typed(rendered, image.dtype)}

    assemble(compute, plan, into, progress)
    return into["image"]


def stylizer(model: Any, weights: np.ndarray, strength: float = 1.0) -> Callable[[np.ndarray], np.ndarray]:
    """A function from uint8 frames `(h, w, 3)` to frames like them, in one style.

    The frames' own style is predicted from the first, so that no frame flickers for its sake.

    Args:
        model, weights, strength: As `stylize` takes them.
    """
    own: list[np.ndarray] = []

    def stylized(frame: np.ndarray) -> np.ndarray:
        if not own:
            own.append(predicted_style(model, frame))
        return stylize(model, frame, weights, strength, own[0])

    return stylized


def predicted_style(model: Any, image: np.ndarray) -> np.ndarray:
    """The style that the model's critic takes the middle of a picture for: float32 `(styles,)`, one 1, others 0."""
    middle = centre(image, LOOK)
    votes = [model.predicted_style(floats(view)[None])[0] for view in views(middle, model.image_shape[-1])]
    return np.eye(model.styles, dtype=np.float32)[np.argmax(np.sum(votes, axis=0))]


def default_tile(model: Any) -> int:
    """Side of a tile in pixels: at least half of it is right along each axis, whatever the receptive field."""
    return max(SIDE, 2 * smallest_side(model.margin, model.factor))


def content_kept(original: np.ndarray, rendered: np.ndarray) -> tuple[float, float]:
    """SSIM of the luminance of two pictures, and of its edges (Sobel's gradient magnitude); 1 is equal.

    Of large pictures the middle 1024×1024 pixels are compared.

    Args:
        original: `(height, width, channels)`; uint8, uint16, or float in [0, 1].
        rendered: Of the same size.
    """
    x, y = (luminance(floats(centre(np.asarray(image), SIDE))[None]) for image in (original, rendered))
    edges = (tf.norm(tf.image.sobel_edges(maps), axis=-1) / 4.0 for maps in (x, y))  # within about [0, 1]
    return float(ssim(x, y)[0]), float(ssim(*edges)[0])


def centre(image: np.ndarray, side: int) -> np.ndarray:
    """The middle `side` pixels of height and width, or all where there are fewer."""
    top, left = (max(0, (length - side) // 2) for length in image.shape[:2])
    return image[top : top + side, left : left + side]


def _rendered(model: Any, pixels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A tile `(h, w, c)` in a style, of each view of it put together again."""
    maps = []
    for view in views(pixels, model.image_shape[-1]):
        batch = {"images": tf.constant(view[None]), "weights": tf.constant(weights[None], tf.float32)}
        shapes = tuple((name, value.shape.rank, value.shape[-1]) for name, value in sorted(batch.items()))
        maps.append(traced(model, "render", shapes)(batch)["image"].numpy()[0])
    return joined(maps, pixels.shape[-1])
