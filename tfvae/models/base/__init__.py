"""What models are made of: `TrainingStep`, `LatentModel` and `VariationalModel`."""

from tfvae.models.base.latent_model import DecodesCodes, LatentModel, only_spatial_resnet
from tfvae.models.base.variational_model import VariationalModel

__all__ = ["DecodesCodes", "LatentModel", "VariationalModel", "only_spatial_resnet"]
