"""Films as upright frames and back, with their sound."""

from tfvae.video.codecs import pyav
from tfvae.video.reading import SUFFIXES, Film
from tfvae.video.writing import WRITTEN, FilmWriter

__all__ = ["SUFFIXES", "WRITTEN", "Film", "FilmWriter", "pyav"]
