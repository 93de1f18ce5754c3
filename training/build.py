"""From a checked config to a compiled model."""

import contextlib
import inspect
from typing import Any

import keras

import tfvae
from tfvae import likelihoods, networks, schedules
from tfvae.errors import UserError, did_you_mean
from training import devices
from training.config import ModelConfig, RunConfig, TrainingConfig


def check_model(config: ModelConfig, objective: dict[str, Any]) -> None:
    """Raises `UserError` for names and settings no model has, before any data is read."""
    for value, name, known in (
        (config.kind, "kind", tfvae.MODELS),
        (config.network, "network", networks.NETWORKS),
        (config.likelihood, "likelihood", likelihoods.LIKELIHOODS),
    ):
        if value not in known:
            raise UserError(
                f"model.{name}: unknown '{value}'.{did_you_mean(value, known)} Accepted: {', '.join(known)}."
            )
    known = objective_defaults(config.kind)
    for key, value in objective.items():
        if key not in known:
            raise UserError(
                f"[objective]: unknown key '{key}'.{did_you_mean(key, known)} "
                f"Known keys of '{config.kind}': {', '.join(known)}."
            )
        kinds = (int, float, dict) if isinstance(known[key], float) else (type(known[key]),)
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise UserError(f"objective.{key} must be like its default, {known[key]!r}. Received: {value!r}.")


def build_model(config: RunConfig, image_shape: tuple[int, int, int]) -> keras.Model:
    """The model of a config for images of `image_shape`, under the config's dtype policy.

    Raises:
        UserError: When the parts cannot be put together.
    """
    check_model(config.model, config.objective)
    keras.config.set_dtype_policy(config.training.precision)
    keras.utils.set_random_seed(config.training.seed)
    model, cls = config.model, tfvae.MODELS[config.model.kind]
    height, width, channels = image_shape
    shape = (None, None, channels) if model.latent == "spatial" else (height, width, channels)
    shared = {
        "image_shape": shape,
        "latent_dim": model.latent_dim,
        "network": model.network,
        "hidden": model.hidden,
        "dropout": model.dropout,
    }
    seed = config.training.seed
    seeded = {"seed": seed + 2} if "seed" in inspect.signature(cls).parameters else {}
    try:
        options = {key: _option(value) for key, value in config.objective.items()}
        encoder = tfvae.Encoder(**shared, widths=model.widths, stochastic=cls.stochastic, seed=seed)
        decoder = tfvae.Decoder(**shared, widths=model.widths[::-1], likelihood=model.likelihood, seed=seed + 1)
        return cls(encoder, decoder, **options, **seeded)
    except ValueError as error:
        # The constructors name the argument and the value; at this edge their word is the answer.
        raise UserError(f"[model]: {error}") from error


def compile_model(model: keras.Model, config: TrainingConfig, total_steps: int) -> None:
    """Adam with the config's schedule, clipping, average and loss scale; the optimiser is built."""
    rate: Any = config.learning_rate
    if config.decay == "cosine" or config.warmup_steps:
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if config.warmup_steps else config.learning_rate,
            decay_steps=max(1, total_steps - config.warmup_steps),
            alpha=0.01 if config.decay == "cosine" else 1.0,
            warmup_target=config.learning_rate if config.warmup_steps else None,
            warmup_steps=config.warmup_steps,
        )
    optimizer: keras.optimizers.Optimizer = keras.optimizers.Adam(
        rate,
        global_clipnorm=config.clip_norm or None,
        use_ema=config.ema > 0,
        ema_momentum=config.ema or 0.99,
    )
    if config.precision == "mixed_float16":
        # A distortion is a sum over pixels: Keras's first scale, 2**15, overflows for hundreds of steps.
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=128.0)
    model.compile(optimizer=optimizer, jit_compile=config.jit, steps_per_execution=config.steps_per_execution)
    optimizer.build(model.trainable_variables)


def scope(config: TrainingConfig) -> contextlib.AbstractContextManager:
    """Where the model and its optimiser are made."""
    # Layers are numbered anew, so that equal runs in one process write equal files.
    keras.utils.clear_session(free_memory=False)
    return devices.scope(config)


def objective_defaults(kind: str) -> dict[str, Any]:
    """Settings of a model's constructor beside its parts, with their defaults."""
    parameters = inspect.signature(tfvae.MODELS[kind]).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty and p.name != "seed"}


def _option(value: Any) -> Any:
    return schedules.from_table(value) if isinstance(value, dict) else value
