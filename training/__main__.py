"""`python -m training --data SOURCE …`: images in, run directory out."""

import importlib
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tfvae.errors import OneLineParser, UserError, run_program

PROGRAMS = ("tune", "encrypt")  # python -m training NAME …


def parser() -> OneLineParser:
    p = OneLineParser(
        prog="training",
        description="Trains a model on images and writes a run directory.",
        epilog=f"Also: python -m training {' | '.join(PROGRAMS)}, each with --help.",
    )
    p.add_argument(
        "--data",
        metavar="SOURCE",
        help="digits, shapes, tfds:NAME, a folder of images (encrypted or not, or a .zip file), .npz, .npy or a film",
    )
    p.add_argument(
        "--recipe", metavar="NAME|FILE", help="settings known to work; without one they are chosen from the data"
    )
    p.add_argument("--out", metavar="DIR", help="the run directory (default: runs/NAME)")
    p.add_argument("--epochs", type=int, metavar="N")
    p.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="any setting of a recipe")
    p.add_argument("--init", metavar="RUN", help="start from the weights of this run (fine-tuning)")
    p.add_argument("--resume", action="store_true", help="continue the run in --out where it stopped")
    p.add_argument("--precision", choices=("float32", "mixed_float16", "mixed_bfloat16"))
    p.add_argument("--jit", action="store_true", default=None, help="compile the training step with XLA")
    p.add_argument("--steps-per-execution", type=int, metavar="N")
    p.add_argument(
        "--strategy",
        choices=("none", "mirrored", "multiworker"),
        help="mirrored: all GPUs of this machine; multiworker: the machines of TF_CONFIG",
    )
    return p


def main(arguments: list[str]) -> None:
    if arguments and arguments[0] in PROGRAMS:
        return importlib.import_module(f"training.{arguments[0]}").main(arguments[1:])
    options = parser().parse_args(arguments)
    if options.epochs is not None and options.epochs < 1:
        raise UserError(f"--epochs must be 1 or more. Received: {options.epochs}.")
    if options.resume and not options.out:
        raise UserError("--resume needs --out DIR, the run to continue.")
    from training import run  # TensorFlow loads here, after the command line was read.

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
        changed = [f"--{name}" for name in ("data", "recipe", "set") if getattr(options, name)]
        changed += [f"--{key.replace('_', '-')}" for key in training if key != "epochs"]
        if changed:
            raise UserError(
                f"--resume continues {options.out} with its own config.toml; only --epochs may change. "
                f"Received: {', '.join(changed)}."
            )
        run.resume(Path(options.out), options.epochs)
        return
    run.start(options.data, options.recipe, options.set, training, Path(options.out) if options.out else None)


if __name__ == "__main__":
    sys.exit(run_program("training", lambda: main(sys.argv[1:])))
