"""`tfvae texture`: a picture of any size with the texture of a few photographs, written while it is made."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfvae.applications.textures.photographs import quilted
from tfvae.applications.textures.synthesis import PATCH, check_model, check_request, synthesize
from tfvae.commands.meter import Meter
from tfvae.commands.shared import place, read_images, say
from tfvae.data import DataConfig, Images
from tfvae.errors import UserError, did_you_mean
from tfvae.pictures.png_rows import write_png_rows
from tfvae.runs import CONFIG, open_run

MOST_EXEMPLARS = 16  # photographs taken for one texture unless it is said which


def texture(arguments: argparse.Namespace) -> None:
    """`tfvae texture`: as large as is asked for, periodic if asked, one texture or two."""
    if arguments.source is not None:
        return _of_photographs(arguments)
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
    like, patch = run.prepared_like(model), arguments.patch or PATCH
    pictures = _exemplars(like, arguments.of, "--of")
    mixed = (_exemplars(like, arguments.mix[0], "--mix"), arguments.mix[1]) if arguments.mix else None
    try:
        check_request(model, pictures, arguments.size, seamless=arguments.seamless, mixed=mixed, patch=patch)
    except ValueError as error:
        # The library names the argument and the value; what is left to refuse here is a size.
        raise UserError(f"texture: {error}.") from error
    with Meter(height, "rows") as meter:
        strips = synthesize(
            model,
            pictures,
            arguments.size,
            seamless=arguments.seamless,
            mixed=mixed,
            seed=arguments.seed,
            patch=patch,
            progress=lambda done, _: meter.show(done),
        )
        _write(out, arguments, strips)


def _of_photographs(arguments: argparse.Namespace) -> None:
    """Quilted from windows of the pictures themselves; nothing was learnt."""
    if not arguments.source.exists():
        raise UserError(f"{arguments.source}: there is no such picture.")
    out, _ = place(arguments.out, Path("texture.png"), (".png",))
    like = DataConfig(source=str(arguments.source))
    pictures = _exemplars(like, None, "IN")
    mixed = (_exemplars(like, arguments.mix[0], "--mix"), arguments.mix[1]) if arguments.mix else None
    if mixed and mixed[0][0].shape[2] != pictures[0].shape[2]:  # a grey one and one in colour
        pictures, second = (
            [np.broadcast_to(each, (*each.shape[:2], 3)) for each in part] for part in (pictures, mixed[0])
        )
        mixed = second, mixed[1]
    with Meter(arguments.size[0], "rows") as meter:
        try:
            picture = quilted(
                pictures,
                arguments.size,
                seamless=arguments.seamless,
                mixed=mixed,
                seed=arguments.seed,
                patch=arguments.patch,
                progress=lambda done, _: meter.show(done),
            )
        except ValueError as error:
            raise UserError(f"texture: {error}.") from error
        _write(out, arguments, iter([picture]))


def _write(out: Path, arguments: argparse.Namespace, strips: Iterator[np.ndarray]) -> None:
    """The file, strip by strip, and what is said of it."""
    height, width = arguments.size
    try:
        write_png_rows(out, height, width, strips)
    except OSError as error:
        raise UserError(f"{error.filename or out}: cannot be written: {error.strerror}.") from error
    say(out, f"of {height}x{width} pixels{', periodic in both directions' if arguments.seamless else ''}")


def _exemplars(like: DataConfig, source: str | None, option: str) -> list[np.ndarray]:
    """The photographs of a texture: those of `like`, one of them by name, those of a run, or of files.

    All are prepared as `like` says; none is cut out for validation or test.
    """
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
