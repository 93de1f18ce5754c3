"""What a search varies: settings of a recipe, each with a range or a list of values."""

import dataclasses
import json
import tomllib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tfvae.errors import UserError, did_you_mean
from training.build import objective_defaults
from training.config import ModelConfig, RunConfig, TrainingConfig, merge, read_config

WIDTH = "width"  # one factor for all of model.widths and model.hidden
SECTIONS = {"model": ModelConfig, "training": TrainingConfig}


@dataclass(frozen=True)
class Searched:
    """One setting and what it may be: numbers from `low` to `high`, equally likely on a log scale, or `values`."""

    key: str  # "section.key", or WIDTH
    low: float = 0
    high: float = 0
    whole: bool = False
    values: tuple[Any, ...] = ()

    def declare(self, hyperparameters: Any) -> None:
        """Enters the setting into keras-tuner's `HyperParameters`."""
        if self.values:
            # As text, because keras-tuner's choices are no lists; a list is what model.widths is.
            hyperparameters.Choice(self.key, [json.dumps(value) for value in self.values])
        elif self.whole:
            hyperparameters.Int(self.key, int(self.low), int(self.high), sampling="log")
        else:
            hyperparameters.Float(self.key, self.low, self.high, sampling="log")

    def drawn(self, value: Any) -> Any:
        """`value` as keras-tuner would have drawn it; None when it is not among what is searched."""
        if self.values:
            return next((json.dumps(one) for one in self.values if one == value), None)  # 1 may be there as 1.0
        return value if isinstance(value, (int, float)) and self.low <= value <= self.high else None

    def value(self, drawn: Any) -> Any:
        """What keras-tuner drew, as the recipe will say it: three digits of a number with a fraction."""
        if self.values:
            return json.loads(drawn)
        return int(drawn) if self.whole else float(f"{drawn:.3g}")

    def __str__(self) -> str:
        return ", ".join(map(json.dumps, self.values)) if self.values else f"{self.low:g} to {self.high:g} (log)"


def space(config: RunConfig, ranges: Iterable[str], pinned: Iterable[str], objective: str) -> list[Searched]:
    """The settings that are searched: the defaults, without what `--set` pins, with what `--range` says.

    By default latent size (a quarter to twice the recipe's), beta (1/4 to 2), width (half, one, twice) and learning
    rate (a quarter to four times) are searched.

    Raises:
        UserError: A range that cannot be read or compared, or nothing left to search.
    """
    found = {searched.key: searched for searched in _defaults(config)}
    for key in pinned:
        found.pop(key, None)
    if {"model.widths", "model.hidden"} & set(pinned):
        found.pop(WIDTH, None)
    for text in ranges:
        searched = parse_range(text, config, objective=objective)
        if searched.key in pinned:
            raise UserError(f"--range {searched.key}: --set gives it one value already. Accepted: one of the two.")
        found[searched.key] = searched
    if "model.widths" in found:
        found.pop(WIDTH, None)
    if not found:
        raise UserError("tune: every setting is pinned, so there is nothing to search. Accepted: --range KEY=LOW:HIGH.")
    return list(found.values())


def parse_range(text: str, config: RunConfig, option: str = "--range", objective: str = "psnr") -> Searched:
    """`KEY=LOW:HIGH`, or `KEY=A,B,C`.

    Raises:
        UserError: For anything else, for keys no recipe has, and for one that the objective cannot judge.
    """
    key, equals, wanted = (part.strip() for part in text.partition("="))
    if not equals or not wanted:
        raise UserError(f"{option}: expected KEY=LOW:HIGH or KEY=A,B,C. Received: {text!r}.")
    kind = _kind(key, config, option)
    if key == "model.likelihood" and objective == "elbo":
        raise UserError(
            f"{option} model.likelihood: the ELBO of one likelihood cannot be compared with another's. "
            "Accepted: --objective psnr."
        )
    low, colon, high = wanted.partition(":")
    if not colon:
        return Searched(key, values=_values(wanted))
    if kind not in (int, float):
        raise UserError(f"{option} {key}: not a number, so it has no range. Accepted: {key}=A,B,C.")
    try:
        bounds = kind(low), kind(high)
    except ValueError:
        raise UserError(f"{option} {key}: expected two {_words(kind)}. Received: {wanted!r}.") from None
    if not 0 < bounds[0] < bounds[1] < float("inf"):
        raise UserError(f"{option} {key}: expected 0 < LOW < HIGH, as the scale is logarithmic. Received: {wanted!r}.")
    return Searched(key, *bounds, whole=kind is int)


def apply(config: RunConfig, chosen: Mapping[str, Any]) -> RunConfig:
    """`config` with the chosen values; a beta becomes the end of the schedule where the recipe has one.

    Raises:
        UserError: When the settings cannot go together.
    """
    tables = json.loads(json.dumps(dataclasses.asdict(config)))
    for name, value in chosen.items():
        if name == WIDTH:
            tables["model"]["widths"] = [max(4, 4 * round(width * value / 4)) for width in tables["model"]["widths"]]
            tables["model"]["hidden"] = max(4, 4 * round(tables["model"]["hidden"] * value / 4))
            continue
        section, _, key = name.partition(".")
        before = tables[section].get(key)
        if name == "objective.beta" and isinstance(before, dict) and not isinstance(value, dict):
            value = {**before, "end": value}
        tables = merge(tables, {section: {key: value}})
    return read_config(tables, "tune")


def own_values(config: RunConfig, searched: Iterable[Searched]) -> dict[str, Any] | None:
    """The recipe's own values of what is searched, as keras-tuner would draw them; None when one is out of range."""
    tables = json.loads(json.dumps(dataclasses.asdict(config)))
    values = {}
    for one in searched:
        section, _, key = one.key.partition(".")
        value = 1 if one.key == WIDTH else tables[section].get(key, objective_defaults(config.model.kind).get(key))
        if one.key == "objective.beta" and isinstance(value, dict):
            value = value.get("end", 1.0)
        values[one.key] = one.drawn(value)
    return None if any(value is None for value in values.values()) else values


def _defaults(config: RunConfig) -> list[Searched]:
    latent, rate = config.model.latent_dim, config.training.learning_rate
    found = [Searched("model.latent_dim", max(2, latent // 4), 2 * max(latent, 2), whole=True)]
    if "beta" in objective_defaults(config.model.kind):
        # Above 2 nothing is won: neither the ELBO, which is judged at beta = 1, nor the reconstructions.
        found.append(Searched("objective.beta", 0.25, 2.0))
    found.append(Searched(WIDTH, values=(0.5, 1, 2)))
    return [*found, Searched("training.learning_rate", rate / 4, rate * 4)]


def _kind(key: str, config: RunConfig, option: str) -> Any:
    """The type of a setting."""
    section = key.partition(".")[0]
    objective = objective_defaults(config.model.kind)
    known = {f"objective.{item}": type(value) for item, value in objective.items()} | {WIDTH: float}
    for place, cls in SECTIONS.items():
        known |= {f"{place}.{item}": kind for item, kind in typing.get_type_hints(cls).items()}
    known.pop("training.epochs")
    if key == "training.epochs":
        raise UserError(
            f"{option} training.epochs: longer is never worse to a search. Accepted: --epochs, for all trials."
        )
    if section == "data":
        raise UserError(f"{option} {key}: scores on other pixels cannot be compared. Accepted: --set {key}=VALUE.")
    if key not in known:
        raise UserError(f"{option}: unknown setting '{key}'.{did_you_mean(key, known)} Known: {', '.join(known)}.")
    return known[key]


def _values(text: str) -> tuple[Any, ...]:
    try:
        return tuple(tomllib.loads(f"values = [{text}]")["values"])
    except tomllib.TOMLDecodeError:
        return tuple(word.strip() for word in text.split(","))


def _words(kind: type) -> str:
    return "whole numbers" if kind is int else "numbers"
