"""Where a command's pictures come from, where its results go, and what it says about both."""

import mimetypes
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from tfvae.applications.channels import flat
from tfvae.data import DataConfig, Images, Refusal, Splits, load_images, load_own
from tfvae.decoding import UnreadableError
from tfvae.errors import UserError
from tfvae.file_names import distinct, fitting, user_path
from tfvae.pictures.files import open_picture
from tfvae.runs import Run

# Besides those of pictures, films and sounds: how the names of files end that somebody may mean.
OF_FILES = (".txt", ".html", ".csv", ".json", ".npz", ".npy", ".pdf", ".zip", ".keras", ".tflite", ".toml", ".tfv")


def images_of(run: Run, model: Any, source: str | None) -> Images:
    """The images of `source`, made to fit the model; the run's held-out ones when there is no source."""
    if source is None:
        return held_out_images(run, load_own(run, model))
    images = read_images(source, run.prepared_like(model))
    if len(images) == 0:
        raise UserError(f"{source}: no picture in it can be used.")
    return images


def model_that(run: Run, method: str, lacks: str, remedy: str, command: str = "") -> Any:
    """The model of a run, which has this method.

    Args:
        run: Where it is.
        method: Of the model.
        lacks: What a model without it does not do, as in "writes no files".
        remedy: The training that makes one with it.
        command: Whose error it is, where the message says so.

    Raises:
        UserError: When it has not.
    """
    model = run.load_unfused()
    if not hasattr(model, method):
        asker = f"{command}: " if command else ""
        raise UserError(
            f"{asker}{run.path} holds a {type(model).__name__}, which {lacks}. "
            f"Use a run that was trained to: python -m training {remedy}."
        )
    return model


def picture_of(run: Run, model: Any, picture: str) -> np.ndarray:
    """The picture in a file, as the model takes it."""
    if not user_path(picture).is_file():
        raise UserError(f"{picture}: there is no such picture.")
    return images_of(run, model, picture)[0]


def named_picture(path: Path, option: str, scale: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Pixels of one picture that an option names, float32 in [0, 1], `(h, w, 1 or 3)`, on white.

    Args:
        path: Of the file.
        option: The command and the option, for messages.
        scale: Black and white, as of `open_picture`.

    Raises:
        UserError: When there is no such file, or it cannot be read.
    """
    if not path.is_file():
        raise UserError(f"{option} {path}: there is no such file. Accepted: a picture.")
    try:
        picture = open_picture(path, *scale)
    except UnreadableError as reason:
        raise UserError(f"{option} {path}: {reason}.") from None
    return flat(picture.pixels, picture.alpha)


def read_images(source: str, like: DataConfig) -> Images:
    """Every image of `source`; what was refused, and what was read as one might not expect, is said on stderr."""
    images, refused = load_images(source, like=like, say=lambda phrase: note(f"{source}: {phrase}"))
    name_refused(refused)
    return images


def note(text: str) -> None:
    """A line on stderr of what was read as one might not expect."""
    print(f"tfvae: note: {text}", file=sys.stderr)


def held_out_images(run: Run, splits: Splits) -> Images:
    """The images the run was not trained on: its test split, or the validation split where there is none."""
    images = splits.test if len(splits.test) else splits.validation
    if len(images) == 0:
        raise UserError(f"{run.path}: the run holds out no images. Name a SOURCE.")
    return images


def name_refused(refused: Sequence[Refusal]) -> None:
    """A line on stderr for each file that was set aside."""
    for refusal in refused:
        print(f"tfvae: refused {refusal.name}: {refusal.reason}", file=sys.stderr)


def place(out: Path | None, default: Path, suffixes: tuple[str, ...]) -> tuple[Path, bool]:
    """Where results go, and whether that is a folder: one that is there, or whose name does not end as a file's.

    Refused before any work.
    """
    out = out or default
    kind = str(mimetypes.MimeTypes().guess_type(f"a{out.suffix}")[0]).partition("/")[0]
    of_a_file = kind in ("image", "video", "audio") or out.suffix.lower() in (*suffixes, *OF_FILES)
    folder = out.is_dir() or not out.suffix or ("" in suffixes and not of_a_file)  # results.v2
    if folder and ("" not in suffixes or out.is_file()):
        raise UserError(f"{out}: -o must be a file ending in {' or '.join(filter(None, suffixes))}.")
    if not folder and out.suffix.lower() not in suffixes:
        accepted = " or ".join(suffix or "a folder" for suffix in suffixes)
        raise UserError(f"{out}: -o cannot end in '{out.suffix}'. Accepted: {accepted}.")
    existing = next(parent for parent in (out, *out.absolute().parents) if parent.exists())
    if not os.access(existing, os.W_OK) or not (existing.is_dir() or existing == out):
        raise UserError(f"{out}: cannot be written ({existing} is {'read-only' if existing.is_dir() else 'a file'}).")
    return out, folder


def say(path: Path, more: str = "") -> None:
    print(f"wrote {path} {more}".rstrip())


def file_names(names: Sequence[str]) -> list[str]:
    """A distinct PNG file name for each image name; folders in names are kept, ways out of the folder are not."""
    taken = {"comparison.png"}
    files = []
    for name in names:
        parts = [re.sub(r'[<>:"|?*\x00-\x1f]', "_", part) for part in re.split(r"[/\\]+", name)]
        stem = "/".join(part for part in parts if part not in ("", ".", ".."))
        *folders, last = re.sub(r"\.[A-Za-z0-9]{2,5}$", "", stem).split("/")
        folder = PurePath(*(fitting(name, "") for name in folders))
        files.append(distinct(folder, last or "image", ".png", taken).as_posix())
    return files
