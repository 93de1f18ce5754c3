"""From a checked config to a compiled model."""

import contextlib
import inspect
from typing import Any

import keras

import tfvae
from tfvae import bounds, likelihoods, networks, priors, regularisers, schedules
from tfvae.errors import UserError, did_you_mean
from tfvae.runs import open_run
from training import devices
from training.config import ModelConfig, PriorConfig, RunConfig, TrainingConfig

# Settings of objectives that are parts: a name, or a table of `kind` and settings.
OBJECTIVE_PARTS = {"bound": bounds.get, "regulariser": regularisers.get}


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
    if config.conditional and "label_names" not in objective_defaults(config.kind):
        raise UserError(f"model.conditional: a {config.kind} takes no labels. Accepted: false.")
    defaults = objective_defaults(config.kind)
    plain = {key: value for key, value in objective.items() if key not in defaults or key not in OBJECTIVE_PARTS}
    _check_options("objective", plain, defaults, config.kind, schedules=True)
    for key in objective.keys() - plain.keys():
        try:
            _option(key, objective[key])
        except (ValueError, TypeError) as error:
            raise UserError(f"objective.{key}: {error}") from error
    of_likelihood = _defaults(likelihoods.LIKELIHOODS[config.likelihood])
    _check_options("model.likelihood_options", config.likelihood_options, of_likelihood, config.likelihood)


def check_prior(config: PriorConfig, kind: str) -> None:
    """Raises `UserError` for a prior that there is not, or that the model does not take."""
    known = priors.PRIORS
    if config.kind not in known:
        raise UserError(
            f"prior.kind: unknown '{config.kind}'.{did_you_mean(config.kind, known)} Accepted: {', '.join(known)}."
        )
    cls = tfvae.MODELS[kind]
    takes = hasattr(cls, "fit_prior") if config.fitted else "prior" in inspect.signature(cls).parameters
    if config.kind != PriorConfig.kind and not takes:
        raise UserError(f"prior.kind: a {kind} has a prior of its own, or none. Accepted: {PriorConfig.kind}.")
    if config.fitted and config.kind == PriorConfig.kind:
        raise UserError(f"prior.fitted: {config.kind} has nothing to fit. Accepted: false, or another prior.kind.")
    _check_options("prior.options", config.options, _defaults(known[config.kind]), config.kind)


def prior_of(config: RunConfig) -> Any:
    """The prior of a config, not built yet."""
    options = dict(config.prior.options)
    if "seed" in inspect.signature(priors.PRIORS[config.prior.kind]).parameters:
        options["seed"] = config.training.seed
    try:
        return priors.get(config.prior.kind, **options)
    except ValueError as error:
        raise UserError(f"[prior]: {error}") from error


def check_frames(config: ModelConfig, frames: int) -> None:
    """Raises `UserError` where clips are for a model of pictures, or pictures for one of clips."""
    takes_clips = "frames" in objective_defaults(config.kind)
    if takes_clips != bool(frames):
        accepted = "2 or more frames of a clip" if takes_clips else "0"
        raise UserError(f"data.frames of model.kind '{config.kind}' must be {accepted}. Received: {frames}.")


def build_model(config: RunConfig, image_shape: tuple[int, int, int]) -> keras.Model:
    """The model of a config for images of `image_shape`, under the config's dtype policy.

    Raises:
        UserError: When the parts cannot be put together.
    """
    check_model(config.model, config.objective)
    check_prior(config.prior, config.model.kind)
    keras.config.set_dtype_policy(devices.precision(config.training.precision))
    keras.utils.set_random_seed(config.training.seed)
    model, cls = config.model, tfvae.MODELS[config.model.kind]
    height, width, channels = image_shape
    shape = (None, None, channels) if model.latent == "spatial" else (height, width, channels)
    try:
        options = {key: _option(key, value) for key, value in config.objective.items()}
        if config.prior.kind != PriorConfig.kind and not config.prior.fitted:
            options["prior"] = prior_of(config)
        return cls.from_shape(
            image_shape=shape,
            latent_dim=model.latent_dim,
            network=model.network,
            widths=model.widths,
            hidden=model.hidden,
            dropout=model.dropout,
            likelihood=likelihoods.get(model.likelihood, **model.likelihood_options),
            seed=config.training.seed,
            **options,
        )
    except ValueError as error:
        # The constructors name the argument and the value; at this edge their word is the answer.
        raise UserError(f"[model]: {error}") from error


def start_from(model: keras.Model, path: str) -> None:
    """Gives `model` the weights of the model in the run directory `path`.

    Raises:
        UserError: When there is no trained model, or one of other parts.
    """
    trained = open_run(path).load_model()
    # Those of the layers: trainable or not, they were learnt. The model's own count its steps.
    own, other = ([weight for layer in each.layers for weight in layer.weights] for each in (model, trained))
    alike = type(trained) is type(model) and len(own) == len(other)
    if not alike or any(one.shape != two.shape for one, two in zip(own, other, strict=True)):
        raise UserError(
            f"training.init: the model of {path} has other parts ({type(trained).__name__} of "
            f"{trained.image_shape[-1]} channels). Accepted: a run with the same [model] and as many channels, "
            f"here {type(model).__name__} of {model.image_shape[-1]}."
        )
    for one, two in zip(own, other, strict=True):
        one.assign(two.value)


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
    optimizer: keras.optimizers.Optimizer = tfvae.optimizers.AveragedAdam(
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
    """Settings of a model's constructor other than its parts, with their defaults."""
    return _defaults(tfvae.MODELS[kind])


PARTS = ("seed", "prior", "density", "likelihood")  # of constructors: a recipe has them elsewhere


def _defaults(cls: type) -> dict[str, Any]:
    parameters = inspect.signature(cls).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty and p.name not in PARTS}


def _check_options(where: str, options: dict[str, Any], known: dict[str, Any], owner: str, schedules=False) -> None:
    """Raises `UserError` for an option that `owner` has not, or of another type than its default.

    `schedules`: whether a table may stand for a number that changes while training.
    """
    for key, value in options.items():
        if key not in known:
            raise UserError(
                f"[{where}]: unknown key '{key}'.{did_you_mean(key, known)} "
                f"Known keys of '{owner}': {', '.join(known) or 'none'}."
            )
        number = (int, float, dict) if schedules else (int, float)
        kinds = {float: number, tuple: (list, tuple)}.get(type(known[key]), (type(known[key]),))
        if isinstance(value, bool) != isinstance(known[key], bool) or not isinstance(value, kinds):
            raise UserError(f"{where}.{key} must be like its default, {known[key]!r}. Received: {value!r}.")


def _option(key: str, value: Any) -> Any:
    """A setting of an objective as the constructor takes it: tables are parts by name, or schedules."""
    if key in OBJECTIVE_PARTS:
        options = dict(value) if isinstance(value, dict) else {"kind": value}
        return OBJECTIVE_PARTS[key](options.pop("kind", None), **options)
    return schedules.from_table(value) if isinstance(value, dict) else value
