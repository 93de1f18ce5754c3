"""What a run is: five sections, read from a recipe and `--set`, written whole into the run directory."""

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tfvae.data_config import DataConfig, of_a_run
from tfvae.errors import UserError, did_you_mean
from tfvae.toml_sections import read_section, read_toml, write_toml

CONFIG = "config.toml"  # in a run directory
RECIPES = Path(__file__).parent / "recipes"
# "auto" is the second or the last of the others, whichever this machine is faster in: see training/devices.py.
Precision = Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"]


@dataclass(frozen=True)
class ModelConfig:
    """The `[model]` section."""

    kind: str = "vae"  # a name in tfvae.MODELS
    network: str = "conv"  # a name in tfvae.networks.NETWORKS
    latent: Literal["vector", "spatial"] = "vector"
    latent_dim: int = 32  # units of a vector latent, channels of a spatial one
    widths: tuple[int, ...] = (32, 64)  # fine to coarse; the decoder mirrors them
    hidden: int = 256  # units between a convolutional network and a vector latent
    dropout: float = 0.0
    likelihood: str = "bernoulli"  # a name in tfvae.likelihoods.LIKELIHOODS
    conditional: bool = False  # learn p(x|z, y): every picture comes with a label
    likelihood_options: dict[str, Any] = field(default_factory=dict)  # of its constructor: { std = 0.098 }


@dataclass(frozen=True)
class PriorConfig:
    """The `[prior]` section: p(z), learnt with the model, or fitted to its codes when it is trained."""

    kind: str = "standard_normal"  # a name in tfvae.priors.PRIORS
    fitted: bool = False  # after the training; until then the prior is N(0, I)
    steps: int = 0  # of the fit, at most; 0 = 3,000, of `gmm` 200 iterations
    batch_size: int = 64  # codes in a step of the fit
    learning_rate: float = 1e-3  # of the fit, at its start
    options: dict[str, Any] = field(default_factory=dict)  # of its constructor: { components = 500 }

    def __post_init__(self):
        for name in ("batch_size", "learning_rate"):
            if getattr(self, name) <= 0:
                raise UserError(f"prior.{name} must be positive. Received: {getattr(self, name)}.")
        if self.steps < 0:
            raise UserError(f"prior.steps must not be negative. Received: {self.steps}.")


@dataclass(frozen=True)
class TrainingConfig:
    """The `[training]` section."""

    epochs: int = 20
    batch_size: int = 128
    learning_rate: float = 1e-3
    decay: Literal["constant", "cosine"] = "constant"  # cosine ends at a hundredth of `learning_rate`
    warmup_steps: int = 0  # steps in which the learning rate rises from zero
    clip_norm: float = 0.0  # ceiling of the global gradient norm; 0 = none
    ema: float = 0.0  # momentum of the average of the weights that is evaluated and kept; 0 = none
    patience: int = 0  # epochs without a better validation loss before stopping; 0 = never
    init: str = ""  # run directory whose weights this run starts from (fine-tuning); "" = from scratch
    seed: int = 0
    precision: Precision = "float32"
    jit: bool = False  # compile the step with XLA
    steps_per_execution: int = 1
    strategy: Literal["none", "mirrored", "multiworker"] = "none"  # see training/devices.py
    checkpoint_minutes: float = 5.0  # at most this much work is lost; there is one at every epoch, too
    checkpoint_steps: int = 0  # one after so many steps as well; 0 = by time and epoch only
    keep_checkpoints: int = 2  # the newest, and the one before it in case the newest is damaged
    max_skipped_steps: int = 100  # steps in a row whose gradients are not finite, before the run gives up

    def __post_init__(self):
        positive: tuple[str, ...] = (
            "epochs",
            "batch_size",
            "learning_rate",
            "steps_per_execution",
            "max_skipped_steps",
        )
        positive += ("keep_checkpoints",)
        for name in (item.name for item in dataclasses.fields(self)):
            value = getattr(self, name)
            if name in positive and value <= 0:
                raise UserError(f"training.{name} must be positive. Received: {value}.")
            if not isinstance(value, (str, bool)) and value < 0:
                raise UserError(f"training.{name} must not be negative. Received: {value}.")
        if self.ema >= 1:
            raise UserError(f"training.ema must be in [0, 1). Received: {self.ema}.")
        if self.strategy != "none" and self.jit:
            raise UserError(f"training.strategy '{self.strategy}' does not work with jit. Received: jit={self.jit}.")


@dataclass(frozen=True)
class RunConfig:
    """A run, complete: `config.toml` alone repeats it.

    `objective` holds the settings of the model's constructor other than its parts, as a table: `beta`, `free_bits`, …
    """

    data: DataConfig
    model: ModelConfig = field(default_factory=ModelConfig)
    objective: dict[str, Any] = field(default_factory=dict)
    prior: PriorConfig = field(default_factory=PriorConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def toml(self) -> str:
        sections = {"data": self.data, "model": self.model, "prior": self.prior, "training": self.training}
        return write_toml({**sections, "objective": self.objective})


def with_epochs(config: RunConfig, epochs: int) -> RunConfig:
    """`config` that trains so many epochs."""
    return dataclasses.replace(config, training=dataclasses.replace(config.training, epochs=epochs))


Tables = dict[str, dict[str, Any]]
SECTIONS = ("data", "model", "objective", "prior", "training")


def read_config(tables: Tables, where: str) -> RunConfig:
    """Checked sections. Raises `UserError` for whatever a section cannot have."""
    for name in tables:
        if name not in SECTIONS:
            hint = did_you_mean(name, SECTIONS)
            raise UserError(f"{where}: unknown section [{name}].{hint} Known sections: {', '.join(SECTIONS)}.")
        if not isinstance(tables[name], dict):
            raise UserError(f"{where}: '{name}' must be a section. Received: {tables[name]!r}.")
    if "source" not in tables.get("data", {}):
        raise UserError(
            f"{where}: no data. Accepted: --data digits, shapes, tfds:NAME, a folder, .zip, .npz, .npy, a film."
        )
    return RunConfig(
        data=read_section(DataConfig, tables["data"], f"{where} [data]"),
        model=read_section(ModelConfig, tables.get("model", {}), f"{where} [model]"),
        objective=tables.get("objective", {}),
        prior=read_section(PriorConfig, tables.get("prior", {}), f"{where} [prior]"),
        training=read_section(TrainingConfig, tables.get("training", {}), f"{where} [training]"),
    )


def recipe_names() -> list[str]:
    """Of the recipes that come with the program."""
    return sorted(recipe.stem for recipe in RECIPES.glob("*.toml"))


def read_recipe(name: str) -> Tables:
    """The tables of a recipe, by the name of a file in `training/recipes` or by path."""
    path = Path(name)
    if path.suffix == ".toml":
        tables = read_toml(path)
        data = tables.get("data", {})
        return {**tables, "data": of_a_run(data)} if path.name == CONFIG and isinstance(data, dict) else tables
    known = recipe_names()
    if name not in known:
        raise UserError(
            f"--recipe: no recipe '{name}'.{did_you_mean(name, known)} "
            f"Known recipes: {', '.join(known)}; or a .toml file."
        )
    return read_toml(RECIPES / f"{name}.toml")


def parse_setting(text: str) -> tuple[str, str, Any]:
    """`section.key=value` as its three parts; the value is TOML, and a bare word is a string."""
    name, equals, value = text.partition("=")
    section, dot, key = name.strip().partition(".")
    if not equals or not dot or not key:
        raise UserError(f"--set: expected section.key=value. Received: {text!r}.")
    try:
        return section, key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return section, key, value.strip()


def merge(*layers: Tables) -> Tables:
    """Sections merged key by key; later layers win."""
    merged: Tables = {}
    for tables in layers:
        for section, table in tables.items():
            if isinstance(table, dict) and isinstance(merged.get(section, {}), dict):
                merged[section] = {**merged.get(section, {}), **table}
            else:
                merged[section] = table
    return merged


def shortened(config: RunConfig, steps: int) -> RunConfig:
    """`config` whose warm-ups, of beta and of the learning rate, end within the first quarter of `steps`."""
    most = max(1, steps // 4)
    objective = dict(config.objective)
    beta = objective.get("beta")
    if isinstance(beta, dict) and beta.get("schedule") == "linear":
        objective["beta"] = {**beta, "steps": min(beta["steps"], most)}
    training = dataclasses.replace(config.training, warmup_steps=min(config.training.warmup_steps, most))
    return dataclasses.replace(config, objective=objective, training=training)
