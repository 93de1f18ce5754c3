"""The `[data]` section of a recipe: where images come from and how they are prepared."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from tfvae.errors import UserError, did_you_mean

AUGMENTATIONS = ("flip", "flip_vertical", "shift", "rotate", "colour")
OF_CLIPS = ("flip", "colour")  # those that do the same to every frame of a strip


@dataclass(frozen=True)
class DataConfig:
    """Images and their preparation; every value is checked when it is made.

    Raises:
        UserError: a value that means nothing (a negative size, an even median window, an unknown augmentation, …).
    """

    # "digits" | "shapes" | "moving_digits" | "tfds:NAME" | folder | pictures.zip | file.npz | file.npy | film | picture
    source: str
    height: int = 0  # pixels; 0 = from the data (or, for spatial latents, each picture's own size)
    width: int = 0
    channels: int = 0  # 1 or 3; 0 = 3 when any picture is coloured, else 1 (equal red, green and blue are grey)
    fit: Literal["crop", "resize"] = "crop"  # to height x width: scale and cut the centre out, or stretch
    max_side: int = 1024  # pictures kept at their own size are reduced to this longer side
    max_pixels: int = 64_000_000  # larger pictures are refused before they are decoded (decompression bombs)
    black: float = 0.0  # the number that is black, where data.white is given
    white: float = 0.0  # the number that is white in arrays and in files of more than 8 bits; 0 = as their type says
    binarize: bool = False  # Bernoulli draws of the grey value, fresh in every epoch ("dynamic binarisation")
    crop: int = 0  # side of the random crops of training, in pixels; 0 = whole images
    crops: int = 1  # random crops of each image in one epoch; 0 = as many as make about 100 batches
    frames: int = 0  # consecutive frames of a film that are one example, a clip; 0 = pictures by themselves
    balance: bool = False  # an epoch of training has as many images of each label, those of small classes repeated
    denoise: int = 0  # side of a median filter in pixels (odd), applied once, at load
    contrast: float = 0.0  # per cent of the pixels clipped at each end when contrast is stretched at load; 0 = off
    augment: tuple[str, ...] = ()  # of AUGMENTATIONS
    validation: float = 0.1  # below 1 a fraction, from 1 on a number of images
    test: float = 0.1  # likewise; ignored when the source has an official test split
    # Which images are held out of a source that may grow: drawn by a hash of each name or, as in older runs, by
    # position, where one more picture changes all.
    split: Literal["name", "position"] = "name"
    manual_dir: str = ""  # tfds: raw files under their original names, no network
    key_file: str = ""  # of an encrypted data set; the key itself, or TFVAE_DATA_KEY, is never a setting
    labels: str = ""  # CSV file with the columns name and label; "" = the sub-folders, where there are any
    only: str = ""  # the label whose pictures are taken: "good", those of the sub-folder good or of none; "" = all
    limit: int = 0  # at most so many images; 0 = all

    def __post_init__(self) -> None:
        for name in ("height", "width", "crop", "crops", "limit", "frames"):
            _check(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        if self.crops != 1 and not self.crop:
            raise UserError(f"data.crops counts random crops and needs data.crop. Received: crops={self.crops}.")
        for name in ("max_side", "max_pixels"):
            _check(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        if not self.source:
            raise UserError(
                "data.source is empty. Accepted: digits, shapes, tfds:NAME, a folder, a .zip or array file, a film."
            )
        if (self.height == 0) != (self.width == 0):
            raise UserError(
                f"data: height and width are given together or not at all. "
                f"Received: height={self.height}, width={self.width}."
            )
        _check(self.channels in (0, 1, 3), "channels", self.channels, "0 (from the data), 1 or 3")
        _check(self.fit in ("crop", "resize"), "fit", self.fit, "crop or resize")
        _check(self.split in ("name", "position"), "split", self.split, "name or position")
        if self.height and self.crop > min(self.height, self.width):
            raise UserError(f"data.crop must fit into {self.height}x{self.width} pixels. Received: {self.crop}.")
        odd = self.denoise == 0 or (self.denoise > 0 and self.denoise % 2 == 1)
        _check(odd, "denoise", self.denoise, "0 (off) or an odd number of pixels")
        _check(0 <= self.contrast < 50, "contrast", self.contrast, "per cent from 0 (off) to below 50")
        for name in self.augment:
            if name not in AUGMENTATIONS:
                raise UserError(
                    f"data.augment: unknown augmentation '{name}'.{did_you_mean(name, AUGMENTATIONS)} "
                    f"Accepted: {', '.join(AUGMENTATIONS)}."
                )
            if self.frames and name not in OF_CLIPS:
                raise UserError(
                    f"data.augment: '{name}' is not for clips (data.frames={self.frames}). "
                    f"Accepted: {', '.join(OF_CLIPS)}."
                )
        for name in ("black", "white"):
            _check(math.isfinite(getattr(self, name)), name, getattr(self, name), "a number")
        _check(self.white > self.black or not (self.white or self.black), "white", self.white, "more than data.black")
        for name in ("validation", "test"):
            share = getattr(self, name)
            whole = share >= 1 and float(share).is_integer() if math.isfinite(share) else False
            _check(0 <= share < 1 or whole, name, share, "a fraction below 1 or a whole number of images")


def of_a_run(table: dict[str, Any]) -> dict[str, Any]:
    """The section `[data]` of a run's `config.toml`, with what runs did before they wrote it down."""
    return {"split": "position", **table}


def _check(holds: bool, name: str, value: object, accepted: str) -> None:
    if not holds:
        raise UserError(f"data.{name} must be {accepted}. Received: {value!r}.")
