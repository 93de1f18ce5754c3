"""Checkpoints: everything a run is at one step, in one file that is either whole or not there."""

import contextlib
import errno
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import keras
import numpy as np

from tfvae.errors import UserError
from tfvae.whole_files import part_of, read_arrays, sweep, whole_file


def state_of(model: keras.Model) -> list[keras.Variable]:
    """Weights, random states, trackers and the optimiser's variables, in a fixed order."""
    trackers = [variable for metric in model.metrics for variable in metric.variables]
    return [*model.variables, *trackers, *model.optimizer.variables]


class Checkpoints:
    """The last states of a run, as `step-NNNNNNNN.npz`; written in the background, read back whole or not at all.

    Use it as a context: leaving it waits for the last file to be on the disk.

    Args:
        folder: `checkpoints/` of a run.
        model: Compiled, with its optimiser built.
        keep: How many of the newest stay.
    """

    def __init__(self, folder: Path, model: keras.Model, keep: int = 2):
        self.folder, self.model, self.keep = folder, model, keep
        self._writer: threading.Thread | None = None
        self._failure: Exception | None = None

    def __enter__(self) -> "Checkpoints":
        self.folder.mkdir(parents=True, exist_ok=True)
        sweep(self.folder)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.wait()
        elif self._writer is not None:
            self._writer.join()  # What is being raised already is what matters.

    def save(self, progress: dict[str, Any]) -> None:
        """Copies the state of now, and lets a thread write it; waits first for the file before it.

        Args:
            progress: JSON-ready; holds `step`, and whatever else a resumed run must know.

        Raises:
            UserError: When the file before could not be written (the disk is full).
        """
        self.wait()
        # Copies: on a CPU `numpy()` is a view of memory that the next step changes.
        arrays = {str(i): np.array(v.value.numpy()) for i, v in enumerate(state_of(self.model))}
        arrays["progress"] = np.array(json.dumps(progress))
        path = self.folder / f"step-{progress['step']:08d}.npz"
        self._writer = threading.Thread(target=self._write, args=(path, arrays), name="checkpoint")
        self._writer.start()

    def wait(self) -> None:
        """Until everything saved is on the disk. Raises what writing it raised."""
        if self._writer is not None:
            self._writer.join()
            self._writer = None
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def restore(self) -> dict[str, Any] | None:
        """Puts the newest whole checkpoint into the model and returns its progress; None when there is none.

        Raises:
            UserError: When checkpoints are there but none of them is whole and fits the model.
        """
        damaged = []
        for path in reversed(self.paths):
            try:
                progress, values = read_state(path)
            except ValueError as error:
                damaged.append(f"{path.name} ({error})")
                continue
            variables = state_of(self.model)
            if [value.shape for value in values] != [tuple(variable.shape) for variable in variables]:
                raise UserError(
                    f"{path}: made by another model than this config's. Accepted: the config it was made with."
                )
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
            if damaged:
                print(f"passed over: {'; '.join(damaged)}; resuming from {path.name}")
            return progress
        if damaged:
            raise UserError(
                f"{self.folder}: no whole checkpoint. Damaged: {'; '.join(damaged)}. Start again without --resume."
            )
        return None

    @property
    def paths(self) -> list[Path]:
        """The checkpoints on the disk, oldest first."""
        return _saved(self.folder)

    def _write(self, path: Path, arrays: dict[str, np.ndarray]) -> None:
        try:
            with disk_full_is_told(self.folder.parent), whole_file(path) as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            for old in self.paths[: -self.keep]:
                old.unlink()
        except Exception as failure:  # raised where the thread is waited for
            self._failure = failure


def read_state(path: Path) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Progress and values, in the order of `state_of`, of a checkpoint. Raises `ValueError` that says what is wrong."""
    arrays = read_arrays(path)
    try:
        progress = json.loads(str(arrays.pop("progress")))
        values = [arrays[str(index)] for index in range(len(arrays))]
    except (ValueError, KeyError, RecursionError) as error:
        raise ValueError(f"incomplete: {error}") from error
    if not isinstance(progress, dict) or any(value.dtype.kind not in "biuf" for value in values):
        raise ValueError("holds something else than the state of a run")
    return progress, values


def newest_progress(folder: Path) -> dict[str, Any] | None:
    """What the newest whole checkpoint in `folder` says about its run; None where there is none."""
    for path in reversed(_saved(folder)):
        with contextlib.suppress(ValueError):
            return read_state(path)[0]
    return None


def _saved(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.npz"))


@contextlib.contextmanager
def disk_full_is_told(run: Path) -> Iterator[None]:
    """Turns "no space left" into one line with the checkpoint that a resumed run would start from."""
    try:
        yield
    except OSError as error:
        # HDF5 reports the number in the text only.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) and "No space left" not in str(error):
            raise
        whole = sorted(path.name for path in (run / "checkpoints").glob("step-*.npz"))
        good = f"the last good checkpoint is {whole[-1]}" if whole else "there is no checkpoint yet"
        raise UserError(
            f"{run}: the disk is full; {good}. Make room and continue with: python -m training --out {run} --resume"
        ) from error


def save_model(path: Path, model: keras.Model) -> None:
    """`model.save`, atomically, and without the date and the addresses in memory: equal models are equal files."""
    saved = part_of(path, path.suffix)
    try:
        model.save(saved)
        with whole_file(path) as file:
            _copy_without_traces(saved, file)
    finally:
        saved.unlink(missing_ok=True)


def _copy_without_traces(saved: Path, into: IO[bytes]) -> None:
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(into, "w") as target:
        for member in source.namelist():
            content = source.read(member)
            if member.endswith(".json"):
                content = json.dumps(_without_traces(json.loads(content), {})).encode()
            target.writestr(zipfile.ZipInfo(member), content)


def _without_traces(node: Any, numbers: dict[int, int]) -> Any:
    """JSON with no `date_saved`, and with every `shared_object_id` (an address) as a number in order of appearance."""
    if isinstance(node, list):
        return [_without_traces(item, numbers) for item in node]
    if not isinstance(node, dict):
        return node
    told = {key: _without_traces(value, numbers) for key, value in node.items() if key != "date_saved"}
    if isinstance(address := told.get("shared_object_id"), int):
        told["shared_object_id"] = numbers.setdefault(address, len(numbers) + 1)
    return told
