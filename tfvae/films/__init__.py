"""Films as upright frames and back, with their sound."""

from tfvae.films.codecs import pyav
from tfvae.films.reading import SUFFIXES, Film
from tfvae.films.writing import WRITTEN, FilmWriter

__all__ = ["SUFFIXES", "WRITTEN", "Film", "FilmWriter", "pyav"]
