"""The threshold of a model of inspection: the last part of its run, on good pieces that training has not seen."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

import tfvae
from tfvae.applications import calibrate, fit_whole, inspect
from tfvae.data import Splits, load
from tfvae.errors import UserError
from tfvae.metrics import auroc, bootstrap_interval, share_above
from tfvae.metrics.conformal import guaranteed_rate, least_pieces
from training.build import objective_defaults
from training.checkpoint import save_model
from training.config import RunConfig
from training.journal import duration

NO_DEVICE = "It is no medical device and no diagnosis."


def wanted(config: RunConfig) -> bool:
    """Whether the model of a run inspects."""
    return hasattr(tfvae.MODELS[config.model.kind], "inspect")


def check(config: RunConfig, splits: Splits) -> None:
    """Raises `UserError`, before the first step, where too few good pieces are held out for the threshold."""
    if not wanted(config):
        return
    alpha, count = _alpha(config), len(splits.test)
    if not isinstance(alpha, int | float) or not 0 < alpha < 1:
        raise UserError(f"objective.alpha must be a number between 0 and 1. Received: {alpha!r}.")
    least = least_pieces(alpha)
    if count < least or not len(splits.validation):
        raise UserError(
            f"data.test: a false-alarm rate of {alpha:g} takes {least} or more good pieces that are held out, and "
            f"data.validation one. Received: {count} and {len(splits.validation)}. Accepted: more pieces, a larger "
            f"data.test, or objective.alpha={1 / (count + 1):.2g} or more."
        )


def fit(path: Path, config: RunConfig, splits: Splits) -> dict[str, Any]:
    """Fits the Gaussians of `path/model.keras`, calibrates it with validation and test pieces; returns facts to report.

    What the source has under other labels than `data.only` is scored for the report, and used for nothing else.
    """
    began = time.monotonic()
    model = keras.saving.load_model(path / "model.keras", compile=False)
    count = len(splits.test)
    print(f"calibrating with {count:,} good pieces that training has not seen", flush=True)
    if len(splits.train) > 1:
        fit_whole(model, splits.train)
    found = calibrate(model, list(splits.validation), list(splits.test), seed=config.training.seed)
    save_model(path / "model.keras", model)
    facts: dict[str, Any] = {
        "alpha": found["alpha"],
        "pieces": count,
        "guaranteed_rate": guaranteed_rate(count, found["alpha"]),
        "threshold": found["threshold"],
        "sources": list(found["sources"]),
        "synthetic_auroc": found["synthetic_auroc"],
        "defects": _defects(model, config, np.array(found["scores"])),
    }
    print(f"calibrated in {duration(time.monotonic() - began)}", flush=True)
    return facts


def section(facts: dict[str, Any] | None) -> list[str]:
    """Of report.md."""
    if facts is None:
        return []
    synthetic = facts["synthetic_auroc"]
    told = (
        ""
        if synthetic is None
        else f"Synthetic defects of the validation pieces are told with an AUROC of {synthetic:.3f}. "
    )
    lines = [
        "## The threshold",
        "",
        f"A piece fails where its score is above {facts['threshold']:.6g}. Of good pieces like the {facts['pieces']:,} "
        f"held-out ones that this rests on, at most {facts['guaranteed_rate']:.3g} fail (asked for: "
        f"{facts['alpha']:g}): conformal calibration, which assumes only that new pieces are drawn as those were. "
        f"The score sums what {', '.join(facts['sources'])} say. {told}{NO_DEVICE}",
        "",
    ]
    if facts["defects"]:
        lines += [
            "Beside the held-out good pieces, what lies under other labels and was not trained on (95 % intervals from "
            "a bootstrap over pictures):",
            "",
            "| label | pictures | AUROC | found at the threshold |",
            "| --- | ---: | ---: | ---: |",
        ]
        for name, row in facts["defects"].items():
            low, high = row["interval"]
            cell = name.replace("|", "\\|")
            lines.append(
                f"| {cell} | {row['pictures']:,} | {row['auroc']:.3f} ({low:.3f} – {high:.3f}) | {row['found']:.1%} |"
            )
        lines.append("")
    return lines


def _alpha(config: RunConfig) -> float:
    return config.objective.get("alpha", objective_defaults(config.model.kind)["alpha"])


def _defects(model: Any, config: RunConfig, good: np.ndarray) -> dict[str, Any]:
    """What the scores of each other label of the source are beside those of good pieces."""
    if not config.data.only:
        return {}
    everything = load(dataclasses.replace(config.data, only=""), seed=config.training.seed)
    scores: dict[str, list[float]] = {}
    for part in (everything.train, everything.validation, everything.test):
        for index, label in enumerate([] if part.labels is None else part.labels):
            if label >= 0 and (name := part.label_names[label]) != config.data.only:
                scores.setdefault(name, []).append(inspect(model, part[index]).score)
    if len(scores) > 1:
        scores["all of them"] = [score for each in scores.values() for score in each]
    found = {}
    for name, bad in sorted(scores.items(), key=lambda item: (item[0] == "all of them", item[0])):
        wrong, values = np.repeat([False, True], [len(good), len(bad)]), np.concatenate([good, bad])
        found[name] = {
            "pictures": len(bad),
            "auroc": auroc(wrong, values),
            "interval": bootstrap_interval(auroc, wrong, values, seed=config.training.seed),
            "found": share_above(np.array(bad), model.threshold),
        }
    return found
