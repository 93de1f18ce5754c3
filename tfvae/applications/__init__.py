"""What a trained model is used for: functions from a model and arrays to arrays. No files, no printing."""

from tfvae.applications.embed import embed
from tfvae.applications.generate import generate
from tfvae.applications.interpolate import interpolate, lerp, slerp
from tfvae.applications.reconstruct import reconstruct
from tfvae.applications.restore import Restored, enhance, restore

__all__ = [
    "Restored",
    "embed",
    "enhance",
    "generate",
    "interpolate",
    "lerp",
    "reconstruct",
    "restore",
    "slerp",
]
