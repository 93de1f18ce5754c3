"""The search itself: keras-tuner's oracle proposes settings, the project's own loop trains them."""

import json
import warnings
from pathlib import Path
from typing import Any

import keras_tuner

from tfvae.data import Splits
from tfvae.whole_files import write_whole
from training.tune.space import own_values
from training.tune.trials import Proposal, Search, Told, read_rows, trained

CONTINUES, EPOCHS = "tuner/trial_id", "tuner/epochs"  # what Hyperband adds to the values of a trial


def search(plan: Search, splits: Splits, path: Path) -> list[dict[str, Any]]:
    """Trains trial after trial into `path/trials`; one that was stopped in the middle goes on first.

    Returns:
        The facts of every trial so far, in order: `trial`, `continues`, `values` (by setting), `status`, `epochs`,
        `best_epoch`, `weights`, `seconds`, the validation figures, and `message` where it failed.

    Raises:
        KeyboardInterrupt: After Ctrl-C; the trial saved itself first.
        UserError: When the disk is full.
    """
    oracle = _oracle(plan, path / "oracle")
    total = plan.trials or _brackets_hold(oracle)
    told = Told(plan, path, total)
    while told.in_time():
        trial = oracle.create_trial("tuner0")
        if trial.status != "RUNNING":
            break
        drawn = trial.hyperparameters.values
        proposal = Proposal(
            int(trial.trial_id),
            {searched.key: searched.value(drawn[searched.key]) for searched in plan.space},
            int(drawn.get(EPOCHS, plan.epochs)),
            _home(oracle, trial),
            int(drawn[CONTINUES]) if CONTINUES in drawn else None,
        )
        row = trained(plan, proposal, splits, path, told.place(proposal.trial))
        if row["status"] == "completed":
            oracle.update_trial(trial.trial_id, {plan.objective: row[plan.objective]}, step=row["epochs"])
        trial.status, trial.message = row["status"].upper(), row.get("message")
        oracle.end_trial(trial)
        oracle.save()  # Once more, as keras-tuner saves before it strikes the trial off the running ones.
        told.ended(row)
    return read_rows(path)


def _home(oracle: Any, trial: Any) -> str:
    """The run directory of a trial: that of the trial it continues, if any."""
    while CONTINUES in trial.hyperparameters.values:
        trial = oracle.get_trial(trial.hyperparameters.values[CONTINUES])
    return trial.trial_id


def _oracle(plan: Search, folder: Path) -> Any:
    """keras-tuner's oracle with all it knows from earlier sessions."""
    hyperparameters = keras_tuner.HyperParameters()
    for searched in plan.space:
        searched.declare(hyperparameters)
    options = {
        "objective": keras_tuner.Objective(plan.objective, "max"),
        "hyperparameters": hyperparameters,
        "seed": plan.config.training.seed + 1,  # keras-tuner takes 0 for "any"
        "max_consecutive_failed_trials": 10**9,
    }
    oracle: Any
    if plan.kind == "random":
        oracle = _RandomSearch(max_trials=plan.trials, **options)
    else:
        oracle = _Hyperband(max_epochs=plan.epochs, **options)
        oracle.max_trials = plan.trials or None
    oracle.verbose = 0
    oracle.first_values = own_values(plan.config, plan.space)
    folder.mkdir(parents=True, exist_ok=True)
    oracle._set_project_dir(str(folder.parent), folder.name)
    if (folder / "oracle.json").is_file():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            oracle.reload()
        # A trial drawn a moment before a kill, of which nothing else was saved: it is drawn again.
        for lost in set(oracle.trials) - set(oracle.start_order):
            del oracle.trials[lost]
    return oracle


class _Ours:
    """What both oracles do otherwise than keras-tuner's.

    The first trial is the recipe as it is, so that a search cannot end with anything worse. Files are whole or not
    there: keras-tuner's own could be cut short by a kill.
    """

    first_values: dict[str, Any] | None = None

    def _random_values(self) -> dict[str, Any] | None:
        if self.first_values is not None and not self.start_order:  # type: ignore[attr-defined]
            return dict(self.first_values)
        return super()._random_values()  # type: ignore[misc]

    def save(self) -> None:
        write_whole(self._get_oracle_fname(), json.dumps(self.get_state(), indent=2))  # type: ignore[attr-defined]

    def _save_trial(self, trial: Any) -> None:
        folder = Path(self._get_trial_dir(trial.trial_id))  # type: ignore[attr-defined]
        write_whole(folder / "trial.json", json.dumps(trial.get_state(), indent=2))


class _RandomSearch(_Ours, keras_tuner.oracles.RandomSearchOracle):
    """Independent draws."""


class _Hyperband(_Ours, keras_tuner.oracles.HyperbandOracle):
    """Many short trials, of which the best third goes on (Li et al. 2018, https://arxiv.org/abs/1603.06560)."""


def _brackets_hold(oracle: Any) -> int:
    """How many trials Hyperband will make, those that continue counted again."""
    brackets = range(oracle._get_num_brackets())
    return sum(oracle._get_size(one, turn) for one in brackets for turn in range(oracle._get_num_rounds(one)))
