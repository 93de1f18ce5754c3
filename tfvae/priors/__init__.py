"""p(z): how probable a code is before a picture is seen, and how one is drawn. Each prior is registered with Keras."""

from tfvae.priors.autoregressive import CausalTransformer
from tfvae.priors.base import Prior
from tfvae.priors.standard_normal import StandardNormal

__all__ = ["CausalTransformer", "Prior", "StandardNormal"]
