"""`tfvae compress --lossless` and what `tfvae decompress` does with its files: many pictures as one file, exactly."""

import argparse
from pathlib import Path

from tfvae import pictures
from tfvae.applications.compression.lossless import compress_images, decompress_images, facts, is_lossless
from tfvae.commands.shared import file_names, name_refused, note, place, say
from tfvae.data import DataConfig, load_images
from tfvae.errors import UserError
from tfvae.file_names import fitting
from tfvae.runs import Run, open_run
from tfvae.whole_files import write_whole

OWN_SIZE = 1 << 20  # no picture is reduced
# What compresses single pictures, and the values that it has where nobody asked for it.
OF_PICTURES = {"coder": "ans", "tile": None, "page": False}


def compress(arguments: argparse.Namespace) -> None:
    """Every picture of a source as one file, by a VAE with a discrete likelihood."""
    for name, usual in OF_PICTURES.items():
        if getattr(arguments, name) != usual:
            raise UserError(f"compress: --{name} is for single pictures. With --lossless, leave it out.")
    run, source = open_run(arguments.run), arguments.source
    out, _ = place(arguments.out, source.with_name(fitting(source.name, ".tfv")), (".tfv",))
    if out.resolve() == source.resolve():
        raise UserError(f"{out}: would be written over, and is to be read. Name another place with -o.")
    model = run.load_model()
    images, refused = load_images(str(source), _as_they_are(run), say=lambda phrase: note(f"{source}: {phrase}"))
    name_refused(refused)
    if len(images) == 0:
        raise UserError(f"{source}: no picture in it can be used.")
    try:
        content = compress_images(model, images, images.names)
    except ValueError as error:
        raise UserError(f"compress: {error}") from error
    write_whole(out, content)
    values, told = sum(image.size for image in images), facts(content)["bits"]
    say(
        out,
        f"with {len(images):,} pictures, {len(content):,} bytes, {8 * len(content) / values:.4f} bits per pixel and "
        f"channel ({told['start']:,} bits to start with, {told['names']:,} of names)",
    )
    if refused:
        raise UserError(f"compress: {len(refused):,} of the pictures could not be used, the others are in {out}.")


def holds_a_set(path: Path) -> bool:
    """Whether `path` is a file that `compress` wrote."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return is_lossless(file.read(16))


def decompress(arguments: argparse.Namespace) -> None:
    """The pictures of such a file, as PNG files in a folder."""
    source = arguments.source
    if arguments.model is None:
        raise UserError(f"{source}: holds a set of pictures without loss. Name the run that wrote it: --run RUN.")
    if arguments.tile is not None:
        raise UserError("decompress: --tile is for single pictures. This file holds a set: leave it out.")
    out, _ = place(arguments.out, source.with_name(fitting(source.stem, "")), ("",))
    try:
        unpacked = decompress_images(open_run(arguments.model).load_model(), source.read_bytes())
    except ValueError as error:
        raise UserError(f"{source}: {error}") from error
    names = unpacked.names or [f"{index:05d}.png" for index in range(len(unpacked.images))]
    for name, image in zip(file_names(names), unpacked.images, strict=True):
        pictures.save_png(out / name, image)
    say(out, f"and {len(unpacked.images):,} pictures in it")


def _as_they_are(run: Run) -> DataConfig:
    """How pictures are read that are to come back as they were: nothing is cut, reduced or drawn."""
    own = run.data_config
    return DataConfig(
        own.source,
        max_side=OWN_SIZE,
        black=own.black,
        white=own.white,
        manual_dir=own.manual_dir,
        key_file=own.key_file,
    )
