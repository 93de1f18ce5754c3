"""`tfvae texture`: a picture of any size with the texture of a few photographs, written while it is made."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from tfvae.applications.textures.synthesis import check_model, check_request, synthesize
from tfvae.commands.meter import Meter
from tfvae.commands.shared import place, read_images, say
from tfvae.data import Images
from tfvae.errors import UserError, did_you_mean
from tfvae.pictures.png_rows import write_png_rows
from tfvae.runs import CONFIG, Run, open_run

MOST_EXEMPLARS = 16  # photographs taken for one texture unless it is said which


def texture(arguments: argparse.Namespace) -> None:
    """`tfvae texture`: as large as is asked for, periodic if asked, one texture or two."""
    run = open_run(arguments.run, arguments.data)
    out, _ = place(arguments.out, run.path / "texture.png", (".png",))
    model = run.load_unfused()
    try:
        check_model(model)
    except ValueError:
        raise UserError(
            f"texture: {run.path} holds a {type(model).__name__} for pictures of one size. "
            "Use a run with a spatial latent: python -m training --recipe texture."
        ) from None
    height, width = arguments.size
    if arguments.seamless and (height % model.factor or width % model.factor):
        near = "x".join(str(max(1, round(side / model.factor)) * model.factor) for side in arguments.size)
        raise UserError(
            f"texture: --size: a seamless picture of this model has sides that are multiples of {model.factor}, "
            f"such as {near}. Received: {height}x{width}."
        )
    pictures = _exemplars(run, model, arguments.of, "--of")
    mixed = None
    if arguments.mix:
        source, share = arguments.mix
        mixed = (_exemplars(run, model, source, "--mix"), share)
    try:
        check_request(model, pictures, arguments.size, seamless=arguments.seamless, mixed=mixed, patch=arguments.patch)
    except ValueError as error:
        # The library names the argument and the value; what is left to refuse here is a size.
        raise UserError(f"texture: {error}.") from error
    try:
        with Meter(height, "rows") as meter:
            strips = synthesize(
                model,
                pictures,
                arguments.size,
                seamless=arguments.seamless,
                mixed=mixed,
                seed=arguments.seed,
                patch=arguments.patch,
                progress=lambda done, _: meter.show(done),
            )
            write_png_rows(out, height, width, strips)
    except OSError as error:
        raise UserError(f"{error.filename or out}: cannot be written: {error.strerror}.") from error
    say(out, f"of {height}x{width} pixels{', periodic in both directions' if arguments.seamless else ''}")


def _exemplars(run: Run, model: Any, source: str | None, option: str) -> list[np.ndarray]:
    """The photographs of a texture: the run's own, one of them by name, those of another run, or of files.

    All are prepared as the run's own; none is cut out for validation or test.
    """
    like = run.prepared_like(model)
    if source is not None and (Path(source) / CONFIG).is_file():
        like_source, source = open_run(source).data_config.source, None
    elif source is not None and Path(source).exists():
        like_source, source = source, None
    else:
        like_source = like.source
    images = read_images(like_source, like)
    if source is not None:
        images = images.take([_named(images, source, option)])
    if not len(images):
        raise UserError(f"texture: {like_source}: no picture in it can be used.")
    if len(images) > MOST_EXEMPLARS:
        raise UserError(
            f"texture: {like_source} has {len(images)} pictures, which make no single texture. "
            f"Name one with {option}, such as {images.names[0]}."
        )
    return list(images)


def _named(images: Images, name: str, option: str) -> int:
    """Index of the picture with this name, with or without its folder and suffix."""
    for key in (str, lambda text: Path(text).name, lambda text: Path(text).stem):
        found = [index for index, each in enumerate(images.names) if key(each) == name]
        if len(found) == 1:
            return found[0]
    hint = did_you_mean(name, [*images.names, *(Path(each).stem for each in images.names)])
    raise UserError(
        f"texture: {option}: '{name}' is no run, no picture file, and not the name of one picture of the run.{hint} "
        f"The run has {', '.join(images.names[:5])}{', …' if len(images) > 5 else ''}."
    )
