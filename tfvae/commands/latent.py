"""`tfvae generate`, `reconstruct` and `interpolate`: into the latent space and out of it."""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfvae import applications, pictures
from tfvae.applications.latent.generate import blotches_note, texture_note
from tfvae.applications.styles.style_weights import parse_style
from tfvae.commands.shared import file_names, images_of, picture_of, place, say
from tfvae.errors import UserError
from tfvae.pixels import fitted, pixels
from tfvae.runs import open_run
from tfvae.whole_files import whole_file

COMPARED = 16  # images in a comparison picture


def generate(arguments: argparse.Namespace) -> None:
    """`tfvae generate`: images drawn from the prior."""
    run = open_run(arguments.run)
    out, folder = place(arguments.out, run.path / "generated.png", (".png", ""))
    model = run.load_unfused()
    if not hasattr(model, "generate"):
        raise UserError(
            f"generate: {run.path} holds a {type(model).__name__}, which has no prior to draw from. Use a VAE."
        )
    fixed = model.image_shape[:2]
    if arguments.size and fixed[0] is not None and arguments.size != tuple(fixed):
        raise UserError(
            f"generate: --size: this model draws {fixed[0]}x{fixed[1]} only. "
            f"Received: {arguments.size[0]}x{arguments.size[1]}."
        )
    labels = asked_label(model, arguments.label, "generate")
    if note := texture_note(model) or blotches_note(run.report.get("draws", {})):
        print(f"tfvae generate: {note}", file=sys.stderr)
    try:
        images = applications.generate(
            model, arguments.count, arguments.seed, arguments.temperature, arguments.size, labels=labels
        )
    except ValueError as error:
        raise UserError(f"generate: {error}") from error
    if not folder:
        say(pictures.save_png(out, pictures.grid(images)))
        return
    for index, image in enumerate(images):
        pictures.save_png(out / f"{index:05d}.png", image)
    say(pictures.save_png(out / "grid.png", pictures.grid(images)), f"and {len(images)} single pictures beside it")


def asked_label(model: Any, text: str | None, command: str) -> np.ndarray | None:
    """What pictures are drawn under, weights `(1, classes)`: a class or a style by its name, or a mixture of several.

    Raises:
        UserError: When there is no such class, or the model is not conditional.
    """
    if text is None:
        return None
    if not model.conditional:
        raise UserError(
            f"{command}: --label is for runs that learnt classes or styles. This one holds a {type(model).__name__} "
            "that is not conditional."
        )
    try:
        return parse_style(text, model.label_names, word="label")[None]
    except ValueError as error:
        raise UserError(f"{command}: --label: {error}") from error


def reconstruct(arguments: argparse.Namespace) -> None:
    """`tfvae reconstruct`: originals, reconstructions and their difference."""
    run = open_run(arguments.run, arguments.data)
    out, folder = place(arguments.out, run.path / "reconstruction.png", (".png", ""))
    model = run.load_unfused()
    images = images_of(run, model, arguments.source)
    count = arguments.count or (len(images) if folder else COMPARED)
    images = images.take(np.arange(min(count, len(images))))
    if arguments.levels and not hasattr(model, "levels"):
        raise UserError(
            f"reconstruct: --levels is for runs of a HierarchicalVAE. {run.path} holds a {type(model).__name__}."
        )
    rebuilt = applications.reconstruct(model, images)
    shown = [images[index] for index in range(min(len(images), arguments.count or COMPARED))]
    if arguments.levels:
        steps = applications.by_levels(model, shown)
        rows = [image for original, row in zip(shown, steps, strict=True) for image in (pixels(original), *row)]
        comparison = pictures.grid(rows, columns=model.levels + 2)
    else:
        comparison = pictures.reconstruction_picture(shown, rebuilt[: len(shown)])
    if not folder:
        say(pictures.save_png(out, comparison))
        return
    for name, image in zip(file_names(images.names), rebuilt, strict=True):
        pictures.save_png(out / name, image)
    say(pictures.save_png(out / "comparison.png", comparison), f"and {len(images)} reconstructions beside it")


def interpolate(arguments: argparse.Namespace) -> None:
    """`tfvae interpolate`: the way from one image to another."""
    run = open_run(arguments.run, arguments.data)
    out, folder = place(arguments.out, run.path / "interpolation.png", (".png", ".gif", ""))
    model = run.load_unfused()
    if not hasattr(model, "decode"):
        raise UserError(
            f"interpolate: {run.path} holds a {type(model).__name__}, whose codes are no pictures by "
            "themselves. Use a VAE or an autoencoder."
        )
    held_out = None
    ends = []
    for text in (arguments.start, arguments.end):
        if re.fullmatch(r"-?\d+", text):
            held_out = held_out if held_out is not None else images_of(run, model, None)
            if not 0 <= int(text) < len(held_out):
                raise UserError(f"interpolate: index {text}: there are {len(held_out)} held-out images, from 0.")
            ends.append(held_out[int(text)])
        else:
            ends.append(picture_of(run, model, text))
    start, end = ends
    images = applications.interpolate(model, start, fitted(end, start.shape), arguments.count, arguments.method)
    if not folder and out.suffix.lower() == ".gif":
        _save_gif(out, images)
        say(out)
        return
    strip = pictures.grid(images, columns=min(len(images), 10))
    if not folder:
        say(pictures.save_png(out, strip))
        return
    for index, image in enumerate(images):
        pictures.save_png(out / f"{index:05d}.png", image)
    say(pictures.save_png(out / "strip.png", strip), f"and {len(images)} single pictures beside it")


def _save_gif(path: Path, images: np.ndarray) -> None:
    """There and back again, a tenth of a second a picture, without end."""
    frames = [Image.fromarray(pictures.grid(image[None])) for image in images]
    others = [*frames[1:], *frames[-2:0:-1]]
    with whole_file(path) as file:
        frames[0].save(file, "GIF", save_all=True, append_images=others, duration=100, loop=0)
