"""`tfvae dreams`: a page of what a model draws, takes to be alike, and can be asked to imagine."""

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfvae.applications.latent.dreams import MOST, MOST_PIXELS, SIDE, Dreamer, MeaninglessError, dream, viewed
from tfvae.commands.evaluate import progress_line
from tfvae.commands.pages.dreams import write_page
from tfvae.commands.shared import held_out_images, picture_of, place, say
from tfvae.data import Images, load_own
from tfvae.errors import UserError
from tfvae.runs import Run, open_run


def dreams(arguments: argparse.Namespace) -> None:
    """`tfvae dreams`: the page, into a folder."""
    run = open_run(arguments.run, arguments.data)
    folder, _ = place(arguments.out, run.path / "dreams", ("",))
    for triple in arguments.minus or ():
        if len(triple) != 3:
            raise UserError(f"dreams: --minus takes three pictures, A,B,C for A - B + C. Received: {','.join(triple)}.")
    model = run.load_unfused()
    splits = load_own(run, model)
    held_out = held_out_images(run, splits)
    # A run of one or two images has nothing but these in all its parts.
    training = splits.train.take([] if splits.train.names == held_out.names else np.arange(len(splits.train)))
    dreamer = _dreamer(run, model, held_out, training, arguments)
    try:
        sections = dream(dreamer, progress_line() if sys.stderr.isatty() else lambda *_: None)
    except MeaninglessError as reason:
        raise UserError(f"dreams: {run.path}: {reason}. Use a VAE or an autoencoder.") from None
    if not any(section.rows for section in sections):
        raise UserError(f"dreams: {run.path}: {sections[-1].missing}.")
    about = f"{type(model).__name__}, {splits.description}"
    for section in sections:
        if section.missing:
            print(f"left out: {section.title.lower()}: {section.missing}")
    say(write_page(folder, sections, f"What {run.path.resolve().name} dreams of", about, _command(arguments)))


def _dreamer(run: Run, model: Any, held_out: Images, training: Images, arguments: argparse.Namespace) -> Dreamer:
    kept = _kept(held_out, MOST // 2, MOST_PIXELS // 2, arguments.seed)
    learnt = _kept(training, MOST - len(kept), MOST_PIXELS // 2, arguments.seed)
    known = [part.labels for part in (kept, learnt) if part.labels is not None]
    return Dreamer(
        model,
        [viewed(image) for part in (kept, learnt) for image in part],
        len(kept),
        [*kept.names, *learnt.names],
        np.concatenate(known) if len(known) == 2 else None,
        held_out.label_names,
        arguments.seed,
        arguments.count,
        [[_named(run, model, held_out, text) for text in triple] for triple in arguments.minus or ()],
        run.report.get("draws", {}),
    )


def _kept(images: Images, most: int, most_pixels: int, seed: int) -> Images:
    """So many images that the page takes no hours: drawn, and in their order."""
    order = np.random.default_rng((seed, 5)).permutation(len(images))[:most]
    sides = np.minimum(images.shapes[order, :2], SIDE)
    return images.take(np.sort(order[np.cumsum(sides.prod(axis=1)) <= most_pixels]))


def _named(run: Run, model: Any, held_out: Images, text: str) -> tuple[str, np.ndarray]:
    """A picture of a sum and its name: a file, or an index into the held-out images."""
    if not re.fullmatch(r"\d+", text):
        return text, viewed(picture_of(run, model, text))
    if int(text) >= len(held_out):
        raise UserError(f"dreams: --minus: index {text}: there are {len(held_out)} held-out images, from 0.")
    return text, viewed(held_out[int(text)])


def _command(arguments: argparse.Namespace) -> str:
    """The request, complete: with its defaults."""
    words: Sequence[Any] = ["tfvae", "dreams", arguments.run, "--seed", arguments.seed, "-n", arguments.count]
    words = [*words, *(word for triple in arguments.minus or () for word in ("--minus", ",".join(triple)))]
    return shlex.join(map(str, words))
