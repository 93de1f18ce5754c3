"""What models are made of: `TrainingStep`, `LatentModel`, `VariationalModel`, `BoundedModel`, `FitsPrior`."""

from tfvae.models.base.bounded_model import BoundedModel
from tfvae.models.base.fits_prior import FitsPrior
from tfvae.models.base.latent_model import DecodesCodes, LatentModel, only_spatial_resnet
from tfvae.models.base.variational_model import VariationalModel

__all__ = ["BoundedModel", "DecodesCodes", "FitsPrior", "LatentModel", "VariationalModel", "only_spatial_resnet"]
