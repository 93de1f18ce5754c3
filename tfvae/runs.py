"""A run directory, read: what `training` wrote, opened by everything that uses a trained model."""

import json
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfvae.data_config import DataConfig
from tfvae.errors import UserError, did_you_mean
from tfvae.toml_sections import read_section, read_toml

CONFIG, MODEL, REPORT = "config.toml", "model.keras", "report.json"
SUFFIX = ".keras"


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
        return read_section(DataConfig, self.config.get("data", {}), f"{self.path / CONFIG} [data]")

    @property
    def seed(self) -> int:
        """Seed of the split into training, validation and test images."""
        return int(self.config.get("training", {}).get("seed", 0))

    @property
    def report(self) -> dict[str, Any]:
        """The facts of `report.json`; empty while the training has not ended."""
        try:
            return json.loads((self.path / REPORT).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise UserError(f"{self.path / REPORT}: not valid JSON ({error}).") from error

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
        """The trained model. Raises `UserError` when there is none yet, or the file is damaged."""
        import keras

        path = self.model_file
        if not zipfile.is_zipfile(path):
            raise UserError(f"{path}: not a Keras model file (cut short or overwritten).")
        return keras.saving.load_model(path, compile=False)

    def load_unfused(self) -> Any:
        """`load_model()`, to run it in this process: TensorFlow tries to fuse no layers in this process any more.

        TensorFlow 2.21 fails to fuse residual blocks and says so on the terminal; without trying it is as fast.
        """
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({"remapping": False})
        return self.load_model()

    def prepared_like(self, model: Any) -> DataConfig:
        """`data_config` with the size and channels the model takes, so that any picture can be made to fit it."""
        height, width, channels = model.image_shape
        return replace(self.data_config, height=height or 0, width=width or 0, channels=channels)

    def own_data(self, model: Any) -> DataConfig:
        """`prepared_like(model)`, to load the images that the model was trained on and those held out."""
        return self.prepared_like(model)


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
        data: The images of a model file, as `--data` of a training names them.

    Raises:
        UserError: When there is no such run, or `data` is given for one that has its own.
    """
    path = Path(path)
    if path.is_file() and path.suffix == SUFFIX and not (path.parent / CONFIG).is_file():
        return ModelFile(path.with_suffix(""), {"data": {"source": data}} if data else {})
    if data is not None:
        raise UserError(f"--data: names the images of a {SUFFIX} file; a run directory has its own. Received: {path}.")
    if not path.exists():
        raise UserError(f"{path}: there is no such run directory.{_near(path)}")
    if not path.is_dir():
        raise UserError(f"{path}: a file, not a run directory.{_near(path)}")
    if not (path / CONFIG).is_file():
        inside = sorted(child.name for child in path.iterdir() if (child / CONFIG).is_file())
        hint = f" Runs in it: {', '.join(inside[:5])}{', …' if len(inside) > 5 else ''}." if inside else _near(path)
        raise UserError(f"{path}: no run directory (no {CONFIG} in it).{hint}")
    return Run(path, read_toml(path / CONFIG))


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
