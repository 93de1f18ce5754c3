"""A run directory, read: what `training` wrote, opened by everything that uses a trained model."""

import csv
import sys
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfvae.data_config import DataConfig, of_a_run
from tfvae.errors import UserError, did_you_mean
from tfvae.file_names import user_path
from tfvae.toml_sections import read_section, read_toml
from tfvae.whole_files import read_json

CONFIG, MODEL, REPORT, MANIFEST = "config.toml", "model.keras", "report.json", "data.json"
METRICS = "metrics.csv"
SUFFIX = ".keras"
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Run:
    """One training run on disk.

    Attributes:
        path: Its directory.
        config: The tables of `config.toml`: data, model, objective, training.
    """

    path: Path
    config: dict[str, Any]

    @property
    def data_config(self) -> DataConfig:
        """The section `[data]`. Raises `UserError` for keys and values it cannot have."""
        table = of_a_run(self._table("data"))
        return read_section(DataConfig, table, f"{self.path / CONFIG} [data]")

    @property
    def seed(self) -> int:
        """Seed of the split into training, validation and test images."""
        seed = self._table("training").get("seed", 0)
        if not isinstance(seed, int) or seed < 0:
            raise UserError(f"{self.path / CONFIG} [training]: 'seed' must be a whole number. Received: {seed!r}.")
        return seed

    @property
    def precision(self) -> str:
        """What the training computed in, a dtype policy."""
        return str(self._table("training").get("precision", "float32"))

    @property
    def report(self) -> dict[str, Any]:
        """The facts of `report.json`; empty while the training has not ended."""
        path = self.path / REPORT
        return read_json(path) if path.exists() else {}

    @property
    def manifest(self) -> dict[str, Any]:
        """What is known of its images: `parts`, by name, and how they were `prepared`; see `tfvae.data.own`."""
        path = self.path / MANIFEST
        if path.exists():
            table = read_json(path)
            parts = table.get("parts")
            if not isinstance(parts, dict) or not all(isinstance(facts, dict) for facts in parts.values()):
                raise UserError(f"{path}: damaged: not what a training writes. Without it images are not compared.")
            return {**table, "parts": {part: facts for part, facts in parts.items() if part in PARTS}}
        protocol = self.report.get("protocol")  # of a run from before there were manifests
        if not isinstance(protocol, dict) or protocol.get("split") not in PARTS or "sha256" not in protocol:
            return {"parts": {}}
        return {"parts": {protocol["split"]: {"count": protocol.get("images"), "sha256": protocol["sha256"]}}}

    @property
    def unfinished(self) -> str:
        """How far a training came that was stopped before its end, or goes on: "3 of 20 epochs"; else ""."""
        epochs, path = self._table("training").get("epochs"), self.path / METRICS
        if not isinstance(epochs, int) or (self.path / REPORT).exists() or not path.is_file():
            return ""
        with open(path, newline="", encoding="utf-8") as file:
            done = sum(1 for _ in csv.DictReader(file))
        return f"{done:,} of {epochs:,} epochs" if done < epochs else ""

    @property
    def model_file(self) -> Path:
        """The `.keras` file. Raises `UserError` when there is none yet."""
        path = self.path / MODEL
        if not path.is_file():
            raise UserError(
                f"{self.path}: no trained model yet ({MODEL} is missing). Let the training end or resume it."
            )
        return path

    def load_model(self) -> Any:
        """The trained model, computing in float32. Raises `UserError` when there is none yet, or the file is damaged.

        What it was trained in suits the machine that trained it: bfloat16 is slow on most others, and a restored
        picture needs more digits than a gradient does. Of a training that has not ended it says so on stderr: such a
        model is worse than it will be.
        """
        import keras

        from tfvae.serving import float32_copy

        path = self.model_file
        check_model_file(path)
        if far := self.unfinished:
            remedy = f"python -m training --out {self.path} --resume"
            print(f"tfvae: note: the training of {self.path} has not ended ({far}): {remedy}", file=sys.stderr)
        try:
            return float32_copy(keras.saving.load_model(path, compile=False))
        except Exception as error:  # of Keras, HDF5, or a class of the model: whatever is wrong, it is in the file
            reason = " ".join(str(error).split())[:300]
            raise UserError(f"{path}: cannot be loaded ({type(error).__name__}: {reason}).") from error

    def load_unfused(self) -> Any:
        """`load_model()`, to run it in this process: TensorFlow tries to fuse no layers in this process any more.

        TensorFlow 2.21 fails to fuse residual blocks and says so on the terminal; without trying it is as fast.
        """
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({"remapping": False})
        return self.load_model()

    def _table(self, section: str) -> dict[str, Any]:
        table = self.config.get(section, {})
        if not isinstance(table, dict):
            raise UserError(f"{self.path / CONFIG}: '{section}' must be a section. Received: {table!r}.")
        return table

    def prepared_like(self, model: Any) -> DataConfig:
        """`data_config` with the size and channels the model takes, so that any picture can be made to fit it.

        Where the model takes any size, pictures have the one that they were trained at, if there is one.
        """
        config, (height, width, channels) = self.data_config, model.image_shape
        return replace(config, height=height or config.height, width=width or config.width, channels=channels)

    def own_data(self, model: Any) -> DataConfig:
        """`prepared_like(model)`, to load the images that the model was trained on and those held out."""
        return self.prepared_like(model)


def check_model_file(path: Path) -> None:
    """Raises `UserError` where a `.keras` file is damaged: what it holds has check sums, and they are looked at."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            if damaged is None:
                archive.getinfo("config.json")
                return
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from error
    except Exception:  # whatever a damaged directory or stream of a zip file leads to
        damaged = "its directory"
    raise UserError(f"{path}: not a Keras model file (cut short, overwritten or damaged in {damaged}).")


@dataclass(frozen=True)
class ModelFile(Run):
    """A model that was trained in Python and saved, `NAME.keras`: a run that knows its data only if they are named.

    Attributes:
        path: The folder `NAME` beside the file, where results go by default.
        config: Empty, or the table `data` with the `source`.
    """

    @property
    def model_file(self) -> Path:
        return self.path.with_name(f"{self.path.name}{SUFFIX}")

    @property
    def data_config(self) -> DataConfig:
        return DataConfig(**{"source": str(self.model_file), **self.config.get("data", {})})

    def own_data(self, model: Any) -> DataConfig:
        if "data" not in self.config:
            raise UserError(f"{self.model_file}: a model file knows no images. Name them: a SOURCE, or --data SOURCE.")
        return super().own_data(model)


def open_run(path: str | Path, data: str | None = None) -> Run:
    """The run directory at `path`, or the model file; `UserError`, with the nearest run beside it, when it is neither.

    Args:
        path: Of the run, or of a `.keras` file.
        data: The images of a model file, or where those of a run lie now, as `--data` of a training names them.

    Raises:
        UserError: When there is no such run.
    """
    path = user_path(path)
    if path.is_file() and path.suffix == SUFFIX and not (path.parent / CONFIG).is_file():
        return ModelFile(path.with_suffix(""), {"data": {"source": data}} if data else {})
    if not path.exists():
        raise UserError(f"{path}: there is no such run directory.{_near(path)}")
    if not path.is_dir():
        raise UserError(f"{path}: a file, not a run directory.{_near(path)}")
    if not (path / CONFIG).is_file():
        inside = sorted(child.name for child in path.iterdir() if (child / CONFIG).is_file())
        hint = f" Runs in it: {', '.join(inside[:5])}{', …' if len(inside) > 5 else ''}." if inside else _near(path)
        raise UserError(f"{path}: no run directory (no {CONFIG} in it).{hint}")
    run = Run(path, read_toml(path / CONFIG))
    return run if data is None else replace(run, config={**run.config, "data": {**run._table("data"), "source": data}})


def _near(path: Path) -> str:
    """A hint at a run directory whose name or place is near."""
    if path.name == CONFIG or (path.is_file() and (path.parent / CONFIG).is_file()):
        return f" Did you mean '{path.parent}'?"
    if not path.parent.is_dir():
        return ""
    runs = {child.name for child in path.parent.iterdir() if (child / CONFIG).is_file() and child != path}
    hint = did_you_mean(path.name, runs)
    # The suggestion as it would be typed: with the folder it is in.
    return hint.replace("Did you mean '", f"Did you mean '{path.parent}/") if hint and path.parent != Path() else hint
