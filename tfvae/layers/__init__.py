"""The layers that Keras does not have; each is registered, so saved models load after `import tfvae`."""

from tfvae.layers.inception import InceptionBlock
from tfvae.layers.resampling import CropTo, ResizeUpsample, SubPixelUpsample
from tfvae.layers.residual import ResidualBlock
from tfvae.layers.sampling import GaussianSampler
from tfvae.layers.seeded import Dropout

__all__ = [
    "CropTo",
    "Dropout",
    "GaussianSampler",
    "InceptionBlock",
    "ResidualBlock",
    "ResizeUpsample",
    "SubPixelUpsample",
]
