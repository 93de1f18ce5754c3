"""report.json and report.md: what was learnt, from what, how well, at what cost; with its pictures."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import PIL
import tensorflow as tf

from tfvae.applications.latent.embed import embed
from tfvae.applications.latent.generate import blotches_note, draws_texture
from tfvae.data import Images, Splits, evaluation_batches
from tfvae.evaluation import EvaluationContext, assess, evaluate
from tfvae.evaluation.protocol import versions
from tfvae.models.restoration_model import RestorationModel
from tfvae.pictures import latent_map, learning_curves, save_png
from tfvae.whole_files import write_whole
from training import calibration, report_health, uncertainty, watch
from training.config import RunConfig
from training.journal import comparison_picture, duration, read_rows, sample_picture
from training.loop import Progress

UNITS = {
    "elbo": ("ELBO", "nats per image, higher is better"),
    "rate": ("rate", "KL(q(z|x) ‖ p(z)), nats per image"),
    "distortion": ("distortion", "−log p(x|z), nats per image"),
    "bits_per_dim": ("bits per dim", "code length of one pixel value"),
    "bits_per_pixel": ("bits per pixel", "length of a file at quality 50, without its header"),
    "psnr": ("PSNR", "dB, reconstructions of held-out images"),
    "ssim": ("SSIM", "1 is equal"),
}
MAP_IMAGES = 2000
MAP_PIXELS = 2**26  # of all pictures on the map, which are held in memory together
SHOWN = 1024  # pixels a side: of larger pictures their middle is shown and mapped
MOST_DRAWS = 1000  # pictures that are drawn, to be compared with as many held-out ones


def write(
    path: Path,
    config: RunConfig,
    splits: Splits,
    progress: Progress,
    reasons: list[str],
    weights: int,
    fitted: dict[str, dict[str, Any] | None],
) -> dict[str, Any]:
    """Measures `path/model.keras` on the test images and writes both reports; returns the figures.

    `fitted` are the facts of what was fitted after the training, None for what was not: `prior` of `fitted_prior.fit`,
    `inspection` of `calibration.fit`, `uncertainty` of `uncertainty.fit`.
    """
    model = keras.saving.load_model(path / "model.keras", compile=False)
    part, measured = splits.measured
    figures = evaluate(
        model,
        measured,
        data_config=config.data,
        batch_size=config.training.batch_size,
        seed=config.training.seed,
    )
    protocol = {"split": part, **figures.pop("protocol")}
    intervals = figures.pop("intervals")
    rows = read_rows(path / "metrics.csv")
    record = watch.read(path)
    facts: dict[str, Any] = {
        "data": {
            "source": config.data.source,
            "description": splits.description,
            "train": len(splits.train),
            "validation": len(splits.validation),
            "test": len(splits.test),
            "refused": [{"name": refusal.name, "reason": refusal.reason} for refusal in splits.refused],
        },
        "chosen": reasons,
        "test": figures,
        "intervals": intervals,
        "protocol": protocol,
        "training": {
            "weights": weights,
            "epochs": progress.epoch,
            "best_epoch": progress.best_epoch,
            "steps": progress.step,
            "seconds": round(progress.seconds, 1),
            "images_per_second": round(progress.images / max(progress.seconds, 1e-9), 1),
            "skipped_steps": int(rows[-1]["skipped"]) if rows else 0,
            "devices": [device.name for device in tf.config.list_logical_devices()],
        },
        **{name: found for name, found in fitted.items() if found},
        "health": watch.of_the_kept_model(model, splits, config, record),
        "versions": {**versions(), "pillow": PIL.__version__},
    }
    facts |= _draws(model, config, splits, measured)
    pictures = _pictures(path, model, config, measured, rows)
    health = report_health.section(facts["health"], report_health.picture(path, facts["health"], record))
    write_whole(path / "report.json", json.dumps(facts, indent=2) + "\n")
    write_whole(path / "report.md", _markdown(path.name, config, facts, pictures, health))
    return figures


def _draws(model: Any, config: RunConfig, splits: Splits, measured: Images) -> dict[str, Any]:
    """How pictures that are drawn compare with held-out ones: `{"draws"}`; nothing where that means nothing."""
    shown = measured.take(np.arange(min(MOST_DRAWS, len(measured))))
    context = EvaluationContext(
        model, shown, config.data, seed=config.training.seed, features="encoder", training=splits.train
    )
    if hasattr(model, "generate") and draws_texture(model):
        return {}
    found = assess(context, ("frechet", "prdc", "edges"), must=False)
    return {"draws": {name: figure.value for name, figure in found.figures.items()}} if found.figures else {}


def _pictures(path: Path, model: Any, config: RunConfig, images: Images, rows: list[dict]) -> dict[str, str]:
    """Writes the pictures; file name by caption."""
    seed = config.training.seed
    crop = _middle(images, config)
    batches = evaluation_batches(images, 16, seed=seed, config=config.data, crop=crop)
    shown: list[np.ndarray] = []
    for batch in batches:  # Several, as images of unequal sizes come one by one.
        shown.extend(batch.numpy())
        if len(shown) >= 16:
            break
    shown = shown[:16] if shown[0].shape[0] <= 128 else shown[:6]
    columns = 8 if shown[0].shape[0] <= 128 else 3
    save_png(path / "reconstructions.png", comparison_picture(model, shown, columns))
    restores = isinstance(model, RestorationModel)
    what = "degraded and restored" if restores else "their reconstructions, and the difference"
    middle = f" (the middle {crop} pixels)" if crop else ""
    pictures = {f"Held-out images{middle}, {what}": "reconstructions.png"}
    if hasattr(model, "generate"):
        first = next(iter(evaluation_batches(images, 8, seed=seed, config=config.data, crop=config.data.crop)))
        save_png(path / "samples.png", sample_picture(model, first.numpy(), seed))
        textures = "texture, as the places of the code are independent under the prior"
        what = textures if draws_texture(model) else "pictures that never existed"
        pictures[f"Draws from the prior: {what}"] = "samples.png"
    if rows:
        save_png(path / "curves.png", learning_curves(rows))
        pictures["Learning curves"] = "curves.png"
    if len(images) > 2:
        pixels = crop**2 or int(images.shapes[:, :2].prod(axis=1).max())
        chosen = images.take(np.arange(min(MAP_IMAGES, max(3, MAP_PIXELS // pixels), len(images))))
        whole = [x for batch in evaluation_batches(chosen, 16, config=config.data, crop=crop) for x in batch.numpy()]
        title = f"codes of {len(chosen):,} held-out images"
        # Points of one colour say little: without classes the pictures themselves are shown.
        alike = chosen.labels is None or len(set(chosen.labels)) < 2
        picture = latent_map(
            embed(model, whole), chosen.labels, chosen.label_names, title, images=whole if alike else None
        )
        save_png(path / "latent_map.png", picture)
        pictures["Where the codes of held-out images lie"] = "latent_map.png"
    return pictures


def _middle(images: Images, config: RunConfig) -> int:
    """Side of the centre crops that stand for pictures, where one is larger than `SHOWN`; 0: whole pictures."""
    sides = images.shapes[:, :2]
    return 0 if config.data.frames or sides.max() <= SHOWN else int(min(SHOWN, sides.min()))


def _markdown(name: str, config: RunConfig, facts: dict[str, Any], pictures: dict[str, str], health: list[str]) -> str:
    data, training, test = facts["data"], facts["training"], facts["test"]
    source = data["source"]
    lines = [
        f"# {name}",
        "",
        f"A {config.model.kind} ({config.model.network}, {config.model.latent} latent of {config.model.latent_dim}, "
        f"{config.model.likelihood} likelihood, {training['weights']:,} weights) trained on `{source}`.",
        "",
        f"{data['description']}. {training['epochs']} epochs, {training['steps']:,} steps, "
        f"{duration(training['seconds'])} at {training['images_per_second']:,.0f} images/s; "
        f"epoch {training['best_epoch']} was the best and is kept in `model.keras`.",
        "",
    ]
    if "prior" in facts:
        prior = facts["prior"]
        lines += [
            f"The prior, `{prior['kind']}`, was fitted to {prior['codes']:,} codes of the trained model in "
            f"{duration(prior['seconds'])}: log p(z) of held-out codes from {prior['log_prob'][0]:.4g} nats after its "
            f"first epoch to {max(prior['log_prob']):.4g}. Until then it was N(0, I).",
            "",
        ]
    if facts["chosen"]:
        lines += ["Chosen by looking at the data:", "", *(f"- {reason}" for reason in facts["chosen"]), ""]
    lines += ["## On held-out images", "", "| figure | value | meaning |", "| --- | ---: | --- |"]
    for key, (label, meaning) in UNITS.items():
        if key in test:
            lines.append(f"| {label} | {test[key]:.4g} | {meaning.replace('|', chr(92) + '|')} |")
    protocol = facts["protocol"]
    lines += [
        "",
        f"Measured on {protocol['images']:,} {protocol['split']} images, seed {protocol['seed']}, "
        f"{'pixels binarised by a Bernoulli draw' if protocol['binarised'] else 'grey levels as they are'}, "
        "one posterior sample an image for the ELBO, the posterior mean for PSNR and SSIM.",
        "",
        *_draws_section(facts),
        *calibration.section(facts.get("inspection")),
        *uncertainty.section(facts.get("uncertainty")),
        *health,
        "## Pictures",
        "",
    ]
    for caption, file in pictures.items():
        lines += [f"**{caption}**", "", f"![{caption}]({file})", ""]
    if data["refused"]:
        lines += [f"## {len(data['refused']):,} files were refused", "", "| file | reason |", "| --- | --- |"]
        lines += [f"| {_cell(refusal['name'])} | {_cell(refusal['reason'])} |" for refusal in data["refused"]]
        lines.append("")
    lines += [
        "## Again",
        "",
        "`config.toml` holds every setting. With it, from a clone:",
        "",
        "```sh",
        "python -m training --recipe config.toml --out again",
        "```",
        "",
        "Use it: `tfvae generate .`, `tfvae reconstruct . PICTURES`, `tfvae interpolate . A B`; "
        "take it along: `python -m export .`",
        "",
        ", ".join(f"{key} {value}" for key, value in facts["versions"].items()),
        "",
    ]
    return "\n".join(lines)


def _draws_section(facts: dict[str, Any]) -> list[str]:
    draws = facts.get("draws", {})
    if "frechet" not in draws:
        return []
    floor = f" (training pictures: {draws['frechet_floor']:.4g})" if "frechet_floor" in draws else ""
    recall = f"; precision {draws['precision']:.2f}, recall {draws['recall']:.2f}" if "recall" in draws else ""
    return [
        "## Draws beside held-out images",
        "",
        f"Fréchet distance {draws['frechet']:.4g}{floor}{recall}, in the codes of the model's own encoder, which see "
        "how well the prior meets the codes and not how sharp the pictures are. In features that compare models: "
        "`tfvae evaluate . --figures frechet,prdc --features classifier` (with labels) or `inception`.",
        "",
        *_edges_lines(draws),
    ]


def _edges_lines(draws: dict[str, Any]) -> list[str]:
    """What the kurtosis of derivatives says, where it was measured."""
    if "edges" not in draws:
        return []
    said = f": {note}." if (note := blotches_note(draws)) else "."
    return [f"Kurtosis of their derivatives, over that of reconstructions: {draws['edges']:.2f}{said}", ""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
