"""Types of the values that benchmarks accept. Nothing large is imported here."""

import argparse
from pathlib import Path

from tfvae.arguments import shared as args
from tfvae.file_names import user_path

EXECUTION = 10  # steps that our side of `training_step` makes at once: its turns are multiples of it


def numbers(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() != ".json" or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"must be a .json file in a folder that exists. Received: {text}")
    return path


def folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"must be a folder of pictures. Received: {text}")
    return path


def pictures(text: str) -> Path:
    path = user_path(text)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"must be a picture or a folder of pictures. Received: {text}")
    return path


def tens(text: str) -> int:
    value = args.integer(1)(text)
    if value % EXECUTION:
        raise argparse.ArgumentTypeError(f"must be a multiple of {EXECUTION}. Received: {text}")
    return value


def draws(text: str) -> int:
    value = args.integer(1)(text)
    if value > 100 and value % 100:
        raise argparse.ArgumentTypeError(f"must be a multiple of 100: pythae rounds it down to one. Received: {text}")
    return value
