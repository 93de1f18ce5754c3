"""The images of a run, wherever they lie now, compared with those it was trained on."""

import hashlib
import os
import sys
from dataclasses import asdict
from typing import Any

import numpy as np

from tfvae.data.gathering import PARTS, Progress, preparation
from tfvae.data.images import Images
from tfvae.data.loading import Splits, load, names_within
from tfvae.data.sources import is_word
from tfvae.data_config import DataConfig
from tfvae.errors import UserError
from tfvae.file_names import user_path
from tfvae.runs import Run


def load_own(run: Run, model: Any, progress: Progress | None = None) -> Splits:
    """What `run` was trained on and what it held out; a line on stderr where that is no longer so.

    Raises:
        UserError: When its images are no longer where they were, with how to name their place.
    """
    config = run.own_data(model)
    check_place(config, str(run.path))
    splits = load(config, seed=run.seed, progress=progress)
    if found := changes(run, splits, config):
        drawn = "; its split is one of positions, so that images it learnt may count as held out"
        more = drawn if config.split == "position" and not is_word(config.source) else ""
        print(f"tfvae: note: the data of {run.path} changed since it was trained: {found}{more}", file=sys.stderr)
    return splits


def check_place(config: DataConfig, run: str) -> None:
    """Raises `UserError` where the images of a run are no longer where it read them."""
    if not is_word(config.source) and not os.path.exists(user_path(config.source)):
        raise UserError(
            f"{run}: its images are not at '{config.source}', as config.toml has it. Where they are now: --data SOURCE."
        )


def manifest(splits: Splits, config: DataConfig) -> dict[str, Any]:
    """What the images of a run are, JSON-ready: number, names and pixels of each part, and how they were prepared."""
    parts = {part: _facts(getattr(splits, part), config.source) for part in PARTS}
    return {"parts": parts, "prepared": asdict(preparation(config))}


def changes(run: Run, splits: Splits, config: DataConfig) -> str:
    """In what images differ from those that the run was trained on, or ""; what is not known is not compared."""
    then, now = run.manifest, manifest(splits, config)
    # A run that wrote a report only was measured on images as they are prepared for its model, but for random crops.
    alike = then["prepared"] == now["prepared"] if "prepared" in then else not config.crop
    found = []
    for part, facts in then["parts"].items():
        present = now["parts"][part]
        if facts.get("count", present["count"]) != present["count"]:
            found.append(f"{present['count']:,} {part} images, {facts['count']:,} then")
        elif facts.get("names", present["names"]) != present["names"]:
            found.append(f"other {part} images")
        elif alike and facts.get("pixels", present["pixels"]) != present["pixels"]:
            found.append(f"other pixels in {part} images")
        elif alike and facts.get("sha256", "") not in ("", getattr(splits, part).digest()):
            found.append(f"other {part} images")  # of a run that wrote a report only
    return ", ".join(found)


def _facts(images: Images, source: str) -> dict[str, Any]:
    """Of distinct images in the order of their names: a balanced part has some of them several times."""
    names, places = np.unique(np.array(names_within(images, source), object), return_index=True)
    text = "\0".join(names).encode("utf-8", "surrogateescape")
    digest = images.take(places).digest()
    return {"count": len(names), "names": hashlib.sha256(text).hexdigest(), "pixels": digest}
