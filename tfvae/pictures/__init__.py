"""Pictures a person would rather look at than numbers, and the files that pictures are read from and written to."""

from tfvae.pictures.charts import calibration_chart, latent_map, learning_curves, search_panels, validation_curve
from tfvae.pictures.grids import MAX_CELL, PAPER, grid, reconstruction_picture, restoration_picture, save_png
from tfvae.pictures.shown import show
from tfvae.pixels import to_uint8

__all__ = [
    "MAX_CELL",
    "PAPER",
    "calibration_chart",
    "grid",
    "latent_map",
    "learning_curves",
    "reconstruction_picture",
    "restoration_picture",
    "save_png",
    "search_panels",
    "show",
    "to_uint8",
    "validation_curve",
]
