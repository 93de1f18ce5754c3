"""A generated set of clips: digits that move through a square and bounce off its walls, as in Moving MNIST.

Each clip has 20 frames with two digits, laid over each other by the maximum. A digit starts anywhere and moves in any
direction, a tenth of its way across per frame, and turns back at the walls. `moving_digits` shows scikit-learn's
digits, enlarged; `moving_digits:SOURCE` pictures of another source, such as `moving_digits:tfds:mnist`, which is the
protocol of the paper.

Reference:
    Srivastava, Mansimov and Salakhutdinov (2015), https://arxiv.org/abs/1502.04681
"""

import numpy as np
from PIL import Image

from tfvae.data.gathering import PARTS, Gathering
from tfvae.data.images import Images

WORD = "moving_digits"
SIDE = 64  # pixels, where the configuration does not say
LENGTH = 20  # frames
DIGITS = 2  # in a clip
DIGIT_SIDE = 28 / 64  # of the picture's
SPEED = 0.1  # of the way from wall to wall, per frame
CLIPS = {"train": 640, "validation": 10, "test": 50}
HELD_OUT = 0.1  # of the digits, for each of validation and test, where the source has no such part


def draw(sprites: np.ndarray, start: np.ndarray, velocity: np.ndarray, length: int, side: int) -> np.ndarray:
    """The frames of one clip, uint8 `(length, side, side, 1)`.

    Args:
        sprites: What moves, uint8 `(n, s, s)`.
        start: Places at the first frame, down and right, as fractions of the way from wall to wall, `(n, 2)`.
        velocity: Change of the place per frame, `(n, 2)`.
        length: Frames.
        side: Of the square, in pixels.
    """
    way = start[:, None] + velocity[:, None] * np.arange(length)[:, None]
    place = 1 - np.abs(1 - np.mod(way, 2))  # reflected at 0 and at 1
    size = sprites.shape[1]
    corners = (place * (side - size)).astype(int)
    frames = np.zeros((length, side, side, 1), np.uint8)
    for sprite, corner in zip(sprites, corners, strict=True):
        for frame, (top, left) in zip(frames[..., 0], corner, strict=True):
            window = frame[top : top + size, left : left + size]
            np.maximum(window, sprite, out=window)
    return frames


def gather_moving(sprites: Images, parts: np.ndarray, into: Gathering, limit: int, seed: int) -> None:
    """Clips of `sprites`: those to train on and those held out show different ones.

    Args:
        sprites: Pictures of any size.
        parts: The official part of each, as an index into `PARTS`.
        into: Receives the frames, named `moving_digits/train/000012#07`.
        limit: At most about so many frames; 0: all.
        seed: Of the digits, places and directions: a clip is a function of (seed, part, number).
    """
    side = into.how.height if into.how.height and into.how.height == into.how.width else SIDE
    size = round(DIGIT_SIDE * side)
    clips = CLIPS
    if limit:
        share = limit / (LENGTH * sum(CLIPS.values()))
        clips = {part: max(1, round(share * count)) for part, count in CLIPS.items()}
    total, done = LENGTH * sum(clips.values()), 0
    for index, (part, pool) in enumerate(zip(PARTS, _pools(parts), strict=True)):
        for number in range(clips[part]):
            rng = np.random.default_rng((seed, index, number))
            chosen = np.stack([_sized(sprites[row], size) for row in rng.choice(pool, DIGITS)])
            angle = rng.uniform(0, 2 * np.pi, DIGITS)
            velocity = SPEED * np.stack([np.sin(angle), np.cos(angle)], axis=1)
            frames = draw(chosen, rng.uniform(size=(DIGITS, 2)), velocity, LENGTH, side)
            names = [f"{WORD}/{part}/{number:06d}#{frame:02d}" for frame in range(LENGTH)]
            into.add_block(frames, names, part=part)
            done += LENGTH
            into.progress(done, total)
    into.in_order = True
    into.description = f"{total:,} frames of {sum(clips.values()):,} generated clips of moving digits"


def _pools(parts: np.ndarray) -> list[np.ndarray]:
    """Rows of the sprites for training, validation and test; parts that the source has not are drawn from training."""
    train, validation, test = (np.flatnonzero(parts == index) for index in range(len(PARTS)))
    order = np.random.default_rng(0).permutation(train)
    held = max(1, round(HELD_OUT * len(order)))
    if not len(test):
        test, order = order[:held], order[held:]
    if not len(validation):
        validation, order = order[:held], order[held:]
    return [order, validation, test]


def _sized(pixels: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels[..., 0]).resize((size, size), Image.Resampling.BICUBIC))
