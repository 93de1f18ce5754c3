"""From the words after `--data` to images."""

import difflib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from tfvae.data import archive, arrays, encrypted, folder, moving, shapes, tfds, video
from tfvae.data.gathering import Gathering
from tfvae.data.reading import Preparation
from tfvae.data_config import DataConfig
from tfvae.errors import UserError, did_you_mean
from tfvae.file_names import user_path

ACCEPTED = (
    "digits, shapes, tfds:NAME, moving_digits, a folder of pictures, encrypted or not, or a .zip file of one, an .npz "
    "or .npy file, a film, a picture"
)
POPULAR = ("mnist", "fashion_mnist", "kmnist", "emnist", "cifar10", "cifar100", "svhn_cropped", "omniglot", "celeb_a")


def gather(
    source: str, into: Gathering, *, limit: int = 0, seed: int = 0, manual_dir: str = "", key_file: str = ""
) -> None:
    """Fills `into` with the images of `source`. Raises `UserError` when there is no such source or nothing in it."""
    if source == "digits":
        arrays.gather_digits(into, limit, seed)
    elif source in shapes.WORDS:
        shapes.gather_shapes(source, into, limit, seed)
    elif source == moving.WORD or source.startswith(f"{moving.WORD}:"):
        digits = Gathering(replace(into.config, channels=1, height=0, width=0))
        gather(source.partition(":")[2] or "digits", digits, seed=seed, manual_dir=manual_dir, key_file=key_file)
        moving.gather_moving(digits.finish(), np.array(digits.parts), into, limit, seed)
    elif source.startswith("tfds:"):
        tfds.gather_tfds(source.removeprefix("tfds:"), into, manual_dir, limit, seed)
    else:
        path = existing_path(source)
        suffix = path.suffix.lower()
        if encrypted.is_encrypted(path):
            encrypted.gather_encrypted(path, into, limit, seed, key_file)
        elif path.is_dir():
            folder.gather_folder(path, into, limit, seed)
        elif suffix == archive.SUFFIX:
            archive.gather_archive(path, into, limit, seed)
        elif suffix in (".npz", ".npy"):
            arrays.gather_array_file(path, into, limit, seed)
        elif suffix in video.SUFFIXES:
            video.gather_film(path, into, limit)
        elif suffix in folder.SUFFIXES:
            folder.gather_picture(path, into)
        else:
            raise UserError(f"data.source: '{source}' is of no kind that is read. Accepted: {ACCEPTED}.")


def look_at_headers(config: DataConfig, how: Preparation, seed: int) -> np.ndarray | None:
    """`(height, width, channels)` of each readable picture of a folder or a zip file, shape `(n, 3)`.

    None for a source that has no headers to look at. Raises `UserError` when there is no such source.
    """
    if is_word(config.source):
        return None
    path = existing_path(config.source)
    if encrypted.is_encrypted(path):
        return encrypted.look_at_encrypted(path, how, config.limit, seed, config.key_file)
    if path.is_dir():
        return folder.look_at_folder(path, how, config.limit, seed)
    if path.suffix.lower() == archive.SUFFIX:
        return archive.look_at_archive(path, how, config.limit, seed)
    return None


def is_word(source: str) -> bool:
    """Whether a source is made or published under a name of ours, and is no path."""
    return source in ("digits", *shapes.WORDS) or source.startswith(("tfds:", moving.WORD))


def existing_path(source: str) -> Path:
    """`source` as a path that exists. Raises `UserError`, with the nearest name that does exist."""
    path = user_path(source)
    if os.path.isdir(path) or os.path.isfile(path):  # also where a name is longer than a file system allows
        return path
    if os.path.exists(path):
        raise UserError(f"data.source: '{source}' is a pipe or a device, which is not waited for. Accepted: a file.")
    if "/" not in source and "\\" not in source and not path.suffix:
        words = ["digits", *shapes.WORDS, moving.WORD, *(f"tfds:{name}" for name in POPULAR)]
        hint = did_you_mean(source, words) or did_you_mean(f"tfds:{source}", words)
        raise UserError(
            f"data.source: '{source}' is no source: neither a known word nor a path that exists."
            f"{hint or _near(path)} Accepted: {ACCEPTED}."
        )
    raise UserError(f"data.source: no such file or folder: '{source}'.{_near(path)} Accepted: {ACCEPTED}.")


def _near(path: Path) -> str:
    """` Did you mean '…'?` for the first part of a path that does not exist, when a sibling has nearly its name."""
    try:
        missing = path
        while not missing.parent.exists():
            missing = missing.parent
        close = difflib.get_close_matches(missing.name, sorted(entry.name for entry in missing.parent.iterdir()), n=1)
    except OSError:
        return ""
    return f" Did you mean '{missing.parent / close[0] / path.relative_to(missing)}'?" if close else ""
