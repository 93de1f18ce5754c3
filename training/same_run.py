"""What must be as it was for a resumed run to be the run that was never stopped."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from tfvae.data import Splits
from tfvae.errors import UserError
from training.config import PriorConfig, RunConfig

# A person may move the data (what is in it is compared by its digest), train longer, and write checkpoints otherwise.
FREE = {
    "data": ("source", "manual_dir", "key_file"),
    "training": (
        "epochs",
        "patience",
        "checkpoint_minutes",
        "checkpoint_steps",
        "keep_checkpoints",
        "max_skipped_steps",
    ),
}


def identity(config: RunConfig, splits: Splits) -> dict[str, Any]:
    """Settings and data of a run, JSON-ready; kept in every checkpoint."""
    images = {part: getattr(splits, part) for part in ("train", "validation")}
    # Of the prior what is learnt with the model; how one is fitted afterwards changes nothing of the training.
    prior = config.prior
    learnt = PriorConfig() if prior.fitted else PriorConfig(prior.kind, options=prior.options)
    config = dataclasses.replace(config, prior=learnt)
    return {
        "settings": json.loads(json.dumps(dataclasses.asdict(config))),
        "images": {part: {"count": len(some), "sha256": some.digest()} for part, some in images.items()},
    }


def fingerprint(identity: dict[str, Any]) -> int:
    """A number of 48 bits that two workers share if their settings and data are the same, wherever these lie."""
    alike = {**identity, "settings": {**identity["settings"], "data": _bound("data", identity["settings"]["data"])}}
    return int(hashlib.sha256(json.dumps(alike, sort_keys=True).encode()).hexdigest()[:12], 16)


def _bound(section: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in FREE.get(section, ())}


def check(saved: Any, now: dict[str, Any], path: Path) -> None:
    """Raises `UserError`, naming the first setting or part of the data that differs from the checkpoint's."""
    if not isinstance(saved, dict) or {key: sorted(saved.get(key, ())) for key in now} != {
        key: sorted(table) for key, table in now.items()
    }:
        raise UserError(f"{path}: its checkpoints do not say what they were made with. Start again without --resume.")
    for section, former in saved["settings"].items():
        present = now["settings"][section]
        # A setting that only one version of tfvae has cannot differ; the objective holds just what was asked for.
        keys = former.keys() | present.keys() if section == "objective" else former.keys() & present.keys()
        for key in sorted(keys - set(FREE.get(section, ()))):
            if former.get(key) != present.get(key):
                raise UserError(
                    f"{path / 'config.toml'}: {section}.{key} is {present.get(key)!r}, but the checkpoints were made "
                    f"with {former.get(key)!r}. Put it back to resume, or start anew: --recipe {path / 'config.toml'}."
                )
    for part, facts in saved["images"].items():
        if now["images"][part] != facts:
            raise UserError(
                f"{path}: the data changed since the last checkpoint: {facts['count']:,} {part} images "
                f"then, {now['images'][part]['count']:,} now, with other pixels. Bring them back, or start anew."
            )
