"""Checkpoints: everything a run is at one step, in one file that is either whole or not there."""

import contextlib
import errno
import json
import os
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import keras
import numpy as np

from tfvae.errors import UserError


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
        for torn in self.folder.glob(".*.part"):  # left by a kill
            torn.unlink()
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
                # Reading every member checks its CRC: a file cut short or altered is found here.
                with np.load(path, allow_pickle=False) as file:
                    arrays = {name: file[name] for name in file.files}
                progress = json.loads(str(arrays.pop("progress")))
            except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
                damaged.append(f"{path.name} ({error})")
                continue
            variables = state_of(self.model)
            shapes = [arrays[str(i)].shape for i in range(len(arrays))]
            if shapes != [tuple(variable.shape) for variable in variables]:
                raise UserError(
                    f"{path}: made by another model than this config's. Accepted: the config it was made with."
                )
            for index, variable in enumerate(variables):
                variable.assign(arrays[str(index)])
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
        return sorted(self.folder.glob("step-*.npz"))

    def _write(self, path: Path, arrays: dict[str, np.ndarray]) -> None:
        try:
            with disk_full_is_told(self.folder.parent):
                write_atomically(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
            for old in self.paths[: -self.keep]:
                old.unlink()
        except Exception as failure:  # raised where the thread is waited for
            self._failure = failure


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


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """`write(file)` into a temporary file beside `path`, synced and renamed: a kill leaves the former one."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()  # A full disk needs the room.
        raise


def save_model(path: Path, model: keras.Model) -> None:
    """`model.save`, atomically, and without the date and the addresses in memory: equal models are equal files."""
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    model.save(temporary)
    write_atomically(path, lambda file: _copy_without_traces(temporary, file))
    temporary.unlink()


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
