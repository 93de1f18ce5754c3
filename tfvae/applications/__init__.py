"""What a trained model is used for: functions from a model and arrays to arrays. No files, no printing."""

from tfvae.applications.inspection.calibrate import calibrate, fit_whole
from tfvae.applications.inspection.inspect import Inspected, Region, inspect, regions
from tfvae.applications.inspection.template import compare
from tfvae.applications.latent.embed import embed
from tfvae.applications.latent.generate import generate
from tfvae.applications.latent.interpolate import interpolate, lerp, slerp
from tfvae.applications.latent.levels import by_levels
from tfvae.applications.latent.reconstruct import reconstruct
from tfvae.applications.restoration.overlay import Overlay, find_overlay, remove_overlay
from tfvae.applications.restoration.posterior import denoise, restore_with_prior
from tfvae.applications.restoration.restore import Restored, enhance, noise_level, restore
from tfvae.applications.restoration.texture_fill import texture_fill
from tfvae.applications.restoration.uncertainty import calibrate_uncertainty, measure_uncertainty

__all__ = [
    "Inspected",
    "Overlay",
    "Region",
    "Restored",
    "by_levels",
    "calibrate",
    "calibrate_uncertainty",
    "compare",
    "denoise",
    "embed",
    "enhance",
    "find_overlay",
    "fit_whole",
    "generate",
    "inspect",
    "interpolate",
    "lerp",
    "measure_uncertainty",
    "noise_level",
    "reconstruct",
    "regions",
    "remove_overlay",
    "restore",
    "restore_with_prior",
    "slerp",
    "texture_fill",
]
