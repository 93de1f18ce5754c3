"""Clips of consecutive frames: what a model of moving pictures learns from."""

import itertools

import numpy as np

from tfvae.data.images import Images
from tfvae.errors import UserError


def clips_of(images: Images, frames: int) -> Images:
    """Every window of `frames` consecutive frames of one film, as a strip `(frames * height, width, channels)`.

    Frames of a film lie one behind the other in memory, so a strip is a view of its first frame's place: windows
    overlap and cost nothing. A window never leaves its film: frames are named `film#number`, and follow each other
    where the film is one, the numbers are consecutive and the sizes are equal.

    Args:
        images: Frames, in the order of the films.
        frames: In a clip.

    Returns:
        The clips, named after their first frame; none where no film is long enough.

    Raises:
        UserError: When the images are no frames.
    """
    places = [_place(name) for name in images.names]
    sizes = images.shapes.prod(axis=1)
    follows = [
        other == (film, number + 1)
        and bool((images.shapes[row] == images.shapes[row + 1]).all())
        and images.offsets[row] + sizes[row] == images.offsets[row + 1]
        for row, ((film, number), other) in enumerate(itertools.pairwise(places))
    ]
    # How many frames follow each frame without a gap.
    following = np.zeros(len(images), np.int64)
    for row in reversed(range(len(images) - 1)):
        following[row] = following[row + 1] + 1 if follows[row] else 0
    starts = np.flatnonzero(following >= frames - 1)
    shapes = images.shapes[starts] * (frames, 1, 1)
    names = [images.names[row] for row in starts]
    clips = Images(images.pixels, images.offsets[starts], shapes, names, channels=images.channels)
    clips._tensors = images._tensors
    return clips


def _place(name: str) -> tuple[str, int]:
    """The film of a frame and the frame's number in it."""
    film, mark, number = name.rpartition("#")
    if not mark or not number.isdigit():
        raise UserError(f"data.frames needs frames in order. Accepted: a film, or moving_digits. Received: '{name}'.")
    return film, int(number)
