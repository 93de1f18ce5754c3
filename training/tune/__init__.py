"""`python -m training tune`: many short trainings, and the best settings as a recipe.

Random search or Hyperband by `keras-tuner`, or one setting value by value; the trainings are the project's own, so a
search that is stopped or killed goes on when the same command is given again. `DIR/` then holds `tune.md` (a table),
`tune.png`, `trials.csv`, `best.toml`, and a run directory for every trial; of a curve `curve.png`, `.csv` and `.json`.
"""

import argparse
import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfvae.arguments import shared as args
from tfvae.errors import OneLineParser, UserError
from tfvae.whole_files import read_json, write_whole
from training import lock
from training.config import parse_setting
from training.request import read_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.config import RunConfig
    from training.tune.trials import Search

FACTS = "search.json"
TRIALS = 12


def parser() -> OneLineParser:
    p = OneLineParser("python -m training tune", "Searches latent size, beta, width and learning rate around a recipe.")
    p.add_argument("--data", metavar="SOURCE", help="as in training")
    p.add_argument("--recipe", metavar="NAME|FILE", help="what to search around; else chosen from the data")
    p.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="any setting; it is not searched then"
    )
    p.add_argument("--search", choices=("random", "hyperband"), help="how (default: random)")
    p.add_argument(
        "--curve", metavar="KEY=A,B,C", help="no search: every value of one setting, drawn as a validation curve"
    )
    p.add_argument(
        "--folds",
        type=args.integer(2),
        metavar="K",
        help="cross-validation: each trial trained K times, judged each time by another part of the images",
    )
    p.add_argument(
        "--objective", choices=("elbo", "psnr"), default="elbo", help="of the validation images (default: elbo)"
    )
    p.add_argument(
        "--trials",
        type=args.integer(1),
        metavar="N",
        help=f"random: how many (default: {TRIALS}); hyperband: at most, else its brackets",
    )
    p.add_argument(
        "--epochs", type=args.integer(1), metavar="N", help="most of one trial (default: a quarter of the recipe's)"
    )
    p.add_argument(
        "--range", action="append", default=[], metavar="KEY=LOW:HIGH", help="search this, too; or KEY=A,B,C"
    )
    p.add_argument("--minutes", type=args.number(0), default=0, metavar="N", help="no trial begins later than this")
    args.out(p, "where it goes, and goes on", "runs/tune-NAME", metavar="DIR")
    p.note(
        "examples",
        [
            "python -m training tune --recipe digits --trials 20",
            "python -m training tune --data FOLDER --search hyperband --range model.latent_dim=8:64 --minutes 60",
            "python -m training tune --recipe digits --curve model.latent_dim=2,4,8,16 --folds 5",
        ],
    )
    return p


def main(arguments: list[str]) -> None:
    """Searches, or goes on searching, and writes what was found."""
    options = parser().parse_args(arguments)
    _check_options(options)
    request = read_request(options.data, options.recipe, options.set, {})
    if not options.curve:
        try:
            import keras_tuner  # noqa: F401
        except ImportError as error:
            raise UserError("tune needs keras-tuner: pip install 'tfvae[tune]'.") from error
    from training import run  # TensorFlow loads here, after the command line was read.
    from training.tune import results
    from training.tune.trials import described

    command = shlex.join(["python", "-m", "training", "tune", *arguments])
    settled = run.settle(
        request, lambda config: _directory(options.out, Path(options.recipe or config.data.source.rstrip("/")).stem)
    )
    config, splits, path = settled.config, settled.splits, settled.path
    if not len(splits.validation):
        raise UserError("tune: there are no validation images to judge by. Accepted: --set data.validation=0.1.")
    if config.training.strategy not in ("none", "mirrored"):
        raise UserError(f"tune: runs in one process. Received: training.strategy={config.training.strategy!r}.")
    plan = _plan(options, config)
    if plan.folds > len(splits.train) + len(splits.validation):
        images = len(splits.train) + len(splits.validation)
        raise UserError(f"tune: --folds must be at most as many as the {images:,} images. Received: {plan.folds}.")
    with lock.held(path):
        _continue_or_begin(plan, path)
        print(f"{results.named(plan)} of the {plan.objective} on {results.judges(plan, splits)}; into {path}")
        for searched in plan.space:
            print(f"  {searched.key}: {searched}")
        try:
            rows = _ways(plan)(plan, splits, path)
        except KeyboardInterrupt:
            print(f"stopped; what is done lies in {path}, and the same command goes on from there")
            raise
        if all(row["status"] != "completed" for row in rows):
            first = f"; the first: {rows[0]['message']}" if rows else ""
            raise UserError(f"{path}: none of {len(rows)} trials came to an end{first}")
        best = results.write(plan, rows, splits, path, command)
        print(f"best: trial {best['trial'] + 1}, {described(best, plan)}")
        print(f"table: {path / 'tune.md'}; train it: python -m training --recipe {path / 'best.toml'}")


def _check_options(options: argparse.Namespace) -> None:
    """Raises `UserError` for options that mean nothing together."""
    if options.curve:
        for name in ("search", "range", "trials"):
            if getattr(options, name):
                raise UserError(f"tune: --curve tries the values that it names, and takes no --{name}.")
    if options.folds and options.search == "hyperband":
        raise UserError("tune: --folds is for --search random and --curve. Received: --search hyperband.")


def _plan(options: argparse.Namespace, config: "RunConfig") -> "Search":
    """What is asked for."""
    from training.tune.curve import curve_space
    from training.tune.space import space
    from training.tune.trials import Kind, Search

    pinned = [f"{section}.{key}" for section, key, _ in map(parse_setting, options.set)]
    kind: Kind = "curve" if options.curve else options.search or "random"
    if options.curve:
        searched = curve_space(options.curve, config, pinned, options.objective)
    else:
        searched = space(config, options.range, pinned, options.objective)
    return Search(
        kind=kind,
        objective=options.objective,
        trials=options.trials or (TRIALS if kind == "random" else 0),
        epochs=options.epochs or max(1, config.training.epochs // 4),
        minutes=options.minutes,
        config=config,
        space=searched,
        folds=options.folds or 1,
    )


def _ways(plan: "Search") -> "Callable[..., list[dict[str, Any]]]":
    """What makes the trials of a plan; keras-tuner loads with a search alone."""
    if plan.kind == "curve":
        from training.tune.curve import curve

        return curve
    from training.tune.search import search

    return search


def _directory(out: Path | None, name: str) -> Path:
    """`out`, which is new, empty, or holds a search."""
    path = out or Path("runs") / f"tune-{re.sub(r'[^A-Za-z0-9_-]+', '-', name.split(':')[-1]).strip('-') or 'search'}"
    if path.is_file():
        raise UserError(f"--out: {path} is a file. Accepted: a folder that is new, empty, or holds a search.")
    if path.is_dir() and any(path.iterdir()) and not (path / FACTS).is_file():
        raise UserError(
            f"--out: {path} holds something else. Accepted: a folder that is new, empty, or holds a search."
        )
    return path


def _continue_or_begin(plan: "Search", path: Path) -> None:
    """Writes what is searched, or compares it with what the folder's search was."""
    facts: dict[str, Any] = {
        "search": plan.kind,
        "objective": plan.objective,
        "epochs": plan.epochs,
        "space": {searched.key: str(searched) for searched in plan.space},
        "recipe": plan.config.toml(),
        "folds": plan.folds,
    }
    if (path / FACTS).is_file():
        former = {"folds": 1, **read_json(path / FACTS)}
        for name, value in facts.items():
            if former.get(name) != value:
                raise UserError(
                    f"--out: {path} holds a search with another {_difference(name, former.get(name), value)}. "
                    "Accepted: the same command as before (--trials and --minutes may differ), or another folder."
                )
        return
    write_whole(path / FACTS, json.dumps(facts, indent=2))


def _difference(name: str, former: Any, now: Any) -> str:
    """What differs, and how, as far as it fits into a line."""
    if name == "recipe":
        pairs = zip(str(former).splitlines(), str(now).splitlines(), strict=False)
        old, new = next((pair for pair in pairs if pair[0] != pair[1]), ("", ""))
        return f"recipe ({old!r}, now {new!r})"
    if name == "space":
        return f"range ({', '.join(sorted(set(map(str, former.items())) ^ set(map(str, now.items()))))})"
    return f"{name} ({former}, now {now})"
