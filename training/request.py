"""What a command line asks for, checked as far as its words go: a mistyped one waits for no TensorFlow."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfvae.errors import UserError
from training.config import (
    CONFIG,
    RunConfig,
    Tables,
    merge,
    parse_setting,
    read_config,
    read_recipe,
    with_epochs,
)


@dataclass(frozen=True)
class Request:
    """The settings of a run before its data is looked at.

    Attributes:
        recipe: Its name or file; None where settings are to be chosen from the data.
        asked: What was written on the command line, over the recipe and over what is chosen.
        where: What errors are to be blamed on.
        config: All of it, with the defaults.
    """

    recipe: str | None
    asked: Tables
    where: str
    config: RunConfig


def read_request(data: str | None, recipe: str | None, settings: Sequence[str], training: dict[str, Any]) -> Request:
    """From `--data`, `--recipe`, every `--set`, and the flags that are settings of `[training]`, in rising order.

    Raises:
        UserError: For a recipe that does not exist, and for whatever a section cannot have.
    """
    asked: Tables = merge(*({section: {key: value}} for section, key, value in map(parse_setting, settings)))
    asked = merge({"data": {"source": data}} if data else {}, asked, {"training": training} if training else {})
    where = f"recipe {recipe}" if recipe else "command line"
    tables = merge(read_recipe(recipe) if recipe else {}, asked)
    return Request(recipe, asked, where, read_config(tables, where))


def resumed(path: Path, epochs: int | None, data: str | None = None) -> RunConfig:
    """The config of the run at `path`, which may be given more epochs, and where its images lie now.

    Raises:
        UserError: When there is no run.
    """
    if not (path / CONFIG).is_file():
        raise UserError(f"{path}: no run directory (no {CONFIG} in it), so nothing to resume.")
    tables = merge(read_recipe(str(path / CONFIG)), {"data": {"source": data}} if data else {})
    config = read_config(tables, str(path / CONFIG))
    return config if epochs is None else with_epochs(config, epochs)
