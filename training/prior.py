"""`python -m training prior RUN --kind KIND`: a copy of a run whose prior is fitted to the codes of its model.

Encoder and decoder stay as they are. What is drawn from the standard normal prior of a VAE is not always a picture:
its codes fill another region. A prior fitted to them draws codes that the decoder knows, and raises the bound.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from tfvae.arguments import shared as args
from tfvae.errors import OneLineParser, UserError
from tfvae.runs import MANIFEST, MODEL, check_model_file, open_run
from tfvae.whole_files import write_whole
from training import lock
from training.config import CONFIG, PriorConfig, merge, parse_setting, read_config, read_recipe

KINDS = ("gmm", "flow", "vamp", "autoregressive")
COPIED = (MODEL, MANIFEST, "metrics.csv", "health.json", "checkpoints", "samples", "tensorboard")


def parser() -> OneLineParser:
    p = OneLineParser(
        "python -m training prior", "Fits another prior to the codes of a trained model, in a copy of its run."
    )
    args.run(p, data=True)
    p.add_argument(
        "--kind",
        choices=KINDS,
        required=True,
        help="gmm: mixture of Gaussians; flow: normalising flow; vamp: mixture of posteriors; autoregressive: a "
        "Transformer over the places of a spatial latent",
    )
    args.out(p, "the copy, a run directory", "RUN-KIND", metavar="DIR")
    p.add_argument(
        "--steps",
        type=args.integer(1),
        metavar="N",
        default=PriorConfig.steps,
        help="of the fit, at most (default: 3000; of gmm 200 iterations)",
    )
    p.add_argument(
        "--set", action="append", default=[], metavar="prior.KEY=VALUE", help="any setting of [prior], as in a recipe"
    )
    p.note(
        "examples",
        [
            "python -m training prior runs/mnist --kind flow",
            "python -m training prior runs/mnist --kind gmm --set 'prior.options={components=50}' -o runs/mnist-50",
        ],
    )
    return p


def main(arguments: list[str]) -> None:
    options = parser().parse_args(arguments)
    run = open_run(options.run, options.data)
    if not (run.path / CONFIG).is_file():
        raise UserError(f"prior: {options.run}: a model file, not a run directory. In Python: vae.fit_prior(images).")
    settings = list(map(parse_setting, options.set))
    if other := [f"{section}.{key}" for section, key, _ in settings if section != "prior" or key in ("kind", "fitted")]:
        raise UserError(f"--set: here only settings of [prior], but kind and fitted. Received: {', '.join(other)}.")
    asked = merge(*({section: {key: value}} for section, key, value in settings))
    own = {"prior": {"kind": options.kind, "fitted": True, "steps": options.steps}}
    tables = merge(read_recipe(str(run.path / CONFIG)), {"data": {"source": run.data_config.source}})
    config = read_config({**tables, **merge(own, asked)}, str(run.path / CONFIG))
    check_model_file(run.model_file)
    out = options.out or run.path.with_name(f"{run.path.name}-{options.kind}")

    from tfvae.data.own import check_place  # TensorFlow loads here, after what was written has been checked.
    from training import build
    from training import run as training_run
    from training.checkpoint import newest_progress
    from training.loop import Progress

    build.check_prior(config.prior, config.model.kind)
    check_place(config.data, str(run.path))
    training_run.new_directory(out, "")
    splits = training_run.load_images(config, run.path)
    with lock.held(out), _all_or_nothing(out):
        _copy(run.path, out)
        write_whole(out / CONFIG, config.toml())
        saved = newest_progress(out / "checkpoints") or {}
        progress = Progress(**{key: value for key, value in saved.items() if key != "identity"})
        training = run.report.get("training", {})
        training_run.finish(config, splits, out, progress, run.report.get("chosen", []), training.get("weights", 0))


@contextlib.contextmanager
def _all_or_nothing(out: Path) -> Iterator[None]:
    """Takes the copy away where it gets no prior: it would be the old run under a new name."""
    try:
        yield
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise


def _copy(source: Path, out: Path) -> None:
    """What a run is, without what was made of it; the config, which makes a folder a run, is not among it."""
    for name in COPIED:
        if (source / name).is_dir():
            shutil.copytree(source / name, out / name)
        elif (source / name).is_file():
            shutil.copyfile(source / name, out / name)
