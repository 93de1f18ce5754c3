"""`python -m training --data SOURCE …`: images in, run directory out."""

import importlib
import os
import sys
from typing import get_args

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tfvae.arguments import shared as args
from tfvae.errors import ProgramParser, UserError, run_program, wrapped
from training.config import Precision, recipe_names
from training.request import read_request, resumed

PROGRAMS = {  # python -m training NAME …
    "tune": "search the settings around a recipe; the best become a recipe",
    "prior": "fit another prior to the codes of a trained model",
    "encrypt": "seal a folder of pictures; training reads them in memory",
}


def parser() -> ProgramParser:
    p = ProgramParser("python -m training", "Trains a model on images and writes a run directory.")
    p.add_argument(
        "--data",
        metavar="SOURCE",
        help="digits, shapes, tfds:NAME, a folder of images (encrypted or not, or a .zip file), .npz, .npy or a film",
    )
    p.add_argument(
        "--recipe", metavar="NAME|FILE", help="settings known to work; without one they are chosen from the data"
    )
    args.out(p, "the run directory", "runs/NAME", metavar="DIR")
    p.add_argument("--epochs", type=args.integer(1), metavar="N", help="passes over the data")
    p.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="any setting of a recipe")
    p.add_argument("--init", metavar="RUN", help="start from the weights of this run (fine-tuning)")
    p.add_argument("--resume", action="store_true", help="continue the run in --out where it stopped")
    p.add_argument(
        "--precision",
        choices=get_args(Precision),
        help="of the computation, weights stay float32; auto: mixed_bfloat16 where this machine has units for it",
    )
    p.add_argument("--jit", action="store_true", default=None, help="compile the training step with XLA")
    p.add_argument("--steps-per-execution", type=args.integer(1), metavar="N", help="training steps made at once")
    p.add_argument(
        "--strategy",
        choices=("none", "mirrored", "multiworker"),
        help="mirrored: all GPUs of this machine; multiworker: the machines of TF_CONFIG",
    )
    p.note("recipes", wrapped(recipe_names()))
    p.note("also, each with --help", (f"python -m training {name:9}{about}" for name, about in PROGRAMS.items()))
    p.note(
        "examples",
        [
            "python -m training --recipe digits --out runs/digits",
            "python -m training --data FOLDER --out runs/mine --set model.latent_dim=64 --set objective.beta=4",
            "python -m training --out runs/mine --resume --epochs 40",
            "python -m training --out runs/mine --resume --data /where/they/are/now",
        ],
    )
    return p


def main(arguments: list[str]) -> None:
    if arguments and arguments[0] in PROGRAMS:
        return importlib.import_module(f"training.{arguments[0]}").main(arguments[1:])
    options = parser().parse_args(arguments)
    if options.resume and not options.out:
        raise UserError("--resume needs --out DIR, the run to continue.")
    flags = {
        "epochs": options.epochs,
        "precision": options.precision,
        "jit": options.jit,
        "steps_per_execution": options.steps_per_execution,
        "strategy": options.strategy,
        "init": options.init,
    }
    training = {key: value for key, value in flags.items() if value is not None}
    if options.resume:
        changed = [f"--{name}" for name in ("recipe", "set") if getattr(options, name)]
        changed += [f"--{key.replace('_', '-')}" for key in training if key != "epochs"]
        if changed:
            raise UserError(
                f"--resume continues {options.out} with its own config.toml; only --epochs, and --data where the same "
                "images lie now, may change. "
                f"Received: {', '.join(changed)}."
            )
        config = resumed(options.out, options.epochs, options.data)
        from training.run import resume  # TensorFlow loads here, after what was written has been checked.

        resume(options.out, config)
    else:
        request = read_request(options.data, options.recipe, options.set, training)
        from training.run import start  # Here as well.

        start(request, options.out)


if __name__ == "__main__":
    sys.exit(run_program("training", lambda: main(sys.argv[1:])))
