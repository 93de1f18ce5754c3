"""p(z): how probable a code is before a picture is seen, and how one is drawn. Each prior is registered with Keras."""

from tfvae.parts import part_of
from tfvae.priors.autoregressive import AutoregressiveMixture, CausalTransformer
from tfvae.priors.base import Prior
from tfvae.priors.flow import NormalizingFlow
from tfvae.priors.gaussian_mixture import GaussianMixture
from tfvae.priors.standard_normal import StandardNormal
from tfvae.priors.vamp import VampPrior

PRIORS = {  # of Gaussian codes, by their names in a recipe's [prior]
    "standard_normal": StandardNormal,
    "gmm": GaussianMixture,
    "vamp": VampPrior,
    "flow": NormalizingFlow,
    "autoregressive": AutoregressiveMixture,
}


def get(prior, **options):
    """A prior from its name and the arguments of its constructor, or itself; None: the standard normal.

    Raises:
        ValueError: For an unknown name, saying the known ones, or an option that the prior has not; or as the
            constructor does.
    """
    if isinstance(prior, Prior):
        return prior
    return part_of("prior", PRIORS, "standard_normal" if prior is None else prior, options)


__all__ = [
    "PRIORS",
    "AutoregressiveMixture",
    "CausalTransformer",
    "GaussianMixture",
    "NormalizingFlow",
    "Prior",
    "StandardNormal",
    "VampPrior",
    "get",
]
