"""Checkpoints: everything a run is at one step, in one file that is either whole or not there."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfvae.errors import UserError

KEEP = 2  # The newest, and the one before it in case the newest was damaged.


def state_of(model: keras.Model) -> list[keras.Variable]:
    """Weights, random states, trackers and the optimiser's variables, in a fixed order."""
    trackers = [variable for metric in model.metrics for variable in metric.variables]
    return [*model.variables, *trackers, *model.optimizer.variables]


def save(folder: Path, model: keras.Model, progress: dict[str, Any]) -> Path:
    """Writes `step-NNNNNNNN.npz` under a temporary name, syncs it, renames it, and drops the oldest.

    Args:
        folder: `checkpoints/` of a run.
        model: Compiled, with its optimiser built.
        progress: JSON-ready; holds `step`, and whatever else a resumed run must know.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {str(i): v.value.numpy() for i, v in enumerate(state_of(model))}
    path = folder / f"step-{progress['step']:08d}.npz"
    write_atomically(path, lambda file: np.savez(file, progress=np.array(json.dumps(progress)), **arrays))
    for old in sorted(folder.glob("step-*.npz"))[:-KEEP]:
        old.unlink()
    return path


def restore(folder: Path, model: keras.Model) -> dict[str, Any] | None:
    """Puts the newest whole checkpoint into `model` and returns its progress; None when there is none.

    Raises:
        UserError: When checkpoints are there but none of them is whole and fits the model.
    """
    damaged = []
    for path in sorted(folder.glob("step-*.npz"), reverse=True):
        try:
            # Reading every member checks its CRC: a file cut short or altered is found here.
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            damaged.append(f"{path.name} ({error})")
            continue
        progress = json.loads(str(arrays.pop("progress")))
        variables = state_of(model)
        if [arrays[str(i)].shape for i in range(len(arrays))] != [tuple(v.shape) for v in variables]:
            raise UserError(f"{path}: made by another model than this config's. Accepted: the config it was made with.")
        for index, variable in enumerate(variables):
            variable.assign(arrays[str(index)])
        if damaged:
            print(f"passed over: {'; '.join(damaged)}; resuming from {path.name}")
        return progress
    if damaged:
        raise UserError(f"{folder}: no whole checkpoint. Damaged: {'; '.join(damaged)}. Start again without --resume.")
    return None


def write_atomically(path: Path, write) -> None:
    """`write(file)` into a temporary file beside `path`, synced and renamed: a kill leaves the former one."""
    temporary = path.with_name(f".{path.name}.part")
    with open(temporary, "wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def save_model(path: Path, model: keras.Model) -> None:
    """`model.save`, atomically."""
    temporary = path.with_name(f".part-{path.name}")
    model.save(temporary)
    os.replace(temporary, path)
