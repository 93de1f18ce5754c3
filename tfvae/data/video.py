"""A film as a source of images: its frames."""

from pathlib import Path

from PIL import Image

from tfvae.data.gathering import Gathering
from tfvae.data.reading import prepare
from tfvae.errors import UserError
from tfvae.video import SUFFIXES, Film

__all__ = ["SUFFIXES", "gather_film"]


def gather_film(path: Path, into: Gathering, limit: int) -> None:
    """The first `limit` (0 = all) frames of a film, in order, named `film.mp4#000000` and so on.

    A film that is damaged half-way gives the frames before the damage, and is named in `refused`.
    """
    try:
        film = Film(path)
    except UserError as error:
        raise UserError(f"data.source: {error}") from error
    if film.size[0] * film.size[1] > into.how.max_pixels:
        raise UserError(f"data.source: frames of film '{path}' are larger than {into.how.max_pixels:,} pixels.")
    count = 0
    for pixels in film.frames(limit):
        into.add_prepared(prepare(Image.fromarray(pixels), into.how), f"{path.name}#{count:06d}")
        count += 1
        into.progress(count, min(limit, film.count) if limit else film.count)
    if film.damage:
        into.refuse(path.name, film.damage)
    if not count:
        raise UserError(f"data.source: no frame of film '{path}' could be read ({film.damage}).")
    into.in_order = True
    into.description = f"{count:,} frames of film '{path.name}'"
