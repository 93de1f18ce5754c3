"""`python -m benchmarks inspection RUN --data FOLDER`: what a run of inspection tells, beside what needs no network.

The good pieces that RUN was trained on fit the baselines: the principal components of their pixels (score: the norm of
what they leave of a picture), and their nearest neighbour (score: the distance to it). Both see pictures of 64×64 grey
pixels, as published baselines do; the run's model sees them as it was trained to. Each source of its evidence stands
beside it alone, and the same network before its training: what that scores is owed to its architecture.

FOLDER holds a sub-folder of good pieces that nothing was fitted to, and others of defects. Intervals are of a bootstrap
over its pictures, good and defective ones separately: the AUROC of both, best F1, the share found, false alarms.
The good pieces and those that calibrated the run are also divided anew, over and over, into such that set a threshold
and one that is held against it: how often that fails is what `alpha` promises.

With `--bundle` see `decisions`, with `--boxes` `templates`, with `--planted` `planted`.
"""

import argparse
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.inspection import decisions, planted, templates
from benchmarks.measuring import header, line, machine, progress, publish
from tfvae.errors import UserError

SIDE = 64  # pixels a side of what the baselines see
COMPONENTS = 32  # principal ones, at most half as many as there are pieces
SPLITS = 200  # of good pieces into those that calibrate and one that is new


def main(options: argparse.Namespace) -> None:
    """Measures, prints the table, and writes `-o`."""
    if (options.run is None) == (options.boxes is None):
        raise UserError("inspection: either RUN is measured, or, with --boxes, templates and no RUN.")
    if options.boxes is not None:
        return templates.main(options)
    if options.planted is not None:
        return planted.main(options)
    facts = run(options)
    publish(facts, table(facts), options.words, options.out)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The figures of every contender."""
    from tfvae.applications import inspect
    from tfvae.applications.inspection.inspect import peaks
    from tfvae.data import load_images, load_own

    opened, model = calibrated(options.run)
    splits = load_own(opened, model)
    images, _ = load_images(options.data, like=opened.prepared_like(model))
    if options.good not in images.label_names:
        raise UserError(
            f"--good: {options.data} has no sub-folder '{options.good}' beside others. "
            f"Its sub-folders: {', '.join(images.label_names) or 'fewer than two'}."
        )
    wrong = np.asarray(images.labels != images.label_names.index(options.good))
    small = np.stack([_small(image) for image in images])
    learnt = np.stack([_small(image) for image in splits.train])
    untrained = untrained_like(model, options.seed)

    def over(name: str, measure: Callable[[np.ndarray], Any]) -> np.ndarray:
        found = []
        for index, image in enumerate(images):
            progress(f"{name}: {index + 1}/{len(images)}")
            found.append(measure(image))
        return np.array(found)

    ours = over("tfvae", lambda image: inspect(model, image).score)
    sources = over("each source", lambda image: peaks(model, image))
    contenders: dict[str, Callable[[], np.ndarray]] = {
        "tfvae": lambda: ours,
        **{
            f"{name} alone": functools.partial(sources.__getitem__, (slice(None), k))
            for k, name in enumerate(model.sources)
        },
        "untrained": lambda: over("untrained", lambda image: inspect(untrained, image).score),
        "PCA": lambda: unexplained(learnt, small),
        "nearest neighbour": lambda: nearest(learnt, small),
    }
    rows = {name: figures(wrong, contender(), options.seed) for name, contender in contenders.items()}
    progress("")
    return {
        **machine(("keras", "numpy", "scikit-learn")),
        "settings": {"seed": options.seed, "side": SIDE, "components": COMPONENTS, "learnt": len(learnt)},
        "pictures": {"good": int((~wrong).sum()), "defective": int(wrong.sum()), "sha256": images.digest()},
        "steps": opened.report.get("training", {}).get("steps"),
        "rows": rows,
        "threshold": at_threshold(ours, wrong, model),
        "splits": over_splits(
            np.array(model.calibration["scores"]), ours[~wrong], model.calibration["alpha"], options.seed
        ),
        **({"bundle": decisions.of_bundle(options.bundle, list(images), ours, model)} if options.bundle else {}),
    }


def calibrated(path: Path) -> tuple[Any, Any]:
    """The run at `path` and its model; `UserError` where that does not inspect, or was not calibrated."""
    from tfvae.runs import open_run

    opened = open_run(path)
    model = opened.load_unfused()
    if not hasattr(model, "inspect") or model.calibration is None:
        raise UserError(f"benchmark inspection: {path} is no calibrated run of inspection.")
    return opened, model


def untrained_like(model: Any, seed: int) -> Any:
    """The model before its training, but that its map is not zero everywhere."""
    import keras

    keras.utils.set_random_seed(seed)
    untrained = type(model).from_config({**model.get_config(), "seed": seed, "calibration": None})
    # Training starts it at zero: nothing would be scored.
    untrained.exit.kernel.assign(keras.initializers.GlorotUniform(seed)(untrained.exit.kernel.shape))
    return untrained


def figures(wrong: np.ndarray, scores: np.ndarray, seed: int) -> dict[str, Any]:
    """AUROC and best F1 with their intervals."""
    from tfvae.metrics import auroc, best_f1, bootstrap_interval

    measures = {"auroc": auroc, "best_f1": lambda labels, values: best_f1(labels, values)[0]}
    found: dict[str, Any] = {}
    for name, measure in measures.items():
        interval = bootstrap_interval(measure, wrong, scores, seed=seed)
        found[name] = {"value": measure(wrong, scores), "interval": interval}
    return found


def at_threshold(scores: np.ndarray, wrong: np.ndarray, model: Any) -> dict[str, Any]:
    """False alarms and what is found at the run's own threshold, which these pictures had no part in."""
    from scipy import stats

    from tfvae.metrics import share_above
    from tfvae.metrics.conformal import guaranteed_rate

    found: dict[str, Any] = {"alpha": model.calibration["alpha"], "value": model.threshold}
    found["guaranteed"] = guaranteed_rate(len(model.calibration["scores"]), found["alpha"])
    for name, group in (("false_alarms", scores[~wrong]), ("found", scores[wrong])):
        interval = stats.binomtest(int((group > model.threshold).sum()), len(group)).proportion_ci()
        found[name] = {"value": share_above(group, model.threshold), "interval": [interval.low, interval.high]}
    return found


def over_splits(calibration: np.ndarray, good: np.ndarray, alpha: float, seed: int) -> dict[str, Any]:
    """How often a new good piece fails, over `SPLITS` random divisions of all good pieces that nothing was learnt from.

    In each as many pieces as calibrated the run set the threshold, and one of the others is new. The interval is that
    of so many draws at the guaranteed rate, in which the rate has to lie.
    """
    from scipy import stats

    from tfvae.metrics.conformal import guaranteed_rate, threshold

    pieces, count, rng = np.concatenate([calibration, good]), len(calibration), np.random.default_rng(seed)
    alarms = 0
    for _ in range(SPLITS):
        drawn = rng.permutation(pieces)
        alarms += int(drawn[count] > threshold(drawn[:count], alpha))
    guaranteed = guaranteed_rate(count, alpha)
    interval = stats.binom.interval(0.95, SPLITS, guaranteed)
    return {"splits": SPLITS, "value": alarms / SPLITS, "interval": [float(end) / SPLITS for end in interval]}


def unexplained(learnt: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """Norm of what the principal components of `learnt` leave of each picture."""
    from sklearn.decomposition import PCA

    pca = PCA(max(1, min(COMPONENTS, len(learnt) // 2)), random_state=0).fit(learnt)
    return np.linalg.norm(pictures - pca.inverse_transform(pca.transform(pictures)), axis=1)


def nearest(learnt: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """Euclidean distance of each picture to the nearest of `learnt`."""
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=1).fit(learnt).kneighbors(pictures)[0][:, 0]


def table(facts: dict[str, Any]) -> list[str]:
    """The facts as lines of text."""
    pictures, at, splits = facts["pictures"], facts["threshold"], facts["splits"]
    lines = [
        f"{pictures['good']} good and {pictures['defective']} defective pictures; 95 % intervals.",
        "",
        *header(["", "AUROC", "best F1"], 1),
    ]
    lines += [line([name, _shown(row["auroc"]), _shown(row["best_f1"])]) for name, row in facts["rows"].items()]
    lines += [
        "",
        f"At the threshold for alpha = {at['alpha']:g} (guaranteed: {at['guaranteed']:.3f}): false alarms "
        f"{_shown(at['false_alarms'])}, found {_shown(at['found'])}.",
        f"Over {splits['splits']} random divisions of the good pieces: false alarms {splits['value']:.3f}; "
        f"{splits['interval'][0]:.3f} – {splits['interval'][1]:.3f} are within chance.",
    ]
    return [*lines, "", *decisions.table(facts["bundle"])] if "bundle" in facts else lines


def _shown(figure: dict[str, Any]) -> str:
    low, high = figure["interval"]
    return f"{figure['value']:.3f} ({low:.3f} – {high:.3f})"


def _small(image: np.ndarray) -> np.ndarray:
    """A picture as the baselines see it: grey, `SIDE` × `SIDE`, flat, in [0, 1]."""
    from PIL import Image

    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).convert("L")
    reduced = picture.resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(reduced, np.float32).ravel() / 255
